import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** How the command behaves around its verbs: usage errors, pipes, `--library`, `bin/`. Its machines are the fake VM process. */
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const bin = fileURLToPath(new URL('../../bin/hypervue.mjs', import.meta.url));
const home = mkdtempSync(path.join(tmpdir(), 'hv-usage-'));
const library = path.join(home, 'elsewhere');
const env = { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg'), HYPERVUE_FAKE_VM: '1' };

afterAll(() => rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));

function start(args: string[], program = main): ChildProcess {
  return spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

function finish(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    let [out, err] = ['', ''];
    child.stdout!.on('data', (data) => (out += data));
    child.stderr!.on('data', (data) => (err += data));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const run = (...args: string[]) => finish(start(args));

test.each([
  ['an unknown command', ['--json', 'frobnicate'], /frobnicate/],
  ['an unknown option', ['list', '--json', '--bogus'], /--bogus/],
  ['a missing argument', ['start', '--json'], /machine/],
  ['a value out of range', ['--json', 'serve', '--port', '70000'], /65535/],
  ['no command', ['--json'], /no command/],
])('with --json, %s is one JSON object on standard error and code 2', async (_what, args, message) => {
  const { code, out, err } = await run(...args);
  expect([code, out]).toEqual([2, '']);
  expect(JSON.parse(err).error).toMatchObject({ kind: 'invalid-argument', message: expect.stringMatching(message) });
});

test('without --json, a usage error is for people', async () => {
  const { code, err } = await run('start');
  expect(code).toBe(2);
  expect(err).toContain("missing required argument 'machine'");
  expect(err).toContain('hypervue help');
});

test('help and version are no errors', async () => {
  const help = await run('help', 'create');
  expect([help.code, help.err]).toEqual([0, '']);
  expect(help.out).toContain('--new-disk');
  expect(await run('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), err: '' });
});

test('bin/hypervue.mjs runs the command with its arguments and exit codes', async () => {
  expect(await finish(start(['--version'], bin))).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  expect((await finish(start(['frobnicate'], bin))).code).toBe(2);
});

test('a library that was chosen in the window and is away, or can’t be told, is said by every command; none is made in its place', async () => {
  const file = path.join(home, 'library.json');
  const drive = path.join(home, 'drive', 'vms');
  try {
    writeFileSync(file, JSON.stringify({ folder: drive }));
    expect(await run('list')).toMatchObject({ code: 1, err: expect.stringContaining(`To go back to the usual folder, remove ${file}`) });
    const doctor = await run('doctor', '--fix', '--json');
    expect((JSON.parse(doctor.out) as { id: string }[]).find(({ id }) => id === 'library')).toMatchObject({
      state: 'error',
      fixable: false,
    });
    expect(existsSync(path.join(home, 'drive'))).toBe(false);
    // What is named counts above it.
    expect((await run('list', '--library', library)).code).toBe(0);
    writeFileSync(file, '{');
    for (const command of [['doctor'], ['disk', 'info', file], ['list']]) {
      const { code, err } = await run(...command);
      expect([code, err.split('\n')[0]]).toEqual([1, `hypervue: ${file}, which says where the machines are kept, can't be understood`]);
    }
  } finally {
    rmSync(file);
  }
});

test('--library names the folder of the machines', async () => {
  const created = await run('create', '--blank', '--name', 'There', '--library', library, '--json');
  expect(created.code).toBe(0);
  expect(JSON.parse(created.out).folder.startsWith(library + path.sep)).toBe(true);
  expect(JSON.parse((await run('list', '--json')).out)).toEqual([]);
  expect((await run('list', '--library', library)).out).toContain('There');
});

describe('with a server on another library', () => {
  let server: ChildProcess;

  beforeAll(async () => {
    mkdirSync(library, { recursive: true });
    server = start(['serve', '--port', '0', '--library', library]);
    let said = '';
    await new Promise<void>((resolve, reject) => {
      for (const stream of [server.stdout!, server.stderr!])
        stream.on('data', (data) => {
          said += data;
          if (/#token=[\w-]+/.test(said)) resolve();
        });
      server.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    });
  }, 30_000);

  afterAll(() => {
    server.kill('SIGKILL');
  });

  test('commands reach its machines, and one that names another library is refused', async () => {
    expect((await run('list')).out).toContain('There');
    expect((await run('list', '--library', library)).out).toContain('There');
    const { code, err } = await run('create', '--blank', '--name', 'Lost', '--library', path.join(home, 'third'), '--json');
    expect(code).toBe(1);
    expect(JSON.parse(err).error).toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining(library) });
    expect((await run('list')).out).not.toContain('Lost');
  });

  test('a reader that has seen enough ends `events` without an error', async () => {
    const child = start(['events']);
    let err = '';
    child.stderr!.on('data', (data) => (err += data));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdout!.destroy();
    // Events until one is written into the closed pipe.
    for (let i = 0; i < 20 && child.exitCode === null; i++) {
      await run('start', 'There');
      await run('force-off', 'There');
    }
    expect(await ended).toBe(0);
    expect(err).toBe('');
  }, 60_000);

  test('SIGTERM ends it in order', async () => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});
