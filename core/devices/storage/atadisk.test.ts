import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR } from '../../backend/asyncblock.ts';
import type { Bench } from '../testing/bench.ts';
import { IdeBench, pattern, SparseDisk, sectorNumber } from '../testing/idebench.ts';

const GIB = 2 ** 30;
/** 504 cylinders of 16 heads and 63 sectors. */
const SECTORS = 504 * 16 * 63;
const DRDY = 0x40;
const DSC = 0x10;
const DRQ = 0x08;
const BSY = 0x80;
const ERR = 0x01;
const ABRT = 0x04;
const IDNF = 0x10;
const UNC = 0x40;

let disk: SparseDisk;
let ide: IdeBench;

function setUp(sizeBytes = SECTORS * 512, readOnly = false): void {
  disk = new SparseDisk(sizeBytes, readOnly);
  ide = new IdeBench({ kind: 'disk', block: disk });
}

beforeEach(() => setUp());

function identify(): DataView {
  ide.simple(0xec);
  return new DataView(ide.readWords(256).buffer);
}
const word = (view: DataView, index: number) => view.getUint16(index * 2, true);
function text(view: DataView, index: number, words: number): string {
  let out = '';
  for (let i = index; i < index + words; i++) out += String.fromCharCode(word(view, i) >> 8, word(view, i) & 0xff);
  return out.trim();
}

/** Expects the command to have ended with these bits of the error register and an interrupt. */
function expectError(bits: number): void {
  expect(ide.irq).toBe(true);
  expect(ide.altStatus & (ERR | DRQ | BSY)).toBe(ERR);
  expect(ide.error).toBe(bits);
}

function expectSuccess(): void {
  expect(ide.irq).toBe(true);
  expect(ide.in(7)).toBe(DRDY | DSC);
  expect(ide.irq).toBe(false);
}

describe('IDENTIFY DEVICE', () => {
  it('tells geometry, capacity, names and abilities', () => {
    const id = identify();
    expect(word(id, 0) & 0x8000).toBe(0);
    expect([word(id, 1), word(id, 3), word(id, 6)]).toEqual([504, 16, 63]);
    expect(text(id, 10, 10)).toBe('SN0');
    expect(text(id, 27, 20)).toBe('HYPERVUE HARDDISK');
    expect(id.getUint32(120, true)).toBe(SECTORS);
    expect(id.getBigUint64(200, true)).toBe(BigInt(SECTORS));
    // LBA and DMA; LBA48 and both FLUSH CACHE commands supported and on.
    expect(word(id, 49) & 0x300).toBe(0x300);
    expect(word(id, 83) & 0x7400).toBe(0x7400);
    expect(word(id, 86) & 0x3400).toBe(0x3400);
    expect(ide.altStatus).toBe(DRDY | DSC);
  });

  it('stops LBA28 capacity at 28 bits and keeps 48 bits exact on a disk of 1 TiB', () => {
    setUp(1024 * GIB);
    const id = identify();
    expect(id.getUint32(120, true)).toBe(0x0fffffff);
    expect(id.getBigUint64(200, true)).toBe(BigInt(2 * GIB));
    expect(word(id, 1)).toBe(16383);
  });

  it('can be read a byte or a doubleword at a time', () => {
    const words = new Uint8Array(identify().buffer);
    ide.simple(0xec);
    const bytes = Uint8Array.from({ length: 512 }, () => ide.in(0));
    ide.simple(0xec);
    const dwords = Uint32Array.from({ length: 128 }, () => ide.bench.ports.read(0x1f0, 4));
    expect(bytes).toEqual(words);
    expect(new Uint8Array(dwords.buffer)).toEqual(words);
  });
});

