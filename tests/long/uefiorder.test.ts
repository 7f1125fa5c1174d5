import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { lettered, orders } from '../guests/support/bootorders.ts';
import { grubEfiIso, ovmf } from '../guests/support/efi.ts';
import { drive, Guest, type GuestOptions } from '../guests/support/guest.ts';
import { debianPackage } from '../guests/support/packages.ts';

/** OVMF with `bootorder` and `etc/boot-menu-wait`: disks on every bus, each an EFI system partition whose loader says which one it is. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-uefi-order-'));
const MINUTE = 60_000;
const images = new Map<string, string>();
let guest: Guest | undefined;

/** A disk without partitions (FAT, UEFI 2.10, section 13.3.1.1) whose BOOTX64.EFI is a GRUB that writes "=X=" on COM1 and waits. */
function disk(letter: string): string {
  const file = path.join(folder, `${letter}.img`);
  const [config, loader] = [path.join(folder, `${letter}.cfg`), path.join(folder, `${letter}.efi`)];
  writeFileSync(config, `serial --unit=0 --speed=115200\nterminal_output serial\necho =${letter}=\nsleep 1000\n`);
  const modules = path.join(debianPackage('grub-efi-amd64-bin'), 'usr/lib/grub/x86_64-efi');
  execFileSync('grub-mkimage', [
    '-O',
    'x86_64-efi',
    '-d',
    modules,
    '-p',
    '/',
    '-c',
    config,
    '-o',
    loader,
    'serial',
    'terminal',
    'echo',
    'sleep',
  ]);
  writeFileSync(file, '');
  truncateSync(file, 16 * 2 ** 20);
  execFileSync('mformat', ['-i', file, '-h', '16', '-s', '63', '-t', '32', '::']);
  execFileSync('mmd', ['-i', file, '::/EFI', '::/EFI/BOOT']);
  execFileSync('mcopy', ['-i', file, loader, '::/EFI/BOOT/BOOTX64.EFI']);
  return file;
}

beforeAll(() => {
  for (const letter of 'IJSUVW') images.set(letter, disk(letter));
});
afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const machine = (options: GuestOptions) =>
  new Guest({
    memoryMiB: 256,
    cpu: 'x86-64-v2',
    uefi: ovmf(),
    usb: { tablet: false },
    drives: lettered((letter) => images.get(letter)!),
    ...options,
  }).start();

test.each(orders)(
  '%j starts from %s',
  async (order, letter) => {
    guest = await machine({ order: [...order] });
    await guest.onSerial(/=[IJSUVW]=/, 4 * MINUTE);
    expect(/=([IJSUVW])=/.exec(guest.serial)![1]).toBe(letter);
  },
  5 * MINUTE,
);

test(
  'a CD drive on USB is started from',
  async () => {
    guest = await machine({ memoryMiB: 384, drives: [drive('usb1', 'cdrom', grubEfiIso())], order: ['cdrom'] });
    await guest.onSerial(/Linux over UEFI/, 4 * MINUTE);
  },
  5 * MINUTE,
);

test(
  'Escape while the menu waits opens the firmware’s own, whose boot manager lists what is in the order and starts what is chosen',
  async () => {
    guest = await machine({ order: ['ide0', 'sata0'], menuSeconds: 60 });
    const { vm } = guest;
    /** Keys pressed before the firmware reads them are lost; it draws its menus on the serial line too. */
    const pressUntil = async (key: string, pattern: RegExp) => {
      const from = guest!.serial.length;
      for (let i = 0; i < 20 && !pattern.test(guest!.serial.slice(from)); i++) {
        await vm.sendKeys([key]);
        await new Promise((resolve) => setTimeout(resolve, 3000));
      }
      expect(guest!.serial.slice(from)).toMatch(pattern);
    };
    await pressUntil('escape', /Boot Manager/);
    // Below the language and the devices.
    for (const key of ['down', 'down']) await vm.sendKeys([key]);
    await pressUntil('ret', /Boot Manager Menu/);
    await vm.sendKeys(['down']);
    await pressUntil('ret', /=[IJSUVW]=/);
    expect(/=([IJSUVW])=/.exec(guest.serial)![1]).toBe('S');
  },
  5 * MINUTE,
);
