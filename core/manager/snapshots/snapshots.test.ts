import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { VmSummary } from '../../contract/vm.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { openImage } from '../../platform/openimage.ts';
import { failureOf, Harness } from '../testing/harness.ts';
import { tagOf } from './store.ts';

let h: Harness;

beforeAll(async () => {
  h = await Harness.open();
});

afterAll(async () => {
  await h.close();
});

let count = 0;
const disk = ({ folder }: Pick<VmSummary, 'folder'>) => path.join(folder, 'disk.qcow2');

/** A machine with a qcow2 disk. */
async function made(cmdline = ''): Promise<VmSummary> {
  const vm = await h.fake(`N${++count}`, cmdline);
  await createDisk(disk(vm), { format: 'qcow2', sizeBytes: 8 << 20 });
  return h.call('vm.update', {
    id: vm.id,
    patch: { drives: [{ id: 'ide0', kind: 'disk', path: 'disk.qcow2', format: 'qcow2', readOnly: false }] },
  });
}

async function put(vm: VmSummary, byte: number): Promise<void> {
  const image = await openImage(disk(vm), { readOnly: false, format: 'qcow2' });
  await image.write(0, new Uint8Array(65536).fill(byte));
  await image.close();
}

async function get(vm: Pick<VmSummary, 'folder'>): Promise<number> {
  const image = await openImage(disk(vm), { readOnly: true, format: 'qcow2' });
  const bytes = new Uint8Array(1);
  await image.read(0, bytes);
  await image.close();
  return bytes[0]!;
}

/** Names of the snapshots that QEMU's tool sees in the disk; its check has to find nothing. */
function inDisk(vm: VmSummary): string[] {
  execFileSync('qemu-img', ['check', '-q', disk(vm)]);
  const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk(vm)], { encoding: 'utf8' })) as {
    snapshots?: { name: string }[];
  };
  return (info.snapshots ?? []).map(({ name }) => name);
}

const list = ({ id }: VmSummary) => h.call('snapshot.list', { id });
const take = ({ id }: VmSummary, name: string, memory = true) => h.call('snapshot.take', { id, name, memory });
const typed = async ({ id }: VmSummary) => (await h.call('vm.screenText', { id }))!.rows[1];

