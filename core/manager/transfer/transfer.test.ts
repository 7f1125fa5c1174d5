import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../contract/host.ts';
import type { VmSummary } from '../../contract/vm.ts';
import { acquireLock } from '../../platform/locks.ts';
import { mountSmall } from '../../platform/testing/smalldisk.ts';
import { lockFolder } from '../machinelocks.ts';
import { failureOf, Harness } from '../testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

const write = (file: string, pattern: number, at = '0', format = 'qcow2') =>
  execFileSync('qemu-io', ['-f', format, '-c', `write -P ${pattern} ${at} 64k`, file], { stdio: ['ignore', 'ignore', 'pipe'] });
/** Rejects the wrong pattern by its exit code. */
const holds = (file: string, pattern: number, at = '0', format = 'qcow2') =>
  execFileSync('qemu-io', ['-f', format, '-c', `read -P ${pattern} ${at} 64k`, file], { encoding: 'utf8' }).includes(
    'verification failed',
  ) === false;

/** A machine with a qcow2 disk that holds something, and a raw one. */
async function source(name = 'Source'): Promise<VmSummary> {
  const vm = await h.create(name, { newDisk: { sizeBytes: 8 * MIB, format: 'qcow2' } });
  write(path.join(vm.folder, 'disk.qcow2'), 7);
  writeFileSync(path.join(vm.folder, 'data.img'), Buffer.alloc(2 * MIB, 9));
  const drives = [...vm.config!.drives, { id: 'ide1', kind: 'disk', path: 'data.img', format: 'raw', readOnly: false } as const];
  return h.call('vm.update', { id: vm.id, patch: { drives } });
}
const unfinished = () => h.names().filter((name) => name.startsWith('.creating'));

describe('a full clone', () => {
  test('has disks of its own with the same in them, and nothing that two machines can not share', async () => {
    const vm = await source();
    await h.call('vm.update', { id: vm.id, patch: { display: { vramMiB: 16, listen: { type: 'tcp', host: '127.0.0.1', display: 5 } } } });
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Clone' });
    expect(clone.id).not.toBe(vm.id);
    expect(clone.config).toMatchObject({ name: 'Clone', memoryMiB: 32, display: { listen: null }, template: false });
    expect(
      readdirSync(clone.folder)
        .filter((name) => name !== 'log')
        .sort(),
    ).toEqual(['data.img', 'disk.qcow2', 'vm.json']);
    const disk = path.join(clone.folder, 'disk.qcow2');
    expect(holds(disk, 7)).toBe(true);
    expect(readFileSync(path.join(clone.folder, 'data.img')).equals(Buffer.alloc(2 * MIB, 9))).toBe(true);
    write(disk, 8);
    expect(holds(path.join(vm.folder, 'disk.qcow2'), 7)).toBe(true);
    expect(existsSync(path.join(vm.folder, '.lock'))).toBe(false);
  });

  test('of a running machine, or with a name that is taken, is refused', async () => {
    const vm = await h.fake('Runs');
    expect((await failureOf(h.call('vm.clone', { id: vm.id, name: 'runs' }))).kind).toBe('already-exists');
    await h.call('vm.start', { id: vm.id });
    expect(await failureOf(h.call('vm.clone', { id: vm.id, name: 'Other' }))).toMatchObject({
      kind: 'invalid-state',
      message: expect.stringContaining('running'),
    });
    await h.call('vm.forceOff', { id: vm.id });
    // Another program works on it.
    const lock = acquireLock(path.join(vm.folder, '.lock'), 'Runs', 'somebody');
    expect((await failureOf(h.call('vm.clone', { id: vm.id, name: 'Other' }))).kind).toBe('in-use');
    lock.dispose();
  });

  test('in the middle of it nothing else is done with the machine and its disks, and what that is and what to do is said', async () => {
    const vm = await source();
    // As a clone holds it, however quick the disk is.
    const held = lockFolder(vm.folder, 'Source', 'works on');
    for (const other of [
      () => h.call('vm.start', { id: vm.id }),
      () => h.call('vm.delete', { id: vm.id }),
      () => h.call('snapshot.take', { id: vm.id, name: 'x' }),
      () => h.call('vm.export', { id: vm.id, folder: h.root }),
    ])
      expect(await failureOf(other())).toMatchObject({
        kind: 'in-use',
        message: 'something is being done with Source at the moment',
        dto: { fix: expect.stringContaining('Activity') },
      });
    held.dispose();
    expect((await h.call('vm.clone', { id: vm.id, name: 'Copy' })).name).toBe('Copy');
  });

  test('that is cancelled leaves nothing', async () => {
    const vm = await source();
    writeFileSync(path.join(vm.folder, 'data.img'), Buffer.alloc(48 * MIB, 9));
    h.client.on('task.changed', (task: Task) => {
      if (task.kind === 'vm.clone' && task.state === 'running' && task.progress)
        void h.call('task.cancel', { id: task.id }).catch(() => {});
    });
    expect((await failureOf(h.call('vm.clone', { id: vm.id, name: 'Clone' }))).kind).toBe('cancelled');
    expect(h.names()).toEqual(['Source']);
  });
});

