import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { initramfs, linux686 } from './support/images.ts';

/** Debian's Linux 6.1 for i686, booted directly: interrupts, timers, disks, CD and power as a real system uses them. */
const SECTORS = 40_000;
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-linux-'));
const disk = path.join(folder, 'disk.img');
const disc = path.join(folder, 'disc.iso');
const base = path.join(folder, 'base.img');
const layered = path.join(folder, 'layered.qcow2');
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
let guest: Guest;

beforeAll(async () => {
  writeFileSync(disk, randomBytes(SECTORS * 512));
  writeFileSync(disc, randomBytes(2048 * 3000));
  writeFileSync(base, randomBytes(SECTORS * 512));
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'raw', layered]);
  guest = await new Guest({
    memoryMiB: 128,
    drives: [drive('ide0', 'disk', disk), { ...drive('ide1', 'disk', layered), format: 'qcow2' }, drive('ide2', 'cdrom', disc)],
    kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: 'console=tty0 console=ttyS0,115200' },
  }).start();
  await guest.onSerial(/GUEST READY 6\.1\.\S+ i686/, 240_000);
  await guest.ask('', /\/ # /);
}, 300_000);

afterAll(async () => {
  await guest?.end();
  rmSync(folder, { recursive: true, force: true });
});

test('the kernel saw the machine without complaint', async () => {
  await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault|alg:.*fail"', /^0\r?$/m);
  // I/O APIC and ACPI in use, the disk by DMA.
  await guest.ask('grep -c IO-APIC /proc/interrupts', /^([5-9]|\d\d)\r?$/m);
  await guest.ask('grep -c acpi /proc/interrupts', /^1\r?$/m);
  await guest.ask('cat /sys/class/ata_device/dev1.0/dma_mode', /^XFER_(MW_DMA|UDMA)_\d\r?$/m);
});

test('a disk and a CD read the same in the guest and on the host', async () => {
  await guest.ask('md5sum /dev/sda', new RegExp(`^${md5(readFileSync(disk))}  /dev/sda`, 'm'), 120_000);
  await guest.ask('md5sum /dev/sr0', new RegExp(`^${md5(readFileSync(disc))}  /dev/sr0`, 'm'), 120_000);
}, 240_000);

test('what the guest writes and syncs is in the file', async () => {
  const [, sum] = await guest.ask(
    'dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null; dd if=/tmp/data of=/dev/sda bs=64k seek=5 conv=fsync 2>/dev/null; md5sum < /tmp/data',
    /^([0-9a-f]{32}) {2}-/m,
    120_000,
  );
  const written = readFileSync(disk).subarray(5 * 65_536, 37 * 65_536);
  expect(md5(written)).toBe(sum);
}, 180_000);

test('a qcow2 disk of qemu-img on a backing file: written and synced in the guest, sound and the same for qemu-img', async () => {
  const before = md5(readFileSync(base));
  await guest.ask('md5sum /dev/sdb', new RegExp(`^${before}  /dev/sdb`, 'm'), 120_000);
  const [, sum] = await guest.ask(
    'for i in 3 17 90 130 201; do dd if=/dev/urandom of=/dev/sdb bs=9k count=3 seek=$i conv=fsync 2>/dev/null; done; md5sum < /dev/sdb',
    /^([0-9a-f]{32}) {2}-/m,
    120_000,
  );
  const check = spawnSync('qemu-img', ['check', '-U', '-f', 'qcow2', layered], { encoding: 'utf8' });
  // The machine runs on: what it freed is given back later, no more than that.
  expect([0, 3], check.stdout + check.stderr).toContain(check.status);
  const raw = path.join(folder, 'layered.raw');
  execFileSync('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', layered, raw]);
  expect(md5(readFileSync(raw))).toBe(sum);
  expect(md5(readFileSync(base)), 'the image below is never written to').toBe(before);
}, 240_000);

test('its clock follows the host’s', async () => {
  const [, seconds] = await guest.ask('date +%s', /^(\d{10})\r?$/m);
  expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(10);
  // A guest second is a second.
  const at = Date.now();
  await guest.ask('sleep 2; echo slept', /^slept\r?$/m);
  const took = Date.now() - at;
  expect(took).toBeGreaterThan(1900);
  expect(took).toBeLessThan(6000);
});

test('keys typed on its keyboard reach the shell on the screen', async () => {
  await guest.vm.typeText('\necho On-The-Screen $((6*7)) "@#%"\n', 40);
  await guest.onScreen(/^On-The-Screen 42 @#%$/m, 30_000);
});

test('at the prompt it takes next to no processor time', async () => {
  const from = process.cpuUsage();
  const at = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { user, system } = process.cpuUsage(from);
  const share = (user + system) / 1000 / (Date.now() - at);
  console.log(`idle Linux: ${(share * 100).toFixed(1)} % of one processor`);
  // Timings gate nothing; a halting guest must not spin.
  expect(share).toBeLessThan(0.6);
});

test('a reboot from inside comes up again, and the power button turns it off by ACPI', async () => {
  const from = guest.serial.length;
  guest.vm.serial[0]!.receive(Buffer.from('reboot -f\n'));
  await guest.until('the second boot', () => /GUEST READY/.test(guest.serial.slice(from)), 240_000);
  await guest.vm.shutdown();
  await guest.until('power off', () => guest.vm.state === 'off', 60_000);
  expect(guest.serial.slice(from)).toContain('POWER BUTTON');
}, 320_000);
