import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { initramfs, linuxKernel } from './support/images.ts';

/** Debian's Linux 6.1 for x86-64, booted directly: its self-tests of cryptography included, which use the vector instructions that CPUID announces. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-linux64-'));
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
  rmSync(folder, { recursive: true, force: true });
});

test('the amd64 kernel boots to a shell without complaint, computes and turns off', async () => {
  const disk = path.join(folder, 'disk.img');
  const content = randomBytes(8 << 20);
  writeFileSync(disk, content);
  guest = await new Guest({
    memoryMiB: 256,
    cpu: 'x86-64-v2',
    drives: [drive('ide0', 'disk', disk)],
    kernel: { path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: 'console=tty0 console=ttyS0,115200' },
  }).start();
  await guest.onSerial(/GUEST READY 6\.1\.\S+ x86_64/, 480_000);
  await guest.ask('', /\/ # /);
  await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault|alg:.*fail"', /^0\r?$/m, 60_000);
  await guest.ask('grep -wo "lm" /proc/cpuinfo', /^lm\r?$/m);
  await guest.ask('grep -wo "sse4_2" /proc/cpuinfo', /^sse4_2\r?$/m);
  await guest.ask('sha256sum /dev/sda', new RegExp(`^${createHash('sha256').update(content).digest('hex')}  /dev/sda`, 'm'), 120_000);
  // 64-bit integers and doubles of a program.
  await guest.ask(
    'echo $((0x123456789abcdef * 3 / 7 % 1000000007))',
    new RegExp(`^${((0x123456789abcdefn * 3n) / 7n) % 1000000007n}\\r?$`, 'm'),
  );
  await guest.ask('awk \'BEGIN{for(i=1;i<20000;i++)s+=1/(i*i);printf "%.9f\\n",s}\'', /^1\.644884066\r?$/m, 60_000);
  await guest.vm.typeText('\necho On-The-Screen $((6*7))\n', 40);
  await guest.onScreen(/^On-The-Screen 42$/m, 60_000);
  await guest.vm.shutdown();
  await guest.until('power off', () => guest!.vm.state === 'off', 120_000);
  expect(guest.serial).toContain('POWER BUTTON');
}, 900_000);
