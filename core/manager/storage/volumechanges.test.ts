import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ImageLocks } from '../../platform/imagelocks.ts';
import { failureOf } from '../testing/harness.ts';
import { create, freshLibraries, h, MIB, pool, qemuImg, qemuIo, volume } from '../testing/storagebench.ts';

freshLibraries();

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

  test('loses what compacting left beside it when it was killed, unless somebody still works on it', async () => {
    const vm = await h.create('Compacted', { newDisk: { sizeBytes: 8 * MIB, format: 'qcow2' } });
    const images = [(await create('a.qcow2')).path, (await create('b.qcow2')).path, path.join(vm.folder, 'disk.qcow2')];
    const alone = path.join(pool, 'gone.qcow2.hypervue-compact');
    for (const left of [...images.map((image) => `${image}.hypervue-compact`), alone]) writeFileSync(left, 'half');
    const lock = new ImageLocks(path.join(h.root, 'locks')).acquire(images[1]!, false, 'Debian');
    await h.reopen();
    const there = () => [...images.map((image) => `${image}.hypervue-compact`), alone].map((left) => existsSync(left));
    expect(there()).toEqual([false, true, false, true]);
    lock.dispose();
    await h.reopen();
    expect(there()).toEqual([false, false, false, true]);
    expect((await h.call('storage.volumes', {})).map(({ name }) => name).sort()).toEqual(['a.qcow2', 'b.qcow2', 'disk.qcow2']);
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

  test('of a machine that is on is attached and taken off for its next start, and says so', async () => {
    const { path: file } = await create('a.qcow2');
    const vm = await h.fake('On');
    expect(await h.call('storage.attach', { path: file, machine: vm.id })).toEqual({ drive: 'ide0', waits: false });
    await h.call('vm.start', { id: vm.id });
    expect(await h.call('storage.detach', { path: file, machine: vm.id })).toEqual({ waits: true });
    const { path: second } = await create('b.qcow2');
    expect(await h.call('storage.attach', { path: second, machine: vm.id })).toEqual({ drive: 'ide0', waits: true });
    await h.call('vm.forceOff', { id: vm.id });
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

describe('an image whose lower one is gone, or that lies on itself', () => {
  const image = (name: string, below: string) => {
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', below, '-F', 'qcow2', path.join(pool, name), '16M');
    return path.join(pool, name);
  };

  test('is not attached and nothing is put on it; with the name of the image below put right it is whole again', async () => {
    await create('base.qcow2');
    qemuIo('write -P 7 0 1M', path.join(pool, 'base.qcow2'));
    const top = image('top.qcow2', 'base.qcow2');
    qemuIo('write -P 9 2M 1M', top);
    renameSync(path.join(pool, 'base.qcow2'), path.join(pool, 'moved.qcow2'));
    const vm = await h.create('Wants it');
    for (const refused of [
      () => h.call('storage.attach', { path: top, machine: vm.id }),
      () => h.call('storage.linkedClone', { path: top, pool: 'default', name: 'more.qcow2' }),
      () => h.call('storage.create', { pool: 'default', name: 'more.qcow2', format: 'qcow2', backing: top }),
    ])
      expect(await failureOf(refused())).toMatchObject({ kind: 'not-found', message: expect.stringContaining('base.qcow2') });
    // As before without the word: contents that can't be read are not compared.
    expect((await failureOf(h.call('storage.rebase', { path: top, backing: path.join(pool, 'moved.qcow2') }))).kind).toBe('not-found');
    expect(await failureOf(h.call('storage.rebase', { path: top, backing: null, nameOnly: true }))).toMatchObject({
      kind: 'invalid-argument',
      message: expect.stringContaining('top.qcow2'),
    });
    const whole = await h.call('storage.rebase', { path: top, backing: path.join(pool, 'moved.qcow2'), nameOnly: true });
    expect(whole).toMatchObject({ circular: false, below: [{ path: path.join(pool, 'moved.qcow2'), exists: true }] });
    expect(qemuIo('read -P 7 0 1M', top) + qemuIo('read -P 9 2M 1M', top)).not.toContain('failed');
    await h.call('storage.attach', { path: top, machine: vm.id });
  });

  test('in a circle it is refused by name, can be put on the right image, and can be deleted', async () => {
    await create('right.qcow2');
    const a = image('a.qcow2', 'b.qcow2');
    const b = image('b.qcow2', 'a.qcow2');
    expect(await failureOf(h.call('storage.linkedClone', { path: a, pool: 'default', name: 'more.qcow2' }))).toMatchObject({
      kind: 'corrupt',
      message: expect.stringContaining('a.qcow2 lies on top of itself'),
    });
    expect((await failureOf(h.call('storage.rebase', { path: a, backing: b, nameOnly: true }))).kind).toBe('corrupt');
    expect(await h.call('storage.rebase', { path: a, backing: path.join(pool, 'right.qcow2'), nameOnly: true })).toMatchObject({
      circular: false,
    });
    expect(await volume('b.qcow2')).toMatchObject({ circular: false, below: [{ path: a }, { path: path.join(pool, 'right.qcow2') }] });
    const c = image('c.qcow2', 'd.qcow2');
    const d = image('d.qcow2', 'c.qcow2');
    expect((await h.call('storage.planDelete', { path: c })).refusal).toBeNull();
    await h.call('storage.delete', { path: c });
    await h.call('storage.delete', { path: d });
  });
});