describe('PIO', () => {
  it('reads sectors with one interrupt each and none at the end', () => {
    const irqs = ide.countIrqs();
    ide.lba28(0x20, 1000, 3);
    expect(ide.altStatus & BSY).toBe(BSY);
    disk.run();
    for (let i = 0; i < 3; i++) {
      expect(ide.irq).toBe(true);
      expect(ide.in(7)).toBe(DRDY | DSC | DRQ);
      expect(sectorNumber(ide.readWords(256))).toBe(1000 + i);
    }
    expect(irqs.count).toBe(3);
    expect(ide.irq).toBe(false);
    expect(ide.altStatus).toBe(DRDY | DSC);
  });

  it('takes 0 as 256 sectors', () => {
    ide.lba28(0x20, 0, 0);
    disk.run();
    for (let i = 0; i < 256; i++) expect(sectorNumber(ide.readWords(256))).toBe(i);
    expect(ide.altStatus & DRQ).toBe(0);
  });

  it('writes sectors: no interrupt before the first, one after each', () => {
    const irqs = ide.countIrqs();
    ide.lba28(0x30, 77, 2);
    expect([irqs.count, ide.altStatus & DRQ]).toEqual([0, DRQ]);
    ide.writeWords(pattern(512, 1));
    expect([irqs.count, ide.in(7) & DRQ]).toEqual([1, DRQ]);
    ide.writeWords(pattern(512, 2));
    expect(ide.altStatus & BSY).toBe(BSY);
    expect(disk.sectors.size).toBe(0);
    disk.run();
    expect(irqs.count).toBe(2);
    expectSuccess();
    expect(disk.sector(77)).toEqual(pattern(512, 1));
    expect(disk.sector(78)).toEqual(pattern(512, 2));
    expect(disk.sectors.size).toBe(2);
  });

  it('moves a long LBA48 command through its buffer in order', () => {
    ide.lba48(0x24, 5, 3000);
    for (let i = 0; i < 3000; i++) {
      disk.run();
      expect(ide.altStatus & DRQ).toBe(DRQ);
      expect(sectorNumber(ide.readWords(256))).toBe(5 + i);
    }
    expect(ide.altStatus).toBe(DRDY | DSC);
    ide.lba48(0x34, 5, 1500);
    for (let i = 0; i < 1500; i++) {
      disk.run();
      ide.writeWords(pattern(512, i));
    }
    disk.run();
    expectSuccess();
    for (const i of [0, 1, 1023, 1024, 1499]) expect(disk.sector(5 + i)).toEqual(pattern(512, i));
    expect(disk.sectors.size).toBe(1500);
  });

  it('READ MULTIPLE and WRITE MULTIPLE interrupt once a block, also for a last short one', () => {
    ide.simple(0xc6, 0, 4);
    ide.in(7);
    const irqs = ide.countIrqs();
    ide.lba28(0xc4, 10, 6);
    disk.run();
    for (const sectors of [4, 2]) {
      ide.in(7);
      const data = ide.readWords(256 * sectors);
      expect(sectorNumber(data, 512)).toBe(sectorNumber(data) + 1);
    }
    expect(irqs.count).toBe(2);
    ide.lba28(0xc5, 10, 6);
    const data = pattern(6 * 512);
    ide.writeWords(data.subarray(0, 2048));
    ide.in(7);
    ide.writeWords(data.subarray(2048));
    disk.run();
    expect(irqs.count).toBe(4);
    expect(disk.sector(15)).toEqual(data.slice(5 * 512));
  });

  it('aborts MULTIPLE commands when the mode is off, and modes it does not have', () => {
    for (const count of [3, 32, 255]) {
      ide.simple(0xc6, 0, count);
      expectError(ABRT);
    }
    ide.simple(0xc6, 0, 0);
    expectSuccess();
    ide.lba28(0xc4, 0, 1);
    expectError(ABRT);
    expect(disk.history).toEqual([]);
  });

  it('ignores command block writes and commands while busy', () => {
    ide.lba28(0x20, 9, 1);
    ide.out(3, 99);
    ide.out(7, 0xec);
    ide.out(7, 0x08);
    expect([ide.altStatus & BSY, ide.irq]).toEqual([BSY, false]);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(9);
    expect(disk.history).toHaveLength(1);
    expect(ide.altStatus).toBe(DRDY | DSC);
  });

  it('gives nothing and takes nothing at the data port outside a transfer', () => {
    expect(ide.bench.ports.read(0x1f0, 2)).toBe(0);
    ide.writeWords(pattern(512));
    ide.lba28(0x30, 0, 1);
    expect(ide.bench.ports.read(0x1f0, 2)).toBe(0);
    ide.writeWords(pattern(512, 3));
    disk.run();
    expect(disk.sector(0)).toEqual(pattern(512, 3));
  });
});

