import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import type { Qcow2Image } from '../../../core/disk/qcow2/image.ts';
import { snapshotRoom } from '../../../core/disk/qcow2/snapshotroom.ts';
import {
  createSnapshot,
  deleteSnapshot,
  deleteSnapshotsNamed,
  readSnapshots,
  renameSnapshot,
  revertToSnapshot,
} from '../../../core/disk/qcow2/snapshots.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);
const date = { seconds: 1_700_000_000, nanoseconds: 5 };

async function clean(image: Qcow2Image, file: string): Promise<Qcow2Image> {
  await image.close();
  const check = qemuCheck(file);
  expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
  return openQcow2(file);
}

const variants: [string, Partial<Qcow2Options>][] = [
  ['defaults', {}],
  ['version 2, 4 KiB', { version: 2, clusterSize: 4096 }],
  ['512 bytes', { clusterSize: 512 }],
  ['extended L2', { extendedL2: true }],
  ['8-bit refcounts', { refcountBits: 8 }],
];

/** Clusters that something refers to, without the table of the snapshots. */
async function usedClusters(image: Qcow2Image): Promise<number> {
  const { meta } = image;
  let used = -Math.ceil((await readSnapshots(image)).used / meta.clusterSize);
  const end = await meta.refcounts.end();
  for (let cluster = 0; cluster < end; cluster++) if (await meta.refcounts.get(cluster)) used++;
  return used;
}

