import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImageLocks } from '../platform/imagelocks.ts';
import { acquireLock } from '../platform/locks.ts';
import { eventually, failureOf, Harness } from './testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

test('what crashes left of writing a machine goes when it is found again, but not what may be written just now, nor what is not ours', async () => {
  const { folder } = await h.create('Left');
  const hex = 'ef57fc069cd4.tmp';
  const remains = [`vm.json.${hex}`, `vm.json.2026-01-01T00-00-00-000Z.${hex}`, `nvram.${hex}`, `saved.disks.json.${hex}`];
  const mine = ['vm.json.2026-01-01T00-00-00-000Z', `notes.${hex}`, 'vm.json.old.tmp'];
  for (const name of [...remains, ...mine]) {
    writeFileSync(path.join(folder, name), '{');
    utimesSync(path.join(folder, name), 1, 1);
  }
  writeFileSync(path.join(folder, 'vm.json.0123456789ab.tmp'), 'being written');
  await h.reopen();
  expect(readdirSync(folder).sort()).toEqual([...mine, 'log', 'vm.json', 'vm.json.0123456789ab.tmp'].sort());
});

describe('a change', () => {
  test('is in vm.json, in the answer and told to clients', async () => {
    const { id, folder } = await h.create('Before');
    const vm = await h.call('vm.update', { id, patch: { name: 'After', memoryMiB: 64, description: 'ü\n𝄞' } });
    expect(vm).toMatchObject({ name: 'After', folder, config: { memoryMiB: 64, description: 'ü\n𝄞' } });
    expect(h.config(folder)).toEqual(vm.config);
    expect(h.client.seen.filter(({ event }) => event === 'vm.changed').at(-1)).toMatchObject({ payload: { name: 'After' } });
    // Nothing else lies about.
    expect(readdirSync(folder).sort()).toEqual(['log', 'vm.json']);
  });

  test('of a name keeps names unique, also when two ask at once, and allows another case', async () => {
    const a = await h.create('A');
    const b = await h.create('B');
    expect((await failureOf(h.call('vm.update', { id: b.id, patch: { name: 'a' } }))).kind).toBe('already-exists');
    expect((await h.call('vm.update', { id: a.id, patch: { name: 'a' } })).name).toBe('a');
    const both = await Promise.allSettled([a, b].map(({ id }) => h.call('vm.update', { id, patch: { name: 'Both' } })));
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('is refused with its reason, and nothing is written', async () => {
    const { id, folder } = await h.create('Strict');
    const before = readFileSync(path.join(folder, 'vm.json'), 'utf8');
    const drive = { id: 'ide0', kind: 'disk', path: '/x.img', format: 'raw', readOnly: false } as const;
    const refused: [object, string, RegExp][] = [
      [{ memoryMiB: 0 }, 'invalid-argument', /memoryMiB/],
      [{ memoryMiB: 1e9 }, 'invalid-argument', /memoryMiB/],
      [{ drives: [drive, drive] }, 'invalid-argument', /two drives at ide0/],
      [{ drives: [{ ...drive, kind: 'floppy' }] }, 'invalid-argument', /floppy drive can't be at ide0/],
      [{ drives: [{ ...drive, path: null }] }, 'invalid-argument', /has no image/],
      [{ serial: [{ type: 'file', path: '../../outside' }] }, 'invalid-argument', /must lie in the machine's folder/],
      [{ serial: [{ type: 'file', path: '/etc/passwd' }] }, 'invalid-argument', /must lie in the machine's folder/],
    ];
    for (const [patch, kind, message] of refused) {
      const error = await failureOf(h.call('vm.update', { id, patch }));
      expect(error).toMatchObject({ kind, message: expect.stringMatching(message) });
    }
    expect(readFileSync(path.join(folder, 'vm.json'), 'utf8')).toBe(before);
  });

  test('made by many at once loses none', async () => {
    const { id, folder } = await h.create('Busy');
    await Promise.all([
      ...[10, 20, 30].map((memoryMiB) => h.call('vm.update', { id, patch: { memoryMiB } })),
      h.call('vm.update', { id, patch: { description: 'kept' } }),
      h.call('vm.update', { id, patch: { hpet: true } }),
    ]);
    expect(h.config(folder)).toMatchObject({ memoryMiB: 30, description: 'kept', hpet: true });
  });

  test('keeps what another manager, or a person, changed meanwhile', async () => {
    const { id, folder } = await h.create('Shared');
    const other = await h.another();
    await other.client.call('vm.update', { id, patch: { description: 'from the other' } });
    const vm = await h.call('vm.update', { id, patch: { memoryMiB: 99 } });
    expect(vm.config).toMatchObject({ description: 'from the other', memoryMiB: 99 });
    expect(h.config(folder)).toMatchObject({ description: 'from the other', memoryMiB: 99 });
  });

  test('while the machine runs is taken for the next start', async () => {
    const { id } = await h.fake('Running');
    expect((await h.call('vm.start', { id })).runsWith).toBeNull();
    expect((await h.call('vm.update', { id, patch: { name: 'Renamed' } })).runsWith).toBeNull();
    const changed = await h.call('vm.update', { id, patch: { memoryMiB: 48, drives: [] } });
    expect(changed.config).toMatchObject({ memoryMiB: 48, drives: [] });
    expect(changed.runsWith).toMatchObject({ memoryMiB: 32, drives: [{ id: 'ide2' }] });
    // The drive is there as long as the machine runs.
    await h.call('vm.changeMedium', { id, drive: 'ide2', path: null });
    await h.call('vm.forceOff', { id });
    expect((await h.call('vm.get', { id })).runsWith).toBeNull();
    expect((await h.call('vm.start', { id })).state).toBe('running');
    const log = await h.call('vm.log', { id, lines: 100 });
    expect(log.map(({ message }) => message)).toContain('fake machine Renamed with 48 MiB');
  });
});

describe('vm.json', () => {
  const broken: [string, string, string, RegExp][] = [
    ['empty', '', 'corrupt', /can't be understood/],
    ['cut off', '{"schema": 1, "id": "', 'corrupt', /can't be understood/],
    ['binary', '\0\x01\x02', 'corrupt', /can't be understood/],
    ['a list', '[]', 'corrupt', /holds no object/],
    ['without a schema', '{}', 'corrupt', /no schema number/],
    ['of schema 0', '{"schema":0}', 'corrupt', /schema 0 is unknown/],
    ['of schema -1e308', '{"schema":-1e308}', 'corrupt', /is unknown/],
    ['of schema 0.5', '{"schema":0.5}', 'corrupt', /is unknown/],
    ['of a newer schema', '{"schema":2,"future":true}', 'unsupported', /made by a newer Hypervue \(schema 2\)/],
    ['of the right schema and wrong content', '{"schema":1,"id":"../../x"}', 'corrupt', /id/],
    ['with a prototype', '{"schema":1,"__proto__":{"id":1}}', 'corrupt', /id/],
  ];

  test.each(broken)('that is %s is shown with its problem, never written, and disturbs nobody', async (_what, content, kind, message) => {
    const good = await h.create('Good');
    const { folder } = await h.create('Broken');
    const file = path.join(folder, 'vm.json');
    writeFileSync(file, content);
    await h.reopen();
    const list = await h.call('vm.list', {});
    expect(list.map(({ name }) => name).sort()).toEqual(['Broken', 'Good']);
    const vm = list.find(({ name }) => name === 'Broken')!;
    expect(vm).toMatchObject({ config: null, state: 'off', problem: { kind, message: expect.stringMatching(message) } });
    expect(vm.problem!.message).toContain(file);
    expect(vm.problem!.fix).toBeTruthy();
    const { id } = vm;
    const refused = await Promise.all(
      [
        h.call('vm.start', { id }),
        h.call('vm.pause', { id }),
        h.call('vm.update', { id, patch: { memoryMiB: 5 } }),
        h.call('vm.changeMedium', { id, drive: 'ide2', path: null }),
        h.call('vm.screenshot', { id }),
      ].map(failureOf),
    );
    expect(new Set(refused.map((error) => error.kind))).toEqual(new Set([kind]));
    expect(await h.call('vm.hardware', { id })).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe(content);
    // The other one is as it was.
    expect((await h.call('vm.update', { id: good.id, patch: { memoryMiB: 7 } })).config!.memoryMiB).toBe(7);
    // It can be thrown away, and comes back as it was.
    const { trashId } = await h.call('vm.delete', { id });
    expect((await h.call('vm.restore', { trashId })).problem!.kind).toBe(kind);
    expect(readFileSync(file, 'utf8')).toBe(content);
  });

  test('that is a folder, a dead link or a link in a circle is a problem of that machine alone', async () => {
    for (const name of ['Folder', 'Dead', 'Loop']) {
      const { folder } = await h.create(name);
      rmSync(path.join(folder, 'vm.json'));
      const file = path.join(folder, 'vm.json');
      if (name === 'Folder') mkdirSync(file);
      if (name === 'Loop') symlinkSync(file, file);
      if (name === 'Dead') symlinkSync('/nowhere', file);
    }
    await h.create('Good');
    await h.reopen();
    const list = await h.call('vm.list', {});
    expect(list.find(({ name }) => name === 'Good')!.problem).toBeNull();
    for (const { name, problem } of list) if (name !== 'Good') expect(problem).not.toBeNull();
  });

  test('damaged while the manager runs is neither written over nor started', async () => {
    const { id, folder } = await h.fake('Live');
    const file = path.join(folder, 'vm.json');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, '{ half');
    expect((await failureOf(h.call('vm.update', { id, patch: { memoryMiB: 5 } }))).kind).toBe('corrupt');
    expect((await failureOf(h.call('vm.start', { id }))).kind).toBe('corrupt');
    expect(readFileSync(file, 'utf8')).toBe('{ half');
    expect((await h.get(id)).state).toBe('off');
    expect(existsSync(path.join(folder, '.lock'))).toBe(false);
    writeFileSync(file, good);
    expect((await h.call('vm.start', { id })).state).toBe('running');
  });

  test('that was mended is found at the next look', async () => {
    const { id, folder } = await h.create('Mended');
    const file = path.join(folder, 'vm.json');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, '{');
    await h.reopen();
    expect((await h.call('vm.list', {}))[0]!.config).toBeNull();
    writeFileSync(file, good);
    expect(await h.call('vm.list', {})).toMatchObject([{ id, problem: null }]);
  });

  test('of a copied folder makes a machine of its own, whose name is free', async () => {
    const { id, folder } = await h.create('Debian');
    cpSync(folder, path.join(h.library, 'Debian copy'), { recursive: true });
    const list = await h.call('vm.list', {});
    expect(list.map(({ name }) => name).sort()).toEqual(['Debian', 'Debian 2']);
    expect(list.find(({ name }) => name === 'Debian')!.id).toBe(id);
    const copy = list.find(({ name }) => name === 'Debian 2')!;
    expect(copy.id).not.toBe(id);
    await h.reopen();
    expect((await h.call('vm.list', {})).map((vm) => vm.id).sort()).toEqual([id, copy.id].sort());
  });

  test('of a copied folder whose disk lies outside says that both have the same one', async () => {
    const { id, folder } = await h.create('Debian');
    const outside = h.medium('outside.img');
    const drives = [{ id: 'ide0', kind: 'disk', path: outside, format: 'raw', readOnly: false } as const];
    await h.call('vm.update', { id, patch: { drives } });
    cpSync(folder, path.join(h.library, 'Debian copy'), { recursive: true });
    const copy = (await h.call('vm.list', {})).find(({ name }) => name === 'Debian 2')!;
    const logged = async (of: string) => (await h.call('vm.log', { id: of, lines: 100 })).map(({ message }) => message);
    const both = `ide0: ${outside} is a disk of Debian too: both have this same disk, and only one of them can run at a time`;
    expect(await logged(copy.id)).toContain(both);
    expect(await logged(id)).not.toContain(both);
  });

  test('whose folder was taken away makes the machine leave the list', async () => {
    const { id, folder } = await h.create('Gone');
    renameSync(folder, path.join(h.root, 'elsewhere'));
    expect(await h.call('vm.list', {})).toEqual([]);
    expect((await failureOf(h.call('vm.start', { id }))).kind).toBe('not-found');
    await eventually(
      () => h.client.seen,
      (seen) => seen.some(({ event }) => event === 'vm.removed'),
    );
  });
});

describe('deleting', () => {
  test('moves the folder to the trash and restoring brings all of it back', async () => {
    const { id, folder, config } = await h.create('Precious', { newDisk: { sizeBytes: MIB, format: 'raw' } });
    writeFileSync(path.join(folder, 'notes.txt'), 'mine');
    const { trashId } = await h.call('vm.delete', { id });
    expect(existsSync(folder)).toBe(false);
    expect(await h.call('vm.list', {})).toEqual([]);
    expect((await failureOf(h.call('vm.get', { id }))).kind).toBe('not-found');
    await eventually(
      () => h.client.seen,
      (seen) => seen.some(({ event, payload }) => event === 'vm.removed' && (payload as { id: string }).id === id),
    );
    const back = await h.call('vm.restore', { trashId });
    expect(back).toMatchObject({ id, folder, config, problem: null });
    expect(readFileSync(path.join(folder, 'notes.txt'), 'utf8')).toBe('mine');
    expect(existsSync(path.join(folder, 'disk.img'))).toBe(true);
    expect((await failureOf(h.call('vm.restore', { trashId }))).kind).toBe('not-found');
    // It is whole: it starts.
    expect((await h.call('vm.start', { id })).state).toBe('running');
  });

  test('never touches images outside the folder', async () => {
    const disk = h.medium('disk.img');
    const floppy = h.medium('floppy.img', Buffer.alloc(1_474_560, 1));
    const a = await h.create('A', { source: { type: 'disk', path: disk, copy: false } });
    const b = await h.create('B', { source: { type: 'floppy', path: floppy } });
    const inside = await h.create('C', { source: { type: 'disk', path: disk, copy: false } });
    // By a link in the folder, too.
    symlinkSync(disk, path.join(inside.folder, 'link.img'));
    const trash = await Promise.all([a, b, inside].map(({ id }) => h.call('vm.delete', { id })));
    expect(readFileSync(disk).length).toBe(MIB);
    expect(readFileSync(floppy).length).toBe(1_474_560);
    for (const { trashId } of trash) await h.call('vm.restore', { trashId });
    expect(readFileSync(disk).length).toBe(MIB);
  });

  test('a running machine is refused, and so is one that another manager runs', async () => {
    const { id, folder } = await h.fake('Busy');
    const other = await h.another();
    await h.call('vm.start', { id });
    expect(await failureOf(h.call('vm.delete', { id }))).toMatchObject({ kind: 'invalid-state', dto: { fix: 'Turn it off first.' } });
    const error = await failureOf(other.client.call('vm.delete', { id }));
    expect(error).toMatchObject({ kind: 'in-use', message: expect.stringContaining('Busy') });
    expect(existsSync(folder)).toBe(true);
    expect((await h.get(id)).state).toBe('running');
    await h.call('vm.forceOff', { id });
    await other.client.call('vm.delete', { id });
    expect(existsSync(folder)).toBe(false);
  });

  test('a machine whose disk another one uses now is refused', async () => {
    const owner = await h.create('Owner', { newDisk: { sizeBytes: MIB, format: 'raw' } });
    const guest = await h.create('Guest', {
      source: { type: 'disk', path: path.join(owner.folder, 'disk.img'), copy: false },
    });
    await h.call('vm.start', { id: guest.id });
    const error = await failureOf(h.call('vm.delete', { id: owner.id }));
    expect(error).toMatchObject({ kind: 'in-use', message: 'a disk of Owner is in use by Guest' });
    expect((await h.get(owner.id)).name).toBe('Owner');
    expect(existsSync(path.join(owner.folder, '.lock'))).toBe(false);
  });

  test('and restoring under a name taken meanwhile gives a free one', async () => {
    const { id } = await h.create('Name');
    const { trashId } = await h.call('vm.delete', { id });
    await h.create('Name');
    const back = await h.call('vm.restore', { trashId });
    expect(back).toMatchObject({ id, name: 'Name 2' });
    expect(h.config(back.folder).name).toBe('Name 2');
  });

  test.each([['../../..'], ['..'], ['x'], ['00000000-0000-0000-0000-000000000000'], ['a/b']])(
    'has no way out of the trash by the id %s',
    async (trashId) => {
      await h.create('Here');
      expect((await failureOf(h.call('vm.restore', { trashId }))).kind).toBe('not-found');
      expect(h.names()).toEqual(['Here']);
    },
  );

  test('twice at once succeeds once', async () => {
    const { id } = await h.create('Once');
    const both = await Promise.allSettled([h.call('vm.delete', { id }), h.call('vm.delete', { id })]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(readdirSync(path.join(h.library, '.trash'))).toHaveLength(1);
  });
});

describe('locks', () => {
  test('keep an image from two machines, by any path, with an error that names who has it', async () => {
    const image = h.medium('shared.img');
    const link = path.join(h.media, 'link.img');
    symlinkSync(image, link);
    const first = await h.create('First', { source: { type: 'disk', path: image, copy: false } });
    const second = await h.create('Second', { source: { type: 'disk', path: link, copy: false } });
    await h.call('vm.start', { id: first.id });
    const error = await failureOf(h.call('vm.start', { id: second.id }));
    expect(error).toMatchObject({ kind: 'in-use', message: `${link} is in use by First` });
    expect(error.dto.fix).toContain('Stop First');
    expect((await h.get(second.id)).state).toBe('off');
    expect((await h.get(first.id)).state).toBe('running');
    const checks = await h.preflight('Third', { type: 'disk', path: image, copy: false, readOnly: false });
    expect(checks.find(({ id }) => id === 'source.in-use')).toMatchObject({ ok: false, severity: 'error' });
    await h.call('vm.forceOff', { id: first.id });
    expect((await h.call('vm.start', { id: second.id })).state).toBe('running');
    await h.call('vm.forceOff', { id: second.id });
    expect(h.lockFiles()).toEqual([]);
  });

  test('let any number of machines read one image', async () => {
    const image = h.medium('base.img');
    const source = { type: 'disk', path: image, copy: false, readOnly: true } as const;
    const all = await Promise.all(['R1', 'R2', 'R3'].map((name) => h.create(name, { source })));
    for (const { id } of all) expect((await h.call('vm.start', { id })).state).toBe('running');
    const writer = await h.create('W', { source: { type: 'disk', path: h.medium('other.img'), copy: false } });
    await h.call('vm.update', {
      id: writer.id,
      patch: { drives: [{ id: 'ide0', kind: 'disk', path: image, format: 'raw', readOnly: false }] },
    });
    expect((await failureOf(h.call('vm.start', { id: writer.id }))).message).toMatch(/in use by R[123]/);
  });

  test('of a machine keep a second manager from running it, and end with it', async () => {
    const { id } = await h.fake('Only');
    const other = await h.another();
    await h.call('vm.start', { id });
    const error = await failureOf(other.client.call('vm.start', { id }));
    expect(error).toMatchObject({
      kind: 'in-use',
      message: expect.stringContaining('Only is in use by another Hypervue, which runs Only'),
    });
    expect((await h.get(id)).state).toBe('running');
    await h.call('vm.forceOff', { id });
    expect((await other.client.call('vm.start', { id })).state).toBe('running');
    expect((await failureOf(h.call('vm.start', { id }))).kind).toBe('in-use');
  });

  test('of a machine name its process too, so that they hold until that is gone', async () => {
    const { id, folder } = await h.create('Held', { newDisk: { sizeBytes: MIB } });
    await h.call('vm.start', { id });
    const owner = JSON.parse(readFileSync(path.join(folder, '.lock'), 'utf8'));
    expect(owner.pid).toBe(process.pid);
    expect(owner.others).toHaveLength(1);
    expect(() => process.kill(owner.others[0].pid, 0)).not.toThrow();
    const writer = h.lockFiles().find((name) => name.endsWith('.writer'))!;
    expect(JSON.parse(readFileSync(path.join(h.root, 'locks', writer), 'utf8')).others).toEqual(owner.others);
  });

  test('of another manager process hold while it lives; once it is killed its machines end and can be started here', async () => {
    const image = h.medium('disk.img');
    const { id, folder } = await h.create('Elsewhere', { source: { type: 'disk', path: image, copy: false } });
    const third = await h.create('Third', { source: { type: 'disk', path: image, copy: false } });
    const script = fileURLToPath(new URL('./testing/managerprocess.ts', import.meta.url));
    const child = spawn(process.execPath, [script, h.root, h.library, id], { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    try {
      let said = '';
      child.stdout.on('data', (chunk) => {
        said += chunk;
      });
      await eventually(
        () => said,
        (text) => text.includes('\n'),
      );
      expect(said).toBe('running\n');
      expect(await failureOf(h.call('vm.start', { id }))).toMatchObject({
        kind: 'in-use',
        message: `Elsewhere is in use by another Hypervue, which runs Elsewhere (process ${child.pid})`,
      });
      expect((await failureOf(h.call('vm.start', { id: third.id }))).message).toBe(`${image} is in use by Elsewhere`);
      expect((await failureOf(h.call('vm.delete', { id }))).kind).toBe('in-use');
      expect((await h.call('vm.update', { id, patch: { description: 'still editable' } })).config!.description).toBe('still editable');
    } finally {
      child.kill('SIGKILL');
      await gone;
    }
    // Its machine's process flushes its disks and goes, and only then is the machine free.
    await eventually(
      () =>
        h.call('vm.start', { id }).then(
          ({ state }) => state,
          (error) => error.kind,
        ),
      (how) => how === 'running',
    );
    expect(JSON.parse(readFileSync(path.join(folder, '.lock'), 'utf8')).pid).toBe(process.pid);
  });

  test('of a manager that was killed are taken over', async () => {
    const image = h.medium('disk.img');
    const { id, folder } = await h.create('Orphan', { source: { type: 'disk', path: image, copy: false } });
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const pid = child.pid!;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    // The locks as that process would have made them.
    const locks = new ImageLocks(path.join(h.root, 'locks'));
    acquireLock(path.join(folder, '.lock'), 'Orphan', 'another Hypervue');
    locks.acquire(image, false, 'Somebody');
    for (const file of [path.join(folder, '.lock'), ...h.lockFiles().map((name) => path.join(h.root, 'locks', name))]) {
      const owner = JSON.parse(readFileSync(file, 'utf8'));
      writeFileSync(file, JSON.stringify({ ...owner, pid, startTime: '' }));
    }
    expect((await failureOf(h.call('vm.start', { id }))).kind).toBe('in-use');
    child.kill('SIGKILL');
    await gone;
    expect((await h.call('vm.start', { id })).state).toBe('running');
  });

  test('allow no image in two drives of one machine when one writes', async () => {
    const image = h.medium('disk.img');
    const { id } = await h.create('Twice', { source: { type: 'disk', path: image, copy: false } });
    const drive = { kind: 'disk', path: image, format: 'raw', readOnly: false } as const;
    await h.call('vm.update', {
      id,
      patch: {
        drives: [
          { id: 'ide0', ...drive },
          { id: 'ide1', ...drive, readOnly: true },
        ],
      },
    });
    const error = await failureOf(h.call('vm.start', { id }));
    expect(error).toMatchObject({ kind: 'invalid-argument', message: `${image} is in two drives of this machine, ide0 and ide1` });
    expect(h.lockFiles()).toEqual([]);
  });
});
