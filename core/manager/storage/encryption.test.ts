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
