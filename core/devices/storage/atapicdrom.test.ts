import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR } from '../../backend/asyncblock.ts';
import { IdeBench, SparseDisk, sectorNumber } from '../testing/idebench.ts';

const BLOCKS = 1000;
const CD_BYTES = BLOCKS * 2048;
const NOT_READY = 2;
const MEDIUM_ERROR = 3;
const ILLEGAL = 5;
const ATTENTION = 6;

let disc: SparseDisk;
let ide: IdeBench;

/** Drives a packet command by PIO. `limit` is the byte count limit of each piece. */
function packet(bytes: number[], limit = 0xfffe): { data: Uint8Array; pieces: number[]; failed: boolean; error: number } {
  send(bytes, limit);
  const pieces: number[] = [];
  const parts: Uint8Array[] = [];
  for (;;) {
    disc.run();
    expect(ide.irq).toBe(true);
    const status = ide.in(7);
    if (!(status & 0x08)) {
      // Command complete: to the host, command/data both set.
      expect(ide.in(2)).toBe(3);
      const data = Uint8Array.from(parts.flatMap((part) => [...part]));
      return { data, pieces, failed: (status & 1) !== 0, error: ide.error };
    }
    expect(ide.in(2)).toBe(2);
    const size = ide.in(4) | (ide.in(5) << 8);
    pieces.push(size);
    parts.push(ide.readWords(Math.ceil(size / 2)).subarray(0, size));
  }
}

function send(bytes: number[], limit: number, dma = false): void {
  ide.out(6, 0xa0);
  ide.out(1, dma ? 1 : 0);
  ide.out(4, limit & 0xff);
  ide.out(5, limit >> 8);
  ide.out(7, 0xa0);
  expect([ide.in(2), ide.altStatus & 0x88]).toEqual([1, 0x08]);
  ide.writeWords(Uint8Array.from({ length: 12 }, (_, i) => bytes[i] ?? 0));
}

const be32 = (value: number) => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
const read10 = (lba: number, count: number) => [0x28, 0, ...be32(lba), 0, count >> 8, count & 0xff];
const read12 = (lba: number, count: number) => [0xa8, 0, ...be32(lba), ...be32(count)];

/** Key, code and qualifier of REQUEST SENSE. */
function sense(): number[] {
  const { data } = packet([0x03, 0, 0, 0, 18]);
  expect(data[0]).toBe(0x70);
  return [data[2]!, data[12]!, data[13]!];
}

/** Expects the command to fail with this sense, which the error register and REQUEST SENSE both tell. */
function expectCheck(bytes: number[], key: number, asc: number, ascq = 0): void {
  const { failed, error, data } = packet(bytes);
  expect([failed, error >> 4, data.length]).toEqual([true, key, 0]);
  expect(sense()).toEqual([key, asc, ascq]);
  expect(sense()).toEqual([0, 0, 0]);
}

function ok(bytes: number[], limit?: number): Uint8Array {
  const { data, failed } = packet(bytes, limit);
  expect(failed).toBe(false);
  return data;
}

function setUp(bytes: number | undefined = CD_BYTES): void {
  disc = new SparseDisk(bytes, true);
  ide = new IdeBench({ kind: 'cdrom', block: disc });
  // The attention of power-on.
  expectCheck([0x00], ATTENTION, 0x29);
}

beforeEach(() => setUp());

describe('identity', () => {
  it('has the signature of a packet device and aborts IDENTIFY DEVICE with it', () => {
    ide.softwareReset();
    expect([2, 3, 4, 5].map((register) => ide.in(register))).toEqual([1, 1, 0x14, 0xeb]);
    ide.out(4, 0);
    ide.simple(0xec);
    expect([ide.in(7) & 0x09, ide.error, ide.in(4), ide.in(5)]).toEqual([1, 4, 0x14, 0xeb]);
  });

  it('IDENTIFY PACKET DEVICE tells a removable CD drive with 12-byte packets', () => {
    ide.simple(0xa1);
    expect(ide.in(7) & 0x08).toBe(0x08);
    const id = new DataView(ide.readWords(256).buffer);
    expect(id.getUint16(0, true) & 0xff83).toBe(0x8580);
    expect(id.getUint16(98, true) & 0x300).toBe(0x300);
  });

  it('INQUIRY tells its name, cut to what was asked', () => {
    const data = ok([0x12, 0, 0, 0, 96]);
    expect([data.length, data[0], data[1], data[4]]).toEqual([36, 5, 0x80, 31]);
    expect(new TextDecoder().decode(data.subarray(8))).toBe('HYPERVUEHypervue DVD-ROM1.0 ');
    expect(ok([0x12, 0, 0, 0, 5])).toEqual(data.slice(0, 5));
    expect(ok([0x12, 0, 0, 0, 0])).toHaveLength(0);
    expectCheck([0x12, 1, 0x83, 0, 96], ILLEGAL, 0x24);
  });
});