describe('snapshots', () => {
  test('of a machine that is off: tree, branches, revert in both directions, rename, delete', async () => {
    const vm = await made();
    const { id } = vm;
    await put(vm, 1);
    const one = await take(vm, 'one');
    expect(one).toMatchObject({ kind: 'disk', state: 'off', parent: null, memoryBytes: 0, pauseMs: null });
    await put(vm, 2);
    const two = await take(vm, 'two');
    expect(two.parent).toBe(one.id);
    await put(vm, 3);
    expect((await h.call('snapshot.revert', { id, snapshot: one.id })).state).toBe('off');
    expect(await get(vm)).toBe(1);
    await put(vm, 4);
    const branch = await take(vm, 'branch');
    expect(branch.parent).toBe(one.id);
    await h.call('snapshot.revert', { id, snapshot: two.id });
    expect(await get(vm)).toBe(2);
    await h.call('snapshot.revert', { id, snapshot: branch.id });
    expect(await get(vm)).toBe(4);
    expect(inDisk(vm)).toEqual([one, two, branch].map((each) => tagOf(each.id)));
    expect(await h.call('snapshot.update', { id, snapshot: two.id, name: 'deux', description: 'd' })).toMatchObject({
      name: 'deux',
      description: 'd',
    });
    await h.call('snapshot.delete', { id, snapshot: one.id });
    const left = await list(vm);
    expect(left.snapshots.map(({ name, parent }) => [name, parent])).toEqual([
      ['deux', null],
      ['branch', null],
    ]);
    expect(left.current).toBe(branch.id);
    expect(inDisk(vm)).toEqual([two, branch].map((each) => tagOf(each.id)));
    await h.call('snapshot.revert', { id, snapshot: two.id });
    expect(await get(vm)).toBe(2);
    for (const each of [two, branch]) await h.call('snapshot.delete', { id, snapshot: each.id });
    expect(inDisk(vm)).toEqual([]);
    // Nothing is left, as linked clones look for it.
    expect(existsSync(path.join(vm.folder, 'snapshots'))).toBe(false);
  });

  test('of running and paused machines have their memory, and reverting goes on from it, also while it runs', async () => {
    const vm = await made();
    const { id } = vm;
    await h.call('vm.start', { id });
    await h.call('vm.typeText', { id, text: 'first' });
    const first = await take(vm, 'first');
    expect(first).toMatchObject({ kind: 'memory', state: 'running', pauseMs: 5 });
    expect(first.memoryBytes).toBeGreaterThan(0);
    expect((await h.call('snapshot.thumbnail', { id, snapshot: first.id })).png).toMatch(/^iVBOR/);
    await h.call('vm.typeText', { id, text: ' second' });
    await h.call('vm.pause', { id });
    const second = await take(vm, 'second');
    expect(second).toMatchObject({ state: 'paused', pauseMs: null, parent: first.id });
    expect((await h.call('snapshot.revert', { id, snapshot: first.id })).state).toBe('running');
    expect(await typed(vm)).toBe('first');
    await h.call('vm.typeText', { id, text: ' third' });
    const plan = await h.call('snapshot.plan', { id, snapshot: second.id, operation: 'revert', keep: true });
    expect(plan.map(({ code }) => code)).toEqual(['keepsPresent', 'revertsDisk', 'startsFrom']);
    expect((await h.call('snapshot.revert', { id, snapshot: second.id, keep: 'third' })).state).toBe('paused');
    expect(await typed(vm)).toBe('first second');
    const third = (await list(vm)).snapshots.find(({ name }) => name === 'third')!;
    expect(third.parent).toBe(first.id);
    const disksOnly = await take(vm, 'disks', false);
    expect(disksOnly).toMatchObject({ kind: 'disk', state: 'off' });
    await h.call('snapshot.delete', { id, snapshot: disksOnly.id });
    await h.call('vm.forceOff', { id });
    expect((await h.call('snapshot.revert', { id, snapshot: third.id })).state).toBe('running');
    expect(await typed(vm)).toBe('first third');
    await h.call('vm.forceOff', { id });
  });

  test.each([
    ['in the same process', '', true],
    ['in a new one where the machine says so', 'fake.revert-anew', false],
    ['in a new one when it dies of it', 'fake.revert-fails', false],
  ])('of running machines: reverted %s', async (_, cmdline, same) => {
    const vm = await made(cmdline);
    const { id } = vm;
    await h.call('vm.start', { id });
    await h.call('vm.typeText', { id, text: 'then' });
    const then = await take(vm, 'then');
    const started = (await h.call('vm.get', { id })).startedAt;
    await h.call('vm.typeText', { id, text: ' now' });
    const plan = await h.call('snapshot.plan', { id, snapshot: then.id, operation: 'revert' });
    expect(plan.map(({ code }) => code)).toEqual(['losesPresent', 'revertsDisk', 'startsFrom']);
    const reverted = await h.call('snapshot.revert', { id, snapshot: then.id });
    expect(reverted.state).toBe('running');
    expect(reverted.startedAt === started).toBe(same);
    expect(await typed(vm)).toBe('then');
    expect((await list(vm)).current).toBe(then.id);
    expect(existsSync(path.join(vm.folder, 'snapshots', 'journal.json'))).toBe(false);
    // One with other hardware can't be the same process.
    await h.call('vm.update', { id, patch: { memoryMiB: 33 } });
    const other = await h.call('snapshot.plan', { id, snapshot: then.id, operation: 'revert' });
    expect(other.map(({ code }) => code)).toContain('turnsOff');
    await h.call('snapshot.revert', { id, snapshot: then.id });
    expect(await typed(vm)).toBe('then');
    await h.call('vm.forceOff', { id });
    expect(inDisk(vm)).toEqual([tagOf(then.id)]);
  });

  test('bring the hardware of then back, but neither name nor description', async () => {
    const vm = await made();
    const { id } = vm;
    const taken = await take(vm, 'small');
    await h.call('vm.update', { id, patch: { memoryMiB: 123, name: `${vm.name} b` } });
    const plan = await h.call('snapshot.plan', { id, snapshot: taken.id, operation: 'revert' });
    expect(plan.find(({ code }) => code === 'revertsHardware')!.text).toContain('123');
    expect(plan.filter(({ destructive }) => destructive).map(({ code }) => code)).toEqual(['losesPresent']);
    const after = await h.call('snapshot.revert', { id, snapshot: taken.id });
    expect(after).toMatchObject({ name: `${vm.name} b`, config: { memoryMiB: vm.config!.memoryMiB } });
  });

  test('become machines of their own', async () => {
    const vm = await made();
    const { id } = vm;
    await put(vm, 7);
    const taken = await take(vm, 'seven');
    await put(vm, 8);
    await h.call('vm.start', { id });
    const clone = await h.call('snapshot.clone', { id, snapshot: taken.id, name: `${vm.name} clone` });
    expect(await get(clone)).toBe(7);
    expect(inDisk(clone)).toEqual([]);
    expect(clone.id).not.toBe(id);
    await h.call('vm.forceOff', { id });
    expect(await get(vm)).toBe(8);
  });

  test('become linked clones, which share the disk of then; nothing can be taken from below them', async () => {
    const vm = await made();
    const { id } = vm;
    await put(vm, 7);
    const taken = await take(vm, 'seven');
    await put(vm, 8);
    await h.call('vm.start', { id });
    const steps = async (operation: 'clone' | 'delete') =>
      (await h.call('snapshot.plan', { id, snapshot: taken.id, operation, linked: true })).map(({ code }) => code);
    expect(await steps('clone')).toEqual(['writesBase', 'linksDisk']);
    const [one, two] = [
      await h.call('snapshot.clone', { id, snapshot: taken.id, name: `${vm.name} one`, linked: true }),
      await h.call('snapshot.clone', { id, snapshot: taken.id, name: `${vm.name} two`, linked: true }),
    ];
    expect(await steps('clone')).toEqual(['linksDisk']);
    const base = path.join(vm.folder, `disk-ide0-${taken.id}.qcow2`);
    for (const clone of [one, two]) {
      expect(await get(clone)).toBe(7);
      const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk(clone)], { encoding: 'utf8' }));
      expect(path.resolve(clone.folder, info['backing-filename'])).toBe(base);
      expect(info['actual-size']).toBeLessThan(1 << 20);
    }
    // What the original does further is not theirs, and what one of them writes is its own.
    await put(one, 9);
    await h.call('vm.forceOff', { id });
    await put(vm, 10);
    expect([await get(one), await get(two), await get(vm)]).toEqual([9, 7, 10]);
    // The base can't go, by itself or with its machine; nor change.
    expect((await failureOf(h.call('storage.delete', { path: base }))).kind).toBe('in-use');
    expect((await failureOf(h.call('storage.resize', { path: base, sizeBytes: 16 << 20 }))).kind).toBe('in-use');
    expect((await failureOf(h.call('vm.delete', { id }))).kind).toBe('in-use');
    // The snapshot can: it is not what they lie on.
    expect(await steps('delete')).toContain('keepsBase');
    await h.call('snapshot.delete', { id, snapshot: taken.id });
    expect([existsSync(base), inDisk(vm), await get(two)]).toEqual([true, [], 7]);
    // One stands by itself after a merge; with the other one gone the base is nobody's.
    await h.call('storage.rebase', { path: disk(one), backing: null });
    await h.call('vm.delete', { id: two.id });
    await h.call('storage.delete', { path: base });
    expect(await get(one)).toBe(9);
    execFileSync('qemu-img', ['check', '-q', disk(one)]);
  });

  test('a snapshot that no linked clone needs takes the disk for them along', async () => {
    const vm = await made();
    const { id } = vm;
    await put(vm, 3);
    const { id: snapshot } = await take(vm, 'three');
    const clone = await h.call('snapshot.clone', { id, snapshot, name: `${vm.name} linked`, linked: true });
    const base = path.join(vm.folder, `disk-ide0-${snapshot}.qcow2`);
    await h.call('vm.delete', { id: clone.id });
    expect((await h.call('snapshot.plan', { id, snapshot, operation: 'delete' })).map(({ code }) => code)).toContain('freesBase');
    await h.call('snapshot.delete', { id, snapshot });
    expect(existsSync(base)).toBe(false);
    // The clone in the trash can have it back.
    expect((await h.call('trash.list', {})).some(({ name }) => name === path.basename(base))).toBe(true);
  });

  test('are taken by themselves before risky changes, when that is wanted, and the oldest of them go', async () => {
    const vm = await made();
    const { id } = vm;
    const drives = (await h.get(id)).config!.drives;
    const cd = { id: 'ide2', kind: 'cdrom', path: null, format: 'raw', readOnly: true } as const;
    await h.call('vm.update', { id, patch: { drives: [] } });
    await h.call('vm.update', { id, patch: { drives } });
    expect((await list(vm)).snapshots).toEqual([]);
    await h.call('settings.set', { automaticSnapshots: true });
    try {
      // Another drive beside it loses nothing.
      await h.call('vm.update', { id, patch: { drives: [...drives, cd] } });
      expect((await list(vm)).snapshots).toEqual([]);
      await put(vm, 4);
      await h.call('storage.resize', { path: disk(vm), sizeBytes: 4 << 20 });
      await h.call('vm.resetFirmware', { id });
      await h.call('vm.update', { id, patch: { drives: [cd] } });
      const { snapshots } = await list(vm);
      expect(snapshots.map(({ automatic, kind }) => [automatic, kind])).toEqual([
        ['shrink', 'disk'],
        ['firmware', 'disk'],
        ['drives', 'disk'],
      ]);
      // The disk is back, as large as it was.
      await h.call('snapshot.revert', { id, snapshot: snapshots[0]!.id });
      expect((await h.call('storage.info', { path: disk(vm) })).volume.sizeBytes).toBe(8 << 20);
      expect(await get(vm)).toBe(4);
      const kept = await h.call('snapshot.update', { id, snapshot: snapshots[0]!.id, name: 'Keep this' });
      expect(kept.automatic).toBe(null);
      const mine = await take(vm, 'mine');
      for (let n = 0; n < 6; n++) await h.call('vm.resetFirmware', { id });
      const after = (await list(vm)).snapshots;
      expect(after.filter(({ automatic }) => automatic !== null)).toHaveLength(5);
      expect(after.map((one) => one.id)).toEqual(expect.arrayContaining([kept.id, mine.id]));
      expect(after.map((one) => one.id)).not.toContain(snapshots[1]!.id);
      expect(inDisk(vm).sort()).toEqual(
        after
          .filter((one) => one.disks.length)
          .map((one) => tagOf(one.id))
          .sort(),
      );
      // A machine that can't have one is changed all the same, and its log says so.
    } finally {
      await h.call('settings.set', { automaticSnapshots: false });
    }
  });

  test('that are cancelled leave nothing; the machine goes on', async () => {
    const vm = await made('fake.slow-save');
    const { id } = vm;
    await h.call('vm.start', { id });
    for (const begin of [() => take(vm, 'x'), () => h.call('vm.saveState', { id })]) {
      const failure = failureOf(begin());
      const task = await vi.waitUntil(async () =>
        (await h.call('task.list', {})).find(({ state, progress }) => state === 'running' && progress !== null),
      );
      expect(task.progress).toBe(0.4);
      await h.call('task.cancel', { id: task.id });
      expect((await failure).kind).toBe('cancelled');
      expect((await h.call('task.list', {})).find((one) => one.id === task.id)!.state).toBe('cancelled');
      expect((await h.get(id)).state).toBe('running');
    }
    expect((await list(vm)).snapshots).toEqual([]);
    await h.call('vm.forceOff', { id });
    expect((await h.get(id)).state).toBe('off');
    expect([inDisk(vm), existsSync(path.join(vm.folder, 'snapshots')), existsSync(path.join(vm.folder, 'saved.state'))]).toEqual([
      [],
      false,
      false,
    ]);
  });

  test('that fail leave nothing', async () => {
    const vm = await made('fake.no-save');
    await h.call('vm.start', { id: vm.id });
    expect((await failureOf(take(vm, 'x'))).kind).toBe('no-space');
    expect((await h.get(vm.id)).state).toBe('running');
    await h.call('vm.forceOff', { id: vm.id });
    expect(inDisk(vm)).toEqual([]);
    expect(existsSync(path.join(vm.folder, 'snapshots'))).toBe(false);
  });

  test('of a machine whose process dies in the middle are absent', async () => {
    const vm = await made('fake.die-in-snapshot');
    await h.call('vm.start', { id: vm.id });
    expect((await failureOf(take(vm, 'x'))).kind).toBe('vm-crashed');
    await h.reaches(vm.id, 'crashed');
    expect(inDisk(vm)).toEqual([]);
    expect((await list(vm)).snapshots).toEqual([]);
    expect(existsSync(path.join(vm.folder, 'snapshots'))).toBe(false);
  });

  test('whose tag was deleted with another program are not reverted to, and nothing is lost', async () => {
    const vm = await made();
    await put(vm, 5);
    const taken = await take(vm, 'x');
    execFileSync('qemu-img', ['snapshot', '-d', tagOf(taken.id), disk(vm)]);
    await put(vm, 6);
    expect((await failureOf(h.call('snapshot.revert', { id: vm.id, snapshot: taken.id }))).kind).toBe('not-found');
    expect(await get(vm)).toBe(6);
    await h.call('snapshot.delete', { id: vm.id, snapshot: taken.id });
  });
});

