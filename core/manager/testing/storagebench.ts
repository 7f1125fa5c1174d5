/** What the tests of pools and volumes share: a library of its own for each test, with a default pool. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Volume } from '../../contract/storage.ts';
import { Harness } from './harness.ts';

export const MIB = 1024 * 1024;
export let h: Harness;
/** Folder of the default pool. */
export let pool: string;

export function freshLibraries(): void {
  beforeEach(async () => {
    h = await Harness.open();
    pool = path.join(h.root, 'disks');
  });

  afterEach(async () => {
    await h.close();
  });
}

export const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
/** Its output; of what it read, a pattern that is not there says 'failed'. */
export const qemuIo = (command: string, file: string, format = 'qcow2') =>
  execFileSync('qemu-io', ['-f', format, '-c', command, file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
export const create = (name: string, changes: object = {}) =>
  h.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 16 * MIB, ...changes } as never);
export const volumes = async () => new Map((await h.call('storage.volumes', {})).map((volume) => [volume.name, volume]));
export const volume = async (name: string): Promise<Volume> => {
  const found = (await volumes()).get(name);
  if (!found) throw new Error(`no volume ${name}`);
  return found;
};
/** Nothing hidden is left behind. */
export const leftovers = (folder = pool) => readdirSync(folder).filter((name) => name.startsWith('.') && name !== '.trash');
