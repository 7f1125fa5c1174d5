import { beforeEach, describe, expect, it } from 'vitest';
import { Dma8237 } from '../platform/dma8237.ts';
import { Bench } from '../testing/bench.ts';
import { FakeBlockDevice } from '../testing/fakeblock.ts';
import { SparseDisk } from '../testing/idebench.ts';
import { Fdc } from './fdc.ts';
import { floppyGeometry } from './floppygeometry.ts';

const SIZE_1440K = 1474560;
let bench: Bench;
let disk: FakeBlockDevice;
const irq = () => bench.wire('irq6').level;

/** Every sector begins with its LBA. */
function image(size = SIZE_1440K): Uint8Array {
  const data = new Uint8Array(size);
  for (let lba = 0; lba * 512 < size; lba++) new DataView(data.buffer).setUint32(lba * 512, lba, true);
  return data;
}

beforeEach(() => {
  bench = new Bench();
  disk = new FakeBlockDevice(image());
  const dma = new Dma8237({ id: 'dma', ports: bench.ports, memory: bench.memory, log: bench.log });
  const drives = [disk, undefined];
  new Fdc({ id: 'fdc', ports: bench.ports, irq: bench.wire('irq6'), dma: dma.channel(2), clock: bench.clock, drives, log: bench.log });
});

const msr = () => bench.in8(0x3f4);
const command = (...bytes: number[]) => {
  for (const byte of bytes) {
    expect(msr() & 0xc0).toBe(0x80);
    bench.out8(0x3f5, byte);
  }
};
function results(): number[] {
  const bytes = [];
  while ((msr() & 0xd0) === 0xd0 && bytes.length < 20) bytes.push(bench.in8(0x3f5));
  return bytes;
}
const settle = () => bench.clock.advance(1_000_000);
function start(): void {
  bench.out8(0x3f2, 0x1c);
  bench.out8(0x3f7, 0);
  settle();
  for (let unit = 0; unit < 4; unit++) {
    command(0x08);
    expect(results()).toEqual([0xc0 | unit, 0]);
  }
  command(0x03, 0xaf, 0x02);
}
function seek(cylinder: number): void {
  command(0x0f, 0x00, cylinder);
  settle();
  command(0x08);
  expect(results()).toEqual([0x20, cylinder]);
}
function dma(mode: number, address: number, bytes: number): void {
  bench.out8(0x0a, 0x06);
  bench.out8(0x0c, 0);
  bench.out8(0x0b, mode);
  bench.out8(0x04, address & 0xff);
  bench.out8(0x04, (address >> 8) & 0xff);
  bench.out8(0x81, address >> 16);
  bench.out8(0x05, (bytes - 1) & 0xff);
  bench.out8(0x05, (bytes - 1) >> 8);
  bench.out8(0x0a, 0x02);
}
const DMA_TO_MEMORY = 0x46;
const DMA_FROM_MEMORY = 0x4a;

