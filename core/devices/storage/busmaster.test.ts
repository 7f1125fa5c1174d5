import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR } from '../../backend/asyncblock.ts';
import { DECODE_CACHE_BASE, DIRTY_MAP_BASE, GUEST_RAM_BASE, ROM_BASE, VRAM_BASE } from '../../memory/layout.ts';
import { IdeBench, pattern, SparseDisk, sectorNumber } from '../testing/idebench.ts';

const RAM = 1 << 20;
/** Bus-master status register. */
const ACTIVE = 0x01;
const ERROR = 0x02;
const INTERRUPT = 0x04;
const READ_DMA = 0xc8;
const WRITE_DMA = 0xca;

let disk: SparseDisk;
let ide: IdeBench;

beforeEach(() => {
  disk = new SparseDisk(64 << 20);
  ide = new IdeBench({ kind: 'disk', block: disk });
});

/** Digest of the shared memory in front of guest RAM, but for the maps of dirty and code pages, to find stray writes. */
function everythingButRam(): string {
  const all = new Uint8Array(ide.bench.memory.memory.buffer);
  const hash = createHash('sha1');
  for (const [start, end] of [
    [0, DIRTY_MAP_BASE],
    [ROM_BASE, DECODE_CACHE_BASE],
    [VRAM_BASE, VRAM_BASE + (1 << 20)],
    [GUEST_RAM_BASE - (1 << 20), GUEST_RAM_BASE],
  ] as const)
    hash.update(all.slice(start, end));
  return hash.digest('hex');
}

function read(lba: number, count: number, regions: { gpa: number; length: number }[], table = 0x2000): void {
  ide.describe(regions, table);
  ide.lba28(READ_DMA, lba, count);
  ide.startDma(true);
}

function finish(): number {
  disk.run();
  const status = ide.dmaStatus;
  ide.stopDma();
  ide.bench.out8(ide.busMaster + 2, INTERRUPT | ERROR);
  return status & 7;
}

describe('transfers', () => {
  it('reads sectors into one region and tells by interrupt', () => {
    read(100, 4, [{ gpa: 0x10000, length: 2048 }]);
    expect([ide.irq, ide.dmaStatus & 7]).toEqual([false, ACTIVE]);
    disk.run();
    expect([ide.irq, ide.dmaStatus & 7]).toEqual([true, INTERRUPT]);
    for (let i = 0; i < 4; i++) expect(sectorNumber(ide.memory(0x10000 + i * 512, 512))).toBe(100 + i);
    expect(ide.in(7)).toBe(0x50);
    expect(ide.irq).toBe(false);
    // Reading drive status leaves the bus-master's own bit; writing a one clears it.
    expect(ide.dmaStatus & 7).toBe(INTERRUPT);
    ide.bench.out8(ide.busMaster + 2, INTERRUPT);
    expect(ide.dmaStatus & 7).toBe(0);
  });

  it('does not matter whether the command or the engine comes first', () => {
    ide.describe([{ gpa: 0x10000, length: 512 }]);
    ide.startDma(true);
    expect(disk.pending).toEqual([]);
    ide.lba28(READ_DMA, 9, 1);
    expect(finish()).toBe(INTERRUPT);
    expect(sectorNumber(ide.memory(0x10000, 8))).toBe(9);
  });

  it('writes scattered regions: odd places, word lengths, one that crosses 64 KiB', () => {
    const data = pattern(3 * 512);
    ide.bench.memory.write(0x1fffe, data.subarray(0, 6));
    ide.bench.memory.write(0x30000, data.subarray(6, 1030));
    ide.bench.memory.write(0x2ff0, data.subarray(1030));
    ide.describe([
      { gpa: 0x1ffff, length: 6 },
      { gpa: 0x30000, length: 1024 },
      { gpa: 0x2ff0, length: 506 },
    ]);
    ide.lba28(WRITE_DMA, 20, 3);
    ide.startDma(false);
    expect(finish()).toBe(INTERRUPT);
    for (let i = 0; i < 3; i++) expect(disk.sector(20 + i)).toEqual(data.slice(i * 512, i * 512 + 512));
  });

  it('takes a count of 0 as 64 KiB and a table that crosses a page', () => {
    read(
      0,
      129,
      [
        { gpa: 0x20000, length: 0 },
        { gpa: 0x80000, length: 512 },
      ],
      0x2ffc,
    );
    expect(finish()).toBe(INTERRUPT);
    expect(sectorNumber(ide.memory(0x20000 + 127 * 512, 8))).toBe(127);
    expect(sectorNumber(ide.memory(0x80000, 8))).toBe(128);
  });

  it('moves a long command piece by piece and in order', () => {
    const regions = Array.from({ length: 32 }, (_, i) => ({ gpa: 0x10000 + (i % 8) * 0x10000, length: 0 }));
    ide.describe(regions);
    ide.lba48(0x25, 40, 4096);
    ide.startDma(true);
    expect(finish()).toBe(INTERRUPT);
    for (let i = 0; i < 8; i++) expect(sectorNumber(ide.memory(0x10000 + i * 0x10000, 8))).toBe(40 + (24 + i) * 128);
    expect(disk.history.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2 << 20);
  });

  it('tells the accelerator which pages of code were overwritten', () => {
    const dropped: number[] = [];
    ide.bench.memory.onCodeWrite((offset) => dropped.push(offset));
    const codeMap = new Uint8Array(ide.bench.memory.memory.buffer, 0x900000, 0x100000);
    codeMap[(GUEST_RAM_BASE + 0x11000) / 4096] = 1;
    read(0, 16, [{ gpa: 0x10000, length: 8192 }]);
    disk.run();
    expect(dropped).toEqual([GUEST_RAM_BASE + 0x11000]);
  });
});

