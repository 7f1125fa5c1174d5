import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Volume } from '../../contract/storage.ts';
import type { Task } from '../../contract/host.ts';
import { ImageLocks } from '../../platform/imagelocks.ts';
import { mountSmall } from '../../platform/testing/smalldisk.ts';
import { eventually, failureOf, Harness } from '../testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;
let pool: string;

beforeEach(async () => {
  h = await Harness.open();
  pool = path.join(h.root, 'disks');
});

afterEach(async () => {
  await h.close();
});

const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const create = (name: string, changes: object = {}) =>
  h.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 16 * MIB, ...changes } as never);
const volumes = async () => new Map((await h.call('storage.volumes', {})).map((volume) => [volume.name, volume]));
const volume = async (name: string): Promise<Volume> => {
  const found = (await volumes()).get(name);
  if (!found) throw new Error(`no volume ${name}`);
  return found;
};
/** Nothing hidden is left behind. */
const leftovers = (folder = pool) => readdirSync(folder).filter((name) => name.startsWith('.') && name !== '.trash');

describe('pools', () => {
  test('the default one lies beside the machines and is made when it is first needed', async () => {
    const pools = await h.call('storage.pools', {});
    expect(pools.map(({ id, folder, problem }) => [id, folder, problem])).toEqual([
      ['default', pool, null],
      ['machines', h.library, null],
    ]);
    expect(pools[0]!.freeBytes).toBeGreaterThan(0);
    expect(existsSync(pool)).toBe(false);
    await create('a.qcow2');
    expect(readdirSync(pool)).toEqual(['a.qcow2']);
  });

  test('are added, renamed and removed, and kept over a restart; files stay', async () => {
    const folder = path.join(h.root, 'more');
    const added = await h.call('storage.addPool', { name: 'More', folder, create: true });
    expect(h.client.seen.at(-1)?.event).toBe('storage.changed');
    writeFileSync(path.join(folder, 'x.img'), Buffer.alloc(MIB));
    expect((await volume('x.img')).pool).toBe(added.id);
    await h.call('storage.renamePool', { id: added.id, name: 'Other' });
    await h.call('storage.renamePool', { id: 'default', name: 'Mine' });
    await h.reopen();
    expect((await h.call('storage.pools', {})).map(({ name }) => name)).toEqual(['Mine', '', 'Other']);
    await h.call('storage.removePool', { id: added.id });
    expect(existsSync(path.join(folder, 'x.img'))).toBe(true);
    expect((await volumes()).size).toBe(0);
  });

  test('that make no sense are refused with the reason', async () => {
    const folder = path.join(h.root, 'p');
    await h.call('storage.addPool', { name: 'P', folder, create: true });
    symlinkSync(folder, path.join(h.root, 'link'));
    writeFileSync(path.join(h.root, 'file'), '');
    const before = readdirSync(h.root);
    const refused: [object, string][] = [
      [{ name: 'p', folder: path.join(h.root, 'q'), create: true }, 'already-exists'],
      [{ name: 'Q', folder: path.join(h.root, 'link') }, 'already-exists'],
      [{ name: 'Q', folder: 'relative' }, 'invalid-argument'],
      [{ name: 'Q', folder: path.join(h.library, 'inside'), create: true }, 'invalid-argument'],
      [{ name: 'Q', folder: path.join(h.root, 'missing/deep') }, 'not-found'],
      [{ name: 'Q', folder: path.join(h.root, 'file/below'), create: true }, 'not-found'],
      [{ name: 'Q\n', folder }, 'already-exists'],
      [{ name: '', folder }, 'invalid-argument'],
      [{ name: 'Q', folder: '/a\0b' }, 'invalid-argument'],
    ];
    for (const [params, kind] of refused)
      expect([params, (await failureOf(h.call('storage.addPool', params as never))).kind]).toEqual([params, kind]);
    // What is refused leaves no folder behind, nor does asking for one that is missing.
    expect(readdirSync(h.root)).toEqual(before);
    expect(existsSync(path.join(h.library, 'inside'))).toBe(false);
    const missing = await failureOf(h.call('storage.addPool', { name: 'Q', folder: path.join(h.root, 'missing') }));
    expect(missing).toMatchObject({
      dto: { context: { reason: 'folder-missing' } },
      message: expect.stringContaining('missing does not exist'),
    });
    for (const id of ['default', 'machines'])
      expect((await failureOf(h.call('storage.removePool', { id }))).message).toContain('always there');
    expect((await failureOf(h.call('storage.create', { pool: 'machines', name: 'a', format: 'raw', sizeBytes: MIB }))).kind).toBe(
      'invalid-argument',
    );
  });

  test('whose folder is gone say so, and the others go on', async () => {
    const { id, folder } = await h.call('storage.addPool', { name: 'P', folder: path.join(h.root, 'p'), create: true });
    rmSync(folder, { recursive: true });
    await create('a.qcow2');
    const gone = (await h.call('storage.pools', {})).find((each) => each.id === id);
    expect(gone).toMatchObject({ freeBytes: null, problem: { kind: 'not-found', message: expect.stringContaining(folder) } });
    expect([...(await volumes()).keys()]).toEqual(['a.qcow2']);
  });
});

