import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../contract/host.ts';
import { bzImage, isoImage, rawImage } from './testing/media.ts';
import { eventually, failureOf, Harness } from './testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

describe('a new machine', () => {
  test('from an ISO boots its disc first, uses it where it is, and has a sparse disk of its own', async () => {
    const iso = h.medium('debian.iso', isoImage({ label: 'Debian 12' }));
    const vm = await h.create('Debian', { source: { type: 'iso', path: iso }, newDisk: { sizeBytes: 3 * 1024 ** 3 }, memoryMiB: 256 });
    expect(vm).toMatchObject({ name: 'Debian', state: 'off', problem: null, folder: path.join(h.library, 'Debian') });
    expect(vm.config).toMatchObject({ os: 'Debian 12', memoryMiB: 256, boot: { order: ['cdrom', 'disk', 'floppy'], kernel: null } });
    expect(vm.config!.drives).toEqual([
      { id: 'virtio0', kind: 'disk', path: 'disk.qcow2', format: 'qcow2', readOnly: false },
      { id: 'ide2', kind: 'cdrom', path: iso, format: 'raw', readOnly: true },
    ]);
    const disk = path.join(vm.folder, 'disk.qcow2');
    expect(JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk], { encoding: 'utf8' }))).toMatchObject({
      format: 'qcow2',
      'virtual-size': 3 * 1024 ** 3,
    });
    expect(statSync(disk).blocks * 512).toBeLessThan(MIB);
    expect(h.config(vm.folder)).toEqual(vm.config);
    expect(h.names()).toEqual(['Debian']);
  });

  test('has a disk in the format of the settings, unless another is asked for, and none that the format could not have', async () => {
    const disks = async (name: string, newDisk: object) =>
      (await h.create(name, { newDisk: { sizeBytes: MIB, ...newDisk } })).config!.drives[0]!.format;
    expect(await disks('One', {})).toBe('qcow2');
    await h.call('settings.set', { defaultDiskFormat: 'raw' });
    expect(await disks('Two', {})).toBe('raw');
    expect(await disks('Three', { format: 'qcow2' })).toBe('qcow2');
    expect((await failureOf(disks('Four', { passphrase: 'secret' }))).kind).toBe('unsupported');
    expect((await failureOf(disks('Five', { format: 'raw', passphrase: 'secret' }))).message).toContain('encrypted');
    expect(h.names()).toEqual(['One', 'Three', 'Two']);
  });

  test('has an encrypted disk that its passphrase opens and nothing that holds it', async () => {
    const vm = await h.create('Secret', { newDisk: { sizeBytes: MIB, passphrase: 'vögel & 密码' } });
    const disk = path.join(vm.folder, 'disk.qcow2');
    const secret = path.join(h.root, 'secret');
    writeFileSync(secret, 'vögel & 密码');
    const check = (file: string) =>
      execFileSync('qemu-io', [
        '--object',
        `secret,id=s,file=${file}`,
        '-c',
        'read 0 4096',
        '--image-opts',
        `driver=qcow2,file.filename=${disk},encrypt.key-secret=s`,
      ]);
    expect(String(check(secret))).toContain('read 4096/4096');
    writeFileSync(secret, 'wrong');
    expect(() => check(secret)).toThrow(/Invalid password/);
    for (const name of readdirSync(vm.folder)) expect(readFileSync(path.join(vm.folder, name)).includes('vögel')).toBe(false);
    expect(JSON.stringify(await h.call('task.list', {}))).not.toContain('vögel');
  });

  test('has the firmware that was asked for, if its processor and what it boots allow it', async () => {
    const vm = await h.create('New', { source: { type: 'blank' }, cpuModel: 'x86-64', firmware: 'uefi' });
    expect(vm.config).toMatchObject({ firmware: 'uefi' });
    expect(await h.call('vm.hardware', { id: vm.id })).toContainEqual(expect.objectContaining({ id: 'firmware', label: 'UEFI (OVMF)' }));
    const kernel = h.medium('vmlinuz', bzImage());
    for (const create of [
      { source: { type: 'blank' as const }, cpuModel: 'i686' as const },
      { source: { type: 'kernel' as const, path: kernel, initrd: null, cmdline: '' } },
    ])
      expect(await failureOf(h.create('Never', { ...create, firmware: 'uefi' }))).toMatchObject({ kind: 'invalid-argument' });
    expect(h.names()).toEqual(['New']);
  });

  test('from a floppy does not let the guest change it', async () => {
    const vm = await h.create('DOS', { source: { type: 'floppy', path: h.medium('dos.img', rawImage()) } });
    expect(vm.config!.drives[0]).toMatchObject({ id: 'fd0', kind: 'floppy', readOnly: true });
    expect(vm.config!.boot.order[0]).toBe('floppy');
  });

  test('from a disk in place leaves the image where it is', async () => {
    const image = h.medium('disk.img');
    const vm = await h.create('Old', { source: { type: 'disk', path: image, copy: false }, newDisk: { sizeBytes: MIB } });
    expect(vm.config!.drives.slice(0, 2)).toMatchObject([
      { id: 'ide0', path: image, readOnly: false },
      { id: 'ide1', path: 'disk2.qcow2' },
    ]);
  });

  test('has as many disks as were asked for, in its folder, in a pool and where they are, and the plan names their files', async () => {
    const image = h.medium('old.img', rawImage(4 * MIB));
    const pools = path.join(path.dirname(h.library), 'disks');
    const more = {
      source: { type: 'blank' as const },
      newDisk: { sizeBytes: MIB },
      attach: { path: image, copy: false, readOnly: true },
      moreDisks: [
        { type: 'new' as const, sizeBytes: 2 * MIB, format: 'raw' as const, pool: 'default' },
        { type: 'existing' as const, path: image, copy: true, pool: 'default' },
      ],
      bus: 'sata' as const,
    };
    const twice = await h.call('vm.preflight', { name: 'Many', memoryMiB: 16, ...more });
    expect(twice.filter(({ ok, severity }) => !ok && severity === 'error').map(({ id }) => id)).toEqual(['attach.twice']);
    more.moreDisks[1] = { type: 'existing', path: h.medium('other.img', rawImage(MIB)), copy: true, pool: 'default' };
    const planned = await h.call('vm.planDisks', { name: 'Many', memoryMiB: 16, ...more });
    const vm = await h.create('Many', more);
    expect(vm.config!.drives.filter(({ kind }) => kind === 'disk')).toMatchObject([
      { id: 'sata0', path: image, readOnly: true },
      { id: 'sata1', path: 'disk2.qcow2', format: 'qcow2' },
      { id: 'sata2', path: path.join(pools, 'Many.img'), format: 'raw' },
      { id: 'sata3', path: path.join(pools, 'Many 2.img'), format: 'raw' },
    ]);
    expect(planned.map((disk) => disk.path)).toEqual(
      vm.config!.drives.filter(({ kind }) => kind === 'disk').map((drive) => path.resolve(vm.folder, drive.path!)),
    );
    expect(planned.map(({ made }) => made)).toEqual([false, true, true, true]);
    expect(statSync(path.join(pools, 'Many.img')).size).toBe(2 * MIB);
    // Another of the same name beside it in the pool, and nothing of one that failed.
    const full = await failureOf(h.create('Full', { bus: 'ide', moreDisks: Array.from({ length: 4 }, () => more.moreDisks[0]!) }));
    expect(full.dto).toMatchObject({ kind: 'resource-limit', said: { key: 'busFull', params: { bus: 'IDE', most: 3 } } });
    const gone = await failureOf(
      h.create('Gone', { moreDisks: [{ ...more.moreDisks[0]!, pool: '00000000-0000-0000-0000-000000000000' } as never] }),
    );
    expect(gone.kind).toBe('not-found');
    expect(readdirSync(pools).sort()).toEqual(['Many 2.img', 'Many.img']);
  });

  test('has its disks on the bus that its medium’s system knows, also when they are counted before', async () => {
    const source = { type: 'iso' as const, path: h.medium('many.iso', isoImage({ label: 'Debian 12' })) };
    const moreDisks = Array.from({ length: 4 }, () => ({ type: 'new' as const, sizeBytes: MIB }));
    const vm = await h.create('Five', { source, newDisk: { sizeBytes: MIB }, moreDisks });
    const disks = vm.config!.drives.filter(({ kind }) => kind === 'disk').map(({ id }) => id);
    expect(disks).toEqual(['virtio0', 'virtio1', 'virtio2', 'virtio3', 'virtio4']);
    const full = await failureOf(
      h.create('Ten', { source, newDisk: { sizeBytes: MIB }, moreDisks: [...moreDisks, ...moreDisks].slice(0, 6), bus: 'ide' }),
    );
    expect(full.dto).toMatchObject({ kind: 'resource-limit', said: { params: { bus: 'IDE' } } });
  });

  test('from a copied disk has the same bytes in its own folder, and tells its progress', async () => {
    const image = h.medium('disk.img', rawImage(4 * MIB).fill(0x5a, 1024));
    const vm = await h.create('Copy', { source: { type: 'disk', path: image, copy: true } });
    expect(vm.config!.drives[0]).toMatchObject({ id: 'ide0', path: 'disk.img' });
    expect(readFileSync(path.join(vm.folder, 'disk.img')).equals(readFileSync(image))).toBe(true);
    const told = h.client.seen.filter(({ event }) => event === 'task.changed').map(({ payload }) => payload as Task);
    expect(told[0]).toMatchObject({ kind: 'vm.create', object: 'Copy', state: 'running' });
    expect(told.some(({ state, detail, progress }) => state === 'running' && detail === image && progress! > 0)).toBe(true);
    await eventually(
      () => h.call('task.list', {}),
      (tasks) => tasks[0]?.state === 'done' && tasks[0].progress === 1,
    );
    expect(h.lockFiles()).toEqual([]);
  });

  test('from an image of another program takes a copy as qcow2, and does not run from it in place', async () => {
    const image = h.medium('disk.img', rawImage(4 * MIB).fill(0x5a, 1024));
    const foreign = `${image}.vmdk`;
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', image, foreign]);
    const vm = await h.create('Copy', { source: { type: 'disk', path: foreign, copy: true } });
    expect(vm.config!.drives[0]).toMatchObject({ id: 'ide0', path: 'disk.qcow2', format: 'qcow2' });
    const copy = path.join(vm.folder, 'disk.qcow2');
    expect(execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', image, copy], { encoding: 'utf8' })).toContain('identical');
    const failure = await failureOf(h.create('In place', { source: { type: 'disk', path: foreign, copy: false } }));
    expect(failure.dto).toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining('VMDK'),
      fix: expect.stringContaining('convert'),
    });
  });

  test('from a kernel boots it directly', async () => {
    const kernel = h.medium('vmlinuz', bzImage());
    const initrd = h.medium('initrd', Buffer.from('x'));
    const vm = await h.create('Linux', { source: { type: 'kernel', path: kernel, initrd, cmdline: 'console=ttyS0' } });
    expect(vm.config!.boot.kernel).toEqual({ path: kernel, initrd, cmdline: 'console=ttyS0' });
  });

  test('from nothing, and the sample with an image of its own', async () => {
    expect((await h.create('Blank')).config!.drives).toMatchObject([{ id: 'ide2', path: null }]);
    const sample = await h.create('Check', { source: { type: 'sample' } });
    expect(sample.config).toMatchObject({ os: 'Hypervue check', boot: { order: ['disk', 'cdrom', 'floppy'] } });
    expect(sample.config!.drives).toMatchObject([{ id: 'ide0', kind: 'disk', path: 'check.img', readOnly: false }, { id: 'ide2' }]);
    const two = await h.create('Check two', { source: { type: 'sample' }, newDisk: { sizeBytes: 1024 ** 2 } });
    expect(two.config!.drives.map(({ id, path }) => `${id} ${path}`)).toEqual(['ide0 check.img', 'ide1 disk.qcow2', 'ide2 null']);
    expect(readFileSync(path.join(sample.folder, 'check.img')).equals(readFileSync(h.sampleImage))).toBe(true);
  });

  test('is told to every client and found again by the next manager', async () => {
    const second = h.connect();
    const vm = await h.create('Seen');
    await eventually(
      () => second.seen,
      (seen) => seen.some(({ event, payload }) => event === 'vm.changed' && (payload as { id: string }).id === vm.id),
    );
    await h.reopen();
    expect((await h.call('vm.list', {})).map(({ id, name }) => ({ id, name }))).toEqual([{ id: vm.id, name: 'Seen' }]);
  });
});