describe('reading', () => {
  it('READ CAPACITY gives the last block and its size', () => {
    expect([...ok([0x25])]).toEqual([...be32(BLOCKS - 1), ...be32(2048)]);
  });

  it.each([
    ['READ (10)', read10],
    ['READ (12)', read12],
  ])('%s reads to the last block and no further', (_, make) => {
    const data = ok(make(BLOCKS - 2, 2));
    expect(data).toHaveLength(4096);
    expect(sectorNumber(data)).toBe((BLOCKS - 2) * 4);
    expect(sectorNumber(data, 4096 - 512)).toBe(BLOCKS * 4 - 1);
    for (const [lba, count] of [
      [BLOCKS - 1, 2],
      [BLOCKS, 1],
      [0xffffffff, 1],
      [0xffffffff, 0xffff],
    ] as const)
      expectCheck(make(lba, count), ILLEGAL, 0x21);
    expect(ok(make(0, 0))).toHaveLength(0);
  });

  it('reads past 4 GiB', () => {
    setUp(6 * 2 ** 30);
    const lba = (5 * 2 ** 30) / 2048;
    expect(sectorNumber(ok(read10(lba, 1)))).toBe(lba * 4);
  });

  it.each([
    [0xfffe, [6144]],
    [0xffff, [6144]],
    [0, [6144]],
    [2048, [2048, 2048, 2048]],
    [4097, [4096, 2048]],
    [5000, [5000, 1144]],
  ])('keeps to the byte count limit %i', (limit, expected) => {
    const { data, pieces } = packet(read10(10, 3), limit);
    expect(pieces).toEqual(expected);
    for (let i = 0; i < 12; i++) expect(sectorNumber(data, i * 512)).toBe(40 + i);
  });

  it('moves more than its buffer', () => {
    const data = ok(read12(3, 700));
    expect(data).toHaveLength(700 * 2048);
    for (const block of [0, 255, 256, 511, 512, 699]) expect(sectorNumber(data, block * 2048)).toBe((3 + block) * 4);
  });

  it('reads by DMA, also short answers', () => {
    ide.describe([{ gpa: 0x10000, length: 8 }]);
    send([0x25], 0xfffe, true);
    ide.startDma(true);
    expect([...ide.memory(0x10000, 8)]).toEqual([...be32(BLOCKS - 1), ...be32(2048)]);
    ide.in(7);
    ide.stopDma();
    ide.describe(Array.from({ length: 10 }, (_, i) => ({ gpa: 0x10000 + i * 0x10000, length: 0 })));
    send(read10(0, 320), 0xfffe, true);
    ide.startDma(true);
    disc.run();
    expect([ide.irq, ide.dmaStatus & 7, ide.in(7)]).toEqual([true, 4, 0x50]);
    for (let i = 0; i < 10; i++) expect(sectorNumber(ide.memory(0x10000 + i * 0x10000, 8))).toBe(i * 128);
  });

  it('gives a DMA read up when the engine stops, and keeps out of memory', () => {
    ide.describe([{ gpa: 0x10000, length: 2048 }]);
    send(read10(0, 1), 0xfffe, true);
    ide.startDma(true);
    ide.bench.memory.write32(0x10000, 0xa5a5a5a5);
    ide.stopDma();
    disc.run();
    expect(ide.in(7) & 0x81).toBe(1);
    expect(ide.bench.memory.read32(0x10000)).toBe(0xa5a5a5a5);
  });

  it('READ CD gives user data, nothing, or refuses raw sectors', () => {
    const readCd = (lba: number, count: number, fields: number) => [0xbe, 0, ...be32(lba), 0, 0, count, fields];
    expect(sectorNumber(ok(readCd(7, 1, 0x10)))).toBe(28);
    expect(ok(readCd(7, 1, 0))).toHaveLength(0);
    expectCheck(readCd(7, 1, 0xf8), ILLEGAL, 0x24);
    expectCheck(readCd(BLOCKS, 1, 0x10), ILLEGAL, 0x21);
  });

  it('a host read error is a medium error; the drive goes on', () => {
    send(read10(0, 1), 0xfffe);
    disc.pending[0]!.answer(BLOCK_IO_ERROR);
    expect([ide.in(7) & 1, ide.error >> 4]).toEqual([1, MEDIUM_ERROR]);
    expect(sense()).toEqual([MEDIUM_ERROR, 0x11, 0]);
    expect(ok(read10(0, 1))).toHaveLength(2048);
  });

  it('a reset while the disc is read lets the late answer spoil nothing', () => {
    send(read10(5, 1), 0xfffe);
    const late = disc.pending[0]!;
    ide.out(7, 0x08);
    expect([ide.altStatus & 0x80, ide.in(4), ide.in(5)]).toEqual([0, 0x14, 0xeb]);
    ide.simple(0xa1);
    late.answer();
    const id = new DataView(ide.readWords(256).buffer);
    expect(id.getUint16(0, true) & 0xff00).toBe(0x8500);
    expect(ide.altStatus & 0x88).toBe(0);
  });
});

