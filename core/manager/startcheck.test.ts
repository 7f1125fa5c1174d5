import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Check } from '../contract/vm.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { mountSmall } from '../platform/testing/smalldisk.ts';
import { failureOf, Harness } from './testing/harness.ts';
import { isoImage, rawImage, uefiDisk } from './testing/media.ts';

const MIB = 1024 * 1024;
let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

const checksOf = async (id: string): Promise<Check[]> => (await h.call('vm.check', { ids: [id] }))[0]!.checks;
const problemsOf = async (id: string) => (await checksOf(id)).filter(({ ok }) => !ok);

test('where all is well every check is good, and nothing is left behind or changed', async () => {
  const { id } = await h.create('Well', { source: { type: 'iso', path: h.medium('disc.iso', isoImage()) }, newDisk: { sizeBytes: MIB } });
  const checks = await checksOf(id);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks.map((check) => check.id)).toEqual(expect.arrayContaining(['engine', 'firmware', 'memory', 'ide2', 'space']));
  expect(h.lockFiles()).toEqual([]);
  expect((await h.get(id)).state).toBe('off');
});

test('a medium that is gone can be ejected, and the start fails with the same words as long as it is not', async () => {
  const iso = h.medium('disc.iso', isoImage());
  const { id } = await h.create('Disc', { source: { type: 'iso', path: iso } });
  rmSync(iso);
  const [check, ...others] = await problemsOf(id);
  expect(others).toEqual([]);
  expect(check).toMatchObject({ id: 'ide2', severity: 'error', remedy: { do: 'eject', drive: 'ide2' }, said: { key: 'fileENOENT' } });
  expect((await failureOf(h.call('vm.start', { id }))).message).toBe(check!.message);
  await h.call('vm.changeMedium', { id, drive: 'ide2', path: null });
  expect(await problemsOf(id)).toEqual([]);
});

test('a base that is gone below a disk, and one that another machine writes to', async () => {
  const base = path.join(h.media, 'base.qcow2');
  const top = path.join(h.media, 'top.qcow2');
  await createDisk(base, { format: 'qcow2', sizeBytes: MIB });
  await createDisk(top, { format: 'qcow2', sizeBytes: MIB, backingFile: base, backingFormat: 'qcow2' });
  const { id } = await h.create('Top', { source: { type: 'disk', path: top, copy: false } });
  expect((await problemsOf(id)).filter(({ severity }) => severity === 'error')).toEqual([]);
  rmSync(base);
  expect((await problemsOf(id))[0]).toMatchObject({ severity: 'error', message: expect.stringContaining(base) });
  expect((await failureOf(h.call('vm.start', { id }))).message).toContain(base);
});

test('an image that is not what vm.json says, and one that was not closed, stop it; each names the file', async () => {
  const disk = path.join(h.media, 'disk.qcow2');
  await createDisk(disk, { format: 'qcow2', sizeBytes: MIB });
  const { id } = await h.create('Disk', { source: { type: 'disk', path: disk, copy: false } });
  const bytes = rawImage(MIB);
  writeFileSync(disk, bytes);
  expect((await problemsOf(id)).filter(({ severity }) => severity === 'error')).toMatchObject([{ message: expect.stringContaining(disk) }]);
  rmSync(disk);
  await createDisk(disk, { format: 'qcow2', sizeBytes: MIB });
  const dirty = readFileSync(disk);
  // Incompatible features, bit 0: dirty (qcow2 specification, bytes 72-79).
  dirty[79]! |= 1;
  writeFileSync(disk, dirty);
  expect(await problemsOf(id)).toEqual(
    expect.arrayContaining([expect.objectContaining({ severity: 'error', said: expect.objectContaining({ key: 'imageNotClosed' }) })]),
  );
  truncateSync(disk, 0);
  expect((await problemsOf(id))[0]).toMatchObject({ severity: 'error', said: { key: 'fileEmpty' } });
});

