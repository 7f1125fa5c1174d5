import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { testCommand } from './testing/command.ts';

/** The `hypervue` command as a process of its own; its machines are the fake VM process. */
const { main, home, run, json, env, serve } = testCommand();
const library = path.join(home, 'machines');

/** The `error` of a command that has to fail. */
async function failure(...args: string[]): Promise<{ kind: string; message: string; fix?: string }> {
  const { code, err } = await run(...args, '--json');
  expect(code).toBe(1);
  return JSON.parse(err.trim().split('\n').at(-1)!).error;
}

describe('without a server', () => {
  test('the library opens in the command itself', async () => {
    expect((await run('list')).out).toContain('hypervue create');
    const created = await json(
      'create',
      '--blank',
      '--name',
      'Café "one"',
      '--memory',
      '64M',
      '--cpu',
      'x86-64-v2',
      '--uefi',
      '--new-disk',
      '1.5G',
    );
    expect(created).toMatchObject({ name: 'Café "one"', state: 'off', config: { cpu: { model: 'x86-64-v2' }, firmware: 'uefi' } });
    const folder = path.join(library, readdirSync(library).find((name) => !name.startsWith('.'))!);
    const info = await json<{ format: string; sizeBytes: number; allocatedBytes: number }>('disk', 'info', path.join(folder, 'disk.qcow2'));
    expect(info).toMatchObject({ format: 'qcow2', sizeBytes: 1.5 * 1024 ** 3 });
    expect(info.allocatedBytes).toBeLessThan(1024 * 1024);
    expect((await run('list')).out).toMatch(/Café "one" +off +64 MiB/);
    expect((await run('info', 'Café "one"')).out).toMatch(/State: +off/);
    expect((await run('log', created.id)).out).toContain('created');
    const { trashId } = await json<{ trashId: string }>('delete', created.id);
    expect(await json('list')).toEqual([]);
    expect(await json('restore', trashId)).toMatchObject({ id: created.id });
    await json('delete', created.id);
  });

  test('check tells what machines would meet at their start, each with its way out', async () => {
    const iso = path.join(home, 'disc.iso');
    const disc = Buffer.alloc(40_960);
    disc.write('\x01CD001\x01', 0x8000, 'latin1');
    writeFileSync(iso, disc);
    const { id } = await json('create', '--blank', '--name', 'Gone');
    await json('media', 'Gone', 'ide2', iso);
    const good = await run('check', 'Gone');
    expect([good.code, good.out]).toEqual([0, expect.stringMatching(/^Gone: can start(, with warnings)?\n[\s\S]*ok {7}memory: /)]);
    rmSync(iso);
    const gone = await run('check', id);
    expect([gone.code, gone.out]).toEqual([
      1,
      expect.stringMatching(/^Gone: cannot start\n {2}error {4}.*disc\.iso does not exist\n {11}Check the path/),
    ]);
    await json('delete', 'Gone');
  });

  test('tags, folders, notes, automatic start, and the same for several machines', async () => {
    const [a, b] = [await json('create', '--blank', '--name', 'a'), await json('create', '--blank', '--name', 'b & c')];
    expect((await run('tag', 'add', 'web', 'a', 'b & c')).out).toBe('a: tagged\nb & c: tagged\n');
    expect((await run('folder', 'put', 'servers/web', '--tag', 'WEB')).code).toBe(0);
    expect(await json('folder', 'list')).toEqual([
      { path: 'servers', machines: [] },
      { path: 'servers/web', machines: ['a', 'b & c'] },
    ]);
    expect((await run('autostart', 'on', 'a', '--order', '3', '--delay', '9')).code).toBe(0);
    expect(await json('autostart', 'list')).toMatchObject([{ name: 'a', order: 3, delaySeconds: 9, failure: null }]);
    await json('note', 'a', 'for tests\nonly');
    expect((await run('note', 'a')).out).toBe('for tests\nonly\n');
    expect(await failure('tag', 'add', 'web', '--folder', 'nowhere')).toMatchObject({ kind: 'not-found' });
    expect((await run('delete', '--folder', 'servers')).code).toBe(0);
    expect(await json('list')).toEqual([]);
    expect([a.state, b.state]).toEqual(['off', 'off']);
  });

  test('verbs that need a server say how to start one', async () => {
    const error = await failure('start', 'anything');
    expect(error).toMatchObject({ kind: 'not-found', fix: expect.stringContaining('hypervue serve') });
  });

  test('wrong words get code 2, wrong values a clear error', async () => {
    expect((await run('frobnicate')).code).toBe(2);
    expect((await run('start')).code).toBe(2);
    expect((await run('serve', '--port', '99999')).code).toBe(2);
    expect((await run('create', '--blank', '--cpu', 'z80')).code).toBe(2);
    expect(await failure('create')).toMatchObject({ kind: 'invalid-argument' });
    expect((await failure('create', '--blank', '--iso', 'x')).message).toMatch(/exclude/);
    expect((await failure('create', '--blank', '--new-disk', 'huge')).message).toContain('huge');
    expect((await failure('create', '--blank', '--vnc', 'nowhere')).message).toContain('nowhere');
    expect((await failure('create', '--iso', path.join(home, 'gone.iso'))).message).toContain('gone.iso');
    expect((await failure('info', 'nobody')).message).toContain('nobody');
    expect(existsSync(library) ? readdirSync(library).filter((name) => !name.startsWith('.')) : []).toEqual([]);
  });

  test('settings are shown and changed, each by what it can be', async () => {
    expect((await run('settings', 'list')).out).toMatch(/automaticSnapshots +off\n/);
    expect(await run('settings', 'set', 'automaticsnapshots', 'on')).toMatchObject({ code: 0, out: 'automaticSnapshots: on\n' });
    expect((await run('settings', 'get', 'automaticSnapshots')).out).toBe('on\n');
    expect(await json('settings', 'set', 'defaultMemoryMiB', '256')).toMatchObject({ defaultMemoryMiB: 256, automaticSnapshots: true });
    expect(await failure('settings', 'set', 'automaticSnapshots', 'perhaps')).toMatchObject({
      kind: 'invalid-argument',
      message: expect.stringContaining('automaticSnapshots can\'t be "perhaps"'),
    });
    expect(await failure('settings', 'set', 'defaultDiskFormat', 'vdi')).toMatchObject({ message: expect.stringMatching(/raw.*qcow2/) });
    expect((await run('settings', 'get', 'everything')).code).toBe(2);
    await json('settings', 'set', 'automaticSnapshots', 'off');
    await json('settings', 'set', 'defaultMemoryMiB', '512');
  });
});