describe('a create that does not end', () => {
  const big = 160 * MIB;

  test('can be cancelled in the middle of a copy, and leaves nothing', async () => {
    const image = h.medium('big.img', rawImage(big).fill(1, 1024));
    const creating = failureOf(h.create('Big', { source: { type: 'disk', path: image, copy: true } }));
    const [task] = await eventually(
      () => h.call('task.list', {}),
      (tasks) => tasks.some(({ state, progress }) => state === 'running' && progress !== null),
    );
    expect(h.names().some((name) => name.startsWith('.creating-'))).toBe(true);
    // Nobody may write to the source meanwhile.
    expect(h.lockFiles().some((name) => name.includes('reader'))).toBe(true);
    await h.call('task.cancel', { id: task!.id });
    expect((await creating).kind).toBe('cancelled');
    expect(h.names()).toEqual([]);
    expect(h.lockFiles()).toEqual([]);
    expect(await h.call('vm.list', {})).toEqual([]);
    expect((await h.call('task.list', {}))[0]).toMatchObject({ state: 'cancelled', error: { kind: 'cancelled' } });
    expect(statSync(image).size).toBe(big);
    // Its name is free again.
    await h.create('Big');
    expect((await failureOf(h.call('task.cancel', { id: task!.id }))).kind).toBe('not-found');
  });

  test('is cancelled when the manager closes', async () => {
    const image = h.medium('big.img', rawImage(big).fill(1, 1024));
    const creating = failureOf(h.create('Big', { source: { type: 'disk', path: image, copy: true } }));
    await eventually(
      () => h.call('task.list', {}),
      (tasks) => tasks.some(({ state }) => state === 'running'),
    );
    await h.manager.close();
    expect((await creating).kind).toBe('cancelled');
    expect(h.names()).toEqual([]);
    expect((await failureOf(h.create('Late'))).kind).toBe('invalid-state');
  });

  test('because its manager was killed is cleaned up by the next one, but not while its maker lives', async () => {
    const dead = path.join(h.library, '.creating-0');
    mkdirSync(dead);
    writeFileSync(path.join(dead, 'disk.img'), 'half');
    writeFileSync(`${dead}.lock`, '{"pid":1073741824,"host":"', 'utf8');
    const alive = path.join(h.library, '.creating-1');
    mkdirSync(alive);
    const { acquireLock } = await import('../platform/locks.ts');
    const lock = acquireLock(`${alive}.lock`, 'x', 'x');
    await h.reopen();
    expect(h.names()).toEqual(['.creating-1', '.creating-1.lock']);
    lock.dispose();
    await h.reopen();
    expect(h.names()).toEqual([]);
  });
});