describe('the start bit', () => {
  it('starts one transfer: the next command waits for another rise, with its own table', () => {
    read(5, 1, [{ gpa: 0x10000, length: 512 }]);
    disk.run();
    ide.bench.memory.write(0x10000, new Uint8Array(512));
    ide.startDma(true);
    ide.lba28(READ_DMA, 6, 1);
    disk.run();
    expect([disk.history.length, ide.dmaStatus & ACTIVE]).toEqual([1, 0]);
    ide.stopDma();
    ide.describe([{ gpa: 0x20000, length: 512 }]);
    ide.startDma(true);
    expect(ide.dmaStatus & ACTIVE).toBe(ACTIVE);
    disk.run();
    expect([sectorNumber(ide.memory(0x20000, 8)), sectorNumber(ide.memory(0x10000, 8))]).toEqual([6, 0]);
  });
});

describe('tables that do not fit', () => {
  it('a table longer than the command keeps the rest untouched', () => {
    read(1, 1, [
      { gpa: 0x10000, length: 512 },
      { gpa: 0x20000, length: 512 },
    ]);
    expect(finish()).toBe(INTERRUPT);
    expect(ide.memory(0x20000, 512)).toEqual(new Uint8Array(512));
  });

  it('a table that ends early moves whole sectors only and reports an error', () => {
    read(1, 4, [{ gpa: 0x10000, length: 1000 }]);
    expect(finish()).toBe(INTERRUPT | ERROR);
    expect(sectorNumber(ide.memory(0x10000, 8))).toBe(1);
    expect(ide.memory(0x10200, 488)).toEqual(new Uint8Array(488));
    ide.describe([{ gpa: 0x10000, length: 100 }]);
    ide.lba28(WRITE_DMA, 5, 1);
    ide.startDma(false);
    expect(finish()).toBe(INTERRUPT | ERROR);
    expect(disk.sectors.size).toBe(0);
    expect(disk.history).toHaveLength(1);
  });

  it('a table without an end stops with the command', () => {
    ide.describe([{ gpa: 0x10000, length: 512 }], 0x2000, false);
    ide.lba28(READ_DMA, 3, 1);
    ide.startDma(true);
    expect(finish()).toBe(INTERRUPT);
    expect(sectorNumber(ide.memory(0x10000, 8))).toBe(3);
  });

  it.each([
    ['past the end of memory', 0x2000, 0x7fff0000],
    ['at the top of the address space', 0x2000, 0xfffffffe],
    ['across the end of memory', 0x2000, RAM - 256],
    ['with a table outside memory', 0xfffffff8, 0x10000],
  ])('wild pointers %s harm nothing', (_, table, gpa) => {
    const before = everythingButRam();
    ide.describe([{ gpa, length: 1024 }], table);
    for (const code of [READ_DMA, WRITE_DMA]) {
      ide.lba28(code, 2, 2);
      ide.startDma(code === READ_DMA);
      expect(finish() & INTERRUPT).toBe(INTERRUPT);
    }
    expect(everythingButRam()).toEqual(before);
    // Where nothing answers, a disk write gets all ones, like the bus.
    if (gpa === 0x7fff0000) expect(disk.sector(2)).toEqual(new Uint8Array(512).fill(0xff));
    if (gpa === RAM - 256) expect(disk.sector(2).subarray(256)).toEqual(new Uint8Array(256).fill(0xff));
  });

  it('does not write read-only memory', () => {
    ide.bench.memory.physMap.mapRom(0xf0000, 0xa00000, 0x10000);
    const before = everythingButRam();
    read(7, 2, [{ gpa: 0xf0000, length: 1024 }]);
    expect(finish()).toBe(INTERRUPT);
    expect(everythingButRam()).toEqual(before);
  });
});

