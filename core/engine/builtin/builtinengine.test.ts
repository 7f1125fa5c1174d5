import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { vmConfigSchema } from '../../contract/vm.ts';
import type { HypervueError } from '../../util/errors.ts';
import type { RunningVm } from '../engine.ts';
import { BuiltinEngine, MAX_MEMORY_MIB } from './builtinengine.ts';
import type { FromVmProcess, ProcessLauncher, ToVmProcess, VmProcessHandle } from './protocol.ts';

/** A VM process that does what the test says. */
class ScriptedProcess implements VmProcessHandle {
  pid: number | undefined = 4711;
  readonly sent: ToVmProcess[] = [];
  killed = 0;
  /** Killing ends it, as SIGKILL does. */
  mortal = true;
  private say!: (message: FromVmProcess) => void;
  private exit!: (code: number | null, signal: string | null) => void;
  private write!: (text: string) => void;

  send(message: ToVmProcess): void {
    this.sent.push(message);
  }

  onMessage(listener: (message: FromVmProcess) => void): void {
    this.say = listener;
  }

  onExit(listener: (code: number | null, signal: string | null) => void): void {
    this.exit = listener;
  }

  onOutput(listener: (text: string) => void): void {
    this.write = listener;
  }

  kill(): void {
    this.killed++;
    if (this.mortal) this.ends(null, 'SIGKILL');
  }

  says(message: FromVmProcess): void {
    this.say(message);
  }

  writes(text: string): void {
    this.write(text);
  }

  ends(code: number | null, signal: string | null = null): void {
    this.exit(code, signal);
  }

  /** The last call of that name, answered. */
  answer(call: ToVmProcess['call'], result: unknown = null): void {
    const message = this.sent.findLast((one) => one.call === call);
    if (!message) throw new Error(`nobody called ${call}`);
    this.says({ type: 'result', id: message.id, result });
  }

  refuse(call: ToVmProcess['call'], kind: HypervueError['kind'], message: string): void {
    const { id } = this.sent.findLast((one) => one.call === call)!;
    this.says({ type: 'error', id, error: { kind, message, context: {} } });
  }
}

const config = vmConfigSchema.parse({
  schema: 1,
  id: '00000000-0000-4000-8000-000000000001',
  name: 'Debian',
  createdAt: '2026-01-01T00:00:00Z',
  cpu: {},
  memoryMiB: 16,
  boot: { order: [] },
  drives: [],
  display: {},
  serial: [],
});

let folder: string;
let child: ScriptedProcess;
let engine: BuiltinEngine;
let vm: RunningVm;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(path.join(tmpdir(), 'hv-eng-'));
  child = new ScriptedProcess();
  told = [];
  const launcher: ProcessLauncher = { launch: () => child };
  engine = new BuiltinEngine({ launcher, firmwareFolder: () => '/firmware', cpuWasmPath: '/cpu.wasm', runtimeFolder: folder });
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const settle = () => vi.advanceTimersByTimeAsync(0);

/** Begins a start; the result says how it ended. */
function begin(): Promise<'started' | HypervueError> {
  return engine
    .start(config, '/vm', (made) => {
      vm = made;
      made.onState((state, error) => told.push(error ? `${state}: ${error.message}` : state));
      made.onLog(({ message }) => told.push(`log: ${message}`));
    })
    .then(
      () => 'started' as const,
      (error) => error as HypervueError,
    );
}

async function running(): Promise<void> {
  const starting = begin();
  child.says({ type: 'ready' });
  await settle();
  child.says({ type: 'state', state: 'running' });
  child.answer('start');
  expect(await starting).toBe('started');
  told.length = 0;
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it should have failed');
    },
    (error) => error as HypervueError,
  );

describe('a start', () => {
  test('hands over everything the machine needs', async () => {
    await running();
    expect(child.sent[0]).toMatchObject({
      call: 'start',
      params: { config, folder: '/vm', firmwareFolder: '/firmware', cpuWasmPath: '/cpu.wasm' },
    });
    expect(vm.state).toBe('running');
    expect(vm.pid).toBe(4711);
    expect((await engine.capabilities()).maxMemoryMiB).toBe(MAX_MEMORY_MIB);
  });

  test('whose process never reports is killed after 20 s', async () => {
    const starting = begin();
    await vi.advanceTimersByTimeAsync(19_999);
    expect(child.killed).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(child.killed).toBe(1);
    expect(await starting).toMatchObject({ kind: 'timeout', message: expect.stringContaining('Debian') });
    expect(told).toEqual([]);
  });

  test('that takes longer once the process is there may take it', async () => {
    const starting = begin();
    child.says({ type: 'ready' });
    await vi.advanceTimersByTimeAsync(45_000);
    expect(child.killed).toBe(0);
    child.answer('start');
    expect(await starting).toBe('started');
  });

  test('that never ends is given up after 60 s, and its process killed', async () => {
    const starting = begin();
    child.says({ type: 'ready' });
    await vi.advanceTimersByTimeAsync(66_000);
    expect(await starting).toMatchObject({ kind: 'timeout' });
    expect(child.killed).toBe(1);
  });

  test('that the machine refuses fails with its words; the state it says on the way is not told', async () => {
    const starting = begin();
    child.says({ type: 'ready' });
    await settle();
    child.says({ type: 'state', state: 'crashed', error: { kind: 'not-found', message: 'no firmware', context: {} } });
    child.refuse('start', 'not-found', 'no firmware');
    await settle();
    child.ends(0);
    expect(await starting).toMatchObject({ kind: 'not-found', message: 'no firmware' });
    expect(told).toEqual([]);
    expect(vm.state).toBe('off');
  });

  test('whose process dies is a crash with code, signal and last words', async () => {
    for (const [code, signal, how] of [
      [3, null, 'ended with code 3'],
      [null, 'SIGKILL', 'was ended by SIGKILL'],
      [null, 'spawn node ENOMEM', 'could not be started: spawn node ENOMEM'],
    ] as const) {
      child = new ScriptedProcess();
      const starting = begin();
      child.writes('first\nsecond\nthird\nlast words');
      child.ends(code, signal);
      const error = (await starting) as HypervueError;
      expect(error).toMatchObject({ kind: 'vm-crashed', message: `the process of Debian ${how}` });
      expect(error.context.output).toBe('second\nthird\nlast words');
    }
  });

  test('that is forced off before its process listens kills it and is cancelled', async () => {
    const starting = begin();
    await vm.forceOff();
    expect(child.killed).toBe(1);
    expect(await starting).toMatchObject({ kind: 'cancelled' });
    expect(told).toEqual(['stopping']);
  });
});

