import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { grubEfiIso, ovmf } from './support/efi.ts';
import { drive, Guest } from './support/guest.ts';

/** 64-bit UEFI (OVMF), which boots GRUB's EFI build from a CD. */
const MINUTE = 60_000;
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-uefi-'));
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
  rmSync(folder, { recursive: true, force: true });
});

const toMenu = async (nvramFile: string) => {
  guest = await new Guest({
    memoryMiB: 384,
    cpu: 'x86-64-v2',
    uefi: ovmf(),
    nvramFile,
    drives: [drive('ide2', 'cdrom', grubEfiIso())],
  }).start();
  await guest.onSerial(/Linux over UEFI/, 8 * MINUTE);
  return guest;
};

const VARIABLE = 'HypervueTest-5b1c9f0e-7d7e-4c55-9d3b-6a4f2f1d0c11';

test('OVMF boots GRUB in 64-bit EFI and Linux, whose UEFI variables are there after power-off', async () => {
  const nvram = path.join(folder, 'nvram');
  const first = await toMenu(nvram);
  // UEFI's screen is graphics: a mode of its own, with GRUB's frame and letters in it.
  expect(first.screen()).toBe('');
  expect(first.vm.screenshot().width).toBeGreaterThanOrEqual(800);
  await first.vm.sendKeys(['ret']);
  await first.onSerial(/\/ # /, 4 * MINUTE);
  const mount = 'insmod /modules/efivarfs.ko && mount -t efivarfs none /sys/firmware/efi/efivars';
  await first.ask(`${mount} && echo mo""unted`, /mounted/, MINUTE);
  // The first four bytes are the attributes: non-volatile, for boot services and at run time.
  await first.ask(`printf '\\007\\000\\000\\000kept' > /sys/firmware/efi/efivars/${VARIABLE} && echo wri""tten`, /written/, MINUTE);
  await first.end();

  const second = await toMenu(nvram);
  await second.vm.sendKeys(['c']);
  await second.onSerial(/grub> /, 2 * MINUTE);
  await second.vm.typeText('echo is-$grub_cpu-$grub_platform\n', 60);
  await second.onSerial(/is-x86_64-efi/, 2 * MINUTE);
  // Another boot of Linux, which reads it, is in `npm run test:long`.
  expect(readFileSync(nvram).includes(Buffer.from('HypervueTest', 'utf16le'))).toBe(true);
  if (!process.env.HYPERVUE_LONG) return;
  await second.vm.typeText('linux /boot/vmlinuz console=ttyS0 quiet\ninitrd /boot/initrd.gz /boot/modules.cpio\nboot\n', 60);
  await second.onSerial(/\/ # /, 4 * MINUTE);
  await second.ask(`${mount} && tail -c 4 /sys/firmware/efi/efivars/${VARIABLE} && echo " re""ad"`, /kept read/, MINUTE);
}, 1_500_000);