describe('interruptions', () => {
  const guarded = () => ide.bench.memory.write(0x10000, new Uint8Array(4096).fill(0xa5));
  const untouched = () => expect(ide.memory(0x10000, 4096)).toEqual(new Uint8Array(4096).fill(0xa5));

  it.each(['the engine is stopped', 'software reset', 'hard reset', 'the table moves'])(
    '%s: a late read keeps out of memory the guest took back',
    (how) => {
      read(1, 2, [{ gpa: 0x10000, length: 1024 }]);
      const late = disk.pending[0]!;
      guarded();
      if (how === 'software reset') ide.softwareReset();
      else if (how === 'hard reset') ide.ide.reset('hard');
      else ide.stopDma();
      if (how === 'the table moves') ide.describe([{ gpa: 0x20000, length: 1024 }], 0x3000);
      late.answer();
      untouched();
      if (how === 'the engine is stopped') {
        // The drive gives the command up, so that it does not stay busy.
        expect(ide.altStatus & 0x81).toBe(0x01);
        ide.in(7);
      }
      if (how === 'hard reset') return;
      read(30, 1, [{ gpa: 0x20000, length: 512 }]);
      expect(finish() & INTERRUPT).toBe(INTERRUPT);
      expect(sectorNumber(ide.memory(0x20000, 8))).toBe(30);
      untouched();
    },
  );

  it('a write under way keeps its bytes when the machine resets and memory changes', () => {
    ide.bench.memory.write(0x10000, pattern(512, 9));
    ide.describe([{ gpa: 0x10000, length: 512 }]);
    ide.lba28(WRITE_DMA, 44, 1);
    ide.startDma(false);
    const late = disk.pending[0]!;
    ide.ide.reset('hard');
    ide.bench.memory.write(0x10000, new Uint8Array(512).fill(0xee));
    ide.simple(0xec);
    ide.readWords(256);
    late.answer();
    expect(disk.sector(44)).toEqual(pattern(512, 9));
  });

  it('a command that waits for the engine is forgotten by a reset', () => {
    ide.lba28(READ_DMA, 1, 1);
    ide.softwareReset();
    guarded();
    ide.describe([{ gpa: 0x10000, length: 512 }]);
    ide.startDma(true);
    disk.run();
    untouched();
    expect(disk.history).toEqual([]);
  });

  it('host errors end the transfer', () => {
    read(1, 2, [{ gpa: 0x10000, length: 1024 }]);
    disk.pending[0]!.answer(BLOCK_IO_ERROR);
    expect([ide.dmaStatus & 7, ide.altStatus & 1, ide.error]).toEqual([INTERRUPT, 1, 0x40]);
    expect(ide.memory(0x10000, 1024)).toEqual(new Uint8Array(1024));
    ide.in(7);
    ide.stopDma();
    ide.describe([{ gpa: 0x10000, length: 512 }]);
    ide.lba28(WRITE_DMA, 1, 1);
    ide.startDma(false);
    disk.pending[0]!.answer(BLOCK_IO_ERROR);
    expect([ide.altStatus & 1, ide.error]).toEqual([1, 0x04]);
  });
});

describe('registers', () => {
  it('keep the table pointer word-aligned in any access size', () => {
    const { ports } = ide.bench;
    ports.write(ide.busMaster + 4, 0x12345677, 4);
    expect(ports.read(ide.busMaster + 4, 4)).toBe(0x12345674);
    ports.write(ide.busMaster + 4, 0xabcf, 2);
    expect(ports.read(ide.busMaster + 4, 4)).toBe(0x1234abcc);
    ports.write(ide.busMaster + 7, 0xfe, 1);
    expect([ports.read(ide.busMaster + 6, 2), ports.read(ide.busMaster + 7, 1)]).toEqual([0xfe34, 0xfe]);
  });

  it('keep what the driver says of drive abilities and never show ACTIVE by a write', () => {
    ide.bench.out8(ide.busMaster + 2, 0x60 | ACTIVE);
    expect(ide.dmaStatus).toBe(0x60);
  });

  it('move with BAR 4 and vanish with I/O decoding', () => {
    ide.ide.writeConfig(0x20, 0xd000, 4);
    ide.bench.ports.write(0xd004, 0x1000, 4);
    expect([ide.bench.ports.read(0xd004, 4), ide.bench.ports.read(0xc004, 4)]).toEqual([0x1000, 0xffffffff]);
    ide.ide.writeConfig(0x04, 0, 2);
    expect(ide.bench.ports.read(0xd004, 4)).toBe(0xffffffff);
    // Over the command block: the older owner stays.
    ide.ide.writeConfig(0x04, 1, 2);
    ide.ide.writeConfig(0x20, 0x1f0, 4);
    expect(ide.in(7)).toBe(0x50);
  });
});
