import { expect, it } from 'vitest';
import { romOf } from './optionrom.ts';

function rom(pointer: number): Uint8Array {
  const bytes = Uint8Array.from({ length: 512 }, (_, at) => at * 7);
  bytes.set([0x55, 0xaa, 1]);
  bytes.set([pointer & 0xff, pointer >> 8], 0x18);
  bytes.set([0x50, 0x43, 0x49, 0x52, 0x34, 0x12, 0x11, 0x11], 0x40);
  return bytes;
}
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

it('names another function, with the same checksum', () => {
  const before = rom(0x40);
  const after = romOf(before, 0x1af4, 0x1050);
  expect([...after.subarray(0x40, 0x48)]).toEqual([0x50, 0x43, 0x49, 0x52, 0xf4, 0x1a, 0x50, 0x10]);
  expect(sum(after)).toBe(sum(before));
  expect(before).toEqual(rom(0x40));
  expect(romOf(after, 0x1af4, 0x1050)).toEqual(after);
});

it('leaves a ROM alone that says nothing about functions', () => {
  for (const other of [rom(0), rom(0x80), rom(0x1fd), rom(0xffff), Uint8Array.of(0x55, 0xaa)]) expect(romOf(other, 1, 2)).toEqual(other);
});
