import { beforeEach, expect, test } from 'vitest';
import { FAR, GUEST, GUEST_MAC, TestGuest } from '../testing/guest.ts';
import { ipv4Text } from '../../contract/ipv4.ts';
import { PROTOCOL_ICMP } from '../ipv4.ts';
import type { TestStream } from '../testing/testhost.ts';
import { ACK, FIN, PSH, RST, SYN } from './segment.ts';

const PORT = 1000;
/** Sequence number of the guest's SYN. */
const START = 0xffff_fff0;
let guest: TestGuest;
let stream: TestStream;
/** Next numbers of both sides. */
let seq: number;
let ack: number;

const settle = () => new Promise((resolve) => setImmediate(resolve));
const say = (flags: number, payload = '', changes: { seq?: number; ack?: number; window?: number } = {}) => {
  guest.tcp(PORT, { seq, ack, flags, window: 1000, ...changes }, Buffer.from(payload));
};
/** What came, as flags and text. */
const heard = () => guest.segments().map(({ flags, payload }) => [flags, Buffer.from(payload).toString()]);

beforeEach(() => {
  guest = new TestGuest();
  guest.tcp(PORT, { seq: START, ack: 0, flags: SYN, window: 65_535, mss: 1460, scale: 7 });
  [stream] = guest.host.streams as [TestStream];
  stream.listener.connected();
  const [answer] = guest.segments();
  expect(answer).toMatchObject({ flags: SYN | ACK, ack: (START + 1) >>> 0, mss: 1460, scale: 7 });
  seq = (START + 1) >>> 0;
  ack = (answer!.seq + 1) >>> 0;
  say(ACK);
});

test('a connection is answered once the host has it, and goes where the guest wanted', () => {
  expect([stream.address, stream.port]).toEqual([ipv4Text(FAR), 80]);
  guest.tcp(2000, { seq: 5, ack: 0, flags: SYN, window: 1000 });
  expect(guest.segments()).toEqual([]);
  guest.host.streams[1]!.listener.failed('refused');
  expect(guest.segments()).toMatchObject([{ flags: RST | ACK, ack: 6 }]);
  guest.tcp(2001, { seq: 5, ack: 0, flags: SYN, window: 1000 });
  guest.host.streams[2]!.listener.failed('unreachable');
  expect(guest.packets().map(({ protocol, packet }) => [protocol, packet[20], packet[21]])).toEqual([[PROTOCOL_ICMP, 3, 1]]);
});

test('bytes go both ways over the end of the sequence numbers, in order whatever came first', async () => {
  const end = (seq + 30) >>> 0;
  say(ACK | PSH, 'c'.repeat(10), { seq: (seq + 20) >>> 0 });
  say(ACK | PSH, 'b'.repeat(15), { seq: (seq + 10) >>> 0 });
  expect(stream.written.toString()).toBe('');
  // One acknowledgement for each, so that the guest knows what is missing.
  expect(guest.segments().map((one) => one.ack)).toEqual([seq, seq]);
  say(ACK | PSH, 'a'.repeat(12));
  await settle();
  expect(stream.written.toString()).toBe(`${'a'.repeat(12)}${'b'.repeat(13)}${'c'.repeat(5)}`);
  expect(guest.segments().at(-1)!.ack).toBe(end);
  // Once more what was there already, and what lies outside the window.
  say(ACK | PSH, 'a'.repeat(12));
  say(ACK | PSH, 'x', { seq: (seq - 70_000) >>> 0 });
  await settle();
  expect(stream.written).toHaveLength(30);
  expect(guest.segments().every((one) => one.ack === end)).toBe(true);
  seq = end;
  stream.listener.data(Buffer.from('hello'));
  expect(heard()).toEqual([[ACK | PSH, 'hello']]);
});

test('what is not acknowledged is sent again, later and later, until it is given up', () => {
  stream.listener.data(Buffer.from('hello'));
  guest.frames.length = 0;
  const times: number[] = [];
  for (let at = 0; at < 200 && !stream.wasReset; at++) {
    guest.host.pass(100);
    if (guest.segments().length) times.push(guest.host.time);
  }
  const gaps = times.slice(1).map((time, index) => time - times[index]!);
  expect(gaps.length).toBeGreaterThan(2);
  for (let index = 1; index < gaps.length; index++) expect(gaps[index]! / gaps[index - 1]!).toBeCloseTo(2, 0);
  guest.host.pass(2_000_000);
  expect(stream.wasReset).toBe(true);
  expect(guest.segments().at(-1)!.flags & RST).toBe(RST);
});