describe('names', () => {
  test('are unique whatever their case, also when two ask at once', async () => {
    await h.create('Debian');
    const error = await failureOf(h.create('dEBIAN'));
    expect(error).toMatchObject({ kind: 'already-exists', message: expect.stringContaining('dEBIAN') });
    const both = await Promise.allSettled([h.create('Twin'), h.create('twin'), h.create('TWIN')]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await h.call('vm.list', {})).map(({ name }) => name.toLowerCase()).sort()).toEqual(['debian', 'twin']);
  });

  test('are suggested free, from media and systems', async () => {
    const suggest = (hint: string) => h.call('vm.suggestName', { hint });
    expect(await suggest('/isos/debian_12-netinst.ISO')).toBe('debian 12-netinst');
    expect(await suggest('C:\\images\\dos.img')).toBe('dos');
    expect(await suggest('')).toBe('New machine');
    await h.create('New machine');
    expect(await suggest('')).toBe('New machine 2');
    await h.create('new MACHINE 2');
    expect(await suggest('New machine 2')).toBe('New machine 3');
    // Whatever comes out can be used.
    for (const hint of ['\x07\n.iso', '  ', '../..', 'x'.repeat(256), '𝄞'.repeat(128), '\ud800.iso', '.img'])
      await h.create(await suggest(hint));
  });

  test('make folder names that stay inside the library', async () => {
    const names = ['../../etc', '..', '.hidden', 'a/b\\c:d', 'CON', 'name. ', '𝄞'.repeat(64), 'ä'.repeat(128)];
    for (const name of names) {
      const vm = await h.create(name);
      expect(path.dirname(vm.folder)).toBe(h.library);
      expect(existsSync(path.join(vm.folder, 'vm.json'))).toBe(true);
    }
    const list = await h.call('vm.list', {});
    expect(list).toHaveLength(names.length);
    await h.reopen();
    expect((await h.call('vm.list', {})).map(({ id }) => id).sort()).toEqual(list.map(({ id }) => id).sort());
  });

  test('that differ only where folders do not get folders of their own', async () => {
    const one = await h.create('a/b');
    const two = await h.create('a:b');
    expect([path.basename(one.folder), path.basename(two.folder)]).toEqual(['a-b', 'a-b 2']);
  });

  test.each([[''], ['   '], ['a\nb'], ['x'.repeat(129)], ['\ud800'], ['\u200b']])('such as %j are refused', async (name) => {
    expect((await failureOf(h.create(name))).kind).toBe('invalid-argument');
  });
});

