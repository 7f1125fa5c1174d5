import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SeededNumbers } from '../cpu/seededrandom.ts';
import { AlignedFile } from './alignedfile.ts';
import { openImage } from './openimage.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-around-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes of the file in the system's cache. */
const cached = (file: string) => Number(execFileSync('fincore', ['-b', '-n', '-r', '-o', 'RES', file], { encoding: 'utf8' }));
const place = () => path.join(folder, 'file');
/** This file system can, as ext4, XFS and Btrfs do. */
async function supported(): Promise<boolean> {
  const probe = mkdtempSync(path.join(tmpdir(), 'hypervue-around-'));
  const file = path.join(probe, 'probe');
  writeFileSync(file, Buffer.alloc(8192));
  const opened = await AlignedFile.open(file, true).catch(() => undefined);
  await opened?.close();
  rmSync(probe, { recursive: true });
  return opened !== undefined;
}
const can = await supported();

test.skipIf(!can)('bytes at any place are read and written, several at a time, and stay out of the cache', async () => {
  const random = new SeededNumbers(7);
  const below = (limit: number) => random.next() % limit;
  let model = Buffer.alloc(300_001, 1);
  writeFileSync(place(), model);
  execFileSync('sync', [place()]);
  execFileSync('dd', [`of=${place()}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' });
  const file = await AlignedFile.open(place(), false);
  for (let round = 0; round < 60; round++) {
    // Ranges that share blocks, but no bytes.
    let at = below(model.length);
    const writes = Array.from({ length: 6 }, () => {
      const bytes = Buffer.alloc(1 + (below(3) ? below(700) : below(9000)), below(256));
      const from = at;
      at += bytes.length + below(2) * below(600);
      return { from, bytes };
    });
    await Promise.all(writes.map(({ from, bytes }) => file.write(from, bytes)));
    for (const { from, bytes } of writes) {
      if (from + bytes.length > model.length) model = Buffer.concat([model, Buffer.alloc(from + bytes.length - model.length)]);
      bytes.copy(model, from);
    }
    expect(await file.size()).toBe(model.length);
    const from = below(model.length);
    const target = new Uint8Array(new SharedArrayBuffer(1 + below(20_000)));
    const got = await file.read(from, target);
    expect(got).toBe(Math.min(target.length, model.length - from));
    if (!model.subarray(from, from + got).equals(target.subarray(0, got))) throw new Error(`round ${round}: other bytes at ${from}`);
  }
  expect(await file.read(model.length + 4096, new Uint8Array(10))).toBe(0);
  await file.sync();
  expect(cached(place())).toBe(0);
  await file.close();
  expect(readFileSync(place()).equals(model)).toBe(true);
});

test.skipIf(!can)('more bytes than there are pieces for go one after the other', async () => {
  const bytes = Buffer.alloc(3_000_000, 5);
  writeFileSync(place(), Buffer.alloc(100));
  const file = await AlignedFile.open(place(), false);
  await Promise.all(Array.from({ length: 12 }, (_, i) => file.write(i * bytes.length, bytes)));
  const target = new Uint8Array(12 * bytes.length);
  expect(await file.read(0, target)).toBe(target.length);
  expect(target.every((byte) => byte === 5)).toBe(true);
  await file.close();
});

test.skipIf(!can)('a qcow2 image on another one works around the cache and is what qemu-img says', async () => {
  const base = path.join(folder, 'base.img');
  writeFileSync(base, Buffer.alloc((1 << 20) + 512, 3));
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', place(), '8M']);
  const image = await openImage(place(), { readOnly: false, format: 'qcow2', direct: true });
  expect(image.place?.(0)).toBeUndefined();
  for (const at of [0, 512 * 3, 65_536 * 5 + 512, (1 << 20) - 512]) await image.write(at, Buffer.alloc(1024, 9));
  const target = new Uint8Array(2048);
  await image.read((1 << 20) - 1024, target);
  expect([target[0], target[512], target[1535], target[1536]]).toEqual([3, 9, 9, 0]);
  await image.flush();
  await image.close();
  execFileSync('qemu-img', ['check', '-q', place()]);
  execFileSync('qemu-io', ['-r', '-c', `read -P 9 ${65_536 * 5 + 512} 1024`, '-c', 'read -P 3 4096 4096', place()]);
});

test('where a file system has no such thing, that is said with the way out', async (context) => {
  try {
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', folder], { stdio: 'ignore' });
  } catch {
    context.skip();
  }
  try {
    writeFileSync(place(), Buffer.alloc(8192));
    await expect(openImage(place(), { readOnly: false, format: 'raw', direct: true })).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining(place()),
      fix: expect.stringContaining('writeback'),
    });
  } finally {
    execFileSync('umount', ['-l', folder]);
    folder = mkdtempSync(path.join(tmpdir(), 'hypervue-around-'));
    rmdirSync(folder);
  }
});
