import { expect, test } from 'vitest';
import { transportChecksumRight, transportParts, writeChecksums } from '../devices/net/offload.ts';
import { Tap } from '../platform/tap.ts';
import { finishFromHost, prepareForHost } from './tapport.ts';

const header = () => new DataView(new ArrayBuffer(10));

/** A TCP packet over IPv4 with that many bytes of data, and right checksums. */
function tcp(data: number): Uint8Array {
  const frame = new Uint8Array(54 + data).map((_, at) => at * 7);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  frame[14] = 0x45;
  view.setUint16(16, 40 + data);
  view.setUint16(20, 0);
  frame[23] = 6;
  frame[46] = 0x50;
  writeChecksums(frame, transportParts(frame)!);
  return frame;
}
const right = (frame: Uint8Array) => transportChecksumRight(frame, transportParts(frame)!);

test('a long packet of TCP is given to the host to be cut; what comes uncut from it has its checksum again', () => {
  const [long, head] = [tcp(20_000), header()];
  const sent = long.slice();
  expect(prepareForHost(head, sent)).toBe(true);
  expect([head.getUint8(0), head.getUint8(1), head.getUint16(2, true), head.getUint16(4, true)]).toEqual([1, 1, 54, 1460]);
  expect([head.getUint16(6, true), head.getUint16(8, true)]).toEqual([34, 16]);
  expect(right(sent)).toBe(false);
  expect(finishFromHost(head, sent)).toBe(true);
  expect(Buffer.from(sent)).toEqual(Buffer.from(long));
  // The same with the bit for congestion.
  head.setUint8(1, 0x81);
  expect(finishFromHost(head, sent)).toBe(true);
});

test('a short frame goes as it is, and one from the host gets the checksum that it leaves open', () => {
  const [short, head] = [tcp(100), header()];
  head.setUint8(1, 1);
  const sent = short.slice();
  expect(prepareForHost(head, sent)).toBe(true);
  expect([head.getUint8(0), head.getUint8(1)]).toEqual([0, 0]);
  expect(sent).toEqual(short);
  const open = tcp(5000).slice(0, 54 + 100);
  new DataView(open.buffer).setUint16(16, 140);
  const parts = transportParts(open)!;
  writeChecksums(open, parts);
  const whole = open.slice();
  // What the kernel leaves: the sum of the pseudo header.
  const long = open.slice();
  const other = header();
  long.set(open);
  other.setUint8(0, 1);
  other.setUint16(6, 34, true);
  other.setUint16(8, 16, true);
  let sum = 6 + 120;
  for (let at = 26; at < 34; at += 2) sum += (long[at]! << 8) | long[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  new DataView(long.buffer).setUint16(50, sum);
  expect(finishFromHost(other, long)).toBe(true);
  expect(long).toEqual(whole);
});

test('what can not be cut, or has places outside itself, goes no further', () => {
  const long = tcp(20_000);
  const cases: ((frame: Uint8Array) => Uint8Array)[] = [
    // A wrong checksum would be made right by the cutting.
    (frame) => frame.map((byte, at) => (at === 60 ? byte ^ 1 : byte)),
    (frame) => frame.map((byte, at) => (at === 23 ? 17 : byte)),
    (frame) => frame.map((byte, at) => (at === 46 ? 0xf0 & 0x40 : byte)),
    // Bytes behind the packet.
    (frame) => new Uint8Array([...frame, 0, 0]),
    (frame) => frame.map((byte, at) => (at === 12 ? 0x86 : at === 13 ? 0xdd : byte)),
  ];
  for (const change of cases) expect(prepareForHost(header(), change(long.slice()))).toBe(false);
  expect(prepareForHost(header(), new Uint8Array(13))).toBe(false);
  const head = header();
  for (const [flags, type, start, offset] of [
    [1, 0, 200, 16],
    [1, 0, 34, 65_535],
    [0, 3, 0, 0],
    [0, 4, 0, 0],
    [0, 1, 0, 0],
  ] as const) {
    head.setUint8(0, flags);
    head.setUint8(1, type);
    head.setUint16(6, start, true);
    head.setUint16(8, offset, true);
    const frame = tcp(100);
    if (type === 1) frame[23] = 17;
    expect(finishFromHost(head, frame)).toBe(false);
  }
  expect(finishFromHost(header(), new Uint8Array(10))).toBe(false);
  expect(finishFromHost(header(), new Uint8Array(65_551))).toBe(false);
});

test.skipIf(process.platform !== 'linux')('a device that is not there is not made', () => {
  expect(() => Tap.open('hvnotthere', { frame: () => {}, gone: () => {} })).toThrow(expect.objectContaining({ code: 'ENODEV' }));
});
