import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ByteChannel } from '../contract/transport.ts';
import { RfbViewFilter, viewOnly } from './viewonly.ts';

const u16 = (n: number) => [n >> 8, n & 255];
const u32 = (n: number) => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const opening = [...Buffer.from('RFB 003.008\n'), 1, 0];
const opened = [...Buffer.from('RFB 003.008\n'), 1, 1];
const passes = {
  encodings: [2, 0, ...u16(2), ...u32(0), ...u32(-239)],
  update: [3, 1, ...u16(0), ...u16(0), ...u16(640), ...u16(480)],
  continuous: [150, 1, ...u16(0), ...u16(0), ...u16(640), ...u16(480)],
  fence: [248, 0, 0, 0, ...u32(1), 2, 7, 8],
};
const dropped = {
  key: [4, 1, 0, 0, ...u32(0x61)],
  pointer: [5, 1, ...u16(10), ...u16(20)],
  cutText: [6, 0, 0, 0, ...u32(5), ...Buffer.from('hello')],
  size: [251, 0, ...u16(800), ...u16(600), 1, 0, ...Array(16).fill(0)],
  qemuKey: [255, 0, ...u16(1), ...u32(0x61), ...u32(0x1e)],
};

test('what asks for the picture passes, what would change something does not, however it is cut into pieces', () => {
  const all = [...Object.entries(passes), ...Object.entries(dropped)];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...all), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = Uint8Array.from([...opening, ...messages.flatMap(([, message]) => message)]);
        const filter = new RfbViewFilter();
        const out: number[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = cuts[i % cuts.length]!;
          out.push(...filter.push(bytes.subarray(at, at + length)));
          at += length;
        }
        // "Shared" is always on: a viewer must not throw the others out.
        expect(out).toEqual([...opened, ...messages.flatMap(([name, message]) => (name in passes ? message : []))]);
      },
    ),
  );
});

test('a client of RFB 3.3, which chooses no security, is understood too', () => {
  const filter = new RfbViewFilter();
  const version = [...Buffer.from('RFB 003.003\n')];
  expect([...filter.push(Uint8Array.from([...version, 0, ...dropped.key, ...passes.update]))]).toEqual([...version, 1, ...passes.update]);
});

function fakeChannel() {
  const sent: number[] = [];
  let closed = false;
  const channel: ByteChannel = {
    send: (bytes) => {
      sent.push(...bytes);
      return true;
    },
    onData: () => {},
    onDrain: () => {},
    onClose: () => {},
    close: () => {
      closed = true;
    },
  };
  return { channel, sent, closed: () => closed };
}

test('whatever else comes, no key and no pointer event ever reaches the machine', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 30 }), (chunks) => {
      const { channel, sent } = fakeChannel();
      const viewer = viewOnly(channel, 'rfb');
      viewer.send(Uint8Array.from(opening));
      for (const chunk of chunks) viewer.send(chunk);
      // Read what passed as a server would.
      let at = opened.length;
      while (at < sent.length) {
        const type = sent[at]!;
        expect([0, 2, 3, 150, 248]).toContain(type);
        at += { 0: 20, 2: 4 + 4 * ((sent[at + 2]! << 8) | sent[at + 3]!), 3: 10, 150: 10, 248: 9 + sent[at + 8]! }[type]!;
      }
    }),
  );
});

test('an unknown message, and a security type that was not offered, end the channel', () => {
  for (const bytes of [
    [...opening, 77],
    [...Buffer.from('RFB 003.008\n'), 2],
  ]) {
    const { channel, closed } = fakeChannel();
    viewOnly(channel, 'rfb').send(Uint8Array.from(bytes));
    expect(closed()).toBe(true);
  }
});

test('nothing is typed into a serial line', () => {
  const { channel, sent } = fakeChannel();
  expect(viewOnly(channel, 'serial0').send(Uint8Array.of(1, 2, 3))).toBe(true);
  expect(sent).toEqual([]);
});
