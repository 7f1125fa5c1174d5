import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bootFolder } from './bootfolder.ts';

const top = mkdtempSync(path.join(tmpdir(), 'hypervue-boot-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));
const folder = path.join(top, 'given');
mkdirSync(path.join(folder, 'sub'), { recursive: true });
writeFileSync(path.join(top, 'secret'), 'secret');
mkdirSync(path.join(top, 'given2'));
writeFileSync(path.join(top, 'given2', 'secret'), 'secret');
writeFileSync(path.join(folder, '..file'), 'dots');
writeFileSync(path.join(folder, 'sub', 'large'), Buffer.alloc(600_000, 7));
const open = bootFolder(folder);

async function text(name: string): Promise<string | undefined> {
  const file = await open(name);
  if (!file) return undefined;
  const bytes = Buffer.from(await file.read(0, file.size)).toString();
  file.close();
  return bytes;
}

test('a file is read in pieces, from front to back and again', async () => {
  for (const name of ['sub/large', '/sub/large', 'sub\\large', './sub//large']) {
    const file = (await open(name))!;
    expect(file.size).toBe(600_000);
    let length = 0;
    for (let at = 0; at < file.size; at += 1468) {
      const piece = await file.read(at, 1468);
      expect(piece.every((byte) => byte === 7)).toBe(true);
      length += piece.length;
    }
    expect(length).toBe(600_000);
    expect(await file.read(600_000, 1468)).toHaveLength(0);
    expect(await file.read(0, 10)).toHaveLength(10);
    file.close();
  }
});

test('nothing outside the folder is given out', async () => {
  for (const name of [
    '../secret',
    'sub/../../secret',
    '..\\secret',
    path.join(top, 'secret'),
    '../given2/secret',
    'C:secret',
    'a\0b',
    '',
    '/',
    'sub',
    'none',
  ])
    expect(await open(name), name).toBeUndefined();
});

test.skipIf(process.platform === 'win32')('links lead to files of the folder only, and a pipe is not waited for', async () => {
  symlinkSync(path.join(top, 'secret'), path.join(folder, 'out'));
  symlinkSync(top, path.join(folder, 'up'));
  symlinkSync('..file', path.join(folder, 'in'));
  expect(spawnSync('mkfifo', [path.join(folder, 'pipe')]).status).toBe(0);
  expect(await open('out')).toBeUndefined();
  expect(await open('up/secret')).toBeUndefined();
  expect(await open('pipe')).toBeUndefined();
  expect(await text('in')).toBe('dots');
});