test('three acknowledgements of the same bring the lost one at once', () => {
  stream.listener.data(Buffer.alloc(1460 * 6, 'x'));
  const sent = guest.segments();
  expect(sent).toHaveLength(6);
  const window = 65_535;
  say(ACK, '', { ack: sent[1]!.seq, window });
  for (let count = 0; count < 2; count++) say(ACK, '', { ack: sent[1]!.seq, window });
  expect(guest.segments()).toEqual([]);
  say(ACK, '', { ack: sent[1]!.seq, window });
  expect(guest.segments().map((one) => one.seq)).toEqual([sent[1]!.seq]);
});

test('a shut window is respected, probed and used as soon as it opens; a guest that says so is never given up', () => {
  say(ACK, '', { window: 0 });
  stream.listener.data(Buffer.alloc(3000, 'x'));
  expect(guest.segments()).toEqual([]);
  for (let count = 0; count < 100; count++) {
    guest.host.pass(60_000);
    const probes = guest.segments();
    if (probes.length) expect(probes.every(({ payload }) => payload.length <= 1)).toBe(true);
    say(ACK, '', { window: 0 });
  }
  expect(stream.wasReset).toBe(false);
  guest.frames.length = 0;
  say(ACK, '', { window: 65_535 });
  expect(guest.segments().reduce((sum, { payload }) => sum + payload.length, 0)).toBe(3000);
});

test('the host is not read while a guest does not read, and reads on when it does', () => {
  say(ACK, '', { window: 0 });
  let bytes = 0;
  while (!stream.paused && bytes < 64e6) {
    stream.listener.data(Buffer.alloc(65_536));
    bytes += 65_536;
  }
  expect(bytes).toBeLessThan(3e6);
  for (let round = 0; round < 10_000 && stream.paused; round++) {
    const last = guest.segments().at(-1);
    if (last) ack = (last.seq + last.payload.length) >>> 0;
    say(ACK, '', { window: 65_535 });
  }
  expect(stream.paused).toBe(false);
});

test('a host that takes nothing shuts the window; what is sent all the same is not kept', async () => {
  stream.held = [];
  const piece = 'y'.repeat(1400);
  let window = 65_535;
  for (let round = 0; round < 3000 && window > 0; round++) {
    say(ACK, piece);
    seq = (seq + piece.length) >>> 0;
    await settle();
    const last = guest.segments().at(-1);
    if (last) ({ window } = last);
  }
  expect(window).toBe(0);
  expect(stream.written.length).toBeLessThan(2e6);
  const { length } = stream.written;
  for (let round = 0; round < 100; round++) say(ACK, piece);
  await settle();
  expect(stream.written.length - length).toBeLessThanOrEqual(piece.length);
  guest.frames.length = 0;
  for (const done of stream.held.splice(0)) done();
  expect(guest.segments().at(-1)!.window).toBeGreaterThan(0);
});

test('each side may end first and go on to hear; then it is over, and late segments are answered for a while', async () => {
  say(ACK | FIN, 'bye');
  seq = (seq + 4) >>> 0;
  expect(stream.ended).toBe(true);
  expect(guest.segments().at(-1)!.ack).toBe(seq);
  stream.listener.data(Buffer.from('still here'));
  expect(heard()).toEqual([[ACK | PSH, 'still here']]);
  stream.listener.ended();
  expect(heard()).toEqual([[ACK | FIN, '']]);
  ack = (ack + 11) >>> 0;
  say(ACK);
  // Our acknowledgement was lost: the guest ends once more.
  say(ACK | FIN, '', { seq: (seq - 1) >>> 0 });
  expect(guest.segments().at(-1)!.flags).toBe(ACK);
  guest.host.pass(60_000);
  guest.frames.length = 0;
  say(ACK);
  expect(guest.segments()[0]!.flags).toBe(RST);
  // Then the same ports serve a new one.
  guest.tcp(PORT, { seq: 7, ack: 0, flags: SYN, window: 1000 });
  expect(guest.host.streams).toHaveLength(2);
});

test('only a reset with the exact number ends it; others, and a SYN, are asked about', () => {
  say(RST, '', { seq: (seq + 5) >>> 0 });
  say(SYN, '', { seq: (seq + 5) >>> 0 });
  expect(guest.segments().map(({ flags }) => flags)).toEqual([ACK, ACK]);
  expect(stream.wasReset).toBe(false);
  say(RST);
  expect(stream.wasReset).toBe(true);
  // A host that breaks off is a reset for the guest.
  guest.tcp(2000, { seq: 5, ack: 0, flags: SYN, window: 1000 });
  guest.host.streams[1]!.listener.connected();
  const [answer] = guest.segments();
  guest.tcp(2000, { seq: 6, ack: answer!.seq + 1, flags: ACK, window: 1000 });
  guest.host.streams[1]!.listener.broken();
  expect(guest.segments().at(-1)!.flags & RST).toBe(RST);
});

