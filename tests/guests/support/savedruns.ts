import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect } from 'vitest';
import type { StateHash } from '../../../core/vmprocess/statehash.ts';
import { Guest, type GuestOptions } from './guest.ts';

/** A folder of its own for a test file; gives names in it. */
export function testFolder(): { folder: string; fresh(): string; copyOf(source: string | Uint8Array): string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-states-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let files = 0;
  const fresh = () => path.join(folder, `file${++files}`);
  return {
    folder,
    fresh,
    copyOf: (source) => {
      const copy = fresh();
      if (typeof source === 'string') copyFileSync(source, copy);
      else writeFileSync(copy, source);
      return copy;
    },
  };
}

/** Names what is different before anything else. The count of instructions begins anew with a restore. */
export function expectSame(one: StateHash, other: StateHash): void {
  const different = Object.keys(one.parts).filter((part) => one.parts[part] !== other.parts[part]);
  expect({ at: other.at, different }).toEqual({ at: one.at, different: [] });
}

/**
 * Runs to machine time `end`, nanoseconds, with a snapshot of its memory written to `file` on the way, `when` that resolves; and a second machine from
 * this file, made with `restored`. Gives the states of both at `end`.
 */
export async function runAndRestore(
  file: string,
  end: number,
  options: GuestOptions,
  when: (guest: Guest) => Promise<unknown>,
  restored: GuestOptions = options,
): Promise<[StateHash, StateHash]> {
  const run = async (machine: GuestOptions, meanwhile: (guest: Guest) => Promise<unknown>): Promise<StateHash> => {
    const guest = new Guest({ ...machine, counted: { ...machine.counted, stopAt: end } });
    const stopped = new Promise<StateHash>((resolve) => guest.vm.onStopped.on(resolve));
    try {
      await guest.start();
      await meanwhile(guest);
      return await stopped;
    } finally {
      await guest.end();
    }
  };
  const whole = await run(options, async (guest) => {
    await when(guest);
    expect(guest.vm.state).toBe('running');
    const { stateBytes } = await guest.vm.saver.snapshot({ stateFile: file, tag: 'x', disks: [] });
    expect(stateBytes).toBe(statSync(file).size);
  });
  return [whole, await run({ ...restored, restore: file }, async () => {})];
}

/**
 * Like `runAndRestore`, but the one machine becomes again what it was, several times: first with nothing but what has changed put back, then with its whole memory compared. Gives its
 * state at `end` each time.
 */
export async function runAndRevert(
  file: string,
  end: number,
  options: GuestOptions,
  when: (guest: Guest) => Promise<unknown>,
): Promise<StateHash[]> {
  const guest = new Guest({ ...options, counted: { ...options.counted, stopAt: end } });
  const states: StateHash[] = [];
  const { vm } = guest;
  const stopped = () => new Promise<StateHash>((resolve) => vm.onStopped.on(resolve));
  try {
    let next = stopped();
    await guest.start();
    await when(guest);
    await vm.saver.snapshot({ stateFile: file, tag: 'x', disks: [] });
    states.push(await next);
    for (const baseline of [file, undefined]) {
      expect(vm.saver.baseline).toBe(file);
      vm.saver.baseline = baseline;
      next = stopped();
      await vm.revert({ stateFile: file, tag: 'x', disks: [] });
      expect(vm.state).toBe('running');
      states.push(await next);
    }
    return states;
  } finally {
    await guest.end();
  }
}
