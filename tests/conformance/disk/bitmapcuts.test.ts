/** Dirty bitmaps when the power goes: one that is not marked as in use has every sector that changed. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import { storedBitmaps } from './support/dirtybitmap.ts';
import { createImage } from './support/images.ts';
import { qemuImg, scratch } from './support/qemu.ts';
import { PowerCutFile } from './support/powercutfile.ts';
import { randomNumbers } from './support/randomdisk.ts';
import { openStamped, readAfterCut, SECTOR, stamp } from './support/stampeddisk.ts';

const TIMES = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);
const SIZE = 1 << 20;
const SECTORS = SIZE / SECTOR;
const GRANULARITY = 4096;
/** Lengths of names: the last bitmap's entry of the directory begins eight bytes before the end of a sector, so that a cut can tear its offset from its flags. */
const NAMES = [...Array.from({ length: 9 }, () => 16), ...Array.from({ length: 3 }, () => 24), 4];

class Cut extends Error {}

async function empty(options: Partial<Qcow2Options>): Promise<Uint8Array<ArrayBuffer>> {
  const file = path.join(scratch(), 'a.qcow2');
  await createImage(file, { sizeBytes: SIZE, ...options });
  for (const [i, length] of NAMES.entries()) qemuImg('bitmap', '--add', '-g', String(GRANULARITY), file, `b${i}`.padEnd(length, '_'));
  return Uint8Array.from(readFileSync(file));
}

describe('dirty bitmaps when the power goes', () => {
  for (const [name, options, seeds] of [
    ['64 KiB', {}, 20],
    ['512 bytes', { clusterSize: 512 }, 240],
    ['extended L2', { extendedL2: true, clusterSize: 16384 }, 40],
  ] as [string, Partial<Qcow2Options>, number][])
    it(`${name}: none is wrong without being marked as in use`, async () => {
      const content = await empty(options);
      expect(storedBitmaps(content).at(-1)!.at % SECTOR).toBe(SECTOR - 8);
      let trusted = 0;
      let distrusted = 0;
      for (let seed = 1; seed <= seeds * TIMES; seed++) {
        const where = `${name}, seed ${seed}`;
        const random = randomNumbers(seed * 104729 + name.length);
        const file = new PowerCutFile('cut.qcow2', content);
        let left = 10 + random(200);
        file.before = () => {
          if (left-- <= 0) throw new Cut('power cut');
        };
        try {
          for (let number = 1; ; ) {
            const image = await openStamped(file);
            for (let step = random(6); step > 0; step--, number++) {
              const at = random(SECTORS);
              await image.write(at * SECTOR, stamp(number, Math.min(1 + random(20), SECTORS - at)));
              if (random(3) === 0) await image.flush();
            }
            await image.close();
          }
        } catch (error) {
          if (!(error instanceof Cut)) throw error;
        }
        const after = file.afterPowerCut(random);
        const bitmaps = storedBitmaps(after);
        expect(bitmaps).toHaveLength(NAMES.length);
        const { view } = await readAfterCut(after, where);
        for (const bitmap of bitmaps) {
          if (bitmap.inUse) {
            distrusted++;
            continue;
          }
          trusted++;
          for (let s = 0; s < SECTORS; s++)
            if (view.getUint32(s * SECTOR) && !bitmap.dirty(s * SECTOR))
              expect.fail(`${where}: ${bitmap.name} has sector ${s} as unchanged`);
        }
      }
      expect(trusted).toBeGreaterThan((seeds * TIMES) / 2);
      expect(distrusted).toBeGreaterThan((seeds * TIMES) / 2);
    });
});
