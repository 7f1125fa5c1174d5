import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pattern, plainChecksum, readTcp, tcpFrame } from '../testing/frames.ts';
import { finishChecksum, onesSum, segmentTcp, transportChecksumRight, transportParts } from './offload.ts';

it('the sum of any bytes at any address is that of adding them word by word', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 0, max: 3 }), (bytes, shift) => {
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      const sum = onesSum(moved, shift, moved.length);
      // Both forms of zero are the same (RFC 1071).
      expect(~sum & 0xffff ? ~sum & 0xffff : 0).toBe(plainChecksum(bytes) % 0xffff === 0 ? ~sum & 0xffff : plainChecksum(bytes));
    }),
  );
});

it('a packet is cut into segments that continue one another, with right checksums, and FIN and PSH on the last', () => {
  for (const [length, mss, options] of [
    [4000, 1460, 0],
    [64_000, 1448, 12],
    [1460, 1460, 0],
    [1, 1460, 4],
    [0, 1460, 0],
    [4001, 1000, 0],
  ] as const) {
    const payload = pattern(length);
    const got: ReturnType<typeof readTcp>[] = [];
    const cut = segmentTcp(tcpFrame({ payload, options, sequence: 0xffff_fff0, flags: 0x80 | 0x19 }), mss, (segment) =>
      got.push(readTcp(segment.slice())),
    );
    expect(cut).toBe(true);
    expect(got).toHaveLength(Math.max(1, Math.ceil(length / mss)));
    expect(Buffer.concat(got.map((segment) => segment.payload)).equals(payload)).toBe(true);
    got.forEach(({ sequence, flags, payload: part }, index) => {
      expect(sequence).toBe((0xffff_fff0 + index * mss) % 2 ** 32);
      expect(part.length).toBeLessThanOrEqual(mss);
      const last = index === got.length - 1;
      expect(flags).toBe(0x10 | (last ? 0x09 : 0) | (index === 0 ? 0x80 : 0));
    });
  }
});

it('a checksum is told right from wrong, and finished where it was begun', () => {
  const frame = tcpFrame({ payload: pattern(99) });
  const parts = transportParts(frame)!;
  expect(transportChecksumRight(frame, parts)).toBe(true);
  frame[60]! ^= 4;
  expect(transportChecksumRight(frame, parts)).toBe(false);
  // As a driver begins it: the pseudo header's sum.
  const tcpLength = frame.length - 34;
  const pseudo = ~plainChecksum([...frame.subarray(26, 34), 0, 6, tcpLength >> 8, tcpLength & 0xff]) & 0xffff;
  new DataView(frame.buffer).setUint16(50, pseudo);
  expect(finishChecksum(frame, 34, 50)).toBe(true);
  expect(transportChecksumRight(frame, parts)).toBe(true);
  expect(finishChecksum(frame, frame.length + 1, frame.length + 1)).toBe(false);
  expect(finishChecksum(frame, 34, frame.length - 1)).toBe(false);
});

it('any bytes are taken or refused, and nothing throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), fc.integer({ min: 1, max: 2000 }), (bytes, likely, mss) => {
      const frame = likely
        ? Uint8Array.from([...tcpFrame({ payload: bytes })].map((byte, i) => (i % 17 === mss % 17 ? (bytes[i] ?? 0) : byte)))
        : bytes;
      const parts = transportParts(frame);
      if (parts) transportChecksumRight(frame, parts);
      let total = 0;
      segmentTcp(frame, mss, (segment) => (total += segment.length));
      expect(total).toBeLessThan(200_000);
      finishChecksum(frame.slice(), mss % 140, mss % 150);
    }),
    { numRuns: 500 },
  );
});