describe('82077AA', () => {
  it('interrupts after a reset and answers four sense interrupts', () => {
    expect(msr()).toBe(0);
    bench.out8(0x3f2, 0x0c);
    expect(irq()).toBe(false);
    settle();
    expect(irq()).toBe(true);
    command(0x08);
    expect(irq()).toBe(false);
    expect(results()).toEqual([0xc0, 0]);
  });

  it('identifies as Linux expects a 82077AA', () => {
    start();
    command(0x10);
    expect(results()).toEqual([0x90]);
    command(0x14);
    expect(results()).toEqual([0x00]);
    command(0x94);
    expect(results()).toEqual([0x10]);
    command(0x18);
    expect(results()).toEqual([0x80]);
    command(0x0e);
    expect(results()).toHaveLength(10);
  });

  it('seeks, recalibrates and reports busy drives on the way', () => {
    start();
    command(0x0f, 0x00, 20);
    expect(msr()).toBe(0x81);
    settle();
    expect(irq()).toBe(true);
    command(0x08);
    expect(results()).toEqual([0x20, 20]);
    expect(irq()).toBe(false);
    command(0x07, 0x00);
    settle();
    command(0x08);
    expect(results()).toEqual([0x20, 0]);
    command(0x08);
    expect(results()).toEqual([0x80]);
    command(0x04, 0x00);
    expect(results()).toEqual([0x38]);
  });

  it('reads sectors by DMA, never answering inside the command', () => {
    start();
    seek(10);
    dma(DMA_TO_MEMORY, 0x10000, 2 * 512);
    command(0xe6, 0x04, 10, 1, 3, 2, 18, 0x1b, 0xff);
    expect(msr() & 0xf0).toBe(0x10);
    expect(irq()).toBe(false);
    disk.run();
    expect(irq()).toBe(true);
    expect(results()).toEqual([0x04, 0, 0, 10, 1, 5, 2]);
    expect(irq()).toBe(false);
    const lba = (10 * 2 + 1) * 18 + 2;
    expect([bench.memory.read32(0x10000), bench.memory.read32(0x10200)]).toEqual([lba, lba + 1]);
  });

  it('goes on to the other side with MT', () => {
    start();
    dma(DMA_TO_MEMORY, 0x10000, 36 * 512);
    command(0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(results()).toEqual([0x04, 0, 0, 1, 0, 1, 2]);
    for (let lba = 0; lba < 36; lba++) expect(bench.memory.read32(0x10000 + lba * 512)).toBe(lba);
  });

  it('waits for the DMA channel when it is programmed late', () => {
    start();
    command(0xe6, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(irq()).toBe(false);
    dma(DMA_TO_MEMORY, 0x20000, 512);
    expect(irq()).toBe(true);
    expect(bench.memory.read32(0x20000)).toBe(4);
  });

  it('reports the end of the cylinder when no terminal count came', () => {
    start();
    dma(DMA_TO_MEMORY, 0x10000, 8192);
    command(0x46, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(results()).toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
  });

  it('writes sectors by DMA', () => {
    start();
    bench.memory.write(0x10000, new Uint8Array(512).fill(0xa5));
    dma(DMA_FROM_MEMORY, 0x10000, 512);
    command(0xc5, 0x00, 0, 0, 2, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(results()).toEqual([0, 0, 0, 0, 0, 3, 2]);
    expect([disk.data[511], disk.data[512], disk.data[1023], disk.data[1024]]).toEqual([0, 0xa5, 0xa5, 2]);
  });

  it('moves bytes through the data port without DMA', () => {
    start();
    command(0x03, 0xaf, 0x03);
    command(0x46, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(msr()).toBe(0xf0);
    expect(irq()).toBe(true);
    const bytes = Array.from({ length: 512 }, () => bench.in8(0x3f5));
    expect(bytes[0]).toBe(17);
    expect(results().slice(0, 2)).toEqual([0x40, 0x80]);
    command(0x45, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
    expect(msr()).toBe(0xb0);
    for (let i = 0; i < 512; i++) bench.out8(0x3f5, 0x3c);
    disk.run();
    expect(results()).toHaveLength(7);
    expect(disk.data[17 * 512]).toBe(0x3c);
  });

  it('formats a track', () => {
    start();
    const ids = new Uint8Array(18 * 4);
    for (let i = 0; i < 18; i++) ids.set([0, 1, i + 1, 2], i * 4);
    bench.memory.write(0x10000, ids);
    dma(DMA_FROM_MEMORY, 0x10000, ids.length);
    command(0x4d, 0x04, 2, 18, 0x6c, 0xf6);
    disk.run();
    expect(results().slice(0, 3)).toEqual([0x04, 0, 0]);
    expect(disk.data.subarray(18 * 512, 36 * 512).every((byte) => byte === 0xf6)).toBe(true);
    expect(disk.data[36 * 512]).toBe(36);
  });

  it('finds address marks only at the right rate, with a disk and its motor on', () => {
    start();
    command(0x4a, 0x00);
    expect(results()).toEqual([0, 0, 0, 0, 0, 1, 2]);
    bench.out8(0x3f7, 2);
    command(0x4a, 0x00);
    expect(results().slice(0, 2)).toEqual([0x40, 0x01]);
    bench.out8(0x3f7, 0);
    disk.change(undefined);
    command(0x4a, 0x00);
    expect(results().slice(0, 2)).toEqual([0x40, 0x01]);
    disk.change(image());
    bench.out8(0x3f2, 0x0c);
    command(0x4a, 0x00);
    expect(results().slice(0, 2)).toEqual([0x40, 0x01]);
  });

  it('answers wrong sectors, wrong cylinders, write protection and disk errors with their status bits', () => {
    start();
    dma(DMA_TO_MEMORY, 0x10000, 512);
    command(0x46, 0x00, 0, 0, 19, 2, 19, 0x1b, 0xff);
    expect(results().slice(0, 3)).toEqual([0x40, 0x04, 0]);
    command(0x46, 0x00, 7, 0, 1, 2, 18, 0x1b, 0xff);
    expect(results().slice(0, 3)).toEqual([0x40, 0x04, 0x10]);
    disk.failWith = 1;
    command(0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(results().slice(0, 3)).toEqual([0x40, 0x20, 0x20]);
    disk.failWith = 0;
    disk.change(image(), true);
    command(0x45, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    expect(results().slice(0, 3)).toEqual([0x40, 0x02, 0]);
  });

  it('shows a changed disk until the head moved', () => {
    start();
    expect(bench.in8(0x3f7)).toBe(0x80);
    seek(1);
    expect(bench.in8(0x3f7)).toBe(0);
    disk.change(undefined);
    seek(2);
    expect(bench.in8(0x3f7)).toBe(0x80);
    disk.change(image());
    seek(0);
    expect(bench.in8(0x3f7)).toBe(0);
  });

  it('forgets a transfer that a reset cut off', () => {
    start();
    dma(DMA_TO_MEMORY, 0x10000, 512);
    command(0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    bench.out8(0x3f4, 0x80);
    disk.run();
    settle();
    command(0x08);
    expect(results()).toEqual([0xc0, 0]);
    expect(bench.memory.read32(0x10000)).toBe(0);
  });

  it('reads zeros past the end of a short image', () => {
    disk.change(image(1024));
    start();
    dma(DMA_TO_MEMORY, 0x10000, 4 * 512);
    bench.memory.write32(0x10400, 0x55555555);
    command(0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    disk.run();
    expect(results()[0]).toBe(0);
    expect([bench.memory.read32(0x10200), bench.memory.read32(0x10400)]).toEqual([1, 0]);
  });
});

describe('work on the host side', () => {
  it('a sector wholly past the end of a short image is answered by the machine clock alone', () => {
    disk.change(image(512));
    start();
    dma(DMA_TO_MEMORY, 0x10000, 512);
    bench.memory.write32(0x10000, 0x55555555);
    command(0x46, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    expect([disk.pending, irq()]).toEqual([0, false]);
    bench.clock.advance(1);
    expect([results()[0], bench.memory.read32(0x10000)]).toEqual([0, 0]);
  });

  it('a format that touches no sector ends as well', () => {
    start();
    // One sector of cylinder 70, while the heads are over cylinder 0.
    bench.memory.write(0x10000, Uint8Array.of(70, 0, 1, 2));
    dma(DMA_FROM_MEMORY, 0x10000, 4);
    command(0x4d, 0x00, 2, 1, 0x1b, 0xf6);
    expect(disk.pending).toBe(0);
    bench.clock.advance(1);
    expect(irq()).toBe(true);
    expect(results()).toHaveLength(7);
  });

  it('a late answer after a reset does not reach the next transfer', () => {
    bench = new Bench();
    const slow = new SparseDisk(SIZE_1440K);
    const channels = new Dma8237({ id: 'dma', ports: bench.ports, memory: bench.memory, log: bench.log });
    new Fdc({
      id: 'fdc',
      ports: bench.ports,
      irq: bench.wire('irq6'),
      dma: channels.channel(2),
      clock: bench.clock,
      drives: [slow, undefined],
      log: bench.log,
    });
    start();
    dma(DMA_TO_MEMORY, 0x10000, 512);
    command(0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    const late = slow.pending[0]!;
    bench.out8(0x3f4, 0x80);
    settle();
    for (let unit = 0; unit < 4; unit++) {
      command(0x08);
      results();
    }
    bench.memory.write(0x10000, new Uint8Array(512).fill(0x77));
    dma(DMA_FROM_MEMORY, 0x10000, 512);
    command(0x45, 0x00, 0, 0, 9, 2, 18, 0x1b, 0xff);
    late.answer();
    slow.run();
    expect(results()[0]).toBe(0);
    expect(slow.sector(8)).toEqual(new Uint8Array(512).fill(0x77));
  });
});

describe('floppy formats', () => {
  it('come from the image size', () => {
    const chs = (size: number) => Object.values(floppyGeometry(size)).slice(0, 3);
    expect(chs(163840)).toEqual([40, 1, 8]);
    expect(chs(368640)).toEqual([40, 2, 9]);
    expect(chs(1228800)).toEqual([80, 2, 15]);
    expect(chs(SIZE_1440K)).toEqual([80, 2, 18]);
    expect(chs(2949120)).toEqual([80, 2, 36]);
    expect(chs(5000)).toEqual([80, 2, 18]);
  });
});
