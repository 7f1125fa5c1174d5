import { expect, test } from 'vitest';
import { GATEWAY, TestGuest } from './testing/guest.ts';
import { parseRequest } from './tftp.ts';

const text = (words: string) => new TextEncoder().encode(words);
const packet = (kind: number, ...words: string[]) => new Uint8Array([0, kind, ...text(words.map((word) => `${word}\0`).join(''))]);
const ack = (block: number) => new Uint8Array([0, 4, block >> 8, block & 255]);

/** A guest of a gateway that gives out `files`, and what came of its requests. */
function client(files: { [name: string]: Uint8Array }) {
  const counts = { opened: 0, closed: 0 };
  const guest = new TestGuest({}, async (name) => {
    const bytes = files[name];
    if (!bytes) return undefined;
    counts.opened++;
    return { size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length), close: () => void counts.closed++ };
  });
  const heard = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    return guest
      .datagrams()
      .map(({ payload, sourcePort }) => ({ kind: payload[1], number: payload[2]! * 256 + payload[3]!, payload, sourcePort }));
  };
  return {
    guest,
    counts,
    heard,
    ask: (bytes: Uint8Array, port = 69) => {
      guest.udp(bytes, GATEWAY, port);
      return heard();
    },
  };
}

test('a file is read to its end, also one of whole blocks, and an acknowledgement that comes twice has no answer', async () => {
  const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i * 7);
  const { ask, counts } = client({ a: bytes });
  const [first] = await ask(packet(1, 'a', 'octet'));
  expect(first).toMatchObject({ kind: 3, number: 1 });
  expect(first!.payload.subarray(4)).toEqual(bytes.subarray(0, 512));
  const port = first!.sourcePort;
  const [second] = await ask(ack(1), port);
  expect(second).toMatchObject({ kind: 3, number: 2 });
  expect(await ask(ack(1), port)).toEqual([]);
  const [last] = await ask(ack(2), port);
  expect(last).toMatchObject({ kind: 3, number: 3 });
  expect(last!.payload).toHaveLength(4);
  expect(await ask(ack(3), port)).toEqual([]);
  expect(counts).toEqual({ opened: 1, closed: 1 });
});

test('options are agreed on, and what is not known is left out', async () => {
  const { ask } = client({ a: new Uint8Array(3000) });
  const [answer] = await ask(packet(1, 'a', 'OCTET', 'BLKSIZE', '65464', 'tsize', '0', 'windowsize', '4', 'timeout', '2'));
  expect(answer!.kind).toBe(6);
  expect(new TextDecoder().decode(answer!.payload.subarray(2))).toBe('blksize\x001468\0timeout\x002\0tsize\x003000\0');
  const [data] = await ask(ack(0), answer!.sourcePort);
  expect(data).toMatchObject({ kind: 3, number: 1 });
  expect(data!.payload).toHaveLength(4 + 1468);
});

test('what is lost is sent again, and a guest that is gone is forgotten', async () => {
  const { ask, guest, heard, counts } = client({ a: new Uint8Array(10) });
  await ask(packet(1, 'a', 'octet'));
  let again = 0;
  for (let i = 0; i < 20; i++) {
    guest.host.pass(1000);
    again += (await heard()).length;
  }
  expect(again).toBe(5);
  expect(counts).toEqual({ opened: 1, closed: 1 });
});

test('what is not there, writing, other modes and nonsense are refused', async () => {
  const { ask } = client({ a: new Uint8Array(10) });
  expect(await ask(packet(1, 'b', 'octet'))).toMatchObject([{ kind: 5, number: 1 }]);
  expect(await ask(packet(2, 'a', 'octet'))).toMatchObject([{ kind: 5, number: 2 }]);
  expect(await ask(packet(1, 'a', 'netascii'))).toMatchObject([{ kind: 5, number: 4 }]);
  expect(await ask(packet(1, 'a'))).toMatchObject([{ kind: 5, number: 4 }]);
  expect(await ask(new Uint8Array([0]))).toEqual([]);
  expect(parseRequest(new Uint8Array(600))).toBeUndefined();
});

test('a flood of requests has no more than 64 files open', async () => {
  const { guest, heard, counts } = client({ a: new Uint8Array(5000) });
  for (let port = 1; port <= 200; port++) guest.udp(packet(1, 'a', 'octet'), GATEWAY, 69, port);
  await heard();
  expect(counts.opened - counts.closed).toBe(64);
  guest.gateway.dispose();
  expect(counts.opened - counts.closed).toBe(0);
});

test('who asks again from the same port begins anew', async () => {
  const { guest, heard, counts } = client({ a: new Uint8Array(5000) });
  for (let i = 0; i < 20; i++) {
    guest.udp(packet(1, 'a', 'octet'), GATEWAY, 69);
    await heard();
  }
  expect(counts).toEqual({ opened: 20, closed: 19 });
});
