import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR } from '../../backend/asyncblock.ts';
import { BIOS_ROM_MAX, GUEST_RAM_BASE, OPTION_ROM_MAX, ROM_BASE } from '../../memory/layout.ts';
import { IdeBench, SparseDisk, sectorNumber } from '../testing/idebench.ts';

const DISK_BYTES = 4 << 20;
const DISC_BYTES = 1 << 20;
/** Shared memory in front of the bench's RAM that no device may touch: ROMs, and the last page before it. */
const GUARDED = [
  [ROM_BASE, ROM_BASE + OPTION_ROM_MAX + BIOS_ROM_MAX],
  [GUEST_RAM_BASE - 4096, GUEST_RAM_BASE],
] as const;

function digest(ide: IdeBench): string {
  const all = new Uint8Array(ide.bench.memory.memory.buffer);
  const hash = createHash('sha1');
  for (const [start, end] of GUARDED) hash.update(all.slice(start, end));
  return hash.digest('hex');
}

/** Commands that do something, besides any byte at all. */
const command = fc.oneof(
  fc.constantFrom(0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xec, 0xef, 0x08, 0x90),
  fc.integer({ min: 0, max: 255 }),
);
const byte = fc.integer({ min: 0, max: 255 });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(
      fc.constant('register' as const),
      fc.integer({ min: 1, max: 6 }),
      fc.oneof(fc.constantFrom(0, 1, 2, 0x10, 0xe0, 0xf0), byte),
    ),
  },
  { weight: 5, arbitrary: fc.tuple(fc.constant('command' as const), command, fc.constant(0)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('words' as const), fc.integer({ min: 1, max: 300 }), byte) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('packet' as const), byte, byte) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('answer' as const), byte, byte) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant('busMaster' as const), fc.integer({ min: 0, max: 7 }), fc.oneof(fc.constantFrom(0, 1, 8, 9), byte)),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('table' as const), fc.integer({ min: 0, max: 0xffffffff }), byte) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('control' as const), byte, fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('any' as const), fc.integer({ min: 0, max: 0xffffffff }), byte) },
);

function perform(ide: IdeBench, disks: SparseDisk[], [what, a, b]: [string, number, number]): void {
  const { ports } = ide.bench;
  switch (what) {
    case 'register':
      ide.out(a, b);
      break;
    case 'command':
      ide.out(7, a);
      break;
    case 'words':
      for (let i = 0; i < a; i++)
        if (b & 1) ports.read(0x1f0, b & 2 ? 4 : 2);
        else ports.write(0x1f0, b * 0x01010101, b & 2 ? 4 : 2);
      break;
    case 'packet':
      ide.out(7, 0xa0);
      for (const word of [[0x28, 0x25, 0xa8, 0xbe, 0x12, 0x03, 0x5a, 0x4a, 0x43, 0x46, 0x1b][a % 11]! | (b << 8), 0, 0, 0, b, a])
        ports.write(0x1f0, word, 2);
      break;
    case 'answer': {
      // Any of the waiting requests, so that answers come in any order.
      const waiting = disks.flatMap((disk) => disk.pending);
      waiting[a % Math.max(1, waiting.length)]?.answer(b < 32 ? BLOCK_IO_ERROR : undefined);
      break;
    }
    case 'busMaster':
      ports.write(ide.busMaster + a, b, 1);
      break;
    case 'table':
      // Half of them in RAM, where random entries lie.
      ports.write(ide.busMaster + 4, b & 1 ? a & 0xfffff : a, 4);
      break;
    case 'control':
      ide.bench.out8(0x3f6, a);
      break;
    default:
      if (b & 1) ports.read(0x1f0 + (a & 7), 4);
      else ports.write(ide.busMaster + (a & 15), a, 4);
  }
}

describe('whatever a guest does to an IDE channel', () => {
  it('nothing throws, no access leaves RAM or the disk, and a reset makes it work again', () => {
    const disk = new SparseDisk(DISK_BYTES);
    const disc = new SparseDisk(DISC_BYTES, true);
    const ide = new IdeBench({ kind: 'disk', block: disk }, { kind: 'cdrom', block: disc });
    // Descriptors everywhere: plausible ones, wild ones and rubbish.
    for (let at = 0; at < 0x100000; at += 8) {
      ide.bench.memory.write32(at, (at * 2654435761) % (at & 64 ? 0x100000000 : 0x100000));
      ide.bench.memory.write32(at + 4, ((at * 40503) & 0xffff) | (at & 32 ? 0x80000000 : 0));
    }
    const before = digest(ide);
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
        for (const one of steps) perform(ide, [disk, disc], one);
        for (const { op, offset, bytes } of disk.history.splice(0)) {
          expect(offset).toBeGreaterThanOrEqual(0);
          expect(offset + bytes).toBeLessThanOrEqual(DISK_BYTES);
          expect([offset % 512, bytes % 512]).toEqual([0, 0]);
          if (op !== 'flush') expect(bytes).toBeGreaterThan(0);
        }
        for (const { op, offset, bytes } of disc.history.splice(0)) {
          expect(op).toBe('read');
          expect(offset + bytes).toBeLessThanOrEqual(DISC_BYTES);
        }
        // The driver's way out, with answers to old commands still under way.
        ide.softwareReset();
        disk.sectors.clear();
        ide.lba28(0x20, 1234, 1);
        disk.pending.at(-1)!.answer();
        expect(ide.in(7) & 0x89).toBe(0x08);
        expect(sectorNumber(ide.readWords(256))).toBe(1234);
        disk.sectors.clear();
      }),
      { seed: 20240607, numRuns: 250 },
    );
    expect(digest(ide)).toBe(before);
  }, 20_000);
});