describe('after a crash of the manager', () => {
  const journal = (vm: VmSummary, operation: string, id: string) =>
    writeFileSync(
      path.join(vm.folder, 'snapshots/journal.json'),
      JSON.stringify({ operation, id, disks: [{ drive: 'ide0', path: 'disk.qcow2' }] }),
    );

  test('a snapshot that was being taken is absent', async () => {
    const vm = await made();
    const kept = await take(vm, 'kept');
    const id = 'aaaabbbbccccdddd';
    execFileSync('qemu-img', ['snapshot', '-c', tagOf(id), disk(vm)]);
    execFileSync('mkdir', [path.join(vm.folder, 'snapshots', id)]);
    journal(vm, 'take', id);
    await h.call('vm.start', { id: vm.id });
    expect(inDisk(vm)).toEqual([tagOf(kept.id)]);
    expect(readdirSync(path.join(vm.folder, 'snapshots')).sort()).toEqual([kept.id, 'snapshots.json'].sort());
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('a revert is finished before the machine runs', async () => {
    const vm = await made();
    await put(vm, 1);
    const one = await take(vm, 'one');
    await put(vm, 2);
    journal(vm, 'revert', one.id);
    await h.call('vm.start', { id: vm.id });
    await h.call('vm.forceOff', { id: vm.id });
    expect(await get(vm)).toBe(1);
    expect((await list(vm)).current).toBe(one.id);
  });

  test('a delete is finished', async () => {
    const vm = await made();
    const one = await take(vm, 'one');
    const two = await take(vm, 'two');
    journal(vm, 'delete', one.id);
    await take(vm, 'three');
    expect((await list(vm)).snapshots.map(({ name, parent }) => [name, parent])).toEqual([
      ['two', null],
      ['three', two.id],
    ]);
    expect(inDisk(vm)).not.toContain(tagOf(one.id));
  });

  test('what writing the manifest or the journal left goes, and nothing else', async () => {
    const vm = await made();
    const one = await take(vm, 'one');
    const folder = path.join(vm.folder, 'snapshots');
    const before = readdirSync(folder);
    for (const name of ['snapshots.json', 'journal.json']) writeFileSync(path.join(folder, `${name}.ef57fc069cd4.tmp`), '{"sch');
    for (const name of ['mine.tmp', 'snapshots.json.old.tmp']) writeFileSync(path.join(folder, name), 'mine');
    await h.reopen();
    expect((await list(vm)).snapshots.map(({ id }) => id)).toEqual([one.id]);
    expect(readdirSync(folder).sort()).toEqual([...before, 'mine.tmp', 'snapshots.json.old.tmp'].sort());
    // As when somebody still worked on the machine then.
    writeFileSync(path.join(folder, 'journal.json.ef57fc069cd4.tmp'), '{"sch');
    await take(vm, 'two');
    expect(readdirSync(folder)).not.toContain('journal.json.ef57fc069cd4.tmp');
    expect(readdirSync(folder)).toContain('mine.tmp');
  });

  test('a delete that was cut off leaves what a linked clone lies on, though the clone is found only later', async () => {
    const vm = await made();
    const one = await take(vm, 'one');
    const clone = await h.call('snapshot.clone', { id: vm.id, snapshot: one.id, name: `zz ${vm.name}`, linked: true });
    journal(vm, 'delete', one.id);
    await h.reopen();
    expect((await list(vm)).snapshots).toEqual([]);
    expect(existsSync(path.join(vm.folder, `disk-ide0-${one.id}.qcow2`))).toBe(true);
    execFileSync('qemu-img', ['check', '-q', disk(clone)]);
  });

  test('a delete that was cut off puts what nothing lies on any more into the trash, once all machines are known', async () => {
    const vm = await made();
    const [one, two] = [await take(vm, 'one'), await take(vm, 'two')];
    const kept = await h.call('snapshot.clone', { id: vm.id, snapshot: one.id, name: `zz ${vm.name}`, linked: true });
    const gone = await h.call('snapshot.clone', { id: vm.id, snapshot: two.id, name: `zy ${vm.name}`, linked: true });
    await h.call('vm.delete', { id: gone.id });
    const bases = () => readdirSync(vm.folder).filter((name) => /-[0-9a-f]{16}\.qcow2$/.test(name));
    expect(bases()).toHaveLength(2);
    for (const { id } of [one, two]) {
      journal(vm, 'delete', id);
      await h.reopen();
    }
    expect((await list(vm)).snapshots).toEqual([]);
    expect(bases()).toEqual([`disk-ide0-${one.id}.qcow2`]);
    execFileSync('qemu-img', ['check', '-q', disk(kept)]);
    expect((await h.call('trash.list', {})).some(({ name }) => name.includes(two.id))).toBe(true);
    expect(existsSync(path.join(vm.folder, 'snapshots'))).toBe(false);
  });

  test('what a cut-off delete left stays as long as there is a machine that can not be read', async () => {
    const vm = await made();
    const one = await take(vm, 'one');
    const clone = await h.call('snapshot.clone', { id: vm.id, snapshot: one.id, name: `zz ${vm.name}`, linked: true });
    const config = path.join(clone.folder, 'vm.json');
    const text = readFileSync(config, 'utf8');
    writeFileSync(config, '{');
    journal(vm, 'delete', one.id);
    await h.reopen();
    const base = path.join(vm.folder, `disk-ide0-${one.id}.qcow2`);
    expect(existsSync(base)).toBe(true);
    writeFileSync(config, text);
    await h.reopen();
    expect(existsSync(base)).toBe(true);
    await h.call('vm.delete', { id: clone.id });
  });

  test('a manifest that can not be read is left as it is', async () => {
    const vm = await made();
    await take(vm, 'one');
    const file = path.join(vm.folder, 'snapshots/snapshots.json');
    writeFileSync(file, '{"schema": 1');
    expect((await failureOf(list(vm))).kind).toBe('corrupt');
    expect((await failureOf(take(vm, 'two'))).kind).toBe('corrupt');
    expect(readFileSync(file, 'utf8')).toBe('{"schema": 1');
    rmSync(path.join(vm.folder, 'snapshots'), { recursive: true });
  });
});