describe('addresses', () => {
  it.each([
    ['4 GiB', 4 * GIB],
    ['128 GiB', 128 * GIB],
    ['2 TiB', 2048 * GIB],
  ])('LBA48 reaches past %s exactly', (_, bytes) => {
    setUp(bytes + 8 * 512);
    const first = bytes / 512;
    for (const lba of [first - 1, first, first + 7]) {
      ide.lba48(0x24, lba, 1);
      disk.run();
      expect(sectorNumber(ide.readWords(256))).toBe(lba);
    }
    ide.lba48(0x34, first + 7, 1);
    ide.writeWords(pattern(512));
    disk.run();
    expectSuccess();
    expect([...disk.sectors.keys()]).toEqual([first + 7]);
    ide.lba48(0x24, first + 7, 2);
    expectError(IDNF);
  });

  it('LBA28 reaches its last sector and no further', () => {
    setUp(200 * GIB);
    ide.lba28(0x20, 0x0ffffffe, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(0x0ffffffe);
    setUp(SECTORS * 512);
    ide.lba28(0x20, SECTORS - 1, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(SECTORS - 1);
    for (const [lba, count] of [
      [SECTORS, 1],
      [SECTORS - 1, 2],
      [SECTORS - 255, 0],
      [0x0fffffff, 1],
    ] as const) {
      ide.lba28(0x20, lba, count);
      expectError(IDNF);
      ide.lba28(0x30, lba, count);
      expectError(IDNF);
      ide.lba28(0x40, lba, count);
      expectError(IDNF);
    }
    ide.lba48(0x24, 2 ** 48 - 1, 0);
    expectError(IDNF);
    expect(disk.history).toHaveLength(1);
  });

  it('translates cylinders, heads and sectors, and refuses those the geometry lacks', () => {
    for (const [c, h, s] of [
      [0, 0, 1],
      [0, 0, 63],
      [0, 15, 1],
      [1, 0, 1],
      [503, 15, 63],
    ] as const) {
      ide.chs(0x20, c, h, s, 1);
      disk.run();
      expect(sectorNumber(ide.readWords(256))).toBe((c * 16 + h) * 63 + s - 1);
    }
    for (const [c, h, s] of [
      [0, 0, 0],
      [0, 0, 64],
      [504, 0, 1],
      [65535, 15, 63],
    ] as const) {
      ide.chs(0x20, c, h, s, 1);
      expectError(IDNF);
    }
  });

  it('INITIALIZE DEVICE PARAMETERS sets another geometry until the machine is reset', () => {
    ide.out(6, 0xa7);
    ide.out(2, 32);
    ide.out(7, 0x91);
    expectSuccess();
    ide.chs(0x20, 2, 7, 32, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe((2 * 8 + 7) * 32 + 31);
    ide.chs(0x20, 0, 8, 1, 1);
    expectError(IDNF);
    expect([55, 56].map((index) => word(identify(), index))).toEqual([8, 32]);
    // Defaults stay in words 1, 3 and 6.
    expect(word(identify(), 3)).toBe(16);
    ide.softwareReset();
    expect([55, 56].map((index) => word(identify(), index))).toEqual([8, 32]);
    ide.ide.reset('hard');
    expect([55, 56].map((index) => word(identify(), index))).toEqual([16, 63]);
  });

  it('READ NATIVE MAX ADDRESS gives the last sector in 28 and 48 bits', () => {
    setUp(200 * GIB);
    ide.simple(0xf8);
    expect([ide.in(3), ide.in(4), ide.in(5), ide.in(6) & 0x0f]).toEqual([0xfe, 0xff, 0xff, 0x0f]);
    ide.simple(0x27);
    const last = 200 * 2 * 2 ** 20 - 1;
    const low = [3, 4, 5].map((register) => ide.in(register));
    ide.bench.out8(0x3f6, 0x80);
    const high = [3, 4, 5].map((register) => ide.in(register));
    expect([...low, ...high].reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0)).toBe(last);
  });

  it('shows the previous content of registers with HOB until the next write', () => {
    for (const [register, value] of [
      [2, 1],
      [2, 2],
      [3, 3],
      [3, 4],
    ] as const)
      ide.out(register, value);
    expect([ide.in(2), ide.in(3)]).toEqual([2, 4]);
    ide.bench.out8(0x3f6, 0x80);
    expect([ide.in(2), ide.in(3)]).toEqual([1, 3]);
    ide.out(4, 0);
    expect([ide.in(2), ide.in(3)]).toEqual([2, 4]);
  });
});

describe('settings', () => {
  it('SET FEATURES takes the transfer modes it has and shows the one in use', () => {
    for (const [mode, index, bits] of [
      [0x22, 63, 0x0407],
      [0x20, 63, 0x0107],
      [0x42, 88, 0x043f],
      [0x45, 88, 0x203f],
    ] as const) {
      ide.simple(0xef, 0x03, mode);
      expectSuccess();
      expect(word(identify(), index)).toBe(bits);
    }
    for (const mode of [0x46, 0x23, 0x10, 0xff, 0x02]) {
      ide.simple(0xef, 0x03, mode);
      expectError(ABRT);
    }
    ide.simple(0xef, 0x5d);
    expectError(ABRT);
  });

  it('FLUSH CACHE ends only when the host has everything on stable storage', () => {
    for (const code of [0xe7, 0xea]) {
      ide.lba28(code, 0, 0);
      expect([ide.irq, ide.altStatus & BSY]).toEqual([false, BSY]);
      expect(disk.pending.map(({ op }) => op)).toEqual(['flush']);
      disk.run();
      expectSuccess();
    }
    ide.lba28(0xe7, 0, 0);
    disk.pending[0]!.answer(BLOCK_IO_ERROR);
    expectError(ABRT);
  });

  it('without the write cache a write ends only after a flush', () => {
    ide.simple(0xef, 0x82);
    expectSuccess();
    expect(disk.history.at(-1)!.op).toBe('flush');
    expect(word(identify(), 85) & 0x20).toBe(0);
    ide.lba28(0x30, 4, 1);
    ide.writeWords(pattern(512));
    disk.pending[0]!.answer();
    expect(ide.altStatus & BSY).toBe(BSY);
    expect(disk.pending[0]!.op).toBe('flush');
    disk.run();
    expectSuccess();
    ide.simple(0xef, 0x02);
    expect(word(identify(), 85) & 0x20).toBe(0x20);
  });

  it('says it is awake, and aborts what it does not know', () => {
    ide.simple(0xe5);
    expect(ide.in(2)).toBe(0xff);
    for (const code of [0x00, 0xa0, 0xa1, 0xb0, 0xff]) {
      ide.simple(code);
      expectError(ABRT);
    }
  });
});

describe('failures', () => {
  it('a host read error is UNC, and the next command works', () => {
    ide.lba28(0x20, 3, 2);
    disk.pending[0]!.answer(BLOCK_IO_ERROR);
    expectError(UNC);
    ide.lba28(0x20, 3, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(3);
  });

  it('a host write error is an abort', () => {
    ide.lba28(0x30, 3, 1);
    ide.writeWords(pattern(512));
    disk.pending[0]!.answer(BLOCK_IO_ERROR);
    expectError(ABRT);
  });

  it('a read-only disk refuses every write and reads on', () => {
    setUp(SECTORS * 512, true);
    for (const code of [0x30, 0xc5, 0xca]) {
      ide.lba28(code, 0, 1);
      expectError(ABRT);
    }
    ide.lba48(0x35, 0, 1);
    expectError(ABRT);
    expect(disk.history).toEqual([]);
    ide.lba28(0x20, 6, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(6);
  });
});

describe('reset', () => {
  it('leaves the signature of a disk', () => {
    ide.lba28(0x20, 0x123456, 9);
    disk.run();
    ide.softwareReset();
    expect([1, 2, 3, 4, 5].map((register) => ide.in(register))).toEqual([1, 1, 1, 0, 0]);
    expect(ide.altStatus).toBe(DRDY | DSC);
    expect(ide.irq).toBe(false);
  });

  it('stays busy while software reset is held, whatever the disk answers', () => {
    ide.lba28(0x20, 3, 1);
    ide.bench.out8(0x3f6, 0x04);
    disk.run();
    expect(ide.altStatus).toBe(BSY);
    ide.out(7, 0x90);
    expect(ide.altStatus).toBe(BSY);
    ide.bench.out8(0x3f6, 0x00);
    expect(ide.altStatus).toBe(DRDY | DSC);
    expect(ide.irq).toBe(false);
  });

  it.each(['software', 'hard'])('a late answer after a %s reset spoils neither the next read nor the next write', (kind) => {
    const reset = () => (kind === 'hard' ? ide.ide.reset('hard') : ide.softwareReset());
    ide.lba28(0x20, 100, 1);
    const lateRead = disk.pending[0]!;
    reset();
    ide.lba28(0x30, 7, 1);
    ide.writeWords(pattern(512, 5));
    // The old read fills its memory only now, then the write takes its bytes.
    lateRead.answer();
    expect(ide.altStatus & BSY).toBe(BSY);
    const lateWrite = disk.pending[0]!;
    reset();
    ide.lba28(0xec, 0, 0);
    const name = text(new DataView(ide.readWords(256).buffer), 27, 20);
    expect(name).toBe('HYPERVUE HARDDISK');
    ide.in(7);
    lateWrite.answer();
    // The write was with the host before the reset: it may reach the disk, but only as it was given.
    expect(disk.sector(7)).toEqual(pattern(512, 5));
    expect(ide.altStatus).toBe(DRDY | DSC);
    expect(ide.irq).toBe(false);
  });

  it('EXECUTE DEVICE DIAGNOSTIC passes and interrupts', () => {
    ide.simple(0x90);
    expect(ide.irq).toBe(true);
    expect(ide.error).toBe(1);
  });
});

describe('two places', () => {
  it('an absent slave reads as zeros and swallows commands', () => {
    ide.out(6, 0xb0);
    expect([1, 2, 3, 4, 5, 7].map((register) => ide.in(register))).toEqual([0, 0, 0, 0, 0, 0]);
    ide.out(7, 0xec);
    expect([ide.altStatus, ide.irq]).toEqual([0, false]);
    ide.out(6, 0xa0);
    expect(ide.altStatus).toBe(DRDY | DSC);
  });

  it('only the selected drive runs a command and drives the interrupt', () => {
    const slave = new SparseDisk(1 << 20);
    ide = new IdeBench({ kind: 'disk', block: disk }, { kind: 'disk', block: slave });
    ide.lba28(0x20, 5, 1, true);
    expect([disk.pending.length, slave.pending.length]).toEqual([0, 1]);
    ide.out(6, 0xe0);
    slave.run();
    expect(ide.irq).toBe(false);
    ide.out(6, 0xf0);
    expect(ide.irq).toBe(true);
    expect(sectorNumber(ide.readWords(256))).toBe(5);
  });

  it('nIEN keeps the interrupt off the line until it is taken away', () => {
    ide.bench.out8(0x3f6, 0x02);
    ide.simple(0xe5);
    expect(ide.irq).toBe(false);
    ide.bench.out8(0x3f6, 0x00);
    expect(ide.irq).toBe(true);
    ide.in(7);
    expect(ide.irq).toBe(false);
  });
});

describe('saved state', () => {
  it('is not to be taken while a command is under way', () => {
    const words = (count: number) => {
      for (let i = 0; i < count; i++) ide.bench.ports.write(0x1f0, 0x5a5a, 2);
    };
    expect(ide.ide.settled).toBe(true);
    ide.lba28(0x30, 5, 1);
    expect([ide.altStatus & DRQ, ide.ide.settled]).toEqual([DRQ, false]);
    words(255);
    expect(ide.ide.settled).toBe(false);
    words(1);
    // With the host now.
    expect(ide.ide.settled).toBe(false);
    disk.run();
    expect(ide.ide.settled).toBe(true);
    // On the other channel too.
    const both = new IdeBench(undefined, undefined, { kind: 'disk', block: new SparseDisk(GIB) });
    both.bench.out8(0x176, 0xe0);
    both.bench.out8(0x177, 0xec);
    expect(both.ide.settled).toBe(false);
  });

  it('keeps settings and registers', () => {
    ide.simple(0xc6, 0, 8);
    ide.simple(0xef, 0x03, 0x42);
    ide.simple(0xef, 0x82);
    const other = new IdeBench({ kind: 'disk', block: disk });
    other.ide.restore(structuredClone(ide.ide.save()));
    ide = other;
    const id = identify();
    expect([word(id, 59), word(id, 88), word(id, 85) & 0x20]).toEqual([0x0108, 0x043f, 0]);
  });

  it.each(['while the disk works', 'between two words'])('a read saved %s ends in an error that the driver repeats', (when) => {
    ide.lba28(0x20, 50, 1);
    if (when === 'between two words') {
      disk.run();
      ide.readWords(100);
    }
    const state = structuredClone(ide.ide.save());
    const fresh = new SparseDisk(SECTORS * 512);
    ide = new IdeBench({ kind: 'disk', block: fresh });
    ide.ide.restore(state);
    expectError(ABRT);
    ide.lba28(0x20, 50, 1);
    fresh.run();
    expect(sectorNumber(ide.readWords(256))).toBe(50);
  });

  it('takes no value out of range from a damaged state', () => {
    const state = ide.ide.save() as unknown as { channels: { units: { [key: string]: unknown }[] }[] };
    const unit = state.channels[0]!.units[0]!;
    unit.registers = [1e300, -5, Number.NaN, 999, 0.5, -1, 0x50, 2 ** 40];
    unit.previous = [-1e9];
    ide.ide.restore(state as never);
    ide.lba28(0x20, 1, 1);
    disk.run();
    expect(sectorNumber(ide.readWords(256))).toBe(1);
    unit.heads = 0;
    expect(() => ide.ide.restore(state as never)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });
});

it('the data ports of both channels are apart', () => {
  const second = new SparseDisk(1 << 20);
  ide = new IdeBench({ kind: 'disk', block: disk }, undefined, { kind: 'disk', block: second });
  const bench: Bench = ide.bench;
  bench.out8(0x176, 0xe0);
  for (const register of [0x173, 0x174, 0x175]) bench.out8(register, 0);
  bench.out8(0x172, 1);
  bench.out8(0x177, 0x20);
  second.run();
  expect([bench.wire('irq14').level, bench.wire('irq15').level]).toEqual([false, true]);
  expect(disk.history).toEqual([]);
});

describe('many words of the data register in one call', () => {
  it('all but the last access of a block, which has the effects; nothing while nothing is offered', () => {
    const { ports } = ide.bench;
    const into = new Uint8Array(4096);
    expect(ports.readMany(0x1f0, 2, into)).toBe(0);
    ide.lba28(0x20, 7, 2);
    disk.run();
    expect(ide.irq).toBe(true);
    expect(ide.in(7) & DRQ).toBe(DRQ);
    expect(ports.writeMany(0x1f0, 2, into)).toBe(0);
    // Not at other registers, nor across two of them.
    expect(ports.readMany(0x1f1, 1, into)).toBe(0);
    expect(ports.readMany(0x1f6, 4, into)).toBe(0);
    expect(ports.readMany(0x1f0, 4, into.subarray(0, 11))).toBe(2);
    expect(ports.readMany(0x1f0, 2, into.subarray(8))).toBe(251);
    expect(ports.readMany(0x1f0, 2, into)).toBe(0);
    expect(ide.irq).toBe(false);
    expect(new DataView(into.buffer).getBigUint64(0, true)).toBe(7n);
    ports.read(0x1f0, 2);
    expect(ide.irq).toBe(true);
    expect(ports.readMany(0x1f0, 4, into)).toBe(127);
    expect(new DataView(into.buffer).getBigUint64(0, true)).toBe(8n);
    // A quarter is left: the wide access ends the block too.
    ports.read(0x1f0, 4);
    expect(ide.in(7)).toBe(DRDY | DSC);
    expect(ports.readMany(0x1f0, 4, into)).toBe(0);
  });

  it('is what single writes put on the disk', () => {
    const { ports } = ide.bench;
    ide.lba28(0x30, 3, 1);
    const from = pattern(512, 9);
    expect(ports.writeMany(0x1f0, 2, from)).toBe(255);
    expect(disk.history).toHaveLength(0);
    ports.write(0x1f0, from[510]! | (from[511]! << 8), 2);
    disk.run();
    expectSuccess();
    expect(disk.sector(3)).toEqual(from);
  });
});
