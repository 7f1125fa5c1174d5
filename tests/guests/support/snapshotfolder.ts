import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import type { Snapshot } from '../../../core/contract/snapshots.ts';

/** Every snapshot is whole or absent: the list, the machine's folder and its disk name the same; the disk has leaks at worst, which a kill may leave. */
export function expectSameSnapshots(folder: string, disk: string, snapshots: readonly Snapshot[]): void {
  // Mends leaks and nothing else; what is left is the status.
  const check = spawnSync('qemu-img', ['check', '-q', '-r', 'leaks', disk]);
  expect(check.status, check.stderr.toString()).toBe(0);
  const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk], { encoding: 'utf8' })) as {
    snapshots?: { name: string }[];
  };
  expect((info.snapshots ?? []).map(({ name }) => name).sort()).toEqual(snapshots.map(({ id }) => `hypervue-${id}`).sort());
  const folders = readdirSync(path.join(folder, 'snapshots')).filter((name) => !name.endsWith('.json'));
  expect(folders.sort()).toEqual(snapshots.map(({ id }) => id).sort());
}
