/** Dirty bitmaps that a backup program left in a qcow2 image: QEMU reads from them what we changed, or that they are not to be trusted. */
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import { createSnapshot, revertToSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { compactImage } from '../../../core/platform/compactimage.ts';
import { bitmapsOf, dirtyRanges } from './support/dirtybitmap.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const SECTOR = 512;
const date = { seconds: 1, nanoseconds: 0 };

/** An image with a bitmap that tracks, one that was disabled when its first MiB had been written, and the first MiB written. */
async function withBitmaps(options: Partial<Qcow2Options> = {}, sizeBytes = 8 * MIB): Promise<string> {
  const file = path.join(scratch(), 'a.qcow2');
  await createImage(file, { sizeBytes, ...options });
  qemuImg('bitmap', '--add', '-g', '65536', file, 'old');
  const image = await openQcow2(file);
  await image.write(0, new Uint8Array(MIB).fill(1));
  await image.close();
  qemuImg('bitmap', '--disable', file, 'old');
  qemuImg('bitmap', '--add', '-g', '65536', file, 'tracking');
  return file;
}

const clean = (file: string) => expect(qemuCheck(file)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
const flags = (file: string) => Object.fromEntries(bitmapsOf(file).map((bitmap) => [bitmap.name, bitmap.flags]));
const intact = { old: [], tracking: ['auto'] };

describe('dirty bitmaps in qcow2 images', () => {
  for (const [name, options, granularity] of [
    ['defaults', {}, 65536],
    ['clusters of 512 bytes', { clusterSize: 512 }, 512],
    ['extended L2', { extendedL2: true }, 4096],
    ['lazy refcounts', { lazyRefcounts: true }, 1 << 21],
  ] as [string, Partial<Qcow2Options>, number][])
    it(`${name}: what is written, zeroed and discarded is what QEMU finds changed, over several openings`, async () => {
      const file = path.join(scratch(), 'a.qcow2');
      await createImage(file, { sizeBytes: 4 * MIB, ...options });
      qemuImg('bitmap', '--add', '-g', String(granularity), file, 'b');
      const random = randomNumbers(7 + granularity);
      const dirty = new Uint8Array((4 * MIB) / granularity);
      for (let round = 0; round < 3; round++) {
        const image = await openQcow2(file);
        for (let i = 0; i < 8; i++) {
          const at = random((4 * MIB) / SECTOR) * SECTOR;
          const length = Math.min((1 + random(random(3) ? 16 : 300)) * SECTOR, 4 * MIB - at);
          if (random(3)) await image.write(at, new Uint8Array(length).fill(round + 1));
          else await image.writeZeroes(at, length, random(2) === 0);
          dirty.fill(1, Math.floor(at / granularity), Math.ceil((at + length) / granularity));
          if (random(3) === 0) await image.flush();
        }
        await image.close();
        clean(file);
        const want: [number, number][] = [];
        for (let i = 0; i < dirty.length; i++) {
          const last = want.at(-1);
          if (dirty[i] && last?.[1] === i * granularity) last[1] += granularity;
          else if (dirty[i]) want.push([i * granularity, (i + 1) * granularity]);
        }
        expect(await dirtyRanges(file, 'b')).toEqual(want);
      }
    });

  it('one that does not track stays as it is', async () => {
    const file = await withBitmaps();
    const image = await openQcow2(file);
    await image.write(5 * MIB, new Uint8Array(MIB).fill(2));
    await image.close();
    expect(flags(file)).toEqual(intact);
    expect(await dirtyRanges(file, 'old')).toEqual([[0, MIB]]);
    expect(await dirtyRanges(file, 'tracking')).toEqual([[5 * MIB, 6 * MIB]]);
    clean(file);
  });

  it('after a crash a tracking one is inconsistent, not empty, and stays so', async () => {
    const file = await withBitmaps();
    const crashed = path.join(path.dirname(file), 'crashed.qcow2');
    const image = await openQcow2(file);
    await image.write(5 * MIB, new Uint8Array(MIB).fill(2));
    await image.flush();
    copyFileSync(file, crashed);
    await image.close();
    expect(flags(crashed)).toEqual({ old: [], tracking: ['in-use', 'auto'] });
    const again = await openQcow2(crashed);
    await again.write(0, new Uint8Array(SECTOR));
    await again.close();
    expect(flags(crashed)).toEqual({ old: [], tracking: ['in-use', 'auto'] });
    expect(await dirtyRanges(crashed, 'old')).toEqual([[0, MIB]]);
    expect(qemuCheck(crashed)).toMatchObject({ errors: 0, corruptions: 0 });
  });

  it('a revert to a snapshot changes everything', async () => {
    const file = await withBitmaps();
    const image = await openQcow2(file);
    await createSnapshot(image, 'before', date);
    await image.close();
    expect(await dirtyRanges(file, 'tracking')).toEqual([]);
    const again = await openQcow2(file);
    await revertToSnapshot(again, 'before');
    await again.close();
    expect(flags(file)).toEqual(intact);
    expect(await dirtyRanges(file, 'tracking')).toEqual([[0, 8 * MIB]]);
    expect(await dirtyRanges(file, 'old')).toEqual([[0, MIB]]);
    clean(file);
  });

  it('grown and shrunk, all of them fit the disk', async () => {
    // With 64 KiB a bit and clusters of 512 bytes a bitmap's table grows, too.
    const file = await withBitmaps({ clusterSize: 512 }, 300 * MIB);
    for (const size of [600 * MIB, 200 * MIB]) {
      const image = await openQcow2(file);
      await image.resize(size);
      await image.close();
      expect(flags(file)).toEqual(intact);
      expect(await dirtyRanges(file, 'old')).toEqual([[0, MIB]]);
      clean(file);
    }
    const image = await openQcow2(file);
    await image.write(199 * MIB, new Uint8Array(MIB).fill(3));
    await image.close();
    expect(await dirtyRanges(file, 'tracking')).toContainEqual([199 * MIB, 200 * MIB]);
  });

  it('one that would be too large for the grown disk is inconsistent', async () => {
    const file = path.join(scratch(), 'a.qcow2');
    await createImage(file, { sizeBytes: 8 * MIB });
    qemuImg('bitmap', '--add', '-g', '512', file, 'fine');
    qemuImg('bitmap', '--add', '-g', '65536', file, 'coarse');
    const image = await openQcow2(file);
    await image.resize(2 ** 40);
    await image.write(2 ** 40 - MIB, new Uint8Array(MIB).fill(1));
    await image.close();
    expect(flags(file)).toEqual({ fine: ['in-use', 'auto'], coarse: ['auto'] });
    expect(await dirtyRanges(file, 'coarse')).toEqual([[2 ** 40 - MIB, 2 ** 40]]);
    clean(file);
  });

  it('a revert to a snapshot of another size', async () => {
    const file = await withBitmaps({ clusterSize: 512 }, 300 * MIB);
    const image = await openQcow2(file);
    await createSnapshot(image, 'small', date);
    await image.resize(600 * MIB);
    await image.close();
    const again = await openQcow2(file);
    await revertToSnapshot(again, 'small');
    await again.close();
    expect(flags(file)).toEqual(intact);
    expect(await dirtyRanges(file, 'tracking')).toEqual([[0, 300 * MIB]]);
    expect(await dirtyRanges(file, 'old')).toEqual([[0, MIB]]);
    clean(file);
  });

  it('compacting keeps them', async () => {
    const file = await withBitmaps();
    await compactImage(file);
    expect(flags(file)).toEqual(intact);
    expect(await dirtyRanges(file, 'old')).toEqual([[0, MIB]]);
    clean(file);
  });
});
