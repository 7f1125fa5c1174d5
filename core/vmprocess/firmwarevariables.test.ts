import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../util/logger.ts';
import { FirmwareVariables } from './firmwarevariables.ts';

const LENGTH = 0x4000;
let folder: string;
let file: string;
let told: string[];
const log = createLogger((level, _scope, message) => told.push(`${level}: ${message}`));

/** A firmware image of twice the variables' size: their volume, then code. */
function image(fill: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH * 2).fill(fill);
  bytes.set([0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50], 16);
  bytes.set([0, 0x40, 0, 0, 0, 0, 0, 0, 0x5f, 0x46, 0x56, 0x48], 32);
  return bytes;
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hypervue-nvram-'));
  file = path.join(folder, 'nvram');
  told = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('the file holds what the guest wrote, and the next start gets it', async () => {
  const variables = await FirmwareVariables.load(file, image(1), log);
  expect(await readdir(folder)).toEqual([]);
  variables!.update(0x1000, new Uint8Array(0x1000).fill(7));
  await variables!.close();
  expect((await readFile(file)).length).toBe(LENGTH);

  const next = image(2);
  await FirmwareVariables.load(file, next, log);
  expect([next[0x0fff], next[0x1000], next[0x1fff], next[0x2000], next[LENGTH]]).toEqual([1, 7, 7, 1, 2]);
  expect(told).toEqual([]);
});

test('a machine whose guest wrote nothing gets no file', async () => {
  await (await FirmwareVariables.load(file, image(1), log))!.close();
  expect(await readdir(folder)).toEqual([]);
});

test('a BIOS has no variables', async () => {
  expect(await FirmwareVariables.load(file, new Uint8Array(65536), log)).toBeUndefined();
});

test.each([
  ['of another size', () => image(3).slice(0, LENGTH / 2)],
  ['damaged', () => new Uint8Array(LENGTH)],
])('a file %s is set aside, not lost and not used', async (_, bytes) => {
  await writeFile(file, bytes());
  const next = image(2);
  await FirmwareVariables.load(file, next, log);
  expect(next).toEqual(image(2));
  const [aside, ...others] = await readdir(folder);
  expect(others).toEqual([]);
  expect(aside).toMatch(/^nvram\.2/);
  expect(await readFile(path.join(folder, aside!))).toEqual(Buffer.from(bytes()));
  expect(told.join()).toContain(aside);
});

test('a file that cannot be read stops the start by its name', async () => {
  await expect(FirmwareVariables.load(folder, image(1), log)).rejects.toMatchObject({ message: expect.stringContaining(folder) });
});

test('a failing write is told once, and made up for when it is possible again', async () => {
  const there = path.join(folder, 'gone', 'nvram');
  const variables = (await FirmwareVariables.load(there, image(1), log))!;
  variables.update(0, image(1).slice(0, 16));
  await variables.close();
  await variables.close();
  expect(told).toEqual([expect.stringContaining('UEFI variables are not saved')]);
  const { mkdir } = await import('node:fs/promises');
  await mkdir(path.dirname(there));
  await variables.close();
  expect((await readFile(there)).length).toBe(LENGTH);
});