describe('the list of volumes', () => {
  test('tells format, sizes, chain and users as qemu-img does', async () => {
    mkdirSync(pool);
    qemuImg('create', '-q', '-f', 'raw', path.join(pool, 'base.img'), '8M');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'raw', path.join(pool, 'middle.qcow2'));
    qemuImg('create', '-q', '-f', 'qcow2', '-b', path.join(pool, 'middle.qcow2'), '-F', 'qcow2', path.join(pool, 'top.qcow2'), '12M');
    qemuImg('snapshot', '-c', 'one', path.join(pool, 'top.qcow2'));
    writeFileSync(path.join(pool, 'notes.txt'), 'no image');
    const vm = await h.create('User', { newDisk: { sizeBytes: 4 * MIB, format: 'qcow2' } });
    const { drive } = await h.call('storage.attach', { path: path.join(pool, 'top.qcow2'), machine: vm.id });
    expect(drive).toBe('ide1');
    const all = await volumes();
    expect([...all.keys()].sort()).toEqual(['base.img', 'disk.qcow2', 'middle.qcow2', 'top.qcow2']);
    const top = all.get('top.qcow2')!;
    expect(top).toMatchObject({
      format: 'qcow2',
      sizeBytes: 12 * MIB,
      snapshots: 1,
      problem: null,
      usedBy: [{ kind: 'machine', id: vm.id, name: 'User' }],
    });
    expect(top.below).toEqual([
      { path: path.join(pool, 'middle.qcow2'), format: 'qcow2', exists: true },
      { path: path.join(pool, 'base.img'), format: 'raw', exists: true },
    ]);
    expect(all.get('base.img')!.usedBy).toEqual([{ kind: 'overlay', name: 'middle.qcow2', path: path.join(pool, 'middle.qcow2') }]);
    expect(all.get('disk.qcow2')).toMatchObject({
      pool: 'machines',
      machine: { name: 'User' },
      usedBy: [{ kind: 'machine', name: 'User' }],
    });
    const chain = JSON.parse(qemuImg('info', '--backing-chain', '--output=json', top.path)) as { filename: string }[];
    expect(chain.map(({ filename }) => path.basename(filename))).toEqual(['top.qcow2', 'middle.qcow2', 'base.img']);
  });

  test('shows what is broken with its error, and is never kept from the rest by it', async () => {
    mkdirSync(pool);
    const at = (name: string) => path.join(pool, name);
    await create('good.qcow2');
    writeFileSync(at('cut.qcow2'), Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'));
    symlinkSync('loop2.img', at('loop1.img'));
    symlinkSync('loop1.img', at('loop2.img'));
    symlinkSync(pool, at('folder.img'));
    symlinkSync('good.qcow2', at('link.qcow2'));
    execFileSync('mkfifo', [at('pipe.img')]);
    mkdirSync(at('sub.qcow2'));
    writeFileSync(at('-rf $(x) "q" \u{1d11e}\n.img'), Buffer.alloc(4096));
    writeFileSync(at('lost.qcow2'), '');
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'nowhere.img', '-F', 'raw', at('orphan.qcow2'), '4M');
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'b.qcow2', '-F', 'qcow2', at('a.qcow2'), '4M');
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'a.qcow2', '-F', 'qcow2', at('b.qcow2'), '4M');
    const all = await volumes();
    expect(all.get('good.qcow2')!.problem).toBeNull();
    expect(all.get('cut.qcow2')!.problem).toMatchObject({ kind: 'corrupt' });
    expect(all.get('loop1.img')).toMatchObject({
      link: 'loop2.img',
      problem: { kind: 'not-found', message: expect.stringContaining('link that leads nowhere') },
    });
    expect(all.has('folder.img')).toBe(false);
    expect(all.get('link.qcow2')).toMatchObject({ link: 'good.qcow2', sizeBytes: 16 * MIB });
    expect(all.get('pipe.img')!.problem).toMatchObject({ kind: 'invalid-argument' });
    expect(all.has('sub.qcow2')).toBe(false);
    expect(all.get('-rf $(x) "q" \u{1d11e}\n.img')).toMatchObject({ format: 'raw', sizeBytes: 4096 });
    expect(all.get('orphan.qcow2')!.below).toEqual([{ path: at('nowhere.img'), format: 'raw', exists: false }]);
    expect(all.get('a.qcow2')!.below.map((lower) => path.basename(lower.path))).toEqual(['b.qcow2']);
    // What leads elsewhere is never written to.
    expect((await failureOf(h.call('storage.resize', { path: at('link.qcow2'), sizeBytes: 32 * MIB }))).message).toContain('is a link to');
  });

  test('believes a machine, not its guest, about what an image is', async () => {
    const vm = await h.create('Hostile', { newDisk: { sizeBytes: 4 * MIB, format: 'raw' } });
    const disk = path.join(vm.folder, 'disk.img');
    const secret = h.medium('secret.img');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', path.join(h.root, 'evil'));
    const bytes = readFileSync(path.join(h.root, 'evil'));
    writeFileSync(disk, bytes);
    truncateSync(disk, 4 * MIB);
    const seen = await volume('disk.img');
    expect(seen).toMatchObject({ format: 'raw', sizeBytes: 4 * MIB, below: [] });
    const copy = await h.call('storage.convert', { from: disk, pool: 'default', name: 'copy.img', format: 'raw' });
    expect(readFileSync(copy.path).subarray(0, bytes.length).equals(bytes)).toBe(true);
  });

  test('knows images of other programs, which can be converted and nothing more', async () => {
    mkdirSync(pool);
    const at = (name: string) => path.join(pool, name);
    const raw = h.medium('raw.img', Buffer.alloc(2 * MIB, 5));
    for (const [format, ending] of [
      ['vmdk', 'vmdk'],
      ['vdi', 'vdi'],
      ['vpc', 'vhd'],
      ['vhdx', 'vhdx'],
    ] as const)
      qemuImg('convert', '-f', 'raw', '-O', format, ...(format === 'vpc' ? ['-o', 'force_size=on'] : []), raw, at(`x.${ending}`));
    const all = await volumes();
    for (const ending of ['vmdk', 'vdi', 'vhd', 'vhdx'] as const) {
      expect(all.get(`x.${ending}`)).toMatchObject({ format: ending, sizeBytes: 2 * MIB, problem: null });
      expect((await failureOf(h.call('storage.resize', { path: at(`x.${ending}`), sizeBytes: 4 * MIB }))).kind).toBe('unsupported');
      const made = await h.call('storage.convert', {
        from: at(`x.${ending}`),
        pool: 'default',
        name: `from-${ending}.qcow2`,
        format: 'qcow2',
      });
      expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', raw, made.path)).toContain('identical');
    }
    await h.call('storage.convert', { from: raw, pool: 'default', name: 'out.vmdk', format: 'vmdk' });
    expect(qemuImg('compare', '-f', 'raw', '-F', 'vmdk', raw, at('out.vmdk'))).toContain('identical');
  });

  test('is quick over hundreds of images, and quicker the second time', async () => {
    await create('one.qcow2');
    const bytes = readFileSync(path.join(pool, 'one.qcow2'));
    for (let i = 0; i < 500; i++) writeFileSync(path.join(pool, `many${i}.qcow2`), bytes);
    expect((await volumes()).size).toBe(501);
    const before = process.cpuUsage();
    await volumes();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });
});

