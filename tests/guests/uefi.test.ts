import { afterEach, expect, test } from 'vitest';
import { grubEfiIso, ovmf } from './support/efi.ts';
import { drive, Guest } from './support/guest.ts';

/** 64-bit UEFI (OVMF), which boots GRUB's EFI build from a CD. */
const MINUTE = 60_000;
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
});

test('OVMF boots GRUB in 64-bit EFI, which draws its menu in graphics and answers a typed command', async () => {
  guest = await new Guest({ memoryMiB: 256, cpu: 'x86-64-v2', uefi: ovmf(), drives: [drive('ide2', 'cdrom', grubEfiIso())] }).start();
  await guest.onSerial(/Linux over UEFI/, 8 * MINUTE);
  // UEFI's screen is graphics: a mode of its own, with GRUB's frame and letters in it.
  expect(guest.screen()).toBe('');
  expect(guest.vm.screenshot().width).toBeGreaterThanOrEqual(800);
  await guest.vm.sendKeys(['c']);
  await guest.onSerial(/grub> /, 2 * MINUTE);
  await guest.vm.typeText('echo is-$grub_cpu-$grub_platform\n', 60);
  await guest.onSerial(/is-x86_64-efi/, 2 * MINUTE);
}, 1_500_000);
