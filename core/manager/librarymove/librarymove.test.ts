import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chooseLibrary, chosenLibrary } from '../../platform/chosenlibrary.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { mountSmall } from '../../platform/testing/smalldisk.ts';
import { createLogger } from '../../util/logger.ts';
import { failureOf, Harness } from '../testing/harness.ts';
import { endMoveJournal, leaveMove, settleMove, writeMoveJournal } from './journal.ts';

const MIB = 1024 * 1024;
const log = createLogger(() => {});
let h: Harness;
let config: string;
let at: (name: string) => string;

beforeEach(async () => {
  h = await Harness.open({ changeLibrary: (folder) => chooseLibrary(config, folder) });
  config = path.join(h.root, 'config');
  const root = realpathSync(h.root);
  at = (name) => path.join(root, name);
});
afterEach(() => h.close());

const write = (file: string, pattern: number) =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 0 64k`, file], { stdio: ['ignore', 'ignore', 'pipe'] });
/** Through all images below. */
const holds = (file: string, pattern: number) =>
  !execFileSync('qemu-io', ['-f', 'qcow2', '-c', `read -P ${pattern} 0 64k`, file], { encoding: 'utf8' }).includes('verification failed');

/**
 * A machine with a disk that holds something, a linked clone of it, a machine whose disk and disc are named by whole paths into the library, and one with a disk elsewhere.
 */
async function library() {
  const base = await h.create('Base', { newDisk: { sizeBytes: 8 * MIB, format: 'qcow2' } });
  write(path.join(base.folder, 'disk.qcow2'), 7);
  const linked = await h.call('vm.clone', { id: base.id, name: 'Linked', linked: true });
  const whole = await h.create('Whole');
  const disc = path.join(base.folder, 'some.iso');
  writeFileSync(disc, Buffer.alloc(40_960, 1));
  const named = path.join(whole.folder, 'named.qcow2');
  // Named by its whole path, as other programs do.
  await createDisk(named, {
    format: 'qcow2',
    sizeBytes: 8 * MIB,
    backingFile: path.join(base.folder, 'disk.qcow2'),
    backingFormat: 'qcow2',
  });
  await h.call('vm.update', {
    id: whole.id,
    patch: {
      drives: [
        { id: 'ide0', kind: 'disk', path: named, format: 'qcow2', readOnly: false },
        { id: 'ide2', kind: 'cdrom', path: disc, format: 'raw', readOnly: true },
      ],
    },
  });
  const outside = path.join(h.media, 'outside.qcow2');
  await createDisk(outside, { format: 'qcow2', sizeBytes: MIB });
  const other = await h.create('Other', { source: { type: 'disk', path: outside, copy: false } });
  // Its base lies beside the library, by a path that leads out of it.
  const beside = path.join(h.root, 'beside.qcow2');
  await createDisk(beside, { format: 'qcow2', sizeBytes: MIB });
  write(beside, 5);
  await createDisk(path.join(other.folder, 'out.qcow2'), {
    format: 'qcow2',
    sizeBytes: MIB,
    backingFile: '../../beside.qcow2',
    backingFormat: 'qcow2',
  });
  await h.call('vm.update', {
    id: other.id,
    patch: { drives: [...other.config!.drives, { id: 'ide1', kind: 'disk', path: 'out.qcow2', format: 'qcow2', readOnly: false }] },
  });
  await h.call('snapshot.take', { id: other.id, name: 'One', description: '', memory: false });
  const { trashId } = await h.call('vm.delete', { id: (await h.create('Gone')).id });
  return { base, linked, whole, other, outside, trashId };
}

/** Everything of the library works from `place`, and nothing leads back. */
async function worksAt(place: string, made: Awaited<ReturnType<typeof library>>) {
  const moved = await Harness.open({ library: place });
  try {
    const list = await moved.call('vm.list', {});
    expect(list.map(({ name }) => name).sort()).toEqual(['Base', 'Linked', 'Other', 'Whole']);
    const folder = (name: string) => list.find((vm) => vm.name === name)!.folder;
    for (const { config: each } of list) expect(JSON.stringify(each)).not.toContain(`${h.library}/`);
    expect(holds(path.join(folder('Linked'), list.find(({ name }) => name === 'Linked')!.config!.drives[0]!.path!), 7)).toBe(true);
    expect(holds(path.join(folder('Whole'), 'named.qcow2'), 7)).toBe(true);
    expect(holds(path.join(folder('Other'), 'out.qcow2'), 5)).toBe(true);
    const whole = list.find(({ name }) => name === 'Whole')!;
    expect(whole.config!.drives.map((drive) => drive.path)).toEqual([
      path.join(folder('Whole'), 'named.qcow2'),
      path.join(folder('Base'), 'some.iso'),
    ]);
    expect(list.find(({ name }) => name === 'Other')!.config!.drives[0]!.path).toBe(made.outside);
    const ids = list.filter(({ name }) => name !== 'Base').map(({ id }) => id);
    for (const { name, checks } of await moved.call('vm.check', { ids }))
      expect([name, checks.filter(({ ok, severity }) => !ok && severity === 'error')]).toEqual([name, []]);
    expect((await moved.call('snapshot.list', { id: made.other.id })).snapshots.map(({ name }) => name)).toEqual(['One']);
    expect((await moved.call('vm.restore', { trashId: made.trashId })).name).toBe('Gone');
  } finally {
    await moved.close();
  }
}

describe('on the same file system', () => {
  test('it is a rename, and every path holds', async () => {
    const made = await library();
    const plan = await h.call('host.planMove', { path: at('new/vms') });
    expect(plan).toMatchObject({
      folder: at('new/vms'),
      missing: true,
      sameDisk: true,
      machines: 4,
      outside: [made.outside],
      refusal: null,
    });
    expect(existsSync(at('new'))).toBe(false);
    const inode = statSync(made.base.folder).ino;
    const drawn = readFileSync(made.outside);
    await h.call('host.moveLibrary', { path: at('new/vms') });
    expect(chosenLibrary(config)).toBe(at('new/vms'));
    expect(existsSync(h.library)).toBe(false);
    expect(statSync(path.join(at('new/vms'), path.basename(made.base.folder))).ino).toBe(inode);
    expect(readFileSync(made.outside).equals(drawn)).toBe(true);
    expect(readdirSync(config).filter((name) => name.startsWith('librarymove'))).toEqual([]);
    await worksAt(at('new/vms'), made);
  });

  test.each(['before the rename', 'after it'])('cut off %s there is one whole library, and the next start says so', async (when) => {
    const made = await library();
    const journal = {
      from: h.library,
      real: realpathSync(h.library),
      to: at('there'),
      how: 'rename' as const,
      stage: 'placing' as const,
      names: readdirSync(h.library),
      made: true,
      staging: '.moving-x',
    };
    await h.manager.close();
    await writeMoveJournal(config, journal);
    await chooseLibrary(config, at('there'));
    if (when === 'after it') {
      execFileSync('mv', [h.library, at('there')]);
      // Somebody looked for machines there.
      mkdirSync(h.library);
    }
    const { said } = await settleMove(config, log);
    expect(said!.said.key).toBe(when === 'after it' ? 'moveFinished' : 'moveCutOff');
    expect(chosenLibrary(config)).toBe(when === 'after it' ? at('there') : h.library);
    expect((await settleMove(config, log)).said).toBeUndefined();
    if (when === 'after it') await worksAt(at('there'), made);
    else expect((await (await h.another()).client.call('vm.list', {})).length).toBe(4);
  });
});

describe('to another file system', () => {
  /** A small file system to move to; the test is skipped where none can be mounted. */
  const another = (skip: (why: string) => never, bytes = 64 * MIB) => mountSmall(bytes) ?? skip('only root may mount a small file system');

  test('everything is copied and compared; the old place goes when the new one was opened', async ({ skip }) => {
    const disk = another(skip);
    try {
      const made = await library();
      const to = path.join(realpathSync(disk.folder), 'vms');
      expect(await h.call('host.planMove', { path: to })).toMatchObject({ sameDisk: false, refusal: null });
      const before = statSync(path.join(made.base.folder, 'disk.qcow2')).mtimeMs;
      await h.call('host.moveLibrary', { path: to });
      expect(chosenLibrary(config)).toBe(to);
      expect(readdirSync(to).filter((name) => name.startsWith('.moving'))).toEqual([]);
      expect(Math.abs(statSync(path.join(to, 'Base', 'disk.qcow2')).mtimeMs - before)).toBeLessThan(2);
      expect(existsSync(made.base.folder)).toBe(true);
      const { said, opened } = await settleMove(config, log);
      expect(said).toBeUndefined();
      expect(await opened()).toBeUndefined();
      expect(existsSync(h.library)).toBe(false);
      await worksAt(to, made);
    } finally {
      disk.unmount();
    }
  });

  test('too little room, a folder that is not empty, and disks elsewhere that lie on those that go are told before', async ({ skip }) => {
    const disk = another(skip, 4 * MIB);
    try {
      const { base } = await library();
      writeFileSync(path.join(base.folder, 'large.img'), Buffer.alloc(8 * MIB, 1));
      const to = path.join(realpathSync(disk.folder), 'vms');
      expect((await h.call('host.planMove', { path: to })).refusal).toMatchObject({ kind: 'no-space', said: { key: 'moveNoRoom' } });
      expect((await failureOf(h.call('host.moveLibrary', { path: to }))).kind).toBe('no-space');
      expect(existsSync(to)).toBe(false);
      mkdirSync(at('full'));
      writeFileSync(at('full/file'), '');
      expect((await h.call('host.planMove', { path: at('full') })).refusal).toMatchObject({ said: { key: 'moveTargetFull' } });
      const top = path.join(h.media, 'top.qcow2');
      await createDisk(top, {
        format: 'qcow2',
        sizeBytes: 8 * MIB,
        backingFile: path.join(base.folder, 'disk.qcow2'),
        backingFormat: 'qcow2',
      });
      await h.create('Elsewhere', { source: { type: 'disk', path: top, copy: false } });
      expect((await h.call('host.planMove', { path: at('new') })).refusal).toMatchObject({ said: { key: 'moveOnTopOne' } });
      expect((await failureOf(h.call('host.moveLibrary', { path: at('new') }))).kind).toBe('in-use');
      expect((await h.call('vm.list', {})).length).toBe(5);
    } finally {
      disk.unmount();
    }
  });

  test('a disk that fills on the way, and a cancel: everything is as it was, and nothing is left there', async ({ skip }) => {
    const disk = another(skip);
    try {
      const made = await library();
      const large = path.join(made.base.folder, 'large.img');
      writeFileSync(large, Buffer.alloc(24 * MIB, 1));
      const to = path.join(realpathSync(disk.folder), 'vms');
      const asItWas = async () => {
        expect(readdirSync(disk.folder).filter((name) => name !== 'filler' && name !== 'lost+found')).toEqual([]);
        expect(readdirSync(config).filter((name) => name.startsWith('librarymove'))).toEqual([]);
        expect(chosenLibrary(config)).toBeUndefined();
        expect((await h.call('vm.list', {})).length).toBe(4);
        expect(h.names().filter((name) => name.startsWith('.lock'))).toEqual([]);
      };
      // Somebody else takes the room in the middle of it.
      let filled = false;
      const off = h.client.on('task.changed', ({ kind, progress }) => {
        if (kind !== 'host.moveLibrary' || !progress || filled) return;
        filled = true;
        disk.fill();
      });
      const failure = await failureOf(h.call('host.moveLibrary', { path: to }));
      off();
      expect(failure.kind).toBe('no-space');
      await asItWas();
      rmSync(path.join(disk.folder, 'filler'));
      const stop = h.client.on('task.changed', ({ id, kind, progress, state }) => {
        if (kind === 'host.moveLibrary' && progress && state === 'running') void h.call('task.cancel', { id }).catch(() => {});
      });
      expect((await failureOf(h.call('host.moveLibrary', { path: to }))).kind).toBe('cancelled');
      stop();
      await asItWas();
      rmSync(large);
      await h.call('host.moveLibrary', { path: to });
      await (await settleMove(config, log)).opened();
      await worksAt(to, made);
    } finally {
      disk.unmount();
    }
  });

  test.each(['copying', 'placing', 'half placed', 'removing', 'half removed'] as const)(
    'cut off while %s, one whole library is left, and the next start goes back or on',
    async (stage) => {
      const made = await library();
      await h.manager.close();
      const real = realpathSync(h.library);
      const to = at('there');
      const staging = '.moving-x';
      const names = readdirSync(real);
      const placed = stage === 'removing' || stage === 'half removed';
      // A copy as it is in the middle, after, and where it belongs; what it says of places is looked at elsewhere.
      mkdirSync(placed ? to : path.join(to, staging), { recursive: true });
      for (const [i, name] of names.entries())
        if (stage !== 'copying' || i === 0)
          cpSync(path.join(real, name), path.join(to, placed || (stage === 'half placed' && i % 2) ? '' : staging, name), {
            recursive: true,
            preserveTimestamps: true,
          });
      if (placed) await chooseLibrary(config, to);
      if (stage === 'half removed') rmSync(path.join(real, names[0]!), { recursive: true });
      await writeMoveJournal(config, {
        from: h.library,
        real,
        to,
        how: 'copy',
        stage: placed ? 'removing' : stage === 'copying' ? 'copying' : 'placing',
        names,
        made: true,
        staging,
      });
      const { said, opened } = await settleMove(config, log);
      if (stage === 'copying') {
        expect(said!.said.key).toBe('moveCutOff');
        expect([existsSync(to), chosenLibrary(config)]).toEqual([false, undefined]);
        expect((await (await h.another()).client.call('vm.list', {})).length).toBe(4);
        return;
      }
      expect(said?.said.key).toBe(placed ? undefined : 'moveFinished');
      expect(chosenLibrary(config)).toBe(to);
      // Until the new one was opened nothing of the old one goes.
      if (stage !== 'half removed') expect(existsSync(made.base.folder)).toBe(true);
      await opened();
      expect([existsSync(real), readdirSync(to).sort()]).toEqual([false, names.sort()]);
      expect((await settleMove(config, log)).said).toBeUndefined();
    },
  );

  test.each(['copying', 'placing', 'removing'] as const)(
    'cut off while %s, nothing of the old place goes once it was opened by its name',
    async (stage) => {
      await library();
      await h.manager.close();
      const real = realpathSync(h.library);
      const to = at('there');
      const staging = '.moving-x';
      const names = readdirSync(real);
      cpSync(real, stage === 'removing' ? to : path.join(to, staging), { recursive: true, preserveTimestamps: true });
      if (stage === 'removing') await chooseLibrary(config, to);
      await writeMoveJournal(config, { from: h.library, real, to, how: 'copy', stage, names, made: true, staging });
      await leaveMove(config, at('elsewhere'), log);
      const warned: string[] = [];
      await leaveMove(
        config,
        h.library,
        createLogger((_level, _scope, message) => warned.push(message)),
      );
      expect(warned).toEqual([expect.stringContaining(stage === 'copying' ? 'as before' : 'nothing of it goes any more')]);
      await (await settleMove(config, log)).opened();
      expect(readdirSync(real).sort()).toEqual(names.sort());
      expect(existsSync(to)).toBe(stage !== 'copying');
    },
  );

  test('killed at any moment, a whole library is there at the next start', async ({ skip }) => {
    const disk = another(skip);
    const home = mkdtempSync(path.join(tmpdir(), 'hv-move-'));
    const main = path.resolve(import.meta.dirname, '../../cli/main.ts');
    const env = { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg'), HYPERVUE_FAKE_VM: '1' };
    const cli = (...args: string[]) =>
      execFileSync(process.execPath, [main, ...args, '--json'], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const names = () =>
      (JSON.parse(cli('list')) as { name: string; problem: unknown }[]).map(({ name, problem }) => [name, problem]).sort();
    const ended = (child: ChildProcess) => new Promise<void>((resolve) => child.on('close', () => resolve()));
    try {
      for (const name of ['a', 'b']) cli('create', '--blank', '--name', name, '--new-disk', '1M');
      writeFileSync(path.join(home, 'machines', 'a', 'data.img'), Buffer.alloc(16 * MIB, 3));
      const all = names();
      const places = [path.join(home, 'machines'), path.join(realpathSync(disk.folder), 'vms')];
      for (const after of [0, 300, 30, 120]) {
        const now = chosenLibrary(home) ?? places[0]!;
        const to = places.find((each) => each !== now)!;
        const child = spawn(process.execPath, [main, 'library', 'move', to], { env, stdio: 'ignore' });
        const over = ended(child);
        // From the moment on that it begins; one that is quicker is whole too.
        while (child.exitCode === null && child.signalCode === null && !existsSync(path.join(home, 'librarymove.json')))
          await new Promise((resolve) => setTimeout(resolve, 2));
        await new Promise((resolve) => setTimeout(resolve, after));
        child.kill('SIGKILL');
        await over;
        expect(names()).toEqual(all);
        const kept = chosenLibrary(home) ?? places[0]!;
        expect(readFileSync(path.join(kept, 'a', 'data.img')).equals(Buffer.alloc(16 * MIB, 3))).toBe(true);
        expect(readdirSync(kept).filter((name) => name.startsWith('.moving'))).toEqual([]);
        expect(existsSync(path.join(home, 'librarymove.json'))).toBe(false);
      }
    } finally {
      rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      disk.unmount();
    }
  }, 120_000);
});

test('where the choice can’t be kept nothing was moved, and nothing waits for the next start', async ({ skip }) => {
  const disk = mountSmall(64 * MIB) ?? skip('only root may mount a small file system');
  try {
    await library();
    for (const to of [path.join(realpathSync(disk.folder), 'vms'), at('near')]) {
      // A folder where the file of the choice is put together.
      mkdirSync(path.join(config, 'library.json'));
      await failureOf(h.call('host.moveLibrary', { path: to }));
      rmSync(path.join(config, 'library.json'), { recursive: true });
      expect([existsSync(to), existsSync(path.join(config, 'librarymove.json'))]).toEqual([false, false]);
      expect((await h.call('vm.list', {})).length).toBe(4);
      expect((await settleMove(config, log)).said).toBeUndefined();
    }
  } finally {
    disk.unmount();
  }
});

test('a copy on a drive that is away does not take the old place away', async () => {
  await library();
  await h.manager.close();
  const real = realpathSync(h.library);
  const names = readdirSync(real);
  mkdirSync(at('mounted'));
  await chooseLibrary(config, at('mounted'));
  await writeMoveJournal(config, {
    from: h.library,
    real,
    to: at('mounted'),
    how: 'copy',
    stage: 'removing',
    names,
    made: false,
    staging: '.moving-x',
  });
  const { opened } = await settleMove(config, log);
  expect((await opened())!.said.key).toBe('moveOldLeft');
  expect(readdirSync(real)).toEqual(names);
});

test('not while a machine is on, by its name; the journal of a move that is over is no move', async () => {
  const { id } = await h.fake('busy');
  await h.call('vm.start', { id });
  await h.reaches(id, 'running');
  expect((await h.call('host.planMove', { path: at('new') })).refusal?.message).toBe('machines are on: busy');
  expect((await failureOf(h.call('host.moveLibrary', { path: at('new') }))).message).toBe('machines are on: busy');
  expect(existsSync(at('new'))).toBe(false);
  await endMoveJournal(config);
  expect((await settleMove(config, log)).said).toBeUndefined();
});
