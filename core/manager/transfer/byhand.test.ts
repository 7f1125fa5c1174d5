import { execFileSync } from 'node:child_process';
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmSummary } from '../../contract/vm.ts';
import { failureOf, Harness } from '../testing/harness.ts';

/** A machine's folder copied by hand, from one computer's library into another's: two managers with nothing in common but the copy. */
let here: Harness;
let there: Harness;

beforeEach(async () => {
  here = await Harness.open();
  there = await Harness.open();
});

afterEach(async () => {
  await here.close();
  await there.close();
});

const disk = ({ folder }: VmSummary) => path.join(folder, 'disk.qcow2');
const write = (vm: VmSummary, pattern: number) => execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 0 64k`, disk(vm)]);
const holds = (vm: VmSummary, pattern: number) =>
  !execFileSync('qemu-io', ['-r', '-f', 'qcow2', '-c', `read -P ${pattern} 0 64k`, disk(vm)], { encoding: 'utf8' }).includes(
    'verification failed',
  );
const typed = async (h: Harness, { id }: VmSummary) => (await h.call('vm.screenText', { id }))!.rows[1];

/** A machine that is saved, with two snapshots behind it: one of its disk alone, one with memory. */
async function travelled(): Promise<VmSummary> {
  const made = await here.fake('Traveller');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', disk(made), '8M']);
  const { id } = await here.call('vm.update', {
    id: made.id,
    patch: { drives: [{ id: 'ide0', kind: 'disk', path: 'disk.qcow2', format: 'qcow2', readOnly: false }] },
  });
  write(made, 1);
  await here.call('snapshot.take', { id, name: 'disk', memory: false });
  write(made, 2);
  await here.call('vm.start', { id });
  await here.call('vm.typeText', { id, text: 'kept' });
  await here.call('snapshot.take', { id, name: 'memory', memory: true });
  await here.call('vm.typeText', { id, text: ' on' });
  return here.call('vm.saveState', { id });
}

const carry = async (vm: VmSummary, option: string): Promise<VmSummary> => {
  execFileSync('cp', [option, vm.folder, there.library]);
  return (await there.call('vm.list', {})).find(({ id }) => id === vm.id)!;
};

test('opens, goes on from its saved state, and goes back to every snapshot', async () => {
  const vm = await travelled();
  const copy = await carry(vm, '-a');
  expect(copy).toMatchObject({ name: 'Traveller', state: 'saved', problem: null, folder: path.join(there.library, 'Traveller') });
  // The original is gone: nothing of it may be needed.
  rmSync(vm.folder, { recursive: true });
  const { id } = copy;
  expect((await there.call('vm.start', { id })).state).toBe('running');
  expect(await typed(there, copy)).toBe('kept on');
  await there.call('vm.forceOff', { id });
  const { snapshots } = await there.call('snapshot.list', { id });
  expect(snapshots.map(({ name, kind }) => [name, kind])).toEqual([
    ['disk', 'disk'],
    ['memory', 'memory'],
  ]);
  await there.call('snapshot.revert', { id, snapshot: snapshots[1]!.id });
  expect(await typed(there, copy)).toBe('kept');
  await there.call('vm.forceOff', { id });
  await there.call('snapshot.revert', { id, snapshot: snapshots[0]!.id });
  expect(holds(copy, 1)).toBe(true);
  expect((await there.call('storage.volumes', {})).find(({ machine }) => machine?.id === id)).toMatchObject({
    problem: null,
    lockedBy: null,
  });
});

test('that lost its times on the way asks before it goes on, and then does', async () => {
  const copy = await carry(await travelled(), '-a');
  // As a copy of some minutes later has it.
  utimesSync(disk(copy), new Date(), new Date(Date.now() + 300_000));
  const { id } = copy;
  const error = await failureOf(there.call('vm.start', { id }));
  expect(error.dto).toMatchObject({ kind: 'invalid-state', context: { reason: 'disks-changed' } });
  expect((await there.get(id)).state).toBe('saved');
  expect((await there.call('vm.start', { id, despiteDisks: true })).state).toBe('running');
  expect(await typed(there, copy)).toBe('kept on');
  await there.call('vm.forceOff', { id });
});

test('without its disc or its disk elsewhere names what is missing and what to do', async () => {
  const made = await here.create('Reader', { newDisk: { sizeBytes: 1 << 20 } });
  const disc = here.medium('data.iso');
  const outside = here.medium('outside.img');
  writeFileSync(outside, Buffer.alloc(1 << 20));
  const drives = made.config!.drives.map((drive) => (drive.kind === 'cdrom' ? { ...drive, path: disc } : drive));
  const { id } = await here.call('vm.update', {
    id: made.id,
    patch: { drives: [...drives, { id: 'ide1', kind: 'disk', path: outside, format: 'raw', readOnly: false }] },
  });
  const copy = await carry(await here.get(id), '-a');
  rmSync(disc);
  expect((await failureOf(there.call('vm.start', { id: copy.id }))).dto).toMatchObject({
    kind: 'not-found',
    message: expect.stringContaining('data.iso'),
    fix: expect.stringMatching(/./),
  });
  await there.call('vm.changeMedium', { id: copy.id, drive: 'ide2', path: null });
  rmSync(outside);
  expect((await failureOf(there.call('vm.start', { id: copy.id }))).dto).toMatchObject({
    kind: 'not-found',
    message: expect.stringContaining('outside.img'),
    fix: expect.stringMatching(/./),
  });
});