describe('a new volume', () => {
  test('has every option that was asked for', async () => {
    const base = await create('base.qcow2', { clusterBytes: 4096, compression: 'zstd', extendedL2: false, preallocation: 'metadata' });
    expect(JSON.parse(qemuImg('info', '--output=json', base.path))).toMatchObject({
      'cluster-size': 4096,
      'virtual-size': 16 * MIB,
      'format-specific': { data: { 'compression-type': 'zstd' } },
    });
    const top = await create('top.qcow2', { sizeBytes: undefined, backing: base.path });
    expect(top).toMatchObject({ sizeBytes: 16 * MIB, below: [{ path: base.path }] });
    expect(JSON.parse(qemuImg('info', '--output=json', top.path))).toMatchObject({
      'backing-filename': 'base.qcow2',
      'backing-filename-format': 'qcow2',
    });
    const full = await create('full.img', { format: 'raw', preallocation: 'falloc' });
    expect(full.allocatedBytes).toBe(16 * MIB);
    for (const { path: file, format } of [base, top]) expect(qemuImg('check', '-f', format, file)).toContain('No errors');
    expect(leftovers()).toEqual([]);
  });

  test('has a name that stays in its pool', async () => {
    for (const name of ['../x.img', 'a/b.img', '..', '.hidden', 'a\0', 'a\nb', 'C:x', ' a', 'a ', '', 'x'.repeat(300)])
      expect([name, (await failureOf(create(name))).kind]).toEqual([name, 'invalid-argument']);
    await create('a.qcow2');
    const before = readFileSync(path.join(pool, 'a.qcow2'));
    expect((await failureOf(create('a.qcow2'))).kind).toBe('already-exists');
    expect(readFileSync(path.join(pool, 'a.qcow2')).equals(before)).toBe(true);
    const both = await Promise.allSettled([create('b.qcow2'), create('b.qcow2')]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(leftovers()).toEqual([]);
  });

  test('that can not be is refused before anything is made', async () => {
    const refused: [object, string][] = [
      [{ sizeBytes: 100 }, 'invalid-argument'],
      [{ sizeBytes: 16 * MIB + 1 }, 'invalid-argument'],
      [{ sizeBytes: undefined }, 'invalid-argument'],
      [{ clusterBytes: 3000 }, 'invalid-argument'],
      [{ format: 'raw', clusterBytes: 4096 }, 'invalid-argument'],
      [{ format: 'vmdk' }, 'invalid-argument'],
      [{ backing: '/none/x.img' }, 'not-found'],
      [{ backing: 'relative.img' }, 'invalid-argument'],
      [{ pool: '00000000-0000-4000-8000-000000000000' }, 'not-found'],
      [{ pool: '../..' }, 'invalid-argument'],
    ];
    for (const [changes, kind] of refused) expect([changes, (await failureOf(create('a.qcow2', changes))).kind]).toEqual([changes, kind]);
    if (existsSync(pool)) expect(readdirSync(pool)).toEqual([]);
  });

  test('on a full disk leaves nothing behind', async ({ skip }) => {
    const disk = mountSmall(8 * MIB);
    if (!disk) return skip('no small file system can be mounted here');
    try {
      const { id } = await h.call('storage.addPool', { name: 'Small', folder: disk.folder });
      expect((await failureOf(create('a.img', { pool: id, format: 'raw', preallocation: 'full', sizeBytes: 64 * MIB }))).kind).toBe(
        'no-space',
      );
      const big = h.medium('big.img', Buffer.alloc(24 * MIB, 7));
      expect((await failureOf(h.call('storage.convert', { from: big, pool: id, name: 'b.qcow2', format: 'qcow2' }))).kind).toBe('no-space');
      expect((await failureOf(h.call('storage.convert', { from: big, pool: id, name: 'b.img', format: 'raw' }))).kind).toBe('no-space');
      expect(readdirSync(disk.folder)).toEqual([]);
    } finally {
      disk.unmount();
    }
  });
});

describe('tasks', () => {
  test('cancelled at any point leave no half file', async () => {
    const big = h.medium('big.img', Buffer.alloc(48 * MIB, 3));
    for (const at of [0, 0.1, 0.5, 0.9]) {
      const off = h.client.on('task.changed', (task: Task) => {
        if (task.state === 'running' && (task.progress ?? 0) >= at) void h.call('task.cancel', { id: task.id }).catch(() => {});
      });
      const outcome = await h.call('storage.convert', { from: big, pool: 'default', name: 'c.qcow2', format: 'qcow2' }).then(
        () => 'done',
        (error) => error.kind,
      );
      off();
      // The last one may have been too late.
      expect(['cancelled', 'done']).toContain(outcome);
      if (at < 0.9) expect(outcome).toBe('cancelled');
      expect(readdirSync(pool)).toEqual(outcome === 'done' ? ['c.qcow2'] : []);
      rmSync(path.join(pool, 'c.qcow2'), { force: true });
    }
  });

  test('are cancelled by whom they were asked for, and by nobody else in this way', async () => {
    const big = h.medium('big.img', Buffer.alloc(48 * MIB, 3));
    const other = h.connect();
    let others: Promise<unknown> | undefined;
    const off = h.client.on('task.changed', (task: Task) => {
      if (task.state === 'running')
        others ??= other.call('task.cancelOwn', {}).then((result) => h.call('task.cancelOwn', {}).then((own) => [result, own]));
    });
    const copy = h.call('storage.convert', { from: big, pool: 'default', name: 'c.qcow2', format: 'qcow2', compress: true });
    expect((await failureOf(copy)).kind).toBe('cancelled');
    off();
    expect(await others).toEqual([{ cancelled: 0 }, { cancelled: 1 }]);
    expect(readdirSync(pool)).toEqual([]);
  });

  test('tell their progress, and the copy is the same as the original', async () => {
    const big = h.medium('big.img', Buffer.from(Uint8Array.from({ length: 9 * MIB }, (_, i) => (i >> 12) & 255)));
    const copy = await h.call('storage.convert', { from: big, pool: 'default', name: 'c.qcow2', format: 'qcow2', compress: true });
    expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', big, copy.path)).toContain('identical');
    const seen = h.client.seen.filter(({ event }) => event === 'task.changed').map(({ payload }) => payload as Task);
    expect(seen.at(-1)).toMatchObject({ kind: 'disk.import', object: 'c.qcow2', state: 'done', progress: 1 });
    expect(seen.some(({ progress }) => progress !== null && progress > 0 && progress < 1)).toBe(true);
  });

  test('that a killed program left are removed at the next start', async () => {
    await create('a.qcow2');
    writeFileSync(path.join(pool, '.creating-00000000-0000-4000-8000-000000000000'), 'half');
    await h.reopen();
    expect(readdirSync(pool)).toEqual(['a.qcow2']);
    expect(h.logged.join('\n')).toContain('left over');
  });
});

describe('an existing volume', () => {
  test('grows, and shrinks only when nothing is lost', async () => {
    const { path: file } = await create('a.qcow2');
    expect(await h.call('storage.resize', { path: file, sizeBytes: 32 * MIB })).toMatchObject({ sizeBytes: 32 * MIB });
    expect(await h.call('storage.resize', { path: file, sizeBytes: 8 * MIB })).toMatchObject({ sizeBytes: 8 * MIB });
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 7M 64k', file], { stdio: 'ignore' });
    const error = await failureOf(h.call('storage.resize', { path: file, sizeBytes: 4 * MIB }));
    expect(error).toMatchObject({ kind: 'invalid-state', dto: { fix: expect.stringContaining('Shrink the file system') } });
  });

  test('is checked and repaired', async () => {
    const { path: file } = await create('a.qcow2', { preallocation: 'metadata' });
    expect(await h.call('storage.check', { path: file, repair: 'none' })).toMatchObject({ errors: 0, leaks: 0 });
    // The refcount of the last cluster, which nothing refers to.
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 0 64k', file], { stdio: 'ignore' });
    const bytes = readFileSync(file);
    const table = Number(bytes.readBigUInt64BE(48));
    const block = Number(bytes.readBigUInt64BE(table));
    bytes.writeUInt16BE(1, block + 2000);
    writeFileSync(file, bytes);
    expect((await h.call('storage.check', { path: file, repair: 'none' })).leaks).toBe(1);
    expect(await h.call('storage.check', { path: file, repair: 'leaks' })).toMatchObject({ leaks: 1, leaksFixed: 1 });
    expect(qemuImg('check', file)).toContain('No errors');
  });

  test('is committed, rebased and compacted, and says the same as qemu-img', async () => {
    const at = (name: string) => path.join(pool, name);
    const io = (command: string, name: string) => execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, at(name)], { encoding: 'utf8' });
    const base = await create('base.qcow2');
    io('write -P 1 0 1M', 'base.qcow2');
    const top = await h.call('storage.linkedClone', { path: base.path, pool: 'default', name: 'top.qcow2' });
    io('write -P 2 1M 1M', 'top.qcow2');
    // Another one lies on the base too.
    const other = await h.call('storage.linkedClone', { path: base.path, pool: 'default', name: 'other.qcow2' });
    expect(await failureOf(h.call('storage.commit', { path: top.path }))).toMatchObject({
      kind: 'in-use',
      message: expect.stringContaining('other.qcow2'),
    });
    expect((await h.call('storage.rebase', { path: other.path, backing: null })).below).toEqual([]);
    expect(io('read -P 1 0 1M', 'other.qcow2')).not.toContain('failed');
    await h.call('storage.commit', { path: top.path });
    expect(io('read -P 2 1M 1M', 'base.qcow2')).not.toContain('failed');
    expect((await failureOf(h.call('storage.commit', { path: base.path }))).kind).toBe('invalid-argument');
    // Below a file that is in no pool, nothing is written.
    const outside = path.join(h.media, 'outside.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', outside, '16M');
    expect((await h.call('storage.rebase', { path: top.path, backing: outside })).below[0]!.path).toBe(outside);
    expect((await failureOf(h.call('storage.commit', { path: top.path }))).kind).toBe('not-found');
    io('write -P 3 4M 8M', 'base.qcow2');
    io('discard 4M 8M', 'base.qcow2');
    io('write -z 0 2M', 'base.qcow2');
    const { beforeBytes, afterBytes } = await h.call('storage.compact', { path: base.path });
    expect(afterBytes).toBeLessThan(beforeBytes);
    for (const name of ['base.qcow2', 'top.qcow2', 'other.qcow2']) expect(qemuImg('check', at(name))).toContain('No errors');
    expect((await failureOf(h.call('storage.rebase', { path: base.path, backing: base.path }))).kind).toBe('invalid-argument');
  });

  test('below another one does not change', async () => {
    const base = await create('base.qcow2');
    const top = await h.call('storage.linkedClone', { path: base.path, pool: 'default', name: 'top.qcow2' });
    expect(top.below[0]!.path).toBe(base.path);
    const vm = await h.create('VM');
    for (const attempt of [
      () => h.call('storage.resize', { path: base.path, sizeBytes: 32 * MIB }),
      () => h.call('storage.attach', { path: base.path, machine: vm.id }),
      () => h.call('storage.delete', { path: base.path }),
    ])
      expect(await failureOf(attempt())).toMatchObject({ kind: 'in-use', message: expect.stringContaining('top.qcow2') });
    // Behind our back, and the machine still does not start.
    const drive = { id: 'ide0', kind: 'disk', path: base.path, format: 'qcow2', readOnly: false } as const;
    await h.call('vm.update', { id: vm.id, patch: { drives: [drive] } });
    expect(await failureOf(h.call('vm.start', { id: vm.id }))).toMatchObject({
      kind: 'in-use',
      message: expect.stringContaining('top.qcow2'),
    });
  });

  test('below another one by way of an image that lies in no pool does not change either', async () => {
    const base = await create('base.qcow2');
    const elsewhere = path.join(h.root, 'elsewhere');
    mkdirSync(elsewhere);
    const overlay = (file: string, below: string) => {
      qemuImg('create', '-q', '-f', 'qcow2', '-b', below, '-F', 'qcow2', file);
      return file;
    };
    const middle = overlay(path.join(elsewhere, 'middle.qcow2'), base.path);
    const [user, writer] = [await h.create('User'), await h.create('Writer')];
    const use = (id: string, file: string) =>
      h.call('vm.update', { id, patch: { drives: [{ id: 'ide0', kind: 'disk', path: file, format: 'qcow2', readOnly: false }] } });
    const resize = () => h.call('storage.resize', { path: base.path, sizeBytes: 32 * MIB });
    const refused = async (name: string, attempt: () => Promise<unknown>) =>
      expect(await failureOf(attempt())).toMatchObject({ kind: 'in-use', message: expect.stringContaining(name) });
    await resize();
    // A machine's disk that is no volume.
    await use(user.id, overlay(path.join(elsewhere, 'top.qcow2'), middle));
    await use(writer.id, base.path);
    await refused('User', () => h.call('vm.start', { id: writer.id }));
    await refused('User', resize);
    await refused('User', () => h.call('vm.growDisk', { id: writer.id, drive: 'ide0', sizeBytes: 64 * MIB }));
    await h.call('vm.update', { id: writer.id, patch: { drives: [] } });
    await refused('User', () => h.call('storage.delete', { path: base.path }));
    expect((await h.call('storage.planDelete', { path: base.path })).refusal).toMatchObject({ kind: 'in-use' });
    await h.call('vm.update', { id: user.id, patch: { drives: [] } });
    await h.call('storage.resize', { path: base.path, sizeBytes: 48 * MIB });
    // A volume.
    overlay(path.join(pool, 'top.qcow2'), middle);
    await refused('top.qcow2', resize);
    // And a disk that is itself no volume, below a machine's.
    rmSync(path.join(pool, 'top.qcow2'));
    overlay(path.join(pool, 'other.qcow2'), middle);
    await use(writer.id, middle);
    await refused('other.qcow2', () => h.call('vm.start', { id: writer.id }));
  });

  test('whose image below is missing is checked all the same, and that is said', async () => {
    const base = await create('base.qcow2');
    const top = await h.call('storage.linkedClone', { path: base.path, pool: 'default', name: 'top.qcow2' });
    expect(await h.call('storage.check', { path: top.path, repair: 'none' })).toMatchObject({ errors: 0, belowProblem: null });
    rmSync(base.path);
    expect(await h.call('storage.check', { path: top.path, repair: 'all' })).toMatchObject({
      errors: 0,
      belowProblem: `${top.path} lies on top of ${base.path}, which can't be opened`,
    });
  });

  test('that is used as raw and begins as qcow2 is used so, and the log of the machine says it', async () => {
    const { path: file } = await create('a.qcow2');
    const vm = await h.create('Raw');
    const drive = { id: 'ide0', kind: 'disk', path: file, format: 'raw', readOnly: false } as const;
    // What is new is looked at; what somebody says of it after that counts.
    expect((await h.call('vm.update', { id: vm.id, patch: { drives: [drive] } })).config?.drives).toMatchObject([{ format: 'qcow2' }]);
    expect((await h.call('vm.update', { id: vm.id, patch: { drives: [drive] } })).config?.drives).toMatchObject([{ format: 'raw' }]);
    await h.call('vm.start', { id: vm.id });
    expect((await h.call('vm.log', { id: vm.id, lines: 100 })).map(({ message }) => message)).toContain(
      `${file} is used as raw, as vm.json says, but begins as a qcow2 image does`,
    );
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('in use by a running machine is locked', async () => {
    const { path: file } = await create('a.qcow2');
    const locks = new ImageLocks(path.join(h.root, 'locks'));
    const lock = locks.acquire(file, false, 'Debian');
    expect((await volume('a.qcow2')).lockedBy).toBe('Debian');
    for (const attempt of [
      () => h.call('storage.resize', { path: file, sizeBytes: 32 * MIB }),
      () => h.call('storage.check', { path: file, repair: 'none' }),
      () => h.call('storage.check', { path: file, repair: 'all' }),
      () => h.call('storage.delete', { path: file }),
      () => h.call('storage.linkedClone', { path: file, pool: 'default', name: 'b.qcow2' }),
      () => h.call('storage.convert', { from: file, pool: 'default', name: 'b.qcow2', format: 'qcow2' }),
    ])
      expect(await failureOf(attempt())).toMatchObject({ kind: 'in-use', message: expect.stringContaining('Debian') });
    expect(await h.call('storage.info', { path: file })).toMatchObject({ map: null });
    lock.dispose();
    expect((await h.call('storage.info', { path: file })).map).toEqual({ data: 0, compressed: 0, zero: 16 * MIB, backing: 0 });
    expect(readdirSync(pool)).toEqual(['a.qcow2']);
  });

  test('of a machine with a saved state stays as that state knows it', async () => {
    const vm = await h.create('Saved', { newDisk: { sizeBytes: 8 * MIB, format: 'qcow2' } });
    writeFileSync(path.join(vm.folder, 'saved.state'), 'a state');
    await h.reopen();
    const file = path.join(vm.folder, 'disk.qcow2');
    for (const attempt of [
      () => h.call('storage.resize', { path: file, sizeBytes: 16 * MIB }),
      () => h.call('storage.compact', { path: file }),
      () => h.call('storage.check', { path: file, repair: 'all' }),
      () => h.call('vm.clone', { id: vm.id, name: 'Copy' }),
      () => h.call('vm.setTemplate', { id: vm.id, template: true }),
    ])
      expect(await failureOf(attempt())).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('saved state') });
    expect(await h.call('storage.check', { path: file, repair: 'none' })).toMatchObject({ errors: 0 });
  });

  test('of a running machine grows in it', async () => {
    const vm = await h.fake('Grows');
    const { path: file } = await create('a.qcow2');
    await h.call('storage.attach', { path: file, machine: vm.id });
    await h.call('vm.start', { id: vm.id });
    expect((await volume('a.qcow2')).lockedBy).toBe('Grows');
    await h.call('storage.resize', { path: file, sizeBytes: 64 * MIB });
    expect((await h.call('vm.log', { id: vm.id, lines: 100 })).map(({ message }) => message)).toContain('ide0: 64 MiB large now');
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('is attached, taken off and attached to one machine at a time', async () => {
    const { path: file } = await create('a.qcow2');
    const one = await h.create('One');
    const two = await h.create('Two');
    await h.call('storage.attach', { path: file, machine: one.id });
    expect((await h.get(one.id)).config!.drives).toContainEqual({ id: 'ide0', kind: 'disk', path: file, format: 'qcow2', readOnly: false });
    expect((await failureOf(h.call('storage.attach', { path: file, machine: two.id }))).message).toContain('a disk of One already');
    expect((await failureOf(h.call('storage.detach', { path: file, machine: two.id }))).kind).toBe('not-found');
    expect((await failureOf(h.call('storage.delete', { path: file }))).message).toContain('used by One');
    await h.call('storage.detach', { path: file, machine: one.id });
    await h.call('storage.attach', { path: file, machine: two.id });
  });

  test('is none when it lies in no pool, however the path is written', async () => {
    const outside = h.medium('outside.img');
    await create('a.qcow2');
    for (const file of [
      outside,
      '/etc/passwd',
      path.join(pool, '..', 'media', 'outside.img'),
      `${pool}/../check.img`,
      pool,
      '/',
      'a.qcow2',
    ])
      for (const attempt of [
        () => h.call('storage.delete', { path: file }),
        () => h.call('storage.resize', { path: file, sizeBytes: 2 * MIB }),
        () => h.call('storage.check', { path: file, repair: 'all' }),
        () => h.call('storage.info', { path: file }),
      ])
        expect([file, (await failureOf(attempt())).kind]).toEqual([file, 'not-found']);
    expect(existsSync(outside)).toBe(true);
  });
});

describe('the trash', () => {
  test('takes volumes and machines and gives them back', async () => {
    const { path: file } = await create('a.qcow2');
    const vm = await h.create('Gone', { newDisk: { sizeBytes: 4 * MIB } });
    const { trashId } = await h.call('storage.delete', { path: file });
    await h.call('vm.delete', { id: vm.id });
    expect(existsSync(file)).toBe(false);
    const items = await h.call('trash.list', {});
    expect(items.map(({ kind, name, from }) => [kind, name, from])).toEqual([
      ['machine', 'Gone', vm.folder],
      ['volume', 'a.qcow2', file],
    ]);
    expect(items[0]!.files).toContain('disk.qcow2');
    expect(items[1]!.sizeBytes).toBeGreaterThan(0);
    // Somebody took the name meanwhile.
    await create('a.qcow2');
    expect(await h.call('trash.restore', { id: trashId })).toEqual({ path: path.join(pool, 'a 2.qcow2') });
    expect(await h.call('trash.restore', { id: items[0]!.id })).toEqual({ path: vm.folder });
    expect((await h.call('vm.list', {})).map(({ name }) => name)).toEqual(['Gone']);
    expect(await h.call('trash.list', {})).toEqual([]);
    expect((await failureOf(h.call('trash.restore', { id: trashId }))).kind).toBe('not-found');
  });

  test('gives back what lies on something else only onto that, and keeps what something in it needs', async () => {
    const { path: base } = await create('base.qcow2');
    const top = await h.call('storage.linkedClone', { path: base, pool: 'default', name: 'top.qcow2' });
    const upper = (await h.call('storage.delete', { path: top.path })).trashId;
    const lower = (await h.call('storage.delete', { path: base })).trashId;
    expect((await failureOf(h.call('trash.restore', { id: upper }))).message).toBe(`top.qcow2 lies on ${base}, which is in the trash too`);
    expect((await failureOf(h.call('trash.remove', { ids: [lower] }))).kind).toBe('in-use');
    // Something else of that name: what lies on the old one would read it.
    await create('base.qcow2');
    expect((await failureOf(h.call('trash.restore', { id: upper }))).kind).toBe('invalid-state');
    expect((await failureOf(h.call('trash.restore', { id: lower }))).kind).toBe('already-exists');
    await h.call('storage.delete', { path: base });
    expect(await h.call('trash.restore', { id: lower })).toEqual({ path: base });
    expect(await h.call('trash.restore', { id: upper })).toEqual({ path: top.path });
    // Both at once may go.
    const ids = [];
    for (const file of [top.path, base]) ids.push((await h.call('storage.delete', { path: file })).trashId);
    await h.call('trash.remove', { ids: [...ids].reverse() });
    expect((await h.call('trash.list', {})).map(({ name }) => name)).toEqual(['base.qcow2']);
  });

  test('a linked clone of a machine comes back after its original only', async () => {
    const vm = await h.create('Original', { newDisk: { sizeBytes: 4 * MIB, format: 'qcow2' } });
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    const upper = (await h.call('vm.delete', { id: clone.id })).trashId;
    const lower = (await h.call('vm.delete', { id: vm.id })).trashId;
    expect((await failureOf(h.call('vm.restore', { trashId: upper }))).message).toContain('which is in the trash too');
    expect((await failureOf(h.call('trash.restore', { id: upper }))).message).toContain('which is in the trash too');
    expect((await failureOf(h.call('trash.remove', { ids: [lower] }))).kind).toBe('in-use');
    await h.call('vm.restore', { trashId: lower });
    await h.call('vm.restore', { trashId: upper });
    expect((await h.call('vm.list', {})).map(({ name }) => name).sort()).toEqual(['Linked', 'Original']);
  });

  test('forgets for good what it is told, and nothing else', async () => {
    const ids: string[] = [];
    for (const name of ['a.qcow2', 'b.qcow2']) ids.push((await h.call('storage.delete', { path: (await create(name)).path })).trashId);
    for (const id of ['../..', '.', ids[0]!.replace(/.$/, 'x'), ''])
      expect((await failureOf(h.call('trash.remove', { ids: [id] }))).kind).toBe('not-found');
    await h.call('trash.remove', { ids: [ids[0]!] });
    expect((await h.call('trash.list', {})).map(({ name }) => name)).toEqual(['b.qcow2']);
    expect(existsSync(h.library)).toBe(true);
  });

  test('does not believe a record about places elsewhere', async () => {
    const { path: file } = await create('a.qcow2');
    const { trashId } = await h.call('storage.delete', { path: file });
    const record = path.join(pool, '.trash', trashId, '.deleted.json');
    writeFileSync(record, JSON.stringify({ from: '/etc/a.qcow2', deletedAt: new Date().toISOString() }));
    expect(await h.call('trash.restore', { id: trashId })).toEqual({ path: file });
  });

  test('shows nothing of a deletion that was cut off before it moved anything', async () => {
    const { path: file } = await create('a.qcow2');
    const place = path.join(pool, '.trash', randomUUID());
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, '.deleted.json.0123456789ab.tmp'), '{"from":');
    expect(await h.call('trash.list', {})).toEqual([]);
    expect(existsSync(file)).toBe(true);
  });

  test('of before there were records still works', async () => {
    const vm = await h.create('Old');
    const { trashId } = await h.call('vm.delete', { id: vm.id });
    rmSync(path.join(h.library, '.trash', trashId, '.deleted.json'));
    expect(await h.call('trash.list', {})).toMatchObject([{ kind: 'machine', name: 'Old' }]);
    expect((await h.call('vm.restore', { trashId })).name).toBe('Old');
  });
});

test('what was renamed while a client looked is not found, not taken for another', async () => {
  const { path: file } = await create('a.qcow2');
  await volumes();
  renameSync(file, path.join(pool, 'b.qcow2'));
  expect((await failureOf(h.call('storage.resize', { path: file, sizeBytes: 32 * MIB }))).kind).toBe('not-found');
  await eventually(volumes, (all) => all.has('b.qcow2'));
});