describe('a linked clone', () => {
  test('leaves changes of the original’s drives that are made meanwhile as they are', async () => {
    const vm = await source();
    const disks = vm.config!.drives.filter(({ kind }) => kind === 'disk');
    const [gone] = disks;
    const cloning = h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    const drives = [
      ...vm.config!.drives.filter((drive) => drive !== gone),
      { id: 'fd1', kind: 'floppy', path: null, format: 'raw', readOnly: false } as const,
    ];
    await h.call('vm.update', { id: vm.id, patch: { drives } });
    await cloning;
    const after = (await h.get(vm.id)).config!.drives;
    expect(after.map(({ id }) => id)).toEqual(drives.map(({ id }) => id));
    // The other disks go on with new images, and nothing is left of one that nobody has.
    const own = after.filter(({ kind }) => kind === 'disk').map(({ path: file }) => file!);
    for (const { path: file } of disks) expect(own).not.toContain(file);
    const images = readdirSync(vm.folder).filter((name) => /\.(qcow2|img)$/.test(name));
    expect(images.sort()).toEqual(
      [...new Set([...own, ...disks.map(({ path: file }) => file!)])].filter((file) => !path.isAbsolute(file)).sort(),
    );
  });

  test('of a template lies on its disks, which then never change', async () => {
    const vm = await source();
    await h.call('vm.setTemplate', { id: vm.id, template: true });
    expect(await failureOf(h.call('vm.start', { id: vm.id }))).toMatchObject({
      kind: 'invalid-state',
      message: expect.stringContaining('template'),
    });
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    const disk = path.join(clone.folder, 'disk.qcow2');
    expect(clone.config!.drives.filter(({ kind }) => kind === 'disk')).toEqual([
      { id: 'ide0', kind: 'disk', path: 'disk.qcow2', format: 'qcow2', readOnly: false },
      { id: 'ide1', kind: 'disk', path: 'data.qcow2', format: 'qcow2', readOnly: false },
    ]);
    expect(clone.config!.template).toBe(false);
    expect(JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk], { encoding: 'utf8' }))).toMatchObject({
      'backing-filename': '../Source/disk.qcow2',
    });
    expect(holds(disk, 7)).toBe(true);
    expect(holds(path.join(clone.folder, 'data.qcow2'), 9)).toBe(true);
    for (const attempt of [() => h.call('vm.setTemplate', { id: vm.id, template: false }), () => h.call('vm.delete', { id: vm.id })])
      expect(await failureOf(attempt())).toMatchObject({ kind: 'in-use', message: expect.stringContaining('Linked') });
    // The library moves as a whole.
    await h.call('vm.delete', { id: clone.id });
    await h.call('vm.setTemplate', { id: vm.id, template: false });
  });

  test('of a machine lets both go on with disks on top of the shared ones', async () => {
    const vm = await source();
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    const after = await h.get(vm.id);
    expect(after.config!.drives.find(({ id }) => id === 'ide0')).toMatchObject({ path: 'disk 2.qcow2', format: 'qcow2' });
    const mine = path.join(vm.folder, 'disk 2.qcow2');
    const other = path.join(clone.folder, 'disk.qcow2');
    write(mine, 1);
    write(other, 2);
    expect([holds(mine, 1), holds(other, 2), holds(path.join(vm.folder, 'disk.qcow2'), 7)]).toEqual([true, true, true]);
    // Renaming moves no folder, so nothing below it is lost.
    await h.call('vm.update', { id: vm.id, patch: { name: 'Quite / another: "name"' } });
    expect((await h.get(vm.id)).folder).toBe(vm.folder);
    expect(holds(other, 2)).toBe(true);
    expect((await failureOf(h.call('vm.delete', { id: vm.id }))).message).toContain('Linked');
  });

  test('is refused where it would not be safe, with nothing left behind', async () => {
    const none = await h.create('Diskless');
    const kept = await source('Kept');
    execFileSync('qemu-img', ['snapshot', '-c', 'one', path.join(kept.folder, 'disk.qcow2')]);
    for (const [id, why] of [
      [none.id, 'no disk'],
      [kept.id, 'snapshots'],
    ] as const)
      expect(await failureOf(h.call('vm.clone', { id, name: 'L', linked: true }))).toMatchObject({
        kind: 'unsupported',
        message: expect.stringContaining(why),
      });
    expect(unfinished()).toEqual([]);
    expect(readdirSync(kept.folder).sort()).toEqual(['data.img', 'disk.qcow2', 'log', 'vm.json']);
  });
});

