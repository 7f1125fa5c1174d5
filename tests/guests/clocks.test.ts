import { afterEach, describe, expect, test } from 'vitest';
import { Guest, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, initramfs, linux686 } from './support/images.ts';

/** Which clock Linux chooses with and without the paravirtual help, what it measures for it, and how well it keeps time. */
let guest: Guest | undefined;

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});

async function boot(paravirt: boolean, options: GuestOptions = {}): Promise<Guest> {
  guest = await new Guest({
    ...options,
    memoryMiB: 96,
    paravirt,
    kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: `console=tty0 console=ttyS0,115200 ${FAST_BOOT}` },
  }).start();
  await guest.onSerial(/GUEST READY/, 240_000);
  await guest.ask('', /\/ # /);
  const init = /\[ *([\d.]+)\] Run \/init/.exec(guest.serial)?.[1];
  console.log(`${paravirt ? 'with' : 'without'} paravirtual help: ${init} s from kernel start to init`);
  return guest;
}

const clocksource = async (machine: Guest) =>
  (
    await machine.ask(
      'cat /sys/devices/system/clocksource/clocksource0/current_clocksource',
      /^(kvm-clock|tsc|acpi_pm|hpet|(?:refined-)?jiffies|tsc-early)\r?$/m,
    )
  )[1];

/** Seconds by the guest's monotonic clock minus seconds by the host's. */
async function ahead(machine: Guest): Promise<number> {
  const [, uptime] = await machine.ask('cat /proc/uptime', /^([\d.]+) [\d.]+\r?$/m);
  return Number(uptime) - performance.now() / 1000;
}

/** What the guest's clock gained since it was `start` ahead. An answer takes its time to come, on a busy host more: the one that is next to `wanted` of a few. */
async function gained(machine: Guest, start: number, wanted: number): Promise<number> {
  const values: number[] = [];
  while (values.length < 4 && !values.some((value) => Math.abs(value - wanted) < 0.1)) values.push((await ahead(machine)) - start);
  return values.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0]!;
}

describe('Linux', () => {
  test('that knows it is virtual measures nothing and keeps time, over a pause too', async () => {
    const machine = await boot(true);
    expect(machine.serial).toContain('Hypervisor detected: KVM');
    expect(machine.serial).toContain('kvm-clock: Using msrs 4b564d01 and 4b564d00');
    expect(machine.serial).toContain('tsc: Detected 1000.000 MHz processor');
    expect(machine.serial).toContain('TSC deadline timer available');
    expect(machine.serial).not.toMatch(/[Cc]alibrat(ing|ion) .*(PIT|PM-?[Tt]imer|HPET)|Fast TSC calibration/);
    expect(await clocksource(machine)).toMatch(/^(tsc|kvm-clock)$/);
    await machine.ask('dmesg | grep -ciE "unstable|skewed|time jump"', /^0\r?$/m);

    const start = Math.max(await ahead(machine), await ahead(machine), await ahead(machine));
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    expect(Math.abs(await gained(machine, start, 0))).toBeLessThan(0.5);
    await machine.vm.pause();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await machine.vm.resume();
    // Time stood still and goes on where it was.
    const after = await gained(machine, start, -2);
    expect(after).toBeGreaterThan(-2.5);
    expect(after).toBeLessThan(-1.5);
    const at = Date.now();
    await machine.ask('sleep 2; echo slept', /^slept\r?$/m);
    expect(Date.now() - at).toBeGreaterThan(1900);
    expect(Date.now() - at).toBeLessThan(6000);
    const [, seconds] = await machine.ask('date +%s', /^(\d{10})\r?$/m);
    // Behind by the pause.
    expect(Math.abs(Date.now() / 1000 - 2 - Number(seconds))).toBeLessThan(10);
  }, 300_000);

  /** What it measured for the counter, MHz. */
  function measured(machine: Guest): number {
    expect(machine.serial).not.toContain('Hypervisor detected');
    return Number(/tsc: Detected ([\d.]+) MHz processor/.exec(machine.serial)![1]);
  }

  test('that does not know measures the counter right', async () => {
    const machine = await boot(false);
    expect(Math.abs(measured(machine) - 1000)).toBeLessThan(10);
    // Whether it trusts the counter from then on depends on the host: ticks that came while the host had no time for the guest are lost, and it sees that.
    await machine.until('a clock', () => /Switched to clocksource tsc\b|Marking TSC unstable/.test(machine.serial), 60_000);
    console.log(`on this host Linux chose ${await clocksource(machine)}`);
  }, 300_000);

  test('that does not know uses the counter that it measured, when the host is never late', async () => {
    const machine = await boot(false, { counted: {} });
    expect(Math.abs(measured(machine) - 1000)).toBeLessThan(1);
    await machine.until('a clock', () => /Switched to clocksource tsc\b/.test(machine.serial), 240_000);
    expect(await clocksource(machine)).toBe('tsc');
    await machine.ask('dmesg | grep -ciE "unstable|skewed|time jump"', /^0\r?$/m);
  }, 600_000);
});
