import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Task } from '../../contract/host.ts';
import { mountSmall } from '../../platform/testing/smalldisk.ts';
import { eventually, failureOf } from '../testing/harness.ts';
import { create, freshLibraries, h, leftovers, MIB, pool, qemuImg, volume, volumes } from '../testing/storagebench.ts';

freshLibraries();

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
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'itself.qcow2', '-F', 'qcow2', at('itself.qcow2'), '4M');
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'a.qcow2', '-F', 'qcow2', at('over.qcow2'), '4M');
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
    expect(all.get('orphan.qcow2')!.circular).toBe(false);
    expect(all.get('a.qcow2')).toMatchObject({ circular: true, below: [{ path: at('b.qcow2') }] });
    expect(all.get('itself.qcow2')).toMatchObject({ circular: true, below: [] });
    expect(all.get('over.qcow2')).toMatchObject({ circular: true, below: [{ path: at('a.qcow2') }, { path: at('b.qcow2') }] });
    // What leads elsewhere is never written to.
    expect((await failureOf(h.call('storage.resize', { path: at('link.qcow2'), sizeBytes: 32 * MIB }))).message).toContain('is a link to');
  });

  test('a raw image whose name does not say so gets an ending, without which nobody would find it', async () => {
    const made = await h.call('storage.create', { pool: 'default', name: 'Data 1.0', format: 'raw', sizeBytes: MIB });
    expect(made).toMatchObject({ name: 'Data 1.0.raw', format: 'raw', sizeBytes: MIB });
    const copy = await h.call('storage.convert', { from: made.path, pool: 'default', name: 'copy', format: 'raw' });
    expect(copy.name).toBe('copy.raw');
    expect(await h.call('storage.create', { pool: 'default', name: 'plain', format: 'qcow2', sizeBytes: MIB })).toMatchObject({
      name: 'plain',
    });
    expect((await failureOf(h.call('storage.create', { pool: 'default', name: 'copy', format: 'raw', sizeBytes: MIB }))).kind).toBe(
      'already-exists',
    );
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

  test('marks what is named as an image with a structure and is none, whatever made it; a machine or an overlay is believed', async () => {
    mkdirSync(pool);
    const at = (name: string) => path.join(pool, name);
    const garbage = Buffer.alloc(MIB, 'not a disk ');
    for (const name of ['cut.qcow2', 'x.vmdk', 'x.vdi', 'x.vhd', 'x.vhdx', 'below.qcow2', 'x-flat.vmdk', 'data.img', 'data.qcow2'])
      writeFileSync(at(name), garbage);
    writeFileSync(at('empty.qcow2'), '');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', 'below.qcow2', '-F', 'raw', at('top.qcow2'));
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${at('data.qcow2')},data_file_raw=on`, at('head.qcow2'), '1M');
    const all = await volumes();
    for (const name of ['cut.qcow2', 'empty.qcow2', 'x.vmdk', 'x.vdi', 'x.vhd', 'x.vhdx'])
      expect(all.get(name), name).toMatchObject({
        format: name.split('.')[1],
        problem: { kind: 'corrupt', message: expect.stringContaining(name), context: { reason: 'not-as-named' } },
      });
    for (const name of ['below.qcow2', 'x-flat.vmdk', 'data.img', 'data.qcow2', 'top.qcow2', 'head.qcow2'])
      expect(all.get(name)!.problem, name).toBeNull();
    expect(all.get('below.qcow2')).toMatchObject({ format: 'raw', sizeBytes: MIB });
    const vm = await h.create('Tries it');
    expect((await failureOf(h.call('storage.attach', { path: at('cut.qcow2'), machine: vm.id }))).kind).toBe('corrupt');
    expect((await failureOf(h.call('storage.resize', { path: at('cut.qcow2'), sizeBytes: 4 * MIB }))).kind).toBe('corrupt');
    expect(readFileSync(at('cut.qcow2')).equals(garbage)).toBe(true);
    const drives = [...vm.config!.drives, { id: 'ide1', kind: 'disk', path: at('cut.qcow2'), format: 'raw', readOnly: false }];
    expect(await failureOf(h.call('vm.update', { id: vm.id, patch: { drives } } as never))).toMatchObject({
      message: expect.stringContaining('cut.qcow2'),
    });
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
      // It is named as it was wanted, be it the file itself that has no room or what keeps it.
      for (const fill of [() => {}, () => disk.fill()]) {
        fill();
        const b = path.join(disk.folder, 'b.img');
        const { message, dto } = await failureOf(h.call('storage.convert', { from: big, pool: id, name: 'b.img', format: 'raw' }));
        expect([message, dto.context.path, dto.said!.params.path]).toEqual([expect.stringContaining(`${b} could not grow`), b, b]);
      }
      expect(readdirSync(disk.folder)).toEqual(['filler']);
    } finally {
      disk.unmount();
    }
  });
});

describe('a file from elsewhere', () => {
  const bring = (file: string, more: object = {}) =>
    h.call('storage.convert', { from: file, pool: 'default', name: 'brought.qcow2', format: 'qcow2', ...more } as never);
  const file = (name: string, bytes: Buffer | string) => {
    writeFileSync(path.join(h.root, name), bytes);
    return path.join(h.root, name);
  };

  test('that does not look like an image is refused by its name, and is taken when it is said to be raw', async () => {
    for (const [name, bytes] of [
      ['notes.txt', 'Hello'],
      ['letter.txt', Buffer.alloc(8192, 'Dear ')],
      ['small.img', 'Hello'],
      ['nothing.img', ''],
    ] as const) {
      const error = await failureOf(bring(file(name, bytes)));
      expect(error).toMatchObject({
        kind: 'invalid-argument',
        message: expect.stringContaining(name),
        dto: { context: { reason: 'not-an-image' } },
      });
      expect(error.dto.fix, name).toContain('raw');
    }
    expect(existsSync(path.join(pool, 'brought.qcow2'))).toBe(false);
    expect(await bring(file('notes.txt', 'Hello'), { fromFormat: 'raw' })).toMatchObject({ format: 'qcow2', sizeBytes: 512 });
  });

  test('that is named as an image with a structure and has none is refused, in a pool too, unless it is said to be raw', async () => {
    const garbage = Buffer.alloc(MIB, 'garbage ');
    for (const from of [file('cut.qcow2', garbage), file('cut.vmdk', garbage)])
      expect(await failureOf(bring(from))).toMatchObject({ message: expect.stringContaining(path.basename(from)) });
    mkdirSync(pool, { recursive: true });
    writeFileSync(path.join(pool, 'inside.qcow2'), garbage);
    expect((await failureOf(bring(path.join(pool, 'inside.qcow2')))).kind).toBe('corrupt');
    const made = await bring(path.join(pool, 'inside.qcow2'), { fromFormat: 'raw' });
    expect(made).toMatchObject({ format: 'qcow2', sizeBytes: MIB, problem: null });
    expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', path.join(pool, 'inside.qcow2'), made.path)).toContain('identical');
  });

  test('that is packed says to unpack it', async () => {
    expect(await failureOf(bring(file('disk.img', Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(2048)]))))).toMatchObject({
      dto: { fix: expect.stringContaining('raw') },
    });
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

test('what was renamed while a client looked is not found, not taken for another', async () => {
  const { path: file } = await create('a.qcow2');
  await volumes();
  renameSync(file, path.join(pool, 'b.qcow2'));
  expect((await failureOf(h.call('storage.resize', { path: file, sizeBytes: 32 * MIB }))).kind).toBe('not-found');
  await eventually(volumes, (all) => all.has('b.qcow2'));
});
