import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createDisk } from '../../core/platform/creatediskfile.ts';
import { deleteOffDisk, revertOffDisk } from '../../core/manager/snapshots/offdisks.ts';
import { packStateFile } from '../../core/platform/packstate.ts';
import { drive, Guest, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, initramfs, linuxKernel } from './support/images.ts';
import { testFolder } from './support/savedruns.ts';

const { folder, fresh } = testFolder();

test('a Linux guest under write load: memory and disk of one moment, again and again', async () => {
  const disk = path.join(folder, 'disk.qcow2');
  await createDisk(disk, { format: 'qcow2', sizeBytes: 64 << 20 });
  const options: GuestOptions = {
    memoryMiB: 160,
    cpu: 'x86-64-v2',
    drives: [{ ...drive('ide0', 'disk', disk), format: 'qcow2' }],
    kernel: { path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: `console=ttyS0,115200 quiet ${FAST_BOOT}` },
  };
  const off = { drive: 'ide0', path: disk };
  const taken: { tag: string; file: string; count: number }[] = [];
  // Writes a counter to the disk and to memory, over and over, the disk first.
  const load =
    'n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); printf %08d $n | dd of=/dev/sda bs=8 conv=fsync 2>/dev/null; echo $n > /tmp/n; dd if=/dev/urandom of=/dev/sda bs=64k seek=$((n%900+1)) count=2 2>/dev/null; done &';
  /** The counters: in memory, and on the disk read past the guest's cache. */
  const counters = async (guest: Guest) => {
    await guest.ask('touch /tmp/stop; wait; echo stopped', /^stopped/m, 60_000);
    const [, memory, onDisk] = await guest.ask(
      'echo 3 > /proc/sys/vm/drop_caches; echo at $(cat /tmp/n) $(dd if=/dev/sda bs=8 count=1 2>/dev/null)',
      /^at (\d+) (\d{8})/m,
    );
    return { memory: Number(memory), disk: Number(onDisk) };
  };
  const first = new Guest(options);
  try {
    await first.start();
    await first.onSerial(/GUEST READY/, 240_000);
    await first.ask(load, /#/);
    // One that is cancelled in the middle leaves nothing, and the guest goes on.
    const cancelled = fresh();
    const progress = (done: number, total: number) => {
      expect(done).toBeLessThanOrEqual(total);
      first.vm.saver.cancel();
    };
    await expect(first.vm.saver.snapshot({ stateFile: cancelled, tag: 'cancelled', disks: ['ide0'] }, progress)).rejects.toMatchObject({
      kind: 'cancelled',
    });
    await expect(first.vm.saveState(cancelled, progress)).rejects.toMatchObject({ kind: 'cancelled' });
    expect(readdirSync(folder).filter((name) => name.startsWith(path.basename(cancelled)))).toEqual([]);
    expect(first.vm.state).toBe('running');
    await first.ask('echo goes on', /^goes on/m);
    for (let index = 0; index < 2; index++) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      const file = fresh();
      const tag = `hypervue-${index}`;
      const { pauseMs, stateBytes } = await first.vm.saver.snapshot({ stateFile: file, tag, disks: ['ide0'] });
      expect(stateBytes).toBeGreaterThan(1 << 20);
      expect(first.vm.state).toBe('running');
      // Under load from other work the host may take its time; a tenth of this is usual.
      expect(pauseMs).toBeLessThan(1000);
      taken.push({ tag, file, count: Number((await first.ask('echo now $(cat /tmp/n)', /^now (\d+)/m))[1]) });
    }
    // Back and forth in the same process: to the one that was taken last, to another one, and to that again.
    for (const index of [1, 0, 0, 1]) {
      const { tag, file, count } = taken[index]!;
      await first.vm.revert({ stateFile: file, tag, disks: ['ide0'] });
      expect(first.vm.state).toBe('running');
      const now = Number((await first.ask('echo then $(cat /tmp/n)', /^then (\d+)/m))[1]);
      if (index === 0) expect(now).toBeLessThan(taken[1]!.count + 200);
      expect(now).toBeLessThan(count + 400);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const { memory, disk: onDisk } = await counters(first);
    expect(onDisk).toBe(memory);
    expect(memory).toBeGreaterThan(0);
  } finally {
    await first.end();
  }
  execFileSync('qemu-img', ['check', '-q', disk]);
  for (const index of [0, 1]) {
    const { tag, file, count } = taken[index]!;
    await revertOffDisk(folder, off, tag);
    // One as it was written, one as it is kept.
    const before = statSync(file).size;
    if (index === 1) expect(await packStateFile(file, new AbortController().signal)).toBeLessThan(before);
    const guest = new Guest({ ...options, restore: file });
    try {
      await guest.start();
      // The load goes on as if nothing had been; what it counts in memory and on the disk is the same.
      const { memory, disk: onDisk } = await counters(guest);
      expect(onDisk).toBe(memory);
      expect(memory).toBeGreaterThan(0);
      if (index === 0) expect(memory).toBeLessThan(taken[1]!.count + 200);
      expect(count).toBeGreaterThan(0);
    } finally {
      await guest.end();
    }
    execFileSync('qemu-img', ['check', '-q', disk]);
  }
  await deleteOffDisk(folder, off, taken[1]!.tag);
  execFileSync('qemu-img', ['check', '-q', disk]);
}, 600_000);
