import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { linuxIso } from './support/images.ts';

/** Debian's Linux 6.1 for i686 and x86-64 from a CD: SeaBIOS, El Torito, GRUB, kernel, shell; used by keyboard alone and turned off from inside. */
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
});

test.each(['i386', 'amd64'] as const)(
  'Linux %s boots from its ISO, obeys the keyboard and turns the machine off',
  async (arch) => {
    guest = await new Guest({
      memoryMiB: 192,
      cpu: arch === 'i386' ? 'i686' : 'x86-64',
      drives: [drive('ide2', 'cdrom', linuxIso(arch))],
    }).start();
    await guest.onScreen(/^\/ # *$/m, 360_000);
    await guest.vm.typeText('clear; cat /proc/cmdline; md5sum /dev/sr0\n', 40);
    const sum = createHash('md5')
      .update(readFileSync(linuxIso(arch)))
      .digest('hex');
    await guest.onScreen(new RegExp(`^${sum}  /dev/sr0$`, 'm'), 120_000);
    expect(guest.screen()).toMatch(/^BOOT_IMAGE=\/boot\/vmlinuz /m);
    // Keys that move the cursor edit the line; one that a held Control changes ends a program.
    await guest.vm.typeText('clear; echo edited-$((6*77))', 40);
    for (const key of ['left', 'left', 'backspace', 'end', 'enter']) await guest.vm.sendKeys([key]);
    await guest.onScreen(/^edited-42$/m, 30_000);
    await guest.vm.typeText('clear; cat\n', 40);
    await guest.vm.sendKeys(['ctrl', 'c']);
    await guest.vm.typeText('echo ended-$((140-10))-$?\n', 40);
    await guest.onScreen(/^ended-130-130$/m, 30_000);
    await guest.vm.typeText('poweroff -f\n', 40);
    await guest.until('power off', () => guest!.vm.state === 'off', 60_000);
    expect(guest.serial).toMatch(/reboot: Power down/);
  },
  700_000,
);
