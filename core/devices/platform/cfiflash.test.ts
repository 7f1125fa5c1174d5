import { beforeEach, describe, expect, test } from 'vitest';
import { BIOS_ROM_BASE, PM_READ } from '../../memory/layout.ts';
import { PhysMap } from '../../memory/physmap.ts';
import { Bench } from '../testing/bench.ts';
import { CfiFlash } from './cfiflash.ts';
import { uefiVariableBytes } from './uefivariables.ts';

const BASE = 0xffe0_0000;
const LENGTH = 0x4000;
let bench: Bench;
let physMap: PhysMap;
let contents: Uint8Array;
let changed: number[];
let flash: CfiFlash;

const read = (at: number) => bench.mmio.read(BASE + at, 1);
const write = (at: number, ...values: number[]) => {
  for (const value of values) bench.mmio.write(BASE + at, value, 1);
};
/** Reads go straight to memory. */
const shown = () => physMap.entry(BASE) !== 0;

beforeEach(() => {
  bench = new Bench();
  const { memory } = bench.memory;
  physMap = new PhysMap(memory);
  contents = new Uint8Array(memory.buffer, BIOS_ROM_BASE, LENGTH);
  contents.fill(0xff);
  changed = [];
  flash = new CfiFlash({
    id: 'flash',
    mmio: bench.mmio,
    physMap,
    memory,
    base: BASE,
    offset: BIOS_ROM_BASE,
    length: LENGTH,
    changed: (block) => changed.push(block),
    log: bench.log,
  });
});

describe('flash memory', () => {
  test('is memory for reads, and device for writes', () => {
    expect(physMap.entry(BASE)).toBe(((BIOS_ROM_BASE & 0xfffff000) | PM_READ) >>> 0);
    expect(physMap.entry(BASE + LENGTH)).toBe(0);
  });

  test('answers the way OVMF looks for it', () => {
    contents[8] = 0x5f;
    write(8, 0x50);
    expect(shown()).toBe(true);
    expect(contents[8]).toBe(0x5f);
    write(8, 0x70);
    expect(shown()).toBe(false);
    expect(read(8)).toBe(0);
    write(8, 0xff);
    expect(shown()).toBe(true);
  });

  test('programs by clearing bits, erases by blocks, and says when it is done', () => {
    write(0x1004, 0x10, 0xa5);
    expect(read(0)).toBe(0x80);
    write(0x1004, 0x40, 0x0f);
    expect(contents[0x1004]).toBe(0x05);
    write(0x1234, 0x20, 0xd0);
    expect(contents[0x1004]).toBe(0xff);
    expect(changed).toEqual([1, 1, 1]);
  });

  test('leaves the block alone when an erase is not confirmed', () => {
    contents[0] = 1;
    write(0, 0x20, 0xff);
    expect(read(0)).toBe(0xb0);
    expect(contents[0]).toBe(1);
    expect(changed).toEqual([]);
    write(0, 0x50, 0x70);
    expect(read(0)).toBe(0);
  });

  test('writes a buffer whole or not at all', () => {
    write(0x2000, 0xe8);
    expect(read(0x2000)).toBe(0x80);
    write(0x2000, 2);
    for (const [at, value] of [0x11, 0x22, 0x33].entries()) write(0x2010 + at, value);
    expect(contents[0x2010]).toBe(0xff);
    write(0x2000, 0xd0);
    expect([...contents.subarray(0x2010, 0x2014)]).toEqual([0x11, 0x22, 0x33, 0xff]);
    // Into the next block.
    write(0x2ff0, 0xe8, 1);
    write(0x2fff, 0x44);
    write(0x3000, 0x55);
    expect(read(0)).toBe(0x90);
    expect(contents[0x2fff]).toBe(0xff);
  });

  test('tells what it is', () => {
    write(0, 0x90);
    expect([read(0), read(1), read(2)]).toEqual([0x89, 0x18, 0]);
    write(0, 0x98);
    expect(String.fromCharCode(read(0x10), read(0x11), read(0x12))).toBe('QRY');
    expect(2 ** read(0x27)).toBe(LENGTH);
    expect((read(0x2d) + 1) * (read(0x2f) << 8)).toBe(LENGTH);
  });

  test('a restored machine writes back what it has', () => {
    const state = flash.save();
    write(0x3000, 0x10, 0);
    changed = [];
    flash.restore(state);
    expect(contents[0x3000]).toBe(0xff);
    expect(changed).toEqual([3]);
  });

  test('stands any access', () => {
    let seed = 7;
    for (let i = 0; i < 50_000; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const at = BASE + (seed % LENGTH);
      const size = ([1, 2, 4] as const)[(seed >>> 16) % 3]!;
      if (seed & 0x800) bench.mmio.write(at, seed >>> 3, size);
      else expect(bench.mmio.read(at, size)).toBeGreaterThanOrEqual(0);
    }
    expect(flash.save().version).toBe(1);
    // What lies behind it in memory is nobody's business here.
    expect(new Uint8Array(bench.memory.memory.buffer, BIOS_ROM_BASE + LENGTH, 64).every((byte) => byte === 0)).toBe(true);
  });
});

describe('variables of an image', () => {
  const image = () => {
    const bytes = new Uint8Array(0x20000);
    bytes.set([0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50], 16);
    bytes.set([0, 0x40, 0, 0, 0, 0, 0, 0, 0x5f, 0x46, 0x56, 0x48], 32);
    return bytes;
  };
  test('are found by the volume they are in', () => {
    expect(uefiVariableBytes(image())).toBe(0x4000);
    expect(uefiVariableBytes(new Uint8Array(0x20000))).toBe(0);
    expect(uefiVariableBytes(new Uint8Array(3))).toBe(0);
  });
  test.each([
    ['longer than the image', [0, 0, 4, 0]],
    ['no whole pages', [1, 0x40, 0, 0]],
    ['nothing', [0, 0, 0, 0]],
  ])('are refused when the volume is %s', (_, length) => {
    const bytes = image();
    bytes.set(length, 32);
    expect(uefiVariableBytes(bytes)).toBe(0);
  });
});
