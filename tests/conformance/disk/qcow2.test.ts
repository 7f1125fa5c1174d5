import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
/** `test:long` runs more of them. */
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);

const variants: [name: string, options: Partial<Qcow2Options>][] = [
  ['defaults', {}],
  ['version 2', { version: 2 }],
  ['clusters of 512 bytes', { clusterSize: 512 }],
  ['clusters of 4 KiB', { clusterSize: 4096 }],
  ['clusters of 2 MiB', { clusterSize: 2 * MIB }],
  ['refcounts of 8 bits', { refcountBits: 8 }],
  ['refcounts of 1 bit, 4 KiB', { refcountBits: 1, clusterSize: 4096 }],
  ['refcounts of 2 bits, 512 bytes', { refcountBits: 2, clusterSize: 512 }],
  ['refcounts of 4 bits', { refcountBits: 4 }],
  ['refcounts of 32 bits', { refcountBits: 32 }],
  ['refcounts of 64 bits, 512 bytes', { refcountBits: 64, clusterSize: 512 }],
  ['lazy refcounts', { lazyRefcounts: true }],
  ['zstd', { compression: 'zstd' }],
  ['extended L2', { extendedL2: true }],
  ['extended L2, 16 KiB', { extendedL2: true, clusterSize: 16384 }],
];

describe('qcow2 images that we make, beside qemu-img', () => {
  for (const [name, options] of variants)
    for (const backing of [false, true])
      it.each(Array.from({ length: SEEDS }, (_, i) => i))(
        `${name}${backing ? ', on a backing file' : ''}, seed %i: random operations give what qemu-img reads, and a clean check`,
        async (seed) => {
          const folder = scratch();
          const size = options.clusterSize && options.clusterSize >= 2 * MIB ? 24 * MIB : options.clusterSize === 512 ? 3 * MIB : 6 * MIB;
          const random = randomNumbers(seed * 100_003 + name.length * 1000 + (backing ? 7 : 1));
          const bytes = new Uint8Array(size);
          const file = path.join(folder, 'a.qcow2');
          if (backing) {
            // Shorter than the image on top.
            for (let i = 0; i < size * 0.7; i++) bytes[i] = (i * 13 + (i >> 12)) & 0xff;
            writeFileSync(path.join(folder, 'base.raw'), bytes.subarray(0, Math.floor((size * 0.7) / 512) * 512));
            bytes.fill(0, Math.floor((size * 0.7) / 512) * 512);
          }
          // A flag of one bit can't count the two references of a packed cluster.
          await createImage(file, { sizeBytes: size, ...options, ...(backing ? { backingFile: 'base.raw', backingFormat: 'raw' } : {}) });
          expect(qemuCheck(file)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
          const model = new DiskModel(bytes, random);
          for (let round = 0; round < 3; round++) {
            const image = await openQcow2(file);
            try {
              for (let i = 0; i < 60; i++)
                if (random(6) === 0) await model.burst(image);
                else
                  await model.step(image).catch((error) => {
                    if (!(options.refcountBits === 1 || options.refcountBits === 2) || !/references to a cluster/.test(String(error)))
                      throw error;
                  });
              await model.compare(image, 0, size);
            } finally {
              await image.close();
            }
            const check = qemuCheck(file);
            expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
            const raw = path.join(folder, `r${round}.raw`);
            writeFileSync(raw, bytes);
            expect(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', file, raw)).toContain('identical');
          }
        },
      );

  it('reads and goes on with images that qemu-img made', async () => {
    for (const how of ['off', 'metadata', 'falloc', 'full']) {
      const folder = scratch();
      const file = path.join(folder, 'q.qcow2');
      qemuImg('create', '-f', 'qcow2', '-o', `preallocation=${how}`, file, '8M');
      const image = await openQcow2(file);
      const model = new DiskModel(new Uint8Array(8 * MIB), randomNumbers(5));
      for (let i = 0; i < 40; i++) await model.step(image);
      await model.compare(image, 0, 8 * MIB);
      await image.close();
      const check = qemuCheck(file);
      expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    }
  });

  it('reads compressed images of qemu-img, in zlib and zstd', async () => {
    const folder = scratch();
    const raw = path.join(folder, 'a.raw');
    const bytes = new Uint8Array(5 * MIB);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i >> 8) & 0xff & (i * 17);
    writeFileSync(raw, bytes);
    for (const type of ['zlib', 'zstd']) {
      const file = path.join(folder, `${type}.qcow2`);
      qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', `compression_type=${type}`, raw, file);
      const image = await openQcow2(file);
      await new DiskModel(bytes, randomNumbers(1)).compare(image, 0, bytes.length);
      await image.close();
    }
  });

  it('grows and shrinks', async () => {
    const folder = scratch();
    const file = path.join(folder, 'a.qcow2');
    await createImage(file, { sizeBytes: 4 * MIB, clusterSize: 4096 });
    let image = await openQcow2(file);
    await image.write(0, new Uint8Array(4 * MIB).fill(1));
    await image.resize(64 * MIB);
    await image.write(60 * MIB, new Uint8Array(MIB).fill(2));
    await image.close();
    expect(qemuCheck(file)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    image = await openQcow2(file);
    expect(image.info.sizeBytes).toBe(64 * MIB);
    await image.resize(2 * MIB);
    await image.resize(8 * MIB);
    const got = new Uint8Array(8 * MIB);
    await image.read(0, got);
    await image.close();
    expect(got.subarray(0, 2 * MIB).every((byte) => byte === 1)).toBe(true);
    expect(got.subarray(2 * MIB).every((byte) => byte === 0)).toBe(true);
    const check = qemuCheck(file);
    expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  });

  it('grows its refcount table when the file outgrows it', async () => {
    const folder = scratch();
    const file = path.join(folder, 'a.qcow2');
    // 64 blocks of 64 counts in one cluster of table: 2 MiB.
    await createImage(file, { sizeBytes: 12 * MIB, clusterSize: 512, refcountBits: 64 });
    const image = await openQcow2(file);
    const model = new DiskModel(new Uint8Array(12 * MIB), randomNumbers(9));
    for (let at = 0; at < 12 * MIB; at += 3 << 18) {
      const source = model.pattern(3 << 18);
      await image.write(at, source);
      model.bytes.set(source, at);
    }
    await image.close();
    const check = qemuCheck(file);
    expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
    const raw = path.join(folder, 'a.raw');
    writeFileSync(raw, model.bytes);
    expect(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', file, raw)).toContain('identical');
  });

  it('reads a file that was cut off as zeros, and does not write to one marked as damaged', async () => {
    const folder = scratch();
    const file = path.join(folder, 'a.qcow2');
    await createImage(file, { sizeBytes: MIB });
    const image = await openQcow2(file);
    await image.write(0, new Uint8Array(MIB).fill(9));
    await image.meta.markCorrupt();
    await image.close();
    truncateSync(file, 6 * 65536);
    await expect(openQcow2(file)).rejects.toMatchObject({ kind: 'corrupt' });
  });
});
