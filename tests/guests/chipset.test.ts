import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { buildAcpi } from '../../core/machine/acpi/acpifiles.ts';
import { Guest } from './support/guest.ts';
import { FAST_BOOT, initramfs, linux686 } from './support/images.ts';

/** Debian's Linux 6.1 for i686 on the chipset's less usual settings, and what it reads in the firmware's tables. */
const BOOT_MS = 240_000;
const RAM_MIB = 96;
let guest: Guest;

async function boot(cmdline: string, hpet = false): Promise<void> {
  guest = await new Guest({
    memoryMiB: RAM_MIB,
    hpet,
    kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: `console=ttyS0,115200 ${FAST_BOOT} ${cmdline}` },
  }).start();
  await guest.onSerial(/GUEST READY/, BOOT_MS);
  await guest.ask('', /\/ # /);
}

afterEach(() => guest?.end());

/** How often an interrupt came, by its line in /proc/interrupts. */
async function count(line: string): Promise<number> {
  const [, number] = await guest.ask(`grep '${line}' /proc/interrupts`, /^ *\w+: +(\d+) /m);
  return Number(number);
}

test('the tables reach the kernel as they were made, and it uses them', async () => {
  await boot('');
  const { tables } = buildAcpi({ ramBytes: RAM_MIB * 2 ** 20, serialPorts: 2, floppy: false, hpet: false });
  // The DSDT comes after the FACS; only its checksum is filled in on the way.
  const dsdt = tables.slice(64, 64 + new DataView(tables.buffer).getUint32(68, true));
  dsdt[9] = -dsdt.reduce((total, byte) => total + byte, 0);
  await guest.ask('md5sum </sys/firmware/acpi/tables/DSDT', new RegExp(createHash('md5').update(dsdt).digest('hex')));
  const complaints = /^(\d+)\r?$/m;
  expect(
    (await guest.ask('dmesg | grep -ciE "acpi (bios )?(error|warning|exception)|checksum.*incorrect|firmware bug"', complaints))[1],
  ).toBe('0');
  await guest.ask('cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name', /^Hypervue\r?\nVirtual Machine\r?$/m);
  await guest.ask('cat /sys/class/dmi/id/bios_vendor', /^SeaBIOS\r?$/m);
  await guest.ask('cat /sys/class/dmi/id/product_uuid', /^00000000-0000-4000-8000-000000000001\r?$/m);
  for (const device of ['PNP0303', 'PNP0F13', 'PNP0B00', 'PNP0501', 'PNP0C0F', 'QEMU0002'])
    await guest.ask(`ls /sys/bus/acpi/devices | grep -c ${device}`, /^[1-9]\r?$/m);
  await guest.ask('ls /sys/bus/acpi/devices | grep -cE "PNP0103|PNP0700"', /^0\r?$/m);
}, 300_000);

test('ticks come from the high precision event timer in place of the 8254', async () => {
  await boot('nolapic_timer clocksource=hpet', true);
  await guest.ask('cat /sys/devices/system/clocksource/clocksource0/current_clocksource', /^hpet\r?$/m);
  await guest.ask('grep -A1 "Tick Device" /proc/timer_list; grep "Clock Event Device" /proc/timer_list', /Clock Event Device: hpet\r?$/m);
  const before = await count('timer$');
  await guest.ask('sleep 2; echo slept', /^slept\r?$/m);
  // 250 a second; a busy host may lose some.
  expect((await count('timer$')) - before).toBeGreaterThan(100);
}, 300_000);

test('without the I/O APIC, interrupts go through the 8259 pair, and it still turns itself off', async () => {
  await boot('noapic');
  await guest.ask('grep -c IO-APIC /proc/interrupts', /^0\r?$/m);
  expect(await count('XT-PIC.*acpi')).toBe(0);
  await guest.vm.shutdown();
  await guest.until('power off', () => guest.vm.state === 'off', 60_000);
  expect(guest.serial).toContain('POWER BUTTON');
}, 300_000);

test('without any APIC it runs on the 8254 and the 8259 pair', async () => {
  await boot('nolapic');
  const before = await count('timer$');
  await guest.ask('sleep 2; echo slept', /^slept\r?$/m);
  expect((await count('timer$')) - before).toBeGreaterThan(100);
}, 300_000);
