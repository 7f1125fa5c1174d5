import { afterEach, expect, test } from 'vitest';
import { grubEfiIso, ovmf } from './support/efi.ts';
import { drive, Guest } from './support/guest.ts';
import { FAST_BOOT } from './support/images.ts';

/** 64-bit UEFI (OVMF), which boots GRUB's EFI build from a CD, which boots Debian's amd64 kernel. */
const MINUTE = 60_000;
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
});

test('OVMF boots GRUB in 64-bit EFI, which answers and starts Linux; it turns the machine off by ACPI', async () => {
  guest = await new Guest({ memoryMiB: 256, cpu: 'x86-64-v2', uefi: ovmf(), drives: [drive('ide2', 'cdrom', grubEfiIso())] }).start();
  await guest.onSerial(/Linux over UEFI/, 8 * MINUTE);
  // UEFI's screen is graphics: a mode of its own, with GRUB's frame and letters in it.
  expect(guest.screen()).toBe('');
  expect(guest.vm.screenshot().width).toBeGreaterThanOrEqual(800);
  await guest.vm.sendKeys(['c']);
  await guest.onSerial(/grub> /, 2 * MINUTE);
  /** Types a command at GRUB's prompt and waits for what comes. */
  const grub = async (command: string, pattern: RegExp, timeoutMs = 2 * MINUTE) => {
    const from = guest!.serial.length;
    await guest!.vm.typeText(`${command}\n`, 60);
    await guest!.until(`${pattern} after ${command}`, () => pattern.test(guest!.serial.slice(from)), timeoutMs);
  };
  await grub('echo is-$grub_cpu-$grub_platform', /is-x86_64-efi(.|\n)*grub> /);
  await grub(`linux /boot/vmlinuz console=ttyS0,115200 ${FAST_BOOT}`, /vmlinuz(.|\n)*\n(.|\n)*grub> /);
  await grub('initrd /boot/initrd.gz', /initrd\.gz(.|\n)*\n(.|\n)*grub> /, 4 * MINUTE);
  await guest.vm.typeText('boot\n', 60);
  await guest.onSerial(/GUEST READY 6\.1\.\S+ x86_64/, 8 * MINUTE);
  await guest.ask('ls /sys/firmware/efi', /\bruntime\b/, 2 * MINUTE);
  await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault"', /^0\r?$/m, 2 * MINUTE);
  await guest.ask('poweroff -f', /reboot: Power down/, 2 * MINUTE);
  await guest.until('power off', () => guest!.vm.state === 'off', 2 * MINUTE);
}, 1_500_000);