test('a disk that another machine has is shown with the way to that machine', async () => {
  const disk = h.medium('shared.img');
  const first = await h.create('First', { source: { type: 'disk', path: disk, copy: false } });
  const second = await h.create('Second', { source: { type: 'disk', path: disk, copy: false } });
  await h.call('vm.start', { id: first.id });
  expect(await problemsOf(second.id)).toMatchObject([{ severity: 'error', remedy: { do: 'show', machine: 'First' } }]);
  // One that is on is none to start.
  expect((await h.call('vm.check', { ids: [first.id] }))[0]).toMatchObject({ checks: [], error: { kind: 'invalid-state' } });
});

test('ports that somebody has', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { id } = await h.fake('Listening');
  await h.call('vm.update', { id, patch: { debug: { gdb: { type: 'tcp', port }, wait: false } } });
  try {
    expect(await problemsOf(id)).toMatchObject([{ id: 'gdb', severity: 'error', said: { key: 'gdbInUse' } }]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  expect(await problemsOf(id)).toEqual([]);
});

test('of several, each is counted as if those before it were on', async () => {
  const { memoryBytes, limits } = await h.call('host.info', {});
  const memoryMiB = limits.maxMemoryMiB;
  const ids: string[] = [];
  // Together more than there is, whatever of it is free.
  for (let left = memoryBytes / MIB; left > -memoryMiB; left -= memoryMiB) {
    const { id } = await h.fake(`Many ${ids.length}`);
    await h.call('vm.update', { id, patch: { memoryMiB } });
    ids.push(id);
  }
  const found = await h.call('vm.check', { ids });
  expect(found.map(({ id }) => id)).toEqual(ids);
  const last = found.at(-1)!.checks.find(({ id }) => id === 'memory')!;
  expect(last).toMatchObject({ ok: false, said: { key: expect.stringMatching(/^memoryOver(Free|Host)$/) } });
});

test('little room is a doubt, not a stop', async ({ skip }) => {
  const small = mountSmall(16 * MIB) ?? skip('only root may mount a small file system');
  const full = await Harness.open({ library: path.join(small.folder, 'machines') });
  try {
    const { id } = await full.create('Tight', {
      source: { type: 'iso', path: full.medium('disc.iso', isoImage()) },
      newDisk: { sizeBytes: 64 * MIB },
    });
    const checks = (await full.call('vm.check', { ids: [id] }))[0]!.checks.filter(({ ok }) => !ok);
    expect(checks).toMatchObject([
      { id: 'space.grow', severity: 'warning', remedy: { do: 'trash' } },
      { id: 'space.save', severity: 'warning', remedy: { do: 'trash' } },
    ]);
    expect((await full.call('vm.start', { id })).state).toBe('running');
  } finally {
    await full.close();
    small.unmount();
  }
});

test('a disk that starts under UEFI only is a doubt of a machine with a BIOS, and none of one with UEFI', async () => {
  const disk = h.medium('uefi.img', uefiDisk());
  const bios = await h.create('Bios', { source: { type: 'disk', path: disk, copy: true, readOnly: false } });
  expect((await problemsOf(bios.id)).map(({ said }) => said?.params)).toMatchObject([{ problem: { key: 'mediaDiskUefiOnly' } }]);
  const source = { type: 'disk', path: disk, copy: true, readOnly: false } as const;
  expect((await h.preflight('Bios 2', source)).find(({ id, ok }) => id === 'source' && !ok)?.remedy).toEqual({ do: 'uefi' });
  expect((await h.preflight('Uefi', source, { firmware: 'uefi' })).filter(({ id, ok }) => id === 'source' && !ok)).toEqual([]);
  const uefi = await h.create('Uefi', { source, firmware: 'uefi', memoryMiB: 256 });
  expect((await problemsOf(uefi.id)).filter(({ id }) => id !== 'firmware')).toEqual([]);
});