describe('export and import', () => {
  test('carry a machine to another computer with every disk that it needs', async () => {
    const vm = await source();
    const outside = h.medium('outside.img', Buffer.alloc(MIB, 4));
    const base = path.join(h.media, 'base.img');
    writeFileSync(base, Buffer.alloc(MIB, 6));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', path.join(vm.folder, 'top.qcow2')]);
    const iso = h.medium('some.iso');
    await h.call('vm.update', {
      id: vm.id,
      patch: {
        drives: [
          ...vm.config!.drives.filter(({ kind }) => kind === 'disk'),
          { id: 'ide2', kind: 'cdrom', path: iso, format: 'raw', readOnly: true },
          { id: 'ide3', kind: 'disk', path: outside, format: 'raw', readOnly: false },
        ],
      },
    });
    const linked = (await h.get(vm.id)).config!.drives.map((drive) =>
      drive.id === 'ide1' ? { ...drive, path: 'top.qcow2', format: 'qcow2' as const } : drive,
    );
    await h.call('vm.update', { id: vm.id, patch: { drives: linked } });
    const stick = path.join(h.root, 'stick');
    mkdirSync(stick);
    const exported = await h.call('vm.export', { id: vm.id, folder: stick });
    expect(exported.folder).toBe(path.join(stick, 'Source'));
    expect(exported.notes.join('\n')).toMatch(/some\.iso stays here/);
    expect(exported.notes.join('\n')).toMatch(/outside\.img was copied/);
    expect(exported.saidNotes!.map(({ key }) => key).sort()).toEqual(['noteCopied', 'noteStays']);
    expect(h.config(exported.folder).drives.map(({ id, path: file }) => [id, file])).toEqual([
      ['ide0', 'disk.qcow2'],
      ['ide1', 'top.qcow2'],
      ['ide2', null],
      ['ide3', 'outside.img'],
    ]);
    // Nothing of this computer is needed any more.
    rmSync(h.media, { recursive: true });
    expect(holds(path.join(exported.folder, 'top.qcow2'), 6)).toBe(true);
    const there = await Harness.open();
    try {
      expect(await there.call('vm.inspectFolder', { folder: exported.folder })).toMatchObject({ name: 'Source', memoryMiB: 32 });
      const { machine, notes } = await there.call('vm.import', { folder: exported.folder });
      expect(notes).toEqual([]);
      expect(machine.id).toBe(vm.id);
      expect(holds(path.join(machine.folder, 'disk.qcow2'), 7)).toBe(true);
      expect(readFileSync(path.join(machine.folder, 'outside.img')).equals(Buffer.alloc(MIB, 4))).toBe(true);
      expect(existsSync(exported.folder)).toBe(true);
      // Once more: another machine.
      const again = await there.call('vm.import', { folder: exported.folder });
      expect(again.machine.id).not.toBe(vm.id);
      expect(again.machine.name).toBe('Source 2');
      expect(again.notes).toHaveLength(2);
    } finally {
      await there.close();
    }
  });

  test('loses no snapshot of a disk that lies on another one', async () => {
    const vm = await source();
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    execFileSync('qemu-img', ['snapshot', '-c', 'one', path.join(clone.folder, 'disk.qcow2')]);
    const stick = path.join(h.root, 'stick');
    mkdirSync(stick);
    expect(await failureOf(h.call('vm.export', { id: clone.id, folder: stick }))).toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining('snapshots (1)'),
    });
    expect(readdirSync(stick)).toEqual([]);
  });

  test('moving takes the folder itself', async () => {
    const vm = await source();
    const away = path.join(h.root, 'away');
    cpSync(vm.folder, away, { recursive: true });
    const { machine } = await h.call('vm.import', { folder: away, how: 'move' });
    expect(machine.name).toBe('Source 2');
    expect(existsSync(away)).toBe(false);
    expect(readdirSync(machine.folder)).not.toContain('.lock');
    expect((await h.get(machine.id)).config!.id).toBe(machine.id);
  });

  test('a folder copied by hand whose paths are of another computer', async () => {
    const vm = await source();
    const away = path.join(h.root, 'away');
    cpSync(vm.folder, away, { recursive: true });
    const config = h.config(away);
    config.drives = [
      { id: 'ide0', kind: 'disk', path: '/other/computer/disk.qcow2', format: 'qcow2', readOnly: false },
      { id: 'ide1', kind: 'disk', path: '../lost.img', format: 'raw', readOnly: false },
      { id: 'ide2', kind: 'cdrom', path: '/other/some.iso', format: 'raw', readOnly: true },
    ];
    writeFileSync(path.join(away, 'vm.json'), JSON.stringify(config));
    const { checks } = await h.call('vm.inspectFolder', { folder: away });
    expect(checks.filter(({ ok }) => !ok).map(({ id }) => id)).toEqual(['name', 'id', 'ide0', 'ide1', 'ide2']);
    const { machine, notes } = await h.call('vm.import', { folder: away });
    expect(machine.config!.drives.map(({ path: file }) => file)).toEqual(['disk.qcow2', path.join(h.root, 'lost.img'), null]);
    expect(notes.join('\n')).toMatch(/ide1: .*won't start without it/);
  });

  test('whose disk lies outside has the very same one as the original, says so, or copies it', async () => {
    const vm = await source();
    const outside = path.join(h.root, 'outside.qcow2');
    cpSync(path.join(vm.folder, 'disk.qcow2'), outside);
    const medium = h.medium('some.iso');
    const drives = [
      { id: 'ide0', kind: 'disk', path: outside, format: 'qcow2', readOnly: false } as const,
      { id: 'ide2', kind: 'cdrom', path: medium, format: 'raw', readOnly: true } as const,
    ];
    await h.call('vm.update', { id: vm.id, patch: { drives } });
    const away = path.join(h.root, 'away');
    cpSync(vm.folder, away, { recursive: true });
    // The same file under another path.
    const elsewhere = path.join(h.root, 'elsewhere');
    symlinkSync(h.root, elsewhere);
    const config = h.config(away);
    config.drives = [{ ...drives[0], path: path.join(elsewhere, 'outside.qcow2') }, drives[1]];
    writeFileSync(path.join(away, 'vm.json'), JSON.stringify(config));
    const both = /^ide0: .*outside.qcow2 lies outside the folder and is a disk of Source too: both have this same disk/;
    const { checks, outsideDisks, sizeBytes, withDisks } = await h.call('vm.inspectFolder', { folder: away });
    expect(outsideDisks).toEqual(['ide0']);
    // The room for the copies counts too.
    expect(withDisks).toMatchObject({ sizeBytes: sizeBytes + statSync(outside).blocks * 512, space: { id: 'space', ok: true } });
    expect(checks.find(({ id }) => id === 'ide0')!.message).toMatch(both);
    const shared = await h.call('vm.import', { folder: away });
    expect(shared.notes).toContainEqual(expect.stringMatching(both));
    expect(shared.machine.config!.drives[0]!.path).toBe(config.drives[0]!.path);
    const own = await h.call('vm.import', { folder: away, how: 'copyDisks' });
    expect(own.notes.join('\n')).toMatch(/ide0: .* was copied into the folder/);
    expect(own.machine.config!.drives.map(({ path: file }) => file)).toEqual(['outside.qcow2', medium]);
    const copy = path.join(own.machine.folder, 'outside.qcow2');
    write(outside, 8);
    expect([holds(copy, 7), holds(outside, 8)]).toEqual([true, true]);
    await h.call('vm.delete', { id: vm.id });
    await h.call('vm.delete', { id: shared.machine.id });
    const alone = (await h.call('vm.inspectFolder', { folder: away })).checks.find(({ id }) => id === 'ide0')!;
    expect(alone.message).toMatch(/any other machine that names it has this same disk$/);
  });

  test('with its disks that lie outside takes more room than the library has: told before, and nothing is made', async ({ skip }) => {
    const small = mountSmall(4 * 1024 * 1024) ?? skip('only root may mount a small file system');
    const full = await Harness.open({ library: path.join(small.folder, 'machines') });
    try {
      const vm = await source();
      const outside = h.medium('large.img', Buffer.alloc(8 * 1024 * 1024, 1));
      const away = path.join(h.root, 'away');
      cpSync(vm.folder, away, { recursive: true });
      const config = h.config(away);
      config.drives = [{ id: 'ide0', kind: 'disk', path: outside, format: 'raw', readOnly: false }];
      writeFileSync(path.join(away, 'vm.json'), JSON.stringify(config));
      const found = await full.call('vm.inspectFolder', { folder: away });
      expect(found.checks.find(({ id }) => id === 'space')!.ok).toBe(true);
      expect(found.withDisks!.space).toMatchObject({ ok: false, severity: 'error', said: { key: 'importSpace' } });
      expect((await failureOf(full.call('vm.import', { folder: away, how: 'copyDisks' }))).kind).toBe('no-space');
      expect(full.names().filter((name) => !name.startsWith('.'))).toEqual([]);
      expect((await full.call('vm.import', { folder: away })).machine.config!.drives[0]!.path).toBe(outside);
    } finally {
      await full.close();
      small.unmount();
    }
  });

  test('refuses what is none, what is used and what leads elsewhere', async () => {
    const vm = await source();
    const at = (name: string) => path.join(h.root, name);
    mkdirSync(at('empty'));
    mkdirSync(at('broken'));
    writeFileSync(path.join(at('broken'), 'vm.json'), '{');
    cpSync(vm.folder, at('links'), { recursive: true });
    rmSync(path.join(at('links'), 'data.img'));
    symlinkSync('/etc/passwd', path.join(at('links'), 'data.img'));
    cpSync(vm.folder, at('used'), { recursive: true });
    const lock = acquireLock(path.join(at('used'), '.lock'), 'Source', 'somebody');
    expect((await failureOf(h.call('vm.inspectFolder', { folder: at('empty') }))).message).toContain('holds no machine');
    const refused: [string, string][] = [
      [at('empty'), 'not-found'],
      [at('none'), 'not-found'],
      [at('broken'), 'corrupt'],
      [at('links'), 'unsupported'],
      [at('used'), 'in-use'],
      [vm.folder, 'already-exists'],
      [h.library, 'already-exists'],
      [h.root, 'already-exists'],
      ['relative', 'invalid-argument'],
    ];
    for (const [folder, kind] of refused) expect([folder, (await failureOf(h.call('vm.import', { folder }))).kind]).toEqual([folder, kind]);
    lock.dispose();
    expect((await failureOf(h.call('vm.export', { id: vm.id, folder: h.library }))).kind).toBe('invalid-argument');
    expect((await failureOf(h.call('vm.export', { id: vm.id, folder: at('none') }))).kind).toBe('not-found');
    expect(h.names()).toEqual(['Source']);
  });

  test('to a full disk leaves nothing there', async ({ skip }) => {
    const small = mountSmall(4 * MIB) ?? skip('only root may mount a small file system');
    try {
      const vm = await source();
      writeFileSync(path.join(vm.folder, 'data.img'), Buffer.alloc(16 * MIB, 9));
      // What had no room is named as it would have been.
      expect(await failureOf(h.call('vm.export', { id: vm.id, folder: small.folder }))).toMatchObject({
        kind: 'no-space',
        message: expect.stringContaining(path.join(small.folder, 'Source')),
      });
      expect(readdirSync(small.folder)).toEqual([]);
    } finally {
      small.unmount();
    }
  });
});
