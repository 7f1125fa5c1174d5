import { afterEach, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { memtestIso, memtestIso64, memtestKernel, memtestKernel64 } from './support/images.ts';

/** memtest86+ (Debian package memtest86+): 32-bit code with paging, its own timing and SMP detection, and all of memory. */
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
  guest = undefined;
});

async function firstPassRuns(machine: Guest): Promise<void> {
  await machine.onScreen(/Memtest86\+/, 120_000);
  // Progress of the first pass, beyond the first test.
  const [, percent] = await machine.onScreen(/Pass +([1-9]\d?)%/, 120_000);
  expect(Number(percent)).toBeGreaterThan(0);
  const screen = machine.screen();
  expect(screen).toMatch(/Errors: *0\b/);
  expect(screen).toMatch(/Test #\d/);
}

test('from its ISO, the first pass runs without errors', async () => {
  guest = await new Guest({ memoryMiB: 16, drives: [drive('ide2', 'cdrom', memtestIso())] }).start();
  await firstPassRuns(guest);
}, 300_000);

test('booted directly as a Linux kernel image', async () => {
  guest = await new Guest({ memoryMiB: 16, kernel: { path: memtestKernel() } }).start();
  await firstPassRuns(guest);
}, 300_000);

test('the 64-bit one from its ISO, in long mode', async () => {
  guest = await new Guest({ memoryMiB: 16, cpu: 'x86-64', drives: [drive('ide2', 'cdrom', memtestIso64())] }).start();
  await firstPassRuns(guest);
  expect(guest.screen()).toMatch(/\.x64$/m);
}, 300_000);

test('the 64-bit one booted directly', async () => {
  guest = await new Guest({ memoryMiB: 16, cpu: 'x86-64-v2', kernel: { path: memtestKernel64() } }).start();
  await firstPassRuns(guest);
}, 300_000);