describe('tables of contents and configuration', () => {
  it('READ TOC gives one data track and the lead-out, in blocks or in minutes', () => {
    const toc = ok([0x43, 0, 0, 0, 0, 0, 0, 0, 100]);
    expect([...toc]).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa, 0, ...be32(BLOCKS)]);
    const msf = ok([0x43, 2, 0, 0, 0, 0, 0, 0, 100]);
    const frames = BLOCKS + 150;
    expect([...msf.subarray(9, 12)]).toEqual([0, 2, 0]);
    expect([...msf.subarray(17, 20)]).toEqual([Math.floor(frames / 4500), Math.floor(frames / 75) % 60, frames % 75]);
    expect([...ok([0x43, 0, 0, 0, 0, 0, 0xaa, 0, 100])]).toEqual([0, 10, 1, 1, 0, 0x16, 0xaa, 0, ...be32(BLOCKS)]);
    expect([...ok([0x43, 0, 1, 0, 0, 0, 0, 0, 12])]).toEqual([0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    // The old place of the format, and a cut answer.
    expect([...ok([0x43, 0, 0, 0, 0, 0, 0, 0, 4, 0x40])]).toEqual([0, 10, 1, 1]);
    expect(ok([0x43, 2, 2, 0, 0, 0, 1, 0, 100])).toHaveLength(4 + 4 * 11);
    expectCheck([0x43, 0, 0, 0, 0, 0, 2, 0, 100], ILLEGAL, 0x24);
    expectCheck([0x43, 0, 5, 0, 0, 0, 0, 0, 100], ILLEGAL, 0x24);
  });

  it('MODE SENSE gives the capabilities page in both forms, and no saved values', () => {
    const long = ok([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100]);
    expect([long.length, (long[0]! << 8) | long[1]!, long[8], long[9]]).toEqual([30, 28, 0x2a, 20]);
    const short = ok([0x1a, 0, 0x2a, 0, 100]);
    expect([short.length, short[0], short[4]]).toEqual([26, 25, 0x2a]);
    const all = ok([0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255]);
    expect([all[8], all[16], all[32]]).toEqual([0x01, 0x0e, 0x2a]);
    expectCheck([0x5a, 0, 0xea, 0, 0, 0, 0, 0, 100], ILLEGAL, 0x39);
    expectCheck([0x5a, 0, 0x33, 0, 0, 0, 0, 0, 100], ILLEGAL, 0x24);
  });

  it('GET CONFIGURATION calls small media CD, large ones DVD', () => {
    const profile = () => {
      const data = ok([0x46, 0, 0, 0, 0, 0, 0, 0, 255]);
      expect(new DataView(data.buffer).getUint32(0)).toBe(data.length - 4);
      return (data[6]! << 8) | data[7]!;
    };
    expect(profile()).toBe(0x08);
    setUp(2 * 2 ** 30);
    expect(profile()).toBe(0x10);
    setUp(undefined);
    disc.change(undefined);
    expect(profile()).toBe(0);
  });

  it('says which commands it does not know', () => {
    for (const code of [0x01, 0x2a, 0x55, 0xad, 0xff]) expectCheck([code], ILLEGAL, 0x20);
  });
});

