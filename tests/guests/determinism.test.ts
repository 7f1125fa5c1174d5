import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { TimedInput } from '../../core/machine/inputschedule.ts';
import type { InputMessage } from '../../core/vmprocess/machinemessages.ts';
import type { StateHash } from '../../core/vmprocess/statehash.ts';
import { drive, Guest, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, grubFloppy, initramfs, linux686, linuxKernel } from './support/images.ts';

/**
 * Machines whose time is made of instructions: two runs of the same machine with the same input are the same to the last bit of processor, memory
 * and devices, however busy the host is and however often it looks at the machine meanwhile.
 */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-determinism-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let images = 0;
/** A copy of its own for each run. */
function fresh(source: string | Uint8Array): string {
  const copy = path.join(folder, `image${++images}`);
  if (typeof source === 'string') copyFileSync(source, copy);
  else writeFileSync(copy, source);
  return copy;
}

interface Outcome {
  state: StateHash;
  screen: string;
  serial: string;
}

/** Runs until the machine time `ns`. `disturbed`: pauses, resumes and looks at the machine all the time. */
async function runTo(ns: number, options: GuestOptions, disturbed: boolean): Promise<Outcome> {
  const guest = new Guest({ ...options, counted: { ...options.counted, stopAt: ns } });
  const stopped = new Promise<StateHash>((resolve) => guest.vm.onStopped.on(resolve));
  let over = false;
  try {
    await guest.start();
    void stopped.then(() => {
      over = true;
    });
    while (disturbed && !over) {
      await guest.vm.pause();
      await guest.vm.cpuState();
      await guest.vm.resume();
      await new Promise((resolve) => setTimeout(resolve, 7));
    }
    const state = await stopped;
    return { state, screen: guest.screen(), serial: guest.serial };
  } finally {
    await guest.end();
  }
}

/** Names what is different before anything else: a hash alone tells nothing. */
function expectSame(one: StateHash, other: StateHash): void {
  const different = Object.keys(one.parts).filter((part) => one.parts[part] !== other.parts[part]);
  expect({ at: other.at, instructions: other.instructions, different }).toEqual({
    at: one.at,
    instructions: one.instructions,
    different: [],
  });
  expect(other.hash).toBe(one.hash);
}

test('GRUB from a floppy comes to the same state, with the host in the way and without', async () => {
  const options = (): GuestOptions => ({ drives: [drive('fd0', 'floppy', fresh(grubFloppy()), true)], order: ['floppy'] });
  const calm = await runTo(8e9, options(), false);
  expect(calm.screen).toMatch(/GNU GRUB/);
  expectSame(calm.state, (await runTo(8e9, options(), true)).state);
}, 180_000);

test('interpreter and recompiler come to the same state', async () => {
  const run = (recompile: boolean) =>
    runTo(0.5e9, { drives: [drive('fd0', 'floppy', fresh(grubFloppy()), true)], order: ['floppy'], counted: { recompile } }, false);
  expectSame((await run(false)).state, (await run(true)).state);
}, 240_000);

const check = fileURLToPath(new URL('../../out/sample/hypervue-check.img', import.meta.url));
test('the check image comes to the same state', async () => {
  if (!existsSync(check)) throw new Error('the check image was not built: install nasm and run `node scripts/build.mjs`');
  const options = (): GuestOptions => ({ memoryMiB: 32, drives: [drive('ide0', 'disk', fresh(check))], order: ['disk'] });
  const calm = await runTo(5e9, options(), false);
  expectSame(calm.state, (await runTo(5e9, options(), true)).state);
}, 120_000);

test('Linux does the same again: disk, keyboard and serial line, from a recording', async () => {
  const disk = Buffer.alloc(4 << 20, 'some text on a disk, ');
  const machine = (image: string): GuestOptions => ({
    memoryMiB: 96,
    drives: [drive('ide0', 'disk', image)],
    kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: `console=tty0 console=ttyS0,115200 quiet ${FAST_BOOT}` },
  });
  const inputs: TimedInput<InputMessage>[] = [];
  const firstDisk = fresh(disk);
  const guest = new Guest({ ...machine(firstDisk), counted: { record: true } });
  guest.vm.onApplied.on((timed) => inputs.push(timed));
  let state: StateHash;
  let sum: string;
  try {
    await guest.start();
    await guest.onSerial(/GUEST READY/, 240_000);
    // Random numbers and the time of day are the same in every run, too.
    await guest.ask(
      'dd if=/dev/sda bs=64k count=20 2>/dev/null | md5sum; dd if=/dev/urandom of=/dev/sda bs=4k count=100 conv=fsync 2>/dev/null; echo wrote',
      /^wrote/m,
      60_000,
    );
    [, sum] = (await guest.ask('md5sum /dev/sda', /([0-9a-f]{32}) {2}\/dev\/sda/, 60_000)) as unknown as [string, string];
    await guest.vm.typeText('date +%s.%N; cat /proc/interrupts; echo typed $((6*7))\n', 30);
    await guest.onScreen(/^typed 42/m);
    state = await guest.vm.stateHash();
  } finally {
    await guest.end();
  }
  expect(state.instructions).toBeGreaterThan(500_000_000);
  expect(inputs.length).toBeGreaterThan(50);

  const secondDisk = fresh(disk);
  const again = await runTo(state.at, { ...machine(secondDisk), counted: { replay: inputs } }, true);
  expect(again.serial).toContain(sum);
  expectSame(state, again.state);
  expect(Buffer.compare(readFileSync(secondDisk), readFileSync(firstDisk))).toBe(0);
}, 600_000);

// In `npm run test:long`.
if (process.env.HYPERVUE_LONG) test('64-bit Linux comes to the same state', sixtyFourBits, 600_000);
async function sixtyFourBits(): Promise<void> {
  const options: GuestOptions = {
    memoryMiB: 192,
    cpu: 'x86-64-v2',
    kernel: { path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: `console=ttyS0,115200 ${FAST_BOOT}` },
  };
  const calm = await runTo(50e9, options, false);
  expect(calm.serial).toContain('clocksource: Switched to clocksource tsc');
  expectSame(calm.state, (await runTo(50e9, options, true)).state);
}
