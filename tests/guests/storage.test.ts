import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { DriveId } from '../../core/contract/drives.ts';
import { drive, Guest } from './support/guest.ts';
import { linux686 } from './support/images.ts';
import { run } from './support/packages.ts';
import { storageInitrd } from './support/storageguest.ts';

/** Disks beside IDE, with the drivers that people have: SeaBIOS and Linux. The file systems are checked by e2fsprogs on the host. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-storage-'));
const bootSector = path.join(folder, 'boot.bin');
let guest: Guest | undefined;

beforeAll(() => {
  const source = fileURLToPath(new URL('support/asm/disk.asm', import.meta.url));
  run('nasm', ['-f', 'bin', '-o', bootSector, source]);
});
afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bootDisk = (name: string, says: string) => {
  const image = Buffer.alloc(1 << 20);
  readFileSync(bootSector).copy(image);
  image.write(says, 1024, 'latin1');
  const file = path.join(folder, name);
  writeFileSync(file, image);
  return file;
};

test.each<DriveId>(['sata2', 'virtio0'])(
  'the BIOS boots from %s, the first disk of the list, reads and writes it',
  async (place) => {
    const first = bootDisk('first.img', 'FROM THE FIRST');
    guest = await new Guest({
      memoryMiB: 16,
      drives: [drive(place, 'disk', first), drive('ide0', 'disk', bootDisk('second.img', 'FROM THE SECOND'))],
      order: ['disk'],
    }).start();
    await guest.onSerial(/WRITTEN|BAD/, 60_000);
    expect(guest.serial).toBe('FROM THE FIRST WRITTEN\n');
    expect(
      readFileSync(first)
        .subarray(1536, 1536 + 14)
        .toString(),
    ).toBe('FROM THE FIRST');
  },
  90_000,
);

function ext4(name: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, '');
  truncateSync(file, 48 << 20);
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-E', 'lazy_itable_init=0', file]);
  return file;
}

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('Linux reads, writes, trims and flushes virtio and SATA disks, raw and qcow2, and sees one grow', async () => {
  const raw = ext4('virtio.img');
  const content = randomBytes(6 << 20);
  const plain = path.join(folder, 'plain.img');
  writeFileSync(plain, content);
  const packed = path.join(folder, 'plain.qcow2');
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', plain, packed]);
  const sata = ext4('sata.img');
  const disc = path.join(folder, 'disc.iso');
  writeFileSync(disc, content.subarray(0, 2 << 20));
  const initrd = path.join(folder, 'initrd');
  storageInitrd('i386', initrd);
  guest = await new Guest({
    memoryMiB: 96,
    drives: [
      drive('virtio0', 'disk', raw),
      { ...drive('virtio3', 'disk', packed), format: 'qcow2' },
      { ...drive('sata0', 'disk', sata), cache: 'none' },
      drive('sata1', 'cdrom', disc),
    ],
    kernel: { path: linux686(), initrd, cmdline: 'console=ttyS0,115200 cryptomgr.notests=1' },
  }).start();
  const sh = (line: string, pattern: RegExp, timeoutMs = 120_000) => guest!.ask(line, pattern, timeoutMs);
  await guest.onSerial(/GUEST READY/, 480_000);
  await sh('', /\/ # /);
  await sh('/load', /^LOADED/m);
  // One interrupt a queue: message signalled.
  await sh('grep -c virtio0-req /proc/interrupts', /^1\r?$/m);
  await sh('sha256sum /dev/vdb', new RegExp(`^${sha(content)}  /dev/vdb`, 'm'));
  await sh('mount -t ext4 -o discard /dev/vda /mnt && dd if=/dev/vdb of=/mnt/copy bs=1M conv=fsync && echo COPIED', /^COPIED/m);
  await sh('dd if=/mnt/copy of=/mnt/gone bs=1M conv=fsync && rm /mnt/gone && sync && echo TRIMMED', /^TRIMMED/m);
  await sh('umount /mnt; dd if=/dev/vda of=/dev/null bs=64k iflag=direct && echo DIRECT', /^DIRECT/m);
  // AHCI with queued commands; the disc comes and goes.
  await sh('cat /sys/block/sda/device/queue_depth', /^(3[12])\r?$/m);
  await sh('sha256sum /dev/sr0', new RegExp(`^${sha(content.subarray(0, 2 << 20))}  /dev/sr0`, 'm'));
  await sh('mount -t ext4 -o discard /dev/sda /mnt && dd if=/dev/vdb of=/mnt/copy bs=1M conv=fsync && echo COPIED', /^COPIED/m);
  await sh('dd if=/mnt/copy of=/mnt/gone bs=1M conv=fsync && rm /mnt/gone && sync && echo TRIMMED', /^TRIMMED/m);
  await sh('umount /mnt; for i in 1 2 3 4; do dd if=/dev/sda of=/dev/null bs=64k iflag=direct & done; wait; echo DIRECT', /^DIRECT/m);
  await guest.vm.media.changeMedium('sata1', null, true);
  await sh('dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null || echo NO MEDIUM', /^NO MEDIUM/m);
  await guest.vm.media.grow('virtio3', 8 << 20);
  await sh('cat /sys/block/vdb/size', /^16384\r?$/m);
  await sh('dmesg | grep -ciE "i/o error|call trace|bug:|timed out|needs reset"', /^0\r?$/m);
  await guest.vm.forceOff();
  for (const image of [raw, sata]) {
    // Throws on anything wrong.
    execFileSync('e2fsck', ['-fn', image], { stdio: 'ignore' });
    const copy = execFileSync('debugfs', ['-R', 'cat /copy', image], { maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] });
    expect(sha(copy)).toBe(sha(content));
  }
}, 900_000);
