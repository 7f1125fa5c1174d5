/** Block devices of this computer as disks of machines, over loop devices. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deviceHindrance, lastingPath, usedSharing, usesOf } from '../contract/deviceuse.ts';
import type { HostBlockDevice } from '../contract/hostdevices.ts';
import type { Drive, VmSummary } from '../contract/vm.ts';
import { type LoopDevice, loopDevice, noLoopDevices } from '../platform/testing/loopdevice.ts';
import { failureOf, Harness } from './testing/harness.ts';

const MIB = 1 << 20;

const block = (name: string, more: Partial<HostBlockDevice> = {}): HostBlockDevice => ({
  name,
  path: `/dev/${name}`,
  number: '',
  stablePaths: [],
  kind: more.parent ? 'partition' : 'disk',
  parent: null,
  sizeBytes: MIB,
  model: '',
  serial: '',
  readOnly: false,
  removable: false,
  usb: null,
  backingFile: '',
  mounts: [],
  swap: false,
  holders: [],
  system: false,
  ...more,
});

describe('which device may be given', () => {
  test('none of which a part, or the whole, is used; another partition of its disk does not matter', () => {
    const all = [
      block('sda', { system: true }),
      block('sda1', { parent: 'sda', mounts: ['/'], system: true }),
      block('sda2', { parent: 'sda' }),
      block('sdb'),
      block('sdb1', { parent: 'sdb', mounts: ['/mnt/a', '/mnt/b'] }),
      block('sdb2', { parent: 'sdb', swap: true }),
      block('sdc', { holders: ['dm-0'] }),
      block('sdc1', { parent: 'sdc' }),
      block('sdd'),
      block('sr0', { kind: 'optical' }),
      block('zram0', { kind: 'memory' }),
      block('sde', { sizeBytes: 0 }),
    ];
    const why = Object.fromEntries(all.map((one) => [one.name, deviceHindrance(one, all)]));
    expect(why).toEqual({
      sda: 'system',
      sda1: 'system',
      sda2: undefined,
      sdb: 'used',
      sdb1: 'used',
      sdb2: 'used',
      sdc: 'used',
      sdc1: 'used',
      sdd: undefined,
      sr0: 'kind',
      zram0: 'kind',
      sde: 'empty',
    });
    expect(usesOf(usedSharing(all[3]!, all))).toBe('/dev/sdb1 /mnt/a /mnt/b, /dev/sdb2 swap');
  });

  test('is known by the name that goes with it', () => {
    const by = (...names: string[]) => names.map((name) => `/dev/disk/by-id/${name}`);
    expect(lastingPath(block('sda', { stablePaths: by('wwn-0x5', 'ata-DISK_1') }))).toBe('/dev/disk/by-id/ata-DISK_1');
    expect(lastingPath(block('sda', { stablePaths: by('wwn-0x5') }))).toBe('/dev/disk/by-id/wwn-0x5');
    expect(lastingPath(block('dm-0', { stablePaths: by('dm-uuid-LVM-x', 'dm-name-vg-home') }))).toBe('/dev/disk/by-id/dm-name-vg-home');
    expect(lastingPath(block('loop0'))).toBe('/dev/loop0');
  });
});

describe.skipIf(noLoopDevices)('a block device as a disk of a machine', () => {
  let h: Harness;
  const loops: LoopDevice[] = [];
  let outside: string;
  beforeAll(async () => {
    h = await Harness.open();
    outside = mkdtempSync(path.join(tmpdir(), 'hypervue-outside-'));
  });
  afterAll(async () => {
    await h.close();
    rmSync(outside, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const { id } of await h.call('vm.list', {})) {
      await h.call('vm.forceOff', { id }).catch(() => {});
      await h.reaches(id, 'off');
      await h.call('vm.delete', { id });
    }
    for (const loop of loops.splice(0)) loop.dispose();
  });
  let count = 0;
  const machine = (): Promise<VmSummary> => h.fake(`D${++count}`, '', { drives: [] });
  const device = (options: Parameters<typeof loopDevice>[1] = {}): LoopDevice => {
    const loop = loopDevice(16 * MIB, options);
    loops.push(loop);
    writeFileSync(loop.path, Buffer.alloc(16 * MIB, 0x5a), { flag: 'r+' });
    return loop;
  };
  const hash = (loop: LoopDevice) => createHash('sha256').update(loop.content()).digest('hex');
  const give = ({ id }: VmSummary, { path: file }: Pick<LoopDevice, 'path'>, readOnly = false) =>
    h.call('vm.giveDevice', { id, device: file, bus: 'virtio', readOnly });
  const takeBack = async ({ id }: VmSummary) => {
    const drives = (await h.get(id)).config!.drives.filter((drive) => !drive.path?.startsWith('/dev/'));
    return h.call('vm.update', { id, patch: { drives } });
  };

  test('is given raw, shown as given, kept from others under every name, and taken back', async () => {
    const loop = device({ partition: true });
    const vm = await machine();
    const { machine: after, drive } = await give(vm, loop);
    expect(drive).toBe('virtio0');
    expect(after.config!.drives).toEqual([{ id: 'virtio0', kind: 'disk', path: loop.path, format: 'raw', readOnly: false }]);
    const name = path.basename(loop.path);
    const { given } = await h.call('host.devices', {});
    const entry = { machine: vm.id, machineName: vm.name, drive: 'virtio0', path: loop.path, readOnly: false, when: 'now' };
    expect(given.filter((one) => one.machine === vm.id)).toEqual([
      { ...entry, device: name, own: true },
      { ...entry, device: `${name}p1`, own: false },
    ]);
    const link = path.join(outside, 'another-name');
    symlinkSync(loop.path, link);
    const other = await machine();
    for (const file of [loop.path, link, `${loop.path}p1`]) {
      const error = await failureOf(give(other, { path: file }));
      expect(error).toMatchObject({
        kind: 'in-use',
        message: expect.stringContaining(vm.name),
        dto: { fix: expect.stringContaining('Take it back') },
      });
      await expect(give(other, { path: file }, true)).rejects.toMatchObject({ kind: 'in-use' });
    }
    await takeBack(vm);
    const [one, two] = await Promise.allSettled([give(vm, { path: `${loop.path}p1` }), give(other, loop)]);
    expect([one.status, two.status]).toEqual(['fulfilled', 'rejected']);
    await takeBack(vm);
  });

  test('only where this computer does not use it, and by nobody who may not manage', async () => {
    const loop = device({ partition: true });
    const vm = await machine();
    const folder = loop.mount();
    const error = await failureOf(give(vm, loop));
    expect(error).toMatchObject({
      kind: 'in-use',
      message: expect.stringContaining(folder),
      dto: { fix: expect.stringContaining('umount') },
    });
    await expect(give(vm, { path: `${loop.path}p1` })).rejects.toMatchObject({ kind: 'in-use' });
    await expect(give(vm, loop, true)).rejects.toMatchObject({ kind: 'in-use' });
    loop.unmount();
    await expect(give(vm, { path: '/dev/null' })).rejects.toMatchObject({ kind: 'not-found' });
    await expect(give(vm, { path: loop.image })).rejects.toMatchObject({ kind: 'not-found' });
    const system = (await h.call('host.devices', {})).block.find((one) => one.system);
    if (system) await expect(give(vm, system)).rejects.toMatchObject({ kind: 'in-use' });
    const fixed = loopDevice(MIB, { readOnly: true });
    loops.push(fixed);
    await expect(give(vm, fixed)).rejects.toMatchObject({ kind: 'permission-denied', dto: { fix: expect.stringContaining('read-only') } });
    expect((await h.get(vm.id)).config!.drives).toEqual([]);
  });

  test('by no other way than that one', async () => {
    const loop = device();
    const vm = await machine();
    const drive: Drive = { id: 'ide0', kind: 'disk', path: loop.path, format: 'raw', readOnly: false };
    await expect(h.call('vm.update', { id: vm.id, patch: { drives: [drive] } })).rejects.toMatchObject({ kind: 'unsupported' });
    const link = path.join(vm.folder, 'disk.img');
    symlinkSync(loop.path, link);
    await expect(h.call('vm.update', { id: vm.id, patch: { drives: [{ ...drive, path: 'disk.img' }] } })).rejects.toMatchObject({
      kind: 'unsupported',
    });
    rmSync(link);
    const { text } = await h.call('vm.configText', { id: vm.id });
    const edited = JSON.stringify({ ...JSON.parse(text), drives: [drive] });
    await expect(h.call('vm.setConfigText', { id: vm.id, text: edited })).rejects.toMatchObject({ kind: 'unsupported' });
    const checks = await h.preflight('New', { type: 'disk', path: loop.path, copy: false, readOnly: false });
    expect(checks.find(({ ok, severity }) => !ok && severity === 'error')).toMatchObject({ remedy: { do: 'copy' } });
    expect((await h.get(vm.id)).config!.drives).toEqual([]);
    // Other changes go on working for a machine that has one.
    await give(vm, loop);
    const { drives } = (await h.get(vm.id)).config!;
    await h.call('vm.update', { id: vm.id, patch: { drives: drives.map((one) => ({ ...one, readOnly: true })) } });
    // What begins as a qcow2 image is raw all the same.
    expect((await h.get(vm.id)).config!.drives[0]).toMatchObject({ format: 'raw', readOnly: true });
  });

  test('is looked at before a start: gone, in use, read-only', async () => {
    const loop = device();
    const vm = await machine();
    await give(vm, loop);
    const checks = async () => {
      const [result] = await h.call('vm.check', { ids: [vm.id] });
      return result!.checks.filter(({ ok, severity }) => !ok && severity === 'error');
    };
    expect(await checks()).toEqual([]);
    const folder = loop.mount();
    expect(await checks()).toEqual([
      expect.objectContaining({ message: expect.stringContaining(folder), fix: expect.stringContaining('umount') }),
    ]);
    await expect(h.call('vm.start', { id: vm.id })).rejects.toMatchObject({ kind: 'in-use' });
    loop.unmount();
    // Another machine runs on it by way of another name.
    const twin = await machine();
    const file = path.join(twin.folder, 'vm.json');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    symlinkSync(loop.path, path.join(outside, 'twin'));
    writeFileSync(
      file,
      JSON.stringify({
        ...config,
        drives: [{ id: 'ide0', kind: 'disk', path: path.join(outside, 'twin'), format: 'raw', readOnly: false }],
      }),
    );
    await h.call('vm.start', { id: vm.id });
    await h.reaches(vm.id, 'running');
    await expect(h.call('vm.start', { id: twin.id })).rejects.toMatchObject({ kind: 'in-use', message: expect.stringContaining(vm.name) });
    await h.call('vm.forceOff', { id: vm.id });
    await h.reaches(vm.id, 'off');
    const missing = { id: 'virtio0', kind: 'disk', path: '/dev/disk/by-id/usb-gone', format: 'raw', readOnly: false };
    writeFileSync(path.join(vm.folder, 'vm.json'), JSON.stringify({ ...h.config(vm.folder), drives: [missing] }));
    await h.call('vm.list', {});
    expect(await checks()).toEqual([
      expect.objectContaining({ message: expect.stringContaining('usb-gone'), fix: expect.stringContaining('Plug it in') }),
    ]);
  });

  test('keeps its machine from snapshots, copies and packages, which say so; nothing is left half', async () => {
    const loop = device();
    const before = hash(loop);
    const vm = await machine();
    await give(vm, loop);
    const names = h.names();
    const files = statSync(vm.folder).nlink;
    const target = path.join(outside, 'exports');
    mkdirSync(target);
    const works = {
      take: () => h.call('snapshot.take', { id: vm.id, name: 'a', memory: false }),
      plan: () => h.call('snapshot.planTake', { id: vm.id, memory: false }),
      clone: () => h.call('vm.clone', { id: vm.id, name: 'Copy', linked: false }),
      linked: () => h.call('vm.clone', { id: vm.id, name: 'Copy', linked: true }),
      template: () => h.call('vm.setTemplate', { id: vm.id, template: true }),
      export: () => h.call('vm.export', { id: vm.id, folder: target }),
      ova: () => h.call('vm.exportOva', { id: vm.id, file: path.join(target, 'x.ova') }),
      grow: () => h.call('vm.growDisk', { id: vm.id, drive: 'virtio0', sizeBytes: 32 * MIB }),
    };
    for (const [what, work] of Object.entries(works)) {
      const error = await failureOf(work());
      expect(error, what).toMatchObject({
        kind: 'unsupported',
        message: expect.stringContaining(loop.path),
        dto: { fix: expect.stringMatching(/./) },
      });
    }
    expect(h.names()).toEqual(names);
    expect(statSync(vm.folder).nlink).toBe(files);
    expect((await h.call('snapshot.list', { id: vm.id })).snapshots).toEqual([]);
    expect(existsSync(path.join(target, 'x.ova'))).toBe(false);
    expect(hash(loop)).toBe(before);
    // Read only it is no part of a snapshot, and machines may share it.
    await takeBack(vm);
    await give(vm, loop, true);
    await h.call('snapshot.take', { id: vm.id, name: 'b', memory: false });
    const copy = await h.call('vm.clone', { id: vm.id, name: 'Copy', linked: false });
    expect(copy.config!.drives).toEqual([{ id: 'virtio0', kind: 'disk', path: loop.path, format: 'raw', readOnly: true }]);
    await expect(works.export()).rejects.toMatchObject({ kind: 'unsupported' });
    // A snapshot does not bring back a device that was taken back.
    const [snapshot] = (await h.call('snapshot.list', { id: vm.id })).snapshots;
    await takeBack(vm);
    await expect(h.call('snapshot.revert', { id: vm.id, snapshot: snapshot!.id })).rejects.toMatchObject({ kind: 'unsupported' });
    expect((await h.get(vm.id)).config!.drives).toEqual([]);
    await h.call('vm.delete', { id: copy.id });
  });

  test('is neither deleted nor written to when its machine goes, comes back, is moved, or its storage is cleaned up', async () => {
    const loop = device();
    const before = hash(loop);
    const { rdev, ino } = statSync(loop.path);
    const same = () => {
      const now = statSync(loop.path);
      expect([now.rdev, now.ino, now.isBlockDevice()]).toEqual([rdev, ino, true]);
      expect(hash(loop)).toBe(before);
    };
    const vm = await machine();
    await give(vm, loop);
    for (const method of ['storage.delete', 'storage.planDelete', 'storage.compact', 'storage.check'] as const) {
      const repair = method === 'storage.check' ? { repair: 'all' as const } : {};
      await expect(h.call(method, { path: loop.path, ...repair } as never), method).rejects.toMatchObject({ kind: expect.any(String) });
    }
    await expect(h.call('storage.resize', { path: loop.path, sizeBytes: 32 * MIB })).rejects.toMatchObject({ kind: expect.any(String) });
    same();
    // A pool with a link and a node of the device in it does not reach it either.
    const pool = path.join(outside, 'pool');
    mkdirSync(pool);
    symlinkSync(loop.path, path.join(pool, 'link.img'));
    const { id: poolId } = await h.call('storage.addPool', { name: 'Pool', folder: pool } as never).then((made) => made as { id: string });
    const volumes = JSON.stringify(await h.call('storage.volumes', {}));
    expect(volumes).not.toContain('link.img');
    await expect(h.call('storage.delete', { path: path.join(pool, 'link.img') })).rejects.toMatchObject({ kind: 'not-found' });
    await h.call('storage.removePool', { id: poolId } as never);
    same();

    const plan = await h.call('vm.planDelete', { id: vm.id });
    expect(plan).toMatchObject({ refusal: null, keeps: expect.arrayContaining([loop.path]) });
    const { trashId } = await h.call('vm.delete', { id: vm.id });
    same();
    const restored = await h.call('vm.restore', { trashId });
    expect(restored.config!.drives[0]!.path).toBe(loop.path);
    const again = await h.call('vm.delete', { id: vm.id });
    await h.call('trash.remove', { ids: [again.trashId] });
    await h.reopen();
    same();
  });

  test('is taken out of a machine that comes from elsewhere, and copied into a new one when that is asked', async () => {
    const loop = device();
    const before = hash(loop);
    const vm = await machine();
    const foreign = path.join(outside, 'foreign');
    mkdirSync(foreign);
    const drives = [
      { id: 'ide0', kind: 'disk', path: loop.path, format: 'raw', readOnly: false },
      { id: 'ide1', kind: 'disk', path: loop.path, format: 'raw', readOnly: true },
    ];
    const config = { ...h.config(vm.folder), id: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee', name: 'Foreign', drives };
    for (const how of ['copy', 'copyDisks', 'move'] as const) {
      writeFileSync(path.join(foreign, 'vm.json'), JSON.stringify(config));
      const inspected = await h.call('vm.inspectFolder', { folder: foreign });
      expect(inspected.checks.filter(({ message }) => message.includes('left out'))).toHaveLength(2);
      const imported = await h.call('vm.import', { folder: foreign, how });
      expect(imported.machine.config!.drives, how).toEqual([]);
      expect(imported.notes.filter((note) => note.includes(loop.path))).toHaveLength(2);
      await h.call('vm.delete', { id: imported.machine.id });
    }
    const made = await h.create('From a device', { source: { type: 'disk', path: loop.path, copy: true, readOnly: false } });
    const file = path.join(made.folder, made.config!.drives[0]!.path!);
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(before);
    expect(hash(loop)).toBe(before);
  });
});