describe('the end of a machine', () => {
  test('leaves all that its process said in the log, also a last line without an end, and tells the reason', async () => {
    await running();
    child.writes('#\n# Check failed: jit_page.has_value().\n#\n 1: V8_Fatal [node]\n 2: [no');
    child.writes('de]');
    child.ends(null, 'SIGTRAP');
    expect(told).toEqual([
      ...['#', '# Check failed: jit_page.has_value().', '#', ' 1: V8_Fatal [node]', ' 2: [node]'].map((line) => `log: ${line}`),
      'crashed: the process of Debian was ended by SIGTRAP: Check failed: jit_page.has_value()',
    ]);
  });

  test('is told when its process is gone, not before: until then it holds its disks', async () => {
    await running();
    child.says({ type: 'state', state: 'off' });
    expect(told).toEqual([]);
    child.ends(0);
    expect(told).toEqual(['off']);
  });

  test('whose process stays is helped along', async () => {
    await running();
    child.says({ type: 'state', state: 'off' });
    await vi.advanceTimersByTimeAsync(4999);
    expect(child.killed).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(child.killed).toBe(1);
    expect(told).toEqual(['off']);
  });

  test('by a crash carries the reason the process gave, or else how it ended', async () => {
    await running();
    child.says({ type: 'state', state: 'crashed', error: { kind: 'vm-crashed', message: 'the thread failed', context: {} } });
    child.ends(0);
    expect(told).toEqual(['crashed: the thread failed']);
    child = new ScriptedProcess();
    await running();
    child.ends(null, 'SIGSEGV');
    expect(told).toEqual(['crashed: the process of Debian was ended by SIGSEGV']);
  });

  test('without a word is a crash even with code 0', async () => {
    await running();
    child.ends(0);
    expect(told).toEqual(['crashed: the process of Debian ended with code 0']);
  });

  test('is told once, whatever the process says or does afterwards', async () => {
    await running();
    child.says({ type: 'state', state: 'off' });
    child.says({ type: 'state', state: 'running' });
    child.says({ type: 'state', state: 'crashed', error: { kind: 'internal', message: 'x', context: {} } });
    child.ends(0);
    child.ends(1);
    expect(told).toEqual(['off']);
  });

  test('by force waits for the flush of the disks, then kills', async () => {
    await running();
    const ending = vm.forceOff();
    expect(child.sent.at(-1)!.call).toBe('forceOff');
    await vi.advanceTimersByTimeAsync(9999);
    expect(child.killed).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    await ending;
    expect(child.killed).toBe(1);
    expect(told).toEqual(['stopping', 'off']);
    // Once more is nothing.
    await vm.forceOff();
  });

  test('ends calls under way: as turned off when it was, as crashed when it did', async () => {
    await running();
    let pausing = failureOf(vm.pause());
    child.says({ type: 'state', state: 'off' });
    child.ends(0);
    expect(await pausing).toMatchObject({ kind: 'cancelled', message: 'Debian was turned off meanwhile' });
    expect(await failureOf(vm.pause())).toMatchObject({ kind: 'invalid-state' });
    child = new ScriptedProcess();
    await running();
    pausing = failureOf(vm.pause());
    child.ends(null, 'SIGKILL');
    expect(await pausing).toMatchObject({ kind: 'vm-crashed' });
  });
});

describe('calls', () => {
  test('that are not answered end after 30 s, and a late answer is nothing', async () => {
    await running();
    const pausing = failureOf(vm.pause());
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await pausing).toMatchObject({ kind: 'timeout', fix: expect.stringContaining('Force the machine off') });
    child.answer('pause');
    // The machine is as it was.
    const resuming = vm.resume();
    child.answer('resume');
    await resuming;
  });

  test('have as long as the typing takes', async () => {
    await running();
    const typing = vm.typeText('x'.repeat(1000), 100);
    await vi.advanceTimersByTimeAsync(100_000);
    child.answer('typeText');
    await typing;
  });

  test('carry the refusal of the machine', async () => {
    await running();
    const typing = failureOf(vm.typeText('ä', 0));
    child.refuse('typeText', 'invalid-argument', 'no key for ä');
    expect(await typing).toMatchObject({ kind: 'invalid-argument', message: 'no key for ä' });
  });

  test('answered twice, or never asked, disturb nothing', async () => {
    await running();
    const pausing = vm.pause();
    child.answer('pause');
    child.answer('pause');
    child.says({ type: 'result', id: 999, result: null });
    await pausing;
    expect(vm.state).toBe('running');
  });
});

test('what the process writes comes line by line, also when it comes in pieces', async () => {
  await running();
  child.writes('one\ntw');
  child.writes('o\n\n  \nthr');
  expect(told).toEqual(['log: one', 'log: two']);
});
