import { statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { failureOf, Harness } from './testing/harness.ts';

let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

const logged = async (id: string) => (await h.call('vm.log', { id, lines: 50 })).map(({ message }) => message);

test('a drive is served otherwise from now on, and after the next start', async () => {
  const { id } = await h.create('Disk', { newDisk: { sizeBytes: 1 << 20 }, bus: 'virtio' });
  expect((await h.get(id)).config!.drives[0]!.id).toBe('virtio0');
  const policy = { cache: 'writethrough', limits: { iops: 100, bytesPerSecond: 1 << 20 } } as const;
  await h.call('vm.start', { id });
  await h.call('vm.setDrivePolicy', { id, drive: 'virtio0', policy });
  expect((await h.get(id)).config!.drives[0]).toMatchObject(policy);
  expect((await logged(id)).some((line) => line.includes('"iops":100'))).toBe(true);
  // A policy is replaced as a whole.
  const after = await h.call('vm.setDrivePolicy', { id, drive: 'virtio0', policy: { writeErrors: 'report' } });
  expect(after.config!.drives[0]!.cache).toBeUndefined();
  expect((await failureOf(h.call('vm.setDrivePolicy', { id, drive: 'virtio1', policy }))).kind).toBe('not-found');
  await h.call('vm.forceOff', { id });
});

test('a disk grows in the file while the machine is off, in the machine while it runs', async () => {
  const { id, folder } = await h.create('Disk', { newDisk: { sizeBytes: 1 << 20, format: 'raw' } });
  const grow = (drive: 'ide0' | 'ide2', sizeBytes: number) => h.call('vm.growDisk', { id, drive, sizeBytes });
  await grow('ide0', 2 << 20);
  expect(statSync(path.join(folder, 'disk.img')).size).toBe(2 << 20);
  expect((await failureOf(grow('ide0', 1 << 20))).kind).toBe('invalid-argument');
  expect((await failureOf(grow('ide2', 4 << 20))).kind).toBe('unsupported');
  await h.call('vm.start', { id });
  await grow('ide0', 3 << 20);
  expect(await logged(id)).toContain('ide0: 3145728 bytes');
  await h.call('vm.forceOff', { id });
});

test('a disk is refused where its bus has no such place', async () => {
  const { id } = await h.create('Disk', { newDisk: { sizeBytes: 1 << 20 } });
  const drives = (await h.get(id)).config!.drives;
  const cd = drives.find(({ kind }) => kind === 'cdrom')!;
  expect((await failureOf(h.call('vm.update', { id, patch: { drives: [{ ...cd, id: 'virtio1' }] } }))).kind).toBe('invalid-argument');
  const moved = drives.map((drive) => (drive.kind === 'disk' ? { ...drive, id: 'virtio5' as const } : drive));
  expect((await h.call('vm.update', { id, patch: { drives: moved } })).config!.drives[0]!.id).toBe('virtio5');
});
