import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import type { ForkOptions, utilityProcess } from 'electron';
import { afterEach, expect, test, vi } from 'vitest';
import { UtilityProcessLauncher } from './utilitylauncher.ts';

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  vi.unstubAllEnvs();
});

class FakeUtility extends EventEmitter {
  pid: number | undefined;
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly posted: unknown[] = [];
  kills = 0;

  postMessage(message: unknown): void {
    this.posted.push(message);
  }
  kill(): boolean {
    this.kills++;
    return true;
  }
}

function launched() {
  const child = new FakeUtility();
  const forks: { entry: string; options: ForkOptions }[] = [];
  const fork = (entry: string, _args: string[], options: ForkOptions) => {
    forks.push({ entry, options });
    return child;
  };
  const handle = new UtilityProcessLauncher({ fork } as unknown as typeof utilityProcess, '/app/vmprocess.js').launch('Debian');
  return { child, handle, fork: forks[0]! };
}

test('the process has a name, and only the environment it needs', () => {
  vi.stubEnv('LANG', 'de_DE.UTF-8');
  vi.stubEnv('SECRET_TOKEN', 'x');
  vi.stubEnv('NODE_OPTIONS', '--inspect');
  const { fork } = launched();
  expect(fork.entry).toBe('/app/vmprocess.js');
  expect(fork.options.serviceName).toContain('Debian');
  expect(fork.options.env).toMatchObject({ LANG: 'de_DE.UTF-8' });
  expect(Object.keys(fork.options.env!)).not.toContain('SECRET_TOKEN');
  expect(Object.keys(fork.options.env!)).not.toContain('NODE_OPTIONS');
  // What the optimising compiler frees goes back to the system.
  expect(fork.options.env).toMatchObject({ MALLOC_ARENA_MAX: '2' });
  expect(fork.options.execArgv).toEqual(['--js-flags=--single-threaded-gc --optimize-for-size --max-semi-space-size=2']);
});

test('messages, output and the end pass through', async () => {
  const { child, handle } = launched();
  const seen: unknown[] = [];
  handle.onMessage((message) => seen.push(message));
  handle.onOutput((text) => seen.push(text));
  handle.onExit((code, signal) => seen.push([code, signal]));
  const call = { id: 1, call: 'pause' as const, params: null };
  handle.send(call);
  expect(child.posted).toEqual([call]);
  child.emit('message', { type: 'ready' });
  child.stderr.write('oops\n');
  await vi.waitFor(() => expect(seen).toHaveLength(2));
  child.emit('exit', 7);
  // The last words come after the end, and are heard before it is told.
  child.stderr.end('out of memory\n');
  child.stdout.end();
  await vi.waitFor(() => expect(seen).toHaveLength(4));
  expect(seen).toEqual([{ type: 'ready' }, 'oops\n', 'out of memory\n', [7, null]]);
});

test('the end is told also when a grandchild holds the output open', async () => {
  const { child, handle } = launched();
  let ended = false;
  handle.onOutput(() => {});
  handle.onExit(() => {
    ended = true;
  });
  child.emit('exit', 1);
  await vi.waitFor(() => expect(ended).toBe(true));
});

test("a fatal error of the process's V8 becomes output and does not end the app", () => {
  const { child, handle } = launched();
  const output: string[] = [];
  handle.onOutput((text) => output.push(text));
  child.emit('error', 'FatalError', 'v8::ToLocalChecked', '{}');
  expect(output.join('')).toMatch(/FatalError in v8::ToLocalChecked/);
});

test('kill ends a process that ignores SIGTERM', async () => {
  const { child, handle } = launched();
  const deaf = spawn('/bin/sh', ['-c', "trap '' TERM; echo ready; while :; do sleep 0.05; done"], { stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(deaf);
  await new Promise((resolve) => deaf.stdout.once('data', resolve));
  child.pid = deaf.pid;
  const ended = new Promise((resolve) => deaf.once('exit', (_code, signal) => resolve(signal)));
  handle.kill();
  expect(child.kills).toBe(1);
  expect(await ended).toBe('SIGKILL');
});

test('a process that is not there yet is killed once it is; after its end there is nothing to kill', async () => {
  const { child, handle } = launched();
  handle.kill();
  expect(child.kills).toBe(0);
  const late = spawn('/bin/sh', ['-c', 'sleep 60'], { stdio: 'ignore' });
  started.push(late);
  const ended = new Promise((resolve) => late.once('exit', (_code, signal) => resolve(signal)));
  child.pid = late.pid;
  child.emit('spawn');
  expect(await ended).toBe('SIGKILL');
  child.pid = undefined;
  handle.kill();
  expect(child.kills).toBe(1);
});