describe('media', () => {
  it('without a disc says so, and READ fails the same way', () => {
    ide = new IdeBench({ kind: 'cdrom', block: (disc = new SparseDisk(undefined)) });
    expectCheck([0x00], ATTENTION, 0x29);
    for (const command of [[0x00], [0x25], read10(0, 1), [0x43, 0, 0, 0, 0, 0, 0, 0, 20], [0x51, 0, 0, 0, 0, 0, 0, 0, 34]])
      expectCheck(command, NOT_READY, 0x3a);
  });

  it('another disc is a unit attention, once, and an event', () => {
    disc.change(50 * 2048);
    const event = () => [...ok([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8])];
    // Neither INQUIRY nor the event itself takes the attention away.
    ok([0x12, 0, 0, 0, 36]);
    expect(event()).toEqual([0, 6, 4, 0x10, 2, 2, 0, 0]);
    expect(event()).toEqual([0, 6, 4, 0x10, 0, 2, 0, 0]);
    expectCheck(read10(0, 1), ATTENTION, 0x28);
    expect([...ok([0x25])].slice(0, 4)).toEqual(be32(49));
    disc.change(undefined);
    expect(event()).toEqual([0, 6, 4, 0x10, 3, 0, 0, 0]);
    expectCheck([0x00], NOT_READY, 0x3a);
  });

  it('REQUEST SENSE fetches a waiting attention', () => {
    disc.change(50 * 2048);
    expect(sense()).toEqual([ATTENTION, 0x28, 0]);
    ok([0x00]);
  });

  it('a disc taken out during a read ends it', () => {
    send(read10(0, 1), 0xfffe);
    disc.change(undefined);
    disc.run();
    expect([ide.in(7) & 1, ide.error >> 4]).toEqual([1, NOT_READY]);
  });

  it('ejects and loads; the disc that comes back is a changed medium', () => {
    ok([0x1b, 0, 0, 0, 2]);
    expect([...ok([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8])].slice(4, 6)).toEqual([3, 1]);
    expectCheck([0x00], NOT_READY, 0x3a);
    ok([0x1b, 0, 0, 0, 3]);
    expectCheck([0x00], ATTENTION, 0x28);
    ok([0x00]);
    ok(read10(0, 1));
    // Stop and start without the tray.
    ok([0x1b, 0, 0, 0, 0]);
    ok([0x1b, 0, 0, 0, 1]);
    ok([0x00]);
  });

  it('PREVENT keeps the tray shut until ALLOW or a reset', () => {
    ok([0x1e, 0, 0, 0, 1]);
    expectCheck([0x1b, 0, 0, 0, 2], ILLEGAL, 0x53, 2);
    ok([0x00]);
    expect(ok([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100])[8 + 6]! & 2).toBe(2);
    ok([0x1e, 0, 0, 0, 0]);
    ok([0x1b, 0, 0, 0, 2]);
    ok([0x1b, 0, 0, 0, 3]);
    ide.softwareReset();
    expect(sense()[0]).toBe(ATTENTION);
    ok([0x1e, 0, 0, 0, 1]);
    ide.softwareReset();
    expect(sense()[0]).toBe(ATTENTION);
    ok([0x1b, 0, 0, 0, 2]);
  });

  it('GET EVENT STATUS wants polling and tells which classes it has', () => {
    expectCheck([0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8], ILLEGAL, 0x24);
    expect([...ok([0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8])]).toEqual([0, 2, 0x80, 0x10]);
  });

  it('keeps tray, lock and attention in its saved state', () => {
    ok([0x1e, 0, 0, 0, 1]);
    disc.change(30 * 2048);
    const state = structuredClone(ide.ide.save());
    ide = new IdeBench({ kind: 'cdrom', block: (disc = new SparseDisk(30 * 2048)) });
    ide.ide.restore(state);
    expectCheck([0x00], ATTENTION, 0x28);
    expectCheck([0x1b, 0, 0, 0, 2], ILLEGAL, 0x53, 2);
  });
});
