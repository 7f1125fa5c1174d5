import { expect, test } from 'vitest';
import { MmioBus } from '../mmiobus.ts';
import { romBar } from './rombar.ts';

test('a ROM is read in every size, is ones behind its end, takes no writes, and is gone when it is unmapped', () => {
  const mmio = new MmioBus();
  const rom = Uint8Array.from({ length: 3000 }, (_, i) => i & 255);
  const bar = romBar('net0', mmio, rom);
  expect(bar.size).toBe(4096);
  expect(romBar('net0', mmio, new Uint8Array(512)).size).toBe(2048);
  bar.onMapped(0xfeb0_0000);
  expect([mmio.read(0xfeb0_0004, 4), mmio.read(0xfeb0_0004, 2), mmio.read(0xfeb0_0004, 1)]).toEqual([0x0706_0504, 0x0504, 4]);
  expect(mmio.read(0xfeb0_0000 + 3000, 4)).toBe(0xffff_ffff);
  mmio.write(0xfeb0_0004, 0, 4);
  expect(mmio.read(0xfeb0_0004, 1)).toBe(4);
  bar.onUnmapped(0xfeb0_0000);
  expect(mmio.read(0xfeb0_0004, 1)).toBe(0xff);
});

test('a ROM that is put on another device is not seen', () => {
  const mmio = new MmioBus();
  mmio.register({ owner: 'other', base: 0xfeb0_0000, length: 4096, handler: { read: () => 5, write: () => {} } });
  const bar = romBar('net0', mmio, new Uint8Array(512));
  bar.onMapped(0xfeb0_0000);
  expect(mmio.read(0xfeb0_0000, 1)).toBe(5);
  bar.onUnmapped(0xfeb0_0000);
  expect(mmio.read(0xfeb0_0000, 1)).toBe(5);
});
