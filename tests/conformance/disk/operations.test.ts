import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import { createSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { Disks } from '../../../core/manager/disks.ts';
import { ImageLocks } from '../../../core/platform/imagelocks.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);

const variants: [name: string, options: Partial<Qcow2Options>][] = [
  ['defaults', {}],
  ['version 2', { version: 2 }],
  ['clusters of 512 bytes', { clusterSize: 512 }],
  ['clusters of 4 KiB, zstd', { clusterSize: 4096, compression: 'zstd' }],
  ['extended L2', { extendedL2: true, clusterSize: 32768 }],
];

/** An image with random contents, a model of it, and what lies below it. */
async function randomImage(folder: string, name: string, options: Qcow2Options, below: Uint8Array | undefined, seed: number) {
  const file = path.join(folder, name);
  await createImage(file, options);
  const bytes = new Uint8Array(options.sizeBytes);
  if (below) bytes.set(below.subarray(0, bytes.length));
  const model = new DiskModel(bytes, randomNumbers(seed));
  const image = await openQcow2(file);
  for (let i = 0; i < 40; i++) await model.step(image);
  await image.close();
  return { file, bytes };
}

function holds(file: string, bytes: Uint8Array, folder: string): void {
  const raw = path.join(folder, 'want.raw');
  writeFileSync(raw, bytes);
  expect(qemuImg('compare', '-F', 'raw', file, raw)).toContain('identical');
}

function sound(file: string): void {
  const check = qemuCheck(file);
  expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
}

const disks = (folder: string, known: string[] = []) => new Disks(new ImageLocks(path.join(folder, 'locks')), async () => known);

for (const [name, options] of variants)
  it.each(Array.from({ length: SEEDS }, (_, i) => i))(
    `${name}, seed %i: commit, rebase, clone and compact keep what qemu-img reads`,
    async (seed) => {
      const folder = scratch();
      const random = randomNumbers(seed * 1013 + name.length);
      const sizes = [2 + random(3), 2 + random(3), 2 + random(3)].map((size) => size * MIB);
      const base = await randomImage(folder, 'base.qcow2', { sizeBytes: sizes[0]! }, undefined, seed * 7 + 1);
      const other = await randomImage(folder, 'other.qcow2', { sizeBytes: sizes[1]! }, undefined, seed * 7 + 2);
      const top = await randomImage(
        folder,
        'top.qcow2',
        { sizeBytes: sizes[2]!, ...options, backingFile: 'base.qcow2', backingFormat: 'qcow2' },
        base.bytes,
        seed * 7 + 3,
      );
      holds(top.file, top.bytes, folder);
      const all = disks(folder);

      await all.clone({ from: { path: top.file }, to: path.join(folder, 'full.qcow2') });
      holds(path.join(folder, 'full.qcow2'), top.bytes, folder);
      expect(await all.info(path.join(folder, 'full.qcow2'))).toMatchObject({ below: [], clusterBytes: options.clusterSize ?? 65536 });
      await all.clone({ from: { path: top.file }, to: path.join(folder, 'linked.qcow2'), linked: true });
      holds(path.join(folder, 'linked.qcow2'), top.bytes, folder);

      const progress: number[] = [];
      await all.compact(top.file, { progress: (done, total) => progress.push(done / total) });
      expect(progress.at(-1)).toBe(1);
      holds(top.file, top.bytes, folder);
      sound(top.file);

      await all.rebase(top.file, { backingFile: 'other.qcow2' });
      holds(top.file, top.bytes, folder);
      sound(top.file);
      expect((await all.info(top.file)).below).toEqual([other.file]);
      await all.rebase(top.file, { backingFile: base.file });
      await all.rebase(top.file, {});
      holds(top.file, top.bytes, folder);
      sound(top.file);
      await all.rebase(top.file, { backingFile: 'base.qcow2' });

      // A commit changes what the linked clone sees: it still lies on the overlay, which reads as before.
      await all.commit(top.file);
      holds(top.file, top.bytes, folder);
      holds(path.join(folder, 'linked.qcow2'), top.bytes, folder);
      const longer = new Uint8Array(Math.max(top.bytes.length, base.bytes.length));
      longer.set(base.bytes);
      longer.set(top.bytes);
      holds(base.file, longer, folder);
      for (const file of [top.file, base.file]) sound(file);
      expect(await all.map(top.file)).toMatchObject([{ offset: 0, kind: 'backing' }, ...(sizes[2]! > longer.length ? [{}] : [])]);
    },
  );

it('commits into a raw image, which grows', async () => {
  const folder = scratch();
  const raw = path.join(folder, 'base.img');
  writeFileSync(raw, Buffer.alloc(MIB, 5));
  const top = path.join(folder, 'top.qcow2');
  await createImage(top, { sizeBytes: 3 * MIB, backingFile: 'base.img', backingFormat: 'raw' });
  const image = await openQcow2(top);
  await image.writeZeroes(0, 65536, true);
  await image.write(2 * MIB, new Uint8Array(65536).fill(9));
  await image.close();
  await disks(folder).commit(top);
  expect(statSync(raw).size).toBe(3 * MIB);
  expect(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', top, raw)).toContain('identical');
});

it('refuses what would change or lose something', async () => {
  const folder = scratch();
  const at = (name: string) => path.join(folder, name);
  await createImage(at('base.qcow2'), { sizeBytes: MIB });
  await createImage(at('top.qcow2'), { sizeBytes: MIB, backingFile: 'base.qcow2', backingFormat: 'qcow2' });
  const all = disks(folder);
  await expect(all.delete(at('base.qcow2'))).rejects.toMatchObject({ kind: 'in-use', message: expect.stringContaining('top.qcow2') });
  await expect(all.commit(at('base.qcow2'))).rejects.toMatchObject({ kind: 'invalid-argument' });
  await expect(all.rebase(at('base.qcow2'), { backingFile: 'top.qcow2' })).rejects.toMatchObject({ kind: 'invalid-argument' });
  copyFileSync(at('top.qcow2'), at('second.qcow2'));
  await expect(all.commit(at('top.qcow2'))).rejects.toMatchObject({ kind: 'in-use', message: expect.stringContaining('second.qcow2') });
  await all.delete(at('second.qcow2'));
  expect(existsSync(at('second.qcow2'))).toBe(false);
  const image = await openQcow2(at('top.qcow2'));
  await createSnapshot(image, 'one', { seconds: 1, nanoseconds: 0 });
  await image.close();
  await expect(all.commit(at('top.qcow2'))).rejects.toMatchObject({ kind: 'unsupported' });
  await expect(all.rebase(at('top.qcow2'), {})).rejects.toMatchObject({ kind: 'unsupported' });
  await expect(all.clone({ from: { path: at('top.qcow2') }, to: at('full.qcow2') })).rejects.toMatchObject({ kind: 'unsupported' });
  await expect(all.resize(at('top.qcow2'), MIB / 2)).rejects.toMatchObject({ kind: 'invalid-argument' });
  await expect(all.resize(at('base.qcow2'), 2 * MIB)).rejects.toMatchObject({
    kind: 'in-use',
    message: expect.stringContaining('top.qcow2'),
  });
});

it('changes the name only with unsafe, also when the image below is gone', async () => {
  const folder = scratch();
  const at = (name: string) => path.join(folder, name);
  for (const name of ['base.qcow2', 'moved.qcow2']) await createImage(at(name), { sizeBytes: MIB });
  for (const clusterSize of [512, 1024, 4096, 65536]) {
    const top = at(`top${clusterSize}.qcow2`);
    await createImage(top, { sizeBytes: MIB, clusterSize, backingFile: 'gone.qcow2', backingFormat: 'qcow2' });
    const all = disks(folder);
    await expect(all.rebase(top, { backingFile: 'moved.qcow2' })).rejects.toMatchObject({ kind: 'not-found' });
    await all.rebase(top, { backingFile: 'moved.qcow2', unsafe: true });
    expect(qemuImg('info', top)).toContain('backing file: moved.qcow2');
    await all.rebase(top, { backingFile: 'base.qcow2', unsafe: true });
    expect(qemuImg('info', top)).toContain('backing file: base.qcow2');
    sound(top);
  }
});

it('shrinks only where nothing is cut off', async () => {
  const folder = scratch();
  for (const format of ['raw', 'qcow2'] as const) {
    const file = path.join(folder, `a.${format}`);
    const all = disks(folder);
    await all.create(file, { format, sizeBytes: 64 * MIB });
    if (format === 'qcow2') {
      const image = await openQcow2(file);
      await image.write(20 * MIB + 5 * 512, new Uint8Array(512).fill(1));
      await image.close();
    } else qemuImg('dd', '-f', 'raw', '-O', 'raw', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=1');
    if (format === 'raw') {
      writeFileSync(file, Buffer.concat([Buffer.alloc(20 * MIB + 5 * 512), Buffer.alloc(512, 1), Buffer.alloc(20 * MIB)]));
    }
    await expect(all.resize(file, 20 * MIB, { shrink: true })).rejects.toMatchObject({
      kind: 'invalid-state',
      message: expect.stringContaining(`byte ${20 * MIB + 5 * 512}`),
    });
    await all.resize(file, 21 * MIB, { shrink: true });
    expect((await all.info(file)).sizeBytes).toBe(21 * MIB);
  }
});

it('compacts: zeros take no room any more, snapshots stay, and a cancelled run leaves everything as it was', async () => {
  const folder = scratch();
  const at = (name: string) => path.join(folder, name);
  const all = disks(folder);
  for (const snapshots of [false, true]) {
    const file = at(`s${snapshots}.qcow2`);
    await createImage(file, { sizeBytes: 32 * MIB });
    const image = await openQcow2(file);
    await image.write(0, new Uint8Array(8 * MIB).fill(3));
    if (snapshots) await createSnapshot(image, 'one', { seconds: 1, nanoseconds: 0 });
    await image.write(16 * MIB, new Uint8Array(8 * MIB));
    await image.write(30 * MIB, new Uint8Array(65536).fill(4));
    await image.close();
    const abort = new AbortController();
    mkdirSync(path.join(folder, 'locks'), { recursive: true });
    const before = readdirSync(folder).sort();
    await expect(all.compact(file, { signal: abort.signal, progress: () => abort.abort(new Error('enough')) })).rejects.toMatchObject({
      kind: 'cancelled',
    });
    expect(readdirSync(folder).sort()).toEqual(before);
    const result = await all.compact(file);
    expect(result.before - result.after).toBeGreaterThan(7 * MIB);
    sound(file);
    const reopened = await openQcow2(file);
    const model = new DiskModel(new Uint8Array(32 * MIB).fill(3, 0, 8 * MIB).fill(4, 30 * MIB, 30 * MIB + 65536), randomNumbers(1));
    await model.compare(reopened, 0, 32 * MIB);
    expect(reopened.header.snapshotCount).toBe(snapshots ? 1 : 0);
    await reopened.close();
  }
  const raw = at('r.img');
  writeFileSync(raw, Buffer.concat([Buffer.alloc(4 * MIB), Buffer.alloc(MIB, 1), Buffer.alloc(3 * MIB)]));
  const result = await all.compact(raw);
  expect(result.before - result.after).toBeGreaterThan(6 * MIB);
  expect(statSync(raw).size).toBe(8 * MIB);
});

it('compacts an image with a second name (hard link) where it is: under both it stays one image', async () => {
  const folder = scratch();
  const [file, other] = [path.join(folder, 'a.qcow2'), path.join(folder, 'b.qcow2')];
  await createImage(file, { sizeBytes: 32 * MIB });
  const image = await openQcow2(file);
  await image.write(0, new Uint8Array(8 * MIB).fill(3));
  await image.write(16 * MIB, new Uint8Array(8 * MIB));
  await image.close();
  linkSync(file, other);
  const result = await disks(folder).compact(file);
  expect(result.before - result.after).toBeGreaterThan(7 * MIB);
  expect(statSync(other).ino).toBe(statSync(file).ino);
  sound(other);
});
