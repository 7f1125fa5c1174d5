import { closeSync, copyFileSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CheckReport, checkImage } from '../../../core/disk/qcow2/check.ts';
import { createSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;

async function check(file: string, repair: 'none' | 'leaks' | 'all' = 'none'): Promise<CheckReport> {
  const image = await openQcow2(file, true);
  try {
    return await checkImage(image, { repair });
  } finally {
    await image.close();
  }
}

function poke(file: string, offset: number, bytes: number[]): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, Uint8Array.from(bytes), 0, bytes.length, offset);
  closeSync(handle);
}

/** An image with data, a snapshot and packed clusters, and where its parts lie. */
async function sample(folder: string, extendedL2 = false) {
  const file = path.join(folder, 'a.qcow2');
  await createImage(file, { sizeBytes: 4 * MIB, extendedL2 });
  const image = await openQcow2(file);
  const model = new DiskModel(new Uint8Array(4 * MIB), randomNumbers(3));
  for (let i = 0; i < 40; i++) await model.step(image);
  await image.write(0, model.pattern(65536));
  await createSnapshot(image, 'one', { seconds: 1, nanoseconds: 0 });
  for (let i = 0; i < 20; i++) await model.step(image);
  await image.write(65536, model.pattern(65536));
  await image.close();
  const start = readFileSync(file);
  return {
    file,
    size: start.length,
    l1: Number(start.readBigUint64BE(40)),
    l2: Number(start.readBigUint64BE(Number(start.readBigUint64BE(40))) & 0x00ff_ffff_ffff_fe00n),
    table: Number(start.readBigUint64BE(48)),
    block: Number(start.readBigUint64BE(Number(start.readBigUint64BE(48)))),
  };
}

describe('check and repair, beside qemu-img', () => {
  it('finds nothing in good images, with the same figures', async () => {
    for (const extended of [false, true]) {
      const { file } = await sample(scratch(), extended);
      const report = await check(file);
      expect(report).toMatchObject({ leaks: 0, errors: 0, messages: [], saidMessages: [] });
      const theirs = JSON.parse(qemuImg('check', '--output=json', file)) as Record<string, number>;
      expect(report.totalClusters).toBe(theirs['total-clusters']);
      if (!extended) expect(report.allocatedClusters).toBe(theirs['allocated-clusters']);
      expect(report.compressedClusters).toBe(theirs['compressed-clusters'] ?? 0);
      expect(report.endOffset).toBe(theirs['image-end-offset']);
    }
  });

  const damages: [string, (s: Awaited<ReturnType<typeof sample>>) => void][] = [
    ['a count that is too high', (s) => poke(s.file, s.block + 2 * 3, [0, 9])],
    ['a count of zero for something used', (s) => poke(s.file, s.block + 2 * (s.l2 / 65536), [0, 0])],
    ['a count for nothing', (s) => poke(s.file, s.block + 2 * 900, [0, 1])],
    ['an L1 entry without its mark', (s) => poke(s.file, s.l1, [0])],
    ['an L2 entry with a wrong mark', (s) => poke(s.file, s.l2 + 8, [0x00])],
    ['a refcount table entry that is no cluster', (s) => poke(s.file, s.table + 7, [1])],
    ['a refcount block behind the end of the file', (s) => poke(s.file, s.table, [0, 0, 0, 1, 0, 0, 0, 0])],
    [
      'refcounts overwritten',
      (s) =>
        poke(
          s.file,
          s.block,
          Array.from({ length: 200 }, (_, i) => (i * 37) & 0xff),
        ),
    ],
    ['the dirty bit', (s) => poke(s.file, 79, [1])],
    ['the corrupt bit', (s) => poke(s.file, 79, [2])],
  ];
  for (const [name, damage] of damages)
    it(`${name}: found, and put right so that qemu-img agrees and no data change`, async () => {
      const folder = scratch();
      const parts = await sample(folder);
      const before = path.join(folder, 'before.raw');
      qemuImg('convert', '-f', 'qcow2', '-O', 'raw', parts.file, before);
      damage(parts);
      const copy = path.join(folder, 'copy.qcow2');
      copyFileSync(parts.file, copy);
      const found = await check(parts.file);
      const marked = name.startsWith('the ');
      if (!marked) expect(found.leaks + found.errors, JSON.stringify(found)).toBeGreaterThan(0);
      expect(readFileSync(parts.file).equals(readFileSync(copy)), 'a check without repair changes nothing').toBe(true);
      const repaired = await check(parts.file, 'all');
      expect(repaired.errorsFixed, JSON.stringify(repaired)).toBe(repaired.errors);
      expect(repaired.leaksFixed).toBe(repaired.leaks);
      expect(await check(parts.file)).toMatchObject({ leaks: 0, errors: 0 });
      const theirs = qemuCheck(parts.file);
      expect(theirs, theirs.text).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
      const after = path.join(folder, 'after.raw');
      qemuImg('convert', '-f', 'qcow2', '-O', 'raw', parts.file, after);
      expect(readFileSync(after).equals(readFileSync(before))).toBe(true);
      const image = await openQcow2(parts.file);
      await image.write(0, new Uint8Array(512).fill(1));
      await image.close();
    });

  it('frees leaks alone when asked for that', async () => {
    const { file, block } = await sample(scratch());
    poke(file, block + 2 * 900, [0, 1]);
    poke(file, block + 2 * 3, [0, 9]);
    expect(await check(file, 'leaks')).toMatchObject({ leaks: 2, leaksFixed: 2 });
    expect(qemuCheck(file)).toMatchObject({ leaks: 0, corruptions: 0 });
  });

  it('says what it can not put right', async () => {
    const { file, l2 } = await sample(scratch());
    poke(file, l2, [0x80, 0, 0, 0, 0, 1, 2, 0]);
    const report = await check(file, 'all');
    expect(report.errors).toBeGreaterThan(report.errorsFixed);
    expect(report.messages.join('\n')).toMatch(/L2 entry 0 of table 0 of the disk: host offset 66048 is no cluster/);
    expect(report.saidMessages).toHaveLength(report.messages.length);
    expect(report.saidMessages).toContainEqual(
      expect.objectContaining({
        key: 'foundL2Entry',
        params: expect.objectContaining({ problem: { key: 'entryNoCluster', params: { host: 66048 } } }),
      }),
    );
  });
});