describe('with a server', () => {
  let server: ChildProcess;

  beforeAll(async () => {
    server = await serve();
  }, 30_000);

  test('a start that fails tells all that stands in its way, for several machines by machine', async () => {
    const iso = path.join(home, 'leaving.iso');
    const disc = Buffer.alloc(40_960);
    disc.write('\x01CD001\x01', 0x8000, 'latin1');
    writeFileSync(iso, disc);
    for (const name of ['Leaving', 'Left']) await json('create', '--iso', iso, '--name', name, '--memory', '16M');
    rmSync(iso);
    const one = await run('start', 'Leaving');
    expect([one.code, one.out]).toEqual([1, '']);
    expect(one.err).toMatch(
      /^hypervue: Leaving: .*leaving\.iso does not exist\n.*\nLeaving:\n {2}error {4}.*leaving\.iso does not exist\n/,
    );
    const several = await run('start', 'Leaving', 'Left');
    expect(several.code).toBe(1);
    for (const name of ['Leaving', 'Left']) expect(several.err).toMatch(new RegExp(`^${name}:\\n {2}error .*leaving\\.iso`, 'm'));
    // As JSON there is the error alone; `check` has the list.
    expect((await failure('start', 'Left')).message).toContain('leaving.iso');
    expect((await run('check', 'Leaving', 'Left')).out).toMatch(/^Leaving: cannot start\n[\s\S]*\nLeft: cannot start\n/);
    for (const name of ['Leaving', 'Left']) await json('delete', name);
  });

  test('images are sent to it and fetched from it, whole or not at all', async () => {
    const image = path.join(home, 'own.img');
    const bytes = Buffer.alloc(3 << 20, 'an image of mine');
    writeFileSync(image, bytes);
    const sent = await run('volume', 'upload', image, 'theirs.img');
    expect(sent).toMatchObject({ code: 0, err: '' });
    expect(sent.out).toMatch(/theirs\.img: 3 MiB, raw/);
    expect(await run('volume', 'upload', image, 'theirs.img')).toMatchObject({ code: 1, err: expect.stringContaining('exists already') });
    const folder = path.join(home, 'fetched');
    mkdirSync(folder);
    expect(await run('volume', 'download', 'theirs.img', folder)).toMatchObject({ code: 0 });
    expect(readFileSync(path.join(folder, 'theirs.img')).equals(bytes)).toBe(true);
    expect((await run('volume', 'download', 'theirs.img', folder)).err).toContain('exists already');
    expect((await run('volume', 'upload', path.join(home, 'none.img'))).code).toBe(1);
    expect((await run('volume', 'download', 'none.img', folder)).err).toContain('volume list');
    expect(readdirSync(folder)).toEqual(['theirs.img']);
  });

  test('the token is in a file that nobody else may read', () => {
    expect(statSync(path.join(home, 'token')).mode & 0o777).toBe(0o600);
    expect(statSync(path.join(home, 'run', 'server.json')).mode & 0o777).toBe(0o600);
  });

  test('a second server on the same library is refused', async () => {
    const { code, err } = await run('serve', '--port', '0');
    expect([code, err]).toEqual([1, expect.stringMatching(/running|use/i)]);
  });

  test('a machine goes through its life', async () => {
    const { id } = await json('create', '--blank', '--name', 'Life', '--memory', '16', '--start');
    expect(await json('info', 'Life')).toMatchObject({ id, state: 'running' });
    expect(await failure('start', 'Life')).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('Life') });
    expect(await json('pause', 'Life')).toMatchObject({ state: 'paused' });
    expect(await json('resume', 'Life')).toMatchObject({ state: 'running' });
    expect((await run('type', 'Life', 'hello\\n')).code).toBe(0);
    expect((await run('send-key', 'Life', 'ctrl+alt+delete')).code).toBe(0);
    expect((await run('screen', 'Life')).out).toContain('hello');
    const png = path.join(home, 'screen.png');
    expect(await json('screenshot', 'Life', png)).toMatchObject({ width: 720 });
    expect(statSync(png).size).toBeGreaterThan(100);
    expect((await run('gdb', 'Life', '4321')).out).toBe('target remote 127.0.0.1:4321\n');
    expect(await json('gdb', 'Life', '/tmp/x.sock', '--gdb-arch', 'i386')).toEqual({ command: 'target remote /tmp/x.sock' });
    expect((await run('gdb', 'Life', '--close')).code).toBe(0);
    expect((await run('gdb', 'Life', '70000')).code).toBe(2);
    expect((await run('profile', 'Life')).out).toMatch(/accelerator +fake[\s\S]*ports[\s\S]*0080 +0 +3/);
    expect(await json('profile', 'Life', '--seconds', '0.1')).toMatchObject({ ports: [], seconds: 0, statistics: { accelerator: 'fake' } });
    expect(await failure('profile', 'Life', '--symbols', '/nowhere/System.map')).toMatchObject({ kind: 'not-found' });
    expect(await json('reset', 'Life')).toMatchObject({ state: 'running' });
    expect(await failure('delete', 'Life')).toMatchObject({ kind: 'invalid-state' });
    expect(await json('shutdown', 'Life', '--wait', '--timeout', '20')).toMatchObject({ state: 'off' });
    expect(await json('start', 'Life')).toMatchObject({ state: 'running' });
    expect(await json('force-off', 'Life')).toMatchObject({ id });
  }, 60_000);

  test('what was measured comes as a table and as CSV', async () => {
    await json('start', 'Life');
    let csv = '';
    for (let i = 0; i < 20 && csv.split('\r\n').length < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      csv = (await run('history', 'Life', '--csv')).out;
    }
    expect(csv).toMatch(
      /^time,cpu,instructions,deviceCalls,memory,diskRead,diskWrite,netReceive,netSend,frames\r\n\d{4}-\d\d-\d\dT[\d:.]+Z,0\.01,1000,/,
    );
    await json('force-off', 'Life');
    expect((await run('history', 'Life')).out).toMatch(/metric +last +mean +most\n[\s\S]*instructions +1000 +1000 +1000/);
    expect((await run('history')).out).toMatch(/machinesMemory/);
    expect((await run('history', 'Life', '--range', 'year')).code).toBe(2);
  }, 60_000);

  test('two machines of one name can only be meant by id', async () => {
    // Only a copied folder can bring a second one; the library renames nothing behind the user's back.
    expect(await failure('create', '--blank', '--name', 'life')).toMatchObject({ kind: 'already-exists' });
  });

  test('media are put in and taken out', async () => {
    const iso = path.join(home, 'disc.iso');
    const bytes = Buffer.alloc(64 * 1024);
    bytes.write('\x01CD001\x01', 0x8000, 'latin1');
    writeFileSync(iso, bytes);
    expect((await run('media', 'Life', 'ide2', iso)).out).toContain('disc.iso');
    expect((await run('info', 'Life')).out).toContain('disc.iso');
    expect((await run('media', 'Life', 'ide2')).out).toMatch(/empty/);
    expect(await failure('media', 'Life', 'sdb')).toMatchObject({ kind: 'invalid-argument' });
  });

  test('the console carries bytes both ways', async () => {
    await json('start', 'Life');
    const child = spawn(process.execPath, [main, 'console', 'Life'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    const until = async (text: string) => {
      for (let i = 0; i < 200 && !out.includes(text); i++) await new Promise((resolve) => setTimeout(resolve, 50));
      expect(out).toContain(text);
    };
    await until('fake serial');
    child.stdin.write('round trip');
    await until('round trip');
    const ended = new Promise((resolve) => child.once('close', resolve));
    // The machine goes, and the console with it.
    await json('force-off', 'Life');
    expect(await ended).toBe(0);
  }, 30_000);

  test('Ctrl+C ends what a command began, here and at the server, and nothing is left', async () => {
    const folder = path.join(home, 'cut');
    mkdirSync(folder);
    const disks = path.join(home, 'disks');
    const inPool = () => readdirSync(disks).sort();
    /** Interrupts the command as soon as it has begun to write in `into`. */
    const interrupted = async (into: string, ...args: string[]) => {
      const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
      let err = '';
      child.stderr.on('data', (data) => (err += data));
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      const begun = () => readdirSync(into).some((name) => name.startsWith('.creating-') && !name.endsWith('.lock'));
      while (!begun() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
      child.kill('SIGINT');
      return { code: await ended, err };
    };
    expect(await run('volume', 'create', 'empty.img', '16G', '--format', 'raw')).toMatchObject({ code: 0 });
    const there = inPool();
    expect(await interrupted(folder, 'volume', 'download', 'empty.img', folder)).toMatchObject({
      code: 1,
      err: expect.stringContaining('interrupted'),
    });
    expect(readdirSync(folder)).toEqual([]);
    const noise = path.join(home, 'noise.img');
    writeFileSync(noise, randomBytes(96 << 20));
    expect(await interrupted(disks, 'volume', 'import', noise, 'noise.qcow2', '--compress')).toMatchObject({
      code: 1,
      err: expect.stringContaining('cancelled'),
    });
    expect(inPool()).toEqual(there);
  }, 60_000);

  test('events stream as lines of JSON', async () => {
    const child = spawn(process.execPath, [main, 'events'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    // It says nothing before the first event: change something until it tells.
    for (let i = 0; i < 20 && out === ''; i++) await run('note', 'Life', `change ${i}`);
    await json('start', 'Life');
    for (let i = 0; i < 100 && !/"state":"running"/.test(out); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.some(({ event, payload }) => event === 'vm.changed' && payload.name === 'Life' && payload.state === 'running')).toBe(true);
    child.kill();
  }, 30_000);

  test('Ctrl+C turns machines off and ends cleanly', async () => {
    const ended = new Promise<number | null>((resolve) => server.once('exit', resolve));
    server.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(existsSync(path.join(home, 'run', 'server.json'))).toBe(false);
    expect(await json('info', 'Life')).toMatchObject({ state: 'off' });
  }, 30_000);
});