describe('internal snapshots', () => {
  for (const [name, options] of variants)
    it.each(Array.from({ length: SEEDS }, (_, i) => i))(
      `${name}, seed %i: taken, reverted and deleted at random, each is what it was`,
      async (seed) => {
        const folder = scratch();
        const file = path.join(folder, 'a.qcow2');
        const size = options.clusterSize === 512 ? 2 * MIB : 4 * MIB;
        const random = randomNumbers(seed * 77 + name.length);
        await createImage(file, { sizeBytes: size, ...options });
        const model = new DiskModel(new Uint8Array(size), random);
        const taken = new Map<string, Uint8Array>();
        const names = new Map<string, string>();
        let image = await openQcow2(file);
        for (let round = 0; round < 14; round++) {
          for (let i = 0; i < 12; i++) await (random(5) ? model.step(image) : model.burst(image));
          const ids = [...taken.keys()];
          const what = random(6);
          if (what < 3 || !ids.length) {
            const id = await createSnapshot(image, `state ${round} ü`, date);
            taken.set(id, model.bytes.slice());
            names.set(id, `state ${round} ü`);
          } else if (what < 5) {
            const id = ids[random(ids.length)]!;
            await revertToSnapshot(image, id);
            model.bytes.set(taken.get(id)!);
          } else {
            const id = ids[random(ids.length)]!;
            // What is said beforehand about the room is what becomes free.
            await image.flush();
            await image.meta.commit();
            const [said, before] = [await snapshotRoom(image, id), await usedClusters(image)];
            await deleteSnapshot(image, id);
            expect(before - (await usedClusters(image))).toBe(said / image.meta.clusterSize);
            taken.delete(id);
          }
          await model.compare(image, 0, size);
          image = await clean(image, file);
        }
        expect((await readSnapshots(image)).entries.map(({ id }) => id)).toEqual([...taken.keys()]);
        await image.close();
        for (const [id, bytes] of taken) {
          const raw = path.join(folder, 's.raw');
          const want = path.join(folder, 'want.raw');
          writeFileSync(want, bytes);
          qemuImg('convert', '-f', 'qcow2', '-O', 'raw', '-l', `snapshot.id=${id}`, file, raw);
          expect(qemuImg('compare', '-f', 'raw', '-F', 'raw', raw, want)).toContain('identical');
        }
        for (const id of taken.keys()) qemuImg('snapshot', '-d', names.get(id)!, file);
        const check = qemuCheck(file);
        expect(check, check.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
      },
    );

  it('knows those of qemu-img, and qemu-img ours', async () => {
    const folder = scratch();
    const file = path.join(folder, 'a.qcow2');
    qemuImg('create', '-f', 'qcow2', file, '4M');
    let image = await openQcow2(file);
    await image.write(0, new Uint8Array(MIB).fill(1));
    await image.close();
    qemuImg('snapshot', '-c', 'of qemu', file);
    image = await openQcow2(file);
    await image.write(0, new Uint8Array(MIB).fill(2));
    await createSnapshot(image, 'ours', date);
    await renameSnapshot(image, 'ours', 'really ours');
    await image.write(0, new Uint8Array(MIB).fill(3));
    await image.resize(8 * MIB);
    image = await clean(image, file);
    expect(qemuImg('snapshot', '-l', file)).toMatch(/of qemu[\s\S]*really ours/);
    await revertToSnapshot(image, 'of qemu');
    expect(image.info.sizeBytes).toBe(4 * MIB);
    const got = new Uint8Array(MIB);
    await image.read(0, got);
    expect(got.every((byte) => byte === 1)).toBe(true);
    image = await clean(image, file);
    await image.close();
    qemuImg('snapshot', '-a', 'really ours', file);
    image = await openQcow2(file);
    await image.read(0, got);
    expect(got.every((byte) => byte === 2)).toBe(true);
    await expect(revertToSnapshot(image, 'nothing')).rejects.toMatchObject({
      kind: 'not-found',
      message: expect.stringContaining('"nothing"'),
    });
    await image.close();
  });

  it('says when refcounts are too narrow for another one, and leaves all as it was', async () => {
    const folder = scratch();
    const file = path.join(folder, 'a.qcow2');
    await createImage(file, { sizeBytes: MIB, refcountBits: 2 });
    let image = await openQcow2(file);
    await image.write(0, new Uint8Array(MIB).fill(1));
    await createSnapshot(image, 'a', date);
    await createSnapshot(image, 'b', date);
    await expect(createSnapshot(image, 'c', date)).rejects.toMatchObject({ kind: 'resource-limit' });
    image = await clean(image, file);
    expect((await readSnapshots(image)).entries).toHaveLength(2);
    await image.close();
  });

  it('a name is for one snapshot only; of two that another program gave the same name, each is reached by its id', async () => {
    const file = path.join(scratch(), 'a.qcow2');
    await createImage(file, { sizeBytes: MIB });
    let image = await openQcow2(file);
    await createSnapshot(image, 'first', date);
    await expect(createSnapshot(image, 'first', date)).rejects.toMatchObject({
      kind: 'already-exists',
      message: expect.stringContaining('has a snapshot named "first" already (id 1)'),
      fix: expect.stringContaining('another name'),
    });
    await expect(createSnapshot(image, '1', date)).rejects.toMatchObject({ kind: 'already-exists' });
    await expect(createSnapshot(image, '', date)).rejects.toMatchObject({ kind: 'invalid-argument' });
    await expect(createSnapshot(image, 'ü'.repeat(128), date)).rejects.toMatchObject({ kind: 'invalid-argument' });
    // The second one would get the id 2, which is a name.
    expect(await createSnapshot(image, '3', date)).toBe('2');
    expect(await createSnapshot(image, 'third', date)).toBe('4');
    await expect(renameSnapshot(image, '4', 'first')).rejects.toMatchObject({ kind: 'already-exists' });
    await renameSnapshot(image, '4', 'third');
    image = await clean(image, file);
    await image.close();
    qemuImg('snapshot', '-c', 'twice', file);
    qemuImg('snapshot', '-c', 'twice', file);
    image = await openQcow2(file);
    const twice = (await readSnapshots(image)).entries.filter(({ name }) => name === 'twice').map(({ id }) => id);
    expect(twice).toHaveLength(2);
    for (const work of [revertToSnapshot(image, 'twice'), deleteSnapshot(image, 'twice'), renameSnapshot(image, 'twice', 'x')])
      await expect(work).rejects.toMatchObject({
        kind: 'invalid-argument',
        message: expect.stringContaining('has 2 snapshots named "twice"'),
        fix: expect.stringMatching(new RegExp(`${twice[0]} \\(.*${twice[1]} \\(`)),
      });
    await renameSnapshot(image, twice[1]!, 'once');
    await revertToSnapshot(image, 'twice');
    await deleteSnapshot(image, 'once');
    image = await clean(image, file);
    expect((await readSnapshots(image)).entries.map(({ id, name }) => `${id} ${name}`)).toEqual([
      '1 first',
      '2 3',
      '4 third',
      `${twice[0]} twice`,
    ]);
    await image.close();
    qemuImg('snapshot', '-c', 'twice', file);
    image = await openQcow2(file);
    await deleteSnapshotsNamed(image, 'twice');
    image = await clean(image, file);
    expect((await readSnapshots(image)).entries.map(({ name }) => name)).toEqual(['first', '3', 'third']);
    await image.close();
  });
});
