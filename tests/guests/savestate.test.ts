import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { StateFileReader } from '../../core/platform/statefilereader.ts';
import { drive, Guest, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, grubFloppy, initramfs, linuxKernel } from './support/images.ts';
import { expectSame, runAndRestore, runAndRevert, testFolder } from './support/savedruns.ts';

/** A machine that is saved and restored does from there on what it would have done: shown by running both to the same instruction and comparing everything. */
const { fresh, copyOf } = testFolder();
const soon = () => new Promise((resolve) => setTimeout(resolve, 700));

test('GRUB goes on as it would have', async () => {
  const options: GuestOptions = { drives: [drive('fd0', 'floppy', copyOf(grubFloppy()), true)], order: ['floppy'], counted: {} };
  expectSame(...(await runAndRestore(fresh(), 6e9, options, soon)));
}, 120_000);

test('GRUB, made again what it was in the same process, goes on as it would have', async () => {
  const options: GuestOptions = { drives: [drive('fd0', 'floppy', copyOf(grubFloppy()), true)], order: ['floppy'] };
  for (const counted of [{}, { recompile: true }]) {
    const [whole, ...again] = await runAndRevert(fresh(), counted.recompile ? 0.4e9 : 3e9, { ...options, counted }, soon);
    expect(again).toHaveLength(2);
    for (const state of again) expectSame(whole!, state);
  }
}, 240_000);

test('what the recompiler ran goes on in the interpreter', async () => {
  const options: GuestOptions = { drives: [drive('fd0', 'floppy', copyOf(grubFloppy()), true)], order: ['floppy'] };
  expectSame(...(await runAndRestore(fresh(), 0.4e9, { ...options, counted: { recompile: true } }, soon, { ...options, counted: {} })));
}, 240_000);

const seconds = async (guest: Guest) => Number((await guest.ask('cut -d" " -f1 /proc/uptime', /\n([0-9.]+)\r/))[1]);

test('a Linux guest goes on in another process: shell, memory and time', async () => {
  const file = fresh();
  const options: GuestOptions = {
    memoryMiB: 160,
    cpu: 'x86-64-v2',
    kernel: { path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: `console=ttyS0,115200 quiet ${FAST_BOOT}` },
  };
  const first = new Guest(options);
  let uptime: number;
  let sum: string;
  try {
    await first.start();
    await first.onSerial(/GUEST READY/, 240_000);
    [, sum] = (await first.ask(
      'X=kept; dd if=/dev/urandom of=/tmp/f bs=1k count=2000 2>/dev/null; md5sum /tmp/f',
      /([0-9a-f]{32}) {2}/,
    )) as unknown as [string, string];
    uptime = await seconds(first);
    await first.vm.saveState(file);
    expect(first.vm.state).toBe('off');
  } finally {
    await first.end();
  }
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const second = new Guest({ ...options, restore: file });
  try {
    await second.start();
    expect((await second.ask('echo $X; md5sum /tmp/f; dmesg | grep -c stall', /kept\r\n([0-9a-f]{32}) {2}.*\r\n0\r/))[1]).toBe(sum);
    const later = await seconds(second);
    // Time stood still meanwhile.
    expect(later).toBeGreaterThanOrEqual(uptime);
    expect(later - uptime).toBeLessThan(60);
    const from = await seconds(second);
    const start = performance.now();
    await second.ask('sleep 1; echo slept', /^slept/m);
    const passed = (await seconds(second)) - from;
    expect(passed).toBeGreaterThanOrEqual(1);
    expect(passed).toBeLessThan((performance.now() - start) / 1000 + 1);
  } finally {
    await second.end();
  }
}, 400_000);

test('a state that does not fit, or is damaged, is refused', async () => {
  const file = fresh();
  const options: GuestOptions = { memoryMiB: 16, order: [] };
  const first = new Guest(options);
  try {
    await first.start();
    await first.vm.saveState(file);
  } finally {
    await first.end();
  }
  const reader = await StateFileReader.open(file);
  await reader.close();
  const other = new Guest({ ...options, memoryMiB: 17, restore: file });
  await expect(other.start()).rejects.toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('memory (MiB): 16') });
  await other.end();
  rmSync(file);
  const gone = new Guest({ ...options, restore: file });
  await expect(gone.start()).rejects.toMatchObject({ kind: 'not-found' });
  await gone.end();
}, 60_000);
