import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { DiskFormat } from '../../core/contract/vm.ts';
import { mountSmall } from '../../core/platform/testing/smalldisk.ts';
import type { HypervueError } from '../../core/util/errors.ts';
import { drive, Guest, type GuestOptions } from '../guests/support/guest.ts';
import { linux686 } from '../guests/support/images.ts';
import { storageInitrd } from '../guests/support/storageguest.ts';

const MIB = 1 << 20;
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-longdisks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A disk full of what the guest is to copy to another one. */
const content = randomBytes(32 * MIB);
const source = path.join(folder, 'source.img');
writeFileSync(source, content);
const initrd = path.join(folder, 'initrd');

function target(file: string, format: DiskFormat): string {
  if (format === 'qcow2') execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, String(content.length)]);
  else {
    writeFileSync(file, '');
    truncateSync(file, content.length);
  }
  return file;
}

function machine(file: string, format: DiskFormat): GuestOptions {
  storageInitrd('i386', initrd);
  return {
    memoryMiB: 96,
    drives: [{ ...drive('virtio0', 'disk', file), format }, drive('virtio1', 'disk', source, true)],
    kernel: { path: linux686(), initrd, cmdline: 'console=ttyS0,115200 cryptomgr.notests=1' },
  };
}

async function ready(guest: Guest): Promise<void> {
  await guest.start();
  await guest.onSerial(/GUEST READY/, 480_000);
  await guest.ask('', /\/ # /);
  await guest.ask('/load', /^LOADED/m, 120_000);
}

const clean = (guest: Guest) => guest.ask('dmesg | grep -ciE "i/o error|call trace|timed out|needs reset"', /^0\r?$/m);

/** What the guest sees on its disk is what it wrote. */
function whole(file: string, format: DiskFormat): void {
  if (format === 'qcow2') execFileSync('qemu-img', ['check', '-q', file]);
  else expect(readFileSync(file).equals(content)).toBe(true);
  execFileSync('qemu-img', ['compare', '-q', '-f', format, '-F', 'raw', file, source]);
}

test.each<DiskFormat>(['raw', 'qcow2'])(
  'a full disk of this computer pauses the machine, and nothing is lost (%s)',
  async (format) => {
    const small = mountSmall(24 * MIB);
    if (!small) return expect(process.getuid?.()).not.toBe(0);
    const file = target(path.join(small.folder, 'disk.img'), format);
    const guest = new Guest(machine(file, format));
    const failures: HypervueError[] = [];
    guest.vm.onState.on(({ state, error }) => {
      if (state === 'paused' && error) failures.push(error);
    });
    try {
      await ready(guest);
      // No answer before there was room: dd can't end.
      const copied = guest.ask('dd if=/dev/vdb of=/dev/vda bs=256k oflag=direct; echo WRITTEN $?', /^WRITTEN (\d+)/m, 400_000);
      await guest.until('a pause', () => guest.vm.state === 'paused', 200_000);
      const [error] = failures;
      expect(error?.kind).toBe('no-space');
      for (const part of ['virtio0', file, 'free']) expect(error?.message).toContain(part);
      expect(error?.fix).toMatch(/Free some space.*resume/);
      expect(guest.serial).not.toContain('WRITTEN 0');
      // Still full: it does not go on, and says so again.
      await expect(guest.vm.resume()).rejects.toMatchObject({ kind: 'no-space' });
      expect(guest.vm.state).toBe('paused');
      execFileSync('mount', ['-o', `remount,size=${64 * MIB}`, small.folder]);
      await guest.vm.resume();
      expect((await copied)[1]).toBe('0');
      await guest.ask('sync; echo 3 > /proc/sys/vm/drop_caches; cmp /dev/vda /dev/vdb && echo SAME', /^SAME/m, 200_000);
      await clean(guest);
      await guest.vm.forceOff();
      whole(file, format);
    } finally {
      await guest.end();
      small.unmount();
    }
  },
  900_000,
);

test.each<DiskFormat>(['raw', 'qcow2'])(
  'a machine that is saved while it writes to a virtio disk goes on where it was (%s)',
  async (format) => {
    const file = target(path.join(folder, `saved.${format}`), format);
    const options = machine(file, format);
    const state = path.join(folder, `state.${format}`);
    const first = new Guest(options);
    try {
      await ready(first);
      let written = 0;
      first.vm.onStats.on(({ diskWriteBytes }) => {
        written = diskWriteBytes;
      });
      first.vm.serial[0]!.receive(Buffer.from('(dd if=/dev/vdb of=/dev/vda bs=1k oflag=direct && sync; echo WRITTEN $?) &\n'));
      await first.until('writes', () => written > MIB, 120_000);
      expect(first.serial).not.toMatch(/^WRITTEN/m);
      await first.vm.saveState(state);
    } finally {
      await first.end();
    }
    expect(() => whole(file, format)).toThrow();
    const second = new Guest({ ...options, restore: state });
    try {
      await second.start();
      expect((await second.onSerial(/^WRITTEN (\d+)/m, 400_000))[1]).toBe('0');
      await clean(second);
      await second.vm.forceOff();
      whole(file, format);
    } finally {
      await second.end();
    }
  },
  900_000,
);
