import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { failureOf, Harness } from '../testing/harness.ts';

const MIB = 1024 * 1024;
const SECRET = 'vögel & 密码';
let h: Harness;
let pool: string;

beforeEach(async () => {
  h = await Harness.open();
  pool = path.join(h.root, 'disks');
});

afterEach(async () => {
  await h.close();
});

const create = (name: string, changes: object = {}) =>
  h.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 4 * MIB, ...changes } as never);

/** What qemu-io says to a command on an encrypted image. */
function qemuIo(file: string, passphrase: string, ...commands: string[]): string {
  const secret = path.join(h.root, 'secret');
  writeFileSync(secret, passphrase);
  const options = ['--object', `secret,id=s,file=${secret}`, ...commands.flatMap((command) => ['-c', command])];
  return execFileSync('qemu-io', [...options, '--image-opts', `driver=qcow2,file.filename=${file},encrypt.key-secret=s`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

const reasonOf = async (work: Promise<unknown>) => {
  const { kind, dto } = await failureOf(work);
  return [kind, dto.context.reason];
};

test('an encrypted volume is opened by its passphrase, here and by qemu-io, which stands nowhere', async () => {
  const made = await create('sealed.qcow2', { passphrase: SECRET });
  expect(made).toMatchObject({ encrypted: true, sizeBytes: 4 * MIB });
  qemuIo(made.path, SECRET, 'write -P 0x5a 1M 64k');
  expect(() => qemuIo(made.path, 'wrong', 'read 0 4k')).toThrow();
  // What its tables say needs no passphrase.
  const { map, encryption } = await h.call('storage.info', { path: made.path });
  expect([encryption, map!.data > 0, map!.data + map!.zero]).toEqual(['luks', true, 4 * MIB]);
  const copy = { from: made.path, pool: 'default', name: 'copy.qcow2', format: 'qcow2' } as const;
  expect(await reasonOf(h.call('storage.convert', copy))).toEqual(['unauthorized', 'passphrase-missing']);
  expect(await reasonOf(h.call('storage.convert', { ...copy, passphrase: 'wrong' }))).toEqual(['unauthorized', 'passphrase-wrong']);
  expect(readdirSync(pool)).toEqual(['sealed.qcow2']);
  const sealed = await h.call('storage.convert', { ...copy, passphrase: SECRET, encrypt: 'another one' });
  expect(sealed.encrypted).toBe(true);
  expect(qemuIo(sealed.path, 'another one', 'read -P 0x5a 1M 64k')).not.toContain('Pattern verification failed');
  const plain = await h.call('storage.convert', { ...copy, name: 'plain.img', format: 'raw', passphrase: SECRET });
  expect(readFileSync(plain.path)[MIB]).toBe(0x5a);
  for (const refused of [
    { name: 'x.img', format: 'raw' as const, encrypt: 'p' },
    { name: 'x.vmdk', format: 'vmdk' as const, encrypt: 'p' },
    { name: 'x.qcow2', compress: true, encrypt: 'p' },
  ])
    expect((await failureOf(h.call('storage.convert', { ...copy, passphrase: SECRET, ...refused }))).kind).toBe('unsupported');
  for (const passphrase of ['', 'a\nb', 'x'.repeat(513)])
    expect((await failureOf(create('y.qcow2', { passphrase }))).kind).toBe('invalid-argument');
  expect(readdirSync(pool).sort()).toEqual(['copy.qcow2', 'plain.img', 'sealed.qcow2']);
  expect(JSON.stringify([await h.call('task.list', {}), h.client.seen, h.logged])).not.toContain('vögel');
});

test('what lies on an encrypted volume is opened by the same passphrase, through every operation', async () => {
  const base = await create('base.qcow2', { passphrase: SECRET });
  qemuIo(base.path, SECRET, 'write -P 1 0 1M');
  const clone = { path: base.path, pool: 'default', name: 'top.qcow2' };
  expect(await reasonOf(h.call('storage.linkedClone', clone))).toEqual(['unauthorized', 'passphrase-missing']);
  expect(await reasonOf(h.call('storage.linkedClone', { ...clone, passphrase: 'wrong' }))).toEqual(['unauthorized', 'passphrase-wrong']);
  const { path: top, encrypted } = await h.call('storage.linkedClone', { ...clone, passphrase: SECRET });
  expect(encrypted).toBe(true);
  const secret = { path: top, passphrase: SECRET };
  expect(await h.call('storage.compare', { ...secret, with: base.path })).toEqual({ differsAt: null });
  expect(await reasonOf(h.call('storage.compare', { path: top, with: base.path }))).toEqual(['unauthorized', 'passphrase-missing']);
  for (const work of [
    () => h.call('storage.compact', { path: top }),
    () => h.call('storage.rebase', { path: top, backing: null }),
    () => h.call('storage.commit', { path: top }),
  ])
    expect(await reasonOf(work())).toEqual(['unauthorized', 'passphrase-missing']);
  await h.call('storage.commit', secret);
  await h.call('storage.rebase', { ...secret, backing: null });
  expect(qemuIo(top, SECRET, 'read -P 1 0 1M')).not.toContain('Pattern verification failed');
  expect((await h.call('storage.resize', { ...secret, sizeBytes: 2 * MIB })).sizeBytes).toBe(2 * MIB);
});

test('two volumes are compared, whatever their formats', async () => {
  const raw = path.join(pool, 'a.img');
  await create('b.qcow2', { sizeBytes: 3 * MIB });
  writeFileSync(raw, Buffer.alloc(2 * MIB));
  const other = path.join(pool, 'b.qcow2');
  expect(await h.call('storage.compare', { path: raw, with: other })).toEqual({ differsAt: null });
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 2500k 1k', other]);
  expect(await h.call('storage.compare', { path: raw, with: other })).toEqual({ differsAt: 2500 * 1024 });
  expect((await h.call('task.list', {})).at(-1)).toMatchObject({ kind: 'disk.compare', object: 'a.img – b.qcow2', state: 'done' });
  expect((await failureOf(h.call('storage.compare', { path: raw, with: '/etc/passwd' }))).kind).toBe('not-found');
});

test('a machine with an encrypted disk is cloned, in every way, with its passphrase, which opens the disks of the clones', async () => {
  const vm = await h.create('Sealed', {
    newDisk: { sizeBytes: 4 * MIB, format: 'qcow2', passphrase: SECRET },
    moreDisks: [{ type: 'new', sizeBytes: MIB, format: 'qcow2' }],
  });
  const disk = path.join(vm.folder, 'disk.qcow2');
  qemuIo(disk, SECRET, 'write -P 0x11 1M 64k');
  const taken = await h.call('snapshot.take', { id: vm.id, name: 'then' });
  qemuIo(disk, SECRET, 'write -P 0x22 1M 64k');
  const file = path.join(h.root, 'sealed.ova');
  const ways = (name: string, secret: object) => [
    () => h.call('vm.clone', { id: vm.id, name, linked: false, ...secret }),
    () => h.call('snapshot.clone', { id: vm.id, snapshot: taken.id, name, linked: false, ...secret }),
    () => h.call('snapshot.clone', { id: vm.id, snapshot: taken.id, name, linked: true, ...secret }),
  ];
  for (const way of ways('Never', {})) expect(await reasonOf(way())).toEqual(['unauthorized', 'passphrase-missing']);
  expect(await reasonOf(h.call('vm.exportOva', { id: vm.id, file }))).toEqual(['unauthorized', 'passphrase-missing']);
  expect(readdirSync(h.library).filter((name) => name !== '.trash')).toEqual(['Sealed']);
  expect(readdirSync(h.root).filter((name) => /ova|creating/.test(name))).toEqual([]);

  let n = 0;
  const byteOf = async (folder: string) => {
    const from = path.join(folder, 'disk.qcow2');
    expect((await h.call('storage.info', { path: from })).volume.encrypted).toBe(true);
    const plain = await h.call('storage.convert', { from, pool: 'default', name: `plain${n++}.img`, format: 'raw', passphrase: SECRET });
    return readFileSync(plain.path)[MIB];
  };
  const held: (number | undefined)[] = [];
  for (const way of ways('Clone', { passphrase: SECRET })) {
    const made = await way();
    held.push(await byteOf(made.folder));
    expect((await h.call('storage.info', { path: path.join(made.folder, 'disk2.qcow2') })).volume.encrypted).toBe(false);
    await h.call('vm.delete', { id: made.id });
  }
  expect(held).toEqual([0x22, 0x11, 0x11]);

  const { saidNotes } = await h.call('vm.exportOva', { id: vm.id, file, passphrase: SECRET });
  expect(saidNotes).toContainEqual({ key: 'noteDecrypted', params: { drive: 'ide0' } });
  expect(await byteOfOva(file)).toBe(0x22);
  const plain = await h.create('Base', { newDisk: { sizeBytes: 4 * MIB, format: 'qcow2', passphrase: SECRET } });
  qemuIo(path.join(plain.folder, 'disk.qcow2'), SECRET, 'write -P 0x33 1M 64k');
  expect(await reasonOf(h.call('vm.clone', { id: plain.id, name: 'Linked', linked: true, passphrase: 'wrong' }))).toEqual([
    'unauthorized',
    'passphrase-wrong',
  ]);
  const linked = await h.call('vm.clone', { id: plain.id, name: 'Linked', linked: true, passphrase: SECRET });
  expect(await byteOf(linked.folder)).toBe(0x33);
  // The original goes on with a disk on top of the shared one, which is as secret.
  const { config } = await h.get(plain.id);
  expect((await h.call('storage.info', { path: path.join(plain.folder, config!.drives[0]!.path!) })).volume).toMatchObject({
    encrypted: true,
    below: [{ exists: true }],
  });
});

/** Of the first disk of a package. */
async function byteOfOva(file: string): Promise<number | undefined> {
  const { machine } = await h.call('vm.importOva', { file });
  const copy = path.join(h.root, 'from-ova.img');
  execFileSync('qemu-img', ['convert', '-O', 'raw', path.join(machine.folder, machine.config!.drives[0]!.path!), copy]);
  return readFileSync(copy)[MIB];
}