test('a guest that is gone is noticed by probes of an idle connection', () => {
  guest.host.pass(601_000);
  expect(guest.segments()).toMatchObject([{ flags: ACK, payload: new Uint8Array(0) }]);
  say(ACK);
  guest.host.pass(500_000);
  expect(stream.wasReset).toBe(false);
  guest.host.pass(2_000_000);
  expect(stream.wasReset).toBe(true);
});

test('a forwarded connection calls the guest, tries again, and ends where nobody answers', () => {
  const { host, gateway } = guest;
  const outside = host.connect('203.0.113.9', 1) as TestStream;
  gateway.forwardTcp(outside, GUEST_MAC, GUEST, 22);
  const [call] = guest.segments();
  expect(call).toMatchObject({ flags: SYN, destinationPort: 22, mss: 1460, scale: 7 });
  guest.tcp(
    22,
    { seq: 99, ack: (call!.seq + 1) >>> 0, flags: SYN | ACK, window: 65_535, mss: 1460, scale: 7 },
    undefined,
    call!.sourcePort,
    gateway.address,
  );
  expect(heard()).toEqual([[ACK, '']]);
  outside.listener.data(Buffer.from('ssh'));
  expect(heard()).toEqual([[ACK | PSH, 'ssh']]);
  const silent = host.connect('203.0.113.9', 2) as TestStream;
  gateway.forwardTcp(silent, GUEST_MAC, GUEST, 23);
  host.pass(300_000);
  expect(guest.segments().filter(({ destinationPort, flags }) => destinationPort === 23 && flags === SYN).length).toBeGreaterThan(3);
  expect(silent.wasReset).toBe(true);
});

test('there are never more connections than fit, and those that are given up leave nothing', () => {
  for (let port = 1; port < 20_000; port++) guest.tcp(port, { seq: port, ack: 0, flags: SYN, window: 1000 }, undefined, 81);
  expect(guest.host.streams.length).toBeLessThanOrEqual(8192);
  guest.gateway.dispose();
  expect(guest.host.streams.every(({ wasReset }) => wasReset)).toBe(true);
});

/** A connection of a guest that takes long segments, with 8 MiB of window. */
function openLong(mss: number): { far: TestStream; own: TestGuest; next(): number; answer(to: number): void } {
  const own = new TestGuest({ longSegments: true });
  own.tcp(PORT, { seq: START, ack: 0, flags: SYN, window: 65_535, mss, scale: 7 });
  const [far] = own.host.streams as [TestStream];
  far.listener.connected();
  const first = (own.segments()[0]!.seq + 1) >>> 0;
  const answer = (to: number) => own.tcp(PORT, { seq: (START + 1) >>> 0, ack: to, flags: ACK, window: 65_535 });
  answer(first);
  return { far, own, next: () => first, answer };
}

test('where segments are cut on their way, they are sent in long pieces, the lost ones too', () => {
  const { far, own, next, answer } = openLong(1460);
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, at) => (at * 31) & 0xff));
  far.listener.data(bytes);
  const got = Buffer.alloc(bytes.length);
  let expected = next();
  let lost = 0;
  let longest = 0;
  let repeated = 0;
  for (let turn = 0; turn < 500 && expected !== (next() + bytes.length) >>> 0; turn++) {
    const segments = own.segments();
    if (!segments.length) own.host.pass(300);
    for (const { seq: at, payload } of segments) {
      longest = Math.max(longest, payload.length);
      // Whole pieces of what a guest takes, but for the end.
      if (at + payload.length !== next() + bytes.length) expect(payload.length % 1460).toBe(0);
      if (payload.length > 20_000 && lost < 3) {
        lost++;
        continue;
      }
      const offset = (at - next()) >>> 0;
      if (at === expected) {
        got.set(payload, offset);
        expected = (expected + payload.length) >>> 0;
      } else repeated++;
      answer(expected);
    }
  }
  expect(got.equals(bytes)).toBe(true);
  expect(lost).toBe(3);
  expect(repeated).toBeGreaterThan(0);
  expect(longest).toBeGreaterThan(20_000);
  expect(longest).toBeLessThanOrEqual(65_495);
});

test('a guest that asked for shorter segments than all others gets those', () => {
  const { far, own } = openLong(1000);
  far.listener.data(Buffer.alloc(100_000));
  const lengths = own.segments().map(({ payload }) => payload.length);
  expect(lengths.length).toBeGreaterThan(3);
  expect(Math.max(...lengths)).toBe(1000);
});