test('listing while machines are made and deleted shows each once, under its name', async () => {
  let busy = true;
  const lists: Promise<void>[] = [];
  const seen = new Set<string>();
  const lister = (async () => {
    while (busy) {
      const list = await h.call('vm.list', {});
      for (const { name } of list) seen.add(name);
      expect(new Set(list.map(({ id }) => id)).size).toBe(list.length);
    }
  })();
  lists.push(lister);
  const made = await Promise.all(Array.from({ length: 12 }, (_, index) => h.create(`M${index}`)));
  await Promise.all(made.slice(6).map(({ id }) => h.call('vm.delete', { id })));
  busy = false;
  await Promise.all(lists);
  expect((await h.call('vm.list', {})).map(({ id }) => id).sort()).toEqual(
    made
      .slice(0, 6)
      .map(({ id }) => id)
      .sort(),
  );
  expect([...seen].every((name) => /^M\d+$/.test(name))).toBe(true);
  for (const { folder, name, id } of made.slice(0, 6)) expect(h.config(folder)).toMatchObject({ name, id });
  // None was ever told as gone that is still there.
  const removed = h.client.seen.filter(({ event }) => event === 'vm.removed').map(({ payload }) => (payload as { id: string }).id);
  expect(removed.sort()).toEqual(
    made
      .slice(6)
      .map(({ id }) => id)
      .sort(),
  );
});
