import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';

/** The check image on the real machine: every page, key by key. */
const image = fileURLToPath(new URL('../../out/sample/hypervue-check.img', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-sample-'));
const copy = path.join(folder, 'check.img');
const other = path.join(folder, 'other.img');
const disc = path.join(folder, 'disc.iso');
/** Of the sector the image writes to. */
const scratch = () => readFileSync(copy).subarray(2879 * 512, 2880 * 512);
/** Buttons as the viewers have them. */
const MIDDLE = 2;
const WHEEL_DOWN = 16;
let guest: Guest;

beforeAll(async () => {
  if (!existsSync(image)) throw new Error('the check image was not built: install nasm and run `node scripts/build.mjs`');
  copyFileSync(image, copy);
  writeFileSync(other, Buffer.alloc(3 * 1024 ** 2, 0xe5));
  // As much of ISO 9660 as the disk page reads: the volume name.
  const iso = Buffer.alloc(20 * 2048);
  iso.write('\x01CD001\x01', 16 * 2048, 'latin1');
  iso.write('SOME_DISC'.padEnd(32), 16 * 2048 + 40, 'latin1');
  writeFileSync(disc, iso);
  guest = await new Guest({
    memoryMiB: 32,
    order: ['disk', 'cdrom', 'floppy'],
    drives: [drive('ide0', 'disk', copy), drive('ide1', 'disk', other), drive('ide2', 'cdrom', disc)],
  }).start();
}, 60_000);

afterAll(async () => {
  await guest?.end();
  rmSync(folder, { recursive: true, force: true });
});

/** RRGGBB of one pixel. */
function pixel(x: number, y: number): string {
  const { scanout } = guest.vm;
  scanout.refresh();
  return (scanout.pixels[y * scanout.width + x]! & 0xffffff).toString(16).padStart(6, '0');
}

async function page(number: number): Promise<void> {
  const from = guest.serial.length;
  await guest.vm.sendKeys(['escape']);
  if (number) await guest.vm.sendKeys([String(number)]);
  await guest.until(`page ${number}`, () => guest.serial.slice(from).includes(`PAGE ${number}\r\n`), 20_000);
}

const size = (width: number, height: number) =>
  guest.until(
    `${width}x${height}`,
    () => {
      guest.vm.scanout.refresh();
      return guest.vm.scanout.width === width && guest.vm.scanout.height === height;
    },
    20_000,
  );

const checks = (of: Guest) =>
  Object.fromEntries([...of.serial.matchAll(/CHECK (\S+) (OK|FAIL|NONE)/g)].map(([, name, result]) => [name, result]));
const names = 'cpu fpu sse2 memory a20 timer pci acpi keyboard mouse video vbe serial disk cdrom clock'.split(' ');

test('it starts from a disk, and every check of its own is good', async () => {
  await guest.onSerial(/^HYPERVUE-CHECK START\r\n[\s\S]*HYPERVUE-CHECK READY/, 60_000);
  expect(checks(guest)).toEqual(Object.fromEntries(names.map((name) => [name, 'OK'])));
  expect(guest.serial).toContain('CHECK mouse OK PS/2 with wheel');
  expect(guest.serial).toContain('CHECK cdrom OK HYPERVUE DVD-ROM, SOME_DISC');
  const screen = guest.screen();
  expect(screen).toMatch(/Processor +Hypervue Virtual CPU/);
  expect(screen).toMatch(/Memory +32 MiB usable/);
  expect(screen).toMatch(/Disk +HYPERVUE HARDDISK, verified/);
  expect(screen).toMatch(/Self-checks all good/);
  // The clock in the bar is the host's, in UTC, and it goes on.
  const shown = () => /(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)/.exec(guest.screen())![1]!;
  expect(Math.abs(Date.parse(`${shown().replace(' ', 'T')}Z`) - Date.now())).toBeLessThan(10_000);
  const first = shown();
  await guest.until('another second', () => shown() !== first, 20_000);
});

test('keys arrive with their set-1 codes and have their names', async () => {
  const from = guest.serial.length;
  await guest.vm.sendKeys(['a']);
  await guest.vm.sendKeys(['up']);
  await guest.until('codes', () => /KEY 1E\r\nKEY E048\r\n/.test(guest.serial.slice(from)), 20_000);
  await guest.onScreen(/Keyboard +Up {2}\(E0 C8\) released/);
  await page(5);
  await guest.vm.sendKeys(['pause']);
  await guest.vm.sendKeys(['7']);
  await guest.onScreen(/E1 1D 45 +Pause +pressed/);
  await guest.onScreen(/08 +7 +pressed/);
  expect(guest.serial.slice(from)).toContain('KEY E145\r\n');
  // Digits are keys to try there, like all others.
  expect(guest.serial.slice(from)).not.toContain('PAGE 7');
});

test('text has its sixteen colours', async () => {
  await page(1);
  await guest.onScreen(/Code page 437/);
  await size(720, 400);
  // The corner of each row of the table shows its background.
  const backgrounds = Array.from({ length: 8 }, (_, row) => pixel(8 * 9, (3 + row) * 16));
  expect(backgrounds).toEqual(['000000', '0000aa', '00aa00', '00aaaa', 'aa0000', 'aa00aa', 'aa5500', 'aaaaaa']);
});

test('planar graphics have their sixteen colours', async () => {
  await page(2);
  await size(640, 480);
  const standard = '000000 0000aa 00aa00 00aaaa aa0000 aa00aa aa5500 aaaaaa 555555 5555ff 55ff55 55ffff ff5555 ff55ff ffff55 ffffff';
  const bars = () => Array.from({ length: 16 }, (_, bar) => pixel(bar * 40 + 5, 400)).join(' ');
  await guest.until('all bars', () => bars() === standard, 20_000);
  // A string of each corner, drawn by the bit mask.
  await guest.until('strings', () => pixel(0, 41) === '55ff55' && pixel(0, 40) === '5555ff' && pixel(639, 360) === 'ff55ff', 20_000);
});

test('256 colours move with the palette', async () => {
  await page(3);
  // The scan-out shows what a monitor gets: each line and pixel twice.
  await size(640, 400);
  await guest.until('the caption', () => Array.from({ length: 80 }, (_, x) => pixel(x, 390)).includes('ffffff'), 20_000);
  const colours = new Set(Array.from({ length: 320 }, (_, x) => pixel(x * 2, 100)));
  expect(colours.size).toBeGreaterThan(60);
  const before = pixel(80, 200);
  await guest.until('another colour', () => pixel(80, 200) !== before, 20_000);
});

test('the linear frame buffer has every colour of the gradient, and a ball that moves', async () => {
  await page(4);
  await size(1024, 768);
  await guest.until('the last row', () => pixel(1020, 767) === 'fffe01', 60_000);
  expect(pixel(0, 0)).toBe('0000ff');
  expect(pixel(1023, 0)).toBe('ff00ff');
  expect(pixel(0, 384)).toBe('007f80');
  // Below the captions only the ball is not the gradient.
  const gradient = (x: number, y: number) => ((x >> 2) << 16) | (((y * 85) >> 8) << 8) | (~((y * 85) >> 8) & 255);
  const ball = () => {
    const { scanout } = guest.vm;
    scanout.refresh();
    let count = 0;
    let sumX = 0;
    for (let y = 112; y < 700; y++)
      for (let x = 0; x < 1024; x++)
        if ((scanout.pixels[y * 1024 + x]! & 0xffffff) !== gradient(x, y)) {
          count++;
          sumX += x;
        }
    return { count, x: sumX / count };
  };
  const first = (await guest.until('the ball', () => (ball().count > 6000 ? ball() : undefined), 20_000))!;
  expect(first.count).toBeLessThan(7500);
  await guest.until('its movement', () => Math.abs(ball().x - first.x) > 20, 20_000);
});

test('the mouse draws, and its wheel turns the colour', async () => {
  await page(6);
  await size(640, 480);
  const from = guest.serial.length;
  const { input } = guest.vm;
  const told = (pattern: RegExp) => guest.until(`${pattern}`, () => pattern.exec(guest.serial.slice(from)), 20_000);
  input.pointerRelative(10, 5, 0);
  await told(/MOUSE 330 245 0/);
  input.pointerRelative(0, 0, 1);
  await told(/MOUSE 330 245 1/);
  input.pointerRelative(60, 0, 1);
  await told(/MOUSE 390 245 1/);
  input.pointerRelative(0, 0, 0);
  input.pointerRelative(0, 60, 0);
  await told(/MOUSE 390 305 0/);
  await guest.until('a green line', () => pixel(360, 245) === '55ff55' && pixel(360, 260) === '000000', 20_000);
  input.pointerRelative(0, 0, WHEEL_DOWN);
  input.pointerRelative(0, 0, 0);
  await guest.until('the next colour', () => pixel(600, 445) !== '55ff55', 20_000);
  input.pointerRelative(0, 0, MIDDLE);
  await guest.until('an empty sheet', () => pixel(360, 245) === '000000', 20_000);
  input.pointerRelative(0, 0, 0);
});

test('timers keep the clock’s time', async () => {
  await page(7);
  await guest.onScreen(/over [3-9] s/, 30_000);
  const average = (label: string) => Number(new RegExp(`${label}.* (\\d+\\.\\d\\d)$`, 'm').exec(guest.screen())![1]);
  const bounds: [label: string, from: number, to: number][] = [
    ['Timer, IRQ 0', 16, 21],
    ['Real-time clock, IRQ 8', 27, 37],
    ['Power management timer, kHz', 3100, 4100],
  ];
  const off = () =>
    bounds.flatMap(([label, from, to]) => {
      const value = average(label);
      return value > from && value < to ? [] : [`${label}: ${value}`];
    });
  // A busy host delays interrupts, and those of a time that it stood still altogether may be lost: over a longer time that is little.
  await guest.until('averages of all timers', () => off().length === 0, 30_000).catch(() => {});
  expect(off()).toEqual([]);
}, 60_000);

test('the disk page writes to the image on the host, and to no other', async () => {
  const before = scratch();
  await page(8);
  await guest.onScreen(/written, read back, compared/);
  expect(guest.screen()).toMatch(/Primary 1 +HYPERVUE HARDDISK +1\.4 MiB +check image/);
  expect(guest.screen()).toMatch(/Primary 2 +HYPERVUE HARDDISK +3\.0 MiB */);
  expect(guest.screen()).toMatch(/Secondary 1 +HYPERVUE DVD-ROM +SOME_DISC/);
  const [, shown] = await guest.onScreen(/Written +((?:[0-9A-F]{2} ?){16})/);
  const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
  await guest.until('the bytes in the file', () => scratch().subarray(0, 16).equals(bytes(shown!)), 20_000);
  expect(scratch().equals(before)).toBe(false);
  await guest.vm.sendKeys(['space']);
  await guest.until('other bytes', () => !scratch().subarray(0, 16).equals(bytes(shown!)), 20_000);
  expect(readFileSync(other).every((byte) => byte === 0xe5)).toBe(true);
});

test('the serial line echoes', async () => {
  await page(9);
  await guest.onSerial(/Hello from the check image/);
  const from = guest.serial.length;
  guest.vm.serial[0]!.receive(Buffer.from('hello\rthere'));
  await guest.until('the echo', () => guest.serial.slice(from).includes('hello\rthere'), 20_000);
  await guest.onScreen(/11 bytes came in/);
  expect(guest.screen()).toMatch(/hello[\s\S]*there/);
  // More at once than the guest's buffer holds: it lets the line wait, and nothing is lost.
  const text = Array.from({ length: 300 }, (_, line) => `line ${line}\r`).join('');
  guest.vm.serial[0]!.receive(Buffer.from(text));
  await guest.until('all of it', () => guest.serial.slice(from).endsWith(text), 20_000);
});

test('an idle guest takes next to no processor time, and P turns it off', async () => {
  await page(0);
  const from = process.cpuUsage();
  const at = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { user, system } = process.cpuUsage(from);
  const share = (user + system) / 1000 / (Date.now() - at);
  // Timings gate nothing, but a guest that halts must not spin: far above anything a busy host adds, far below a spinning thread.
  expect(share).toBeLessThan(0.6);
  console.log(`idle check image: ${(share * 100).toFixed(1)} % of one processor`);
  await guest.vm.sendKeys(['p']);
  await guest.until('power off', () => guest.vm.state === 'off', 20_000);
  expect(guest.serial).toContain('POWER OFF');
}, 60_000);

describe('from a write-protected floppy, without any disk', () => {
  let floppy: Guest;
  beforeAll(async () => {
    floppy = await new Guest({ memoryMiB: 16, order: ['floppy', 'disk', 'cdrom'], drives: [drive('fd0', 'floppy', image, true)] }).start();
  }, 60_000);
  afterAll(() => floppy?.end());

  test('it starts and says so', async () => {
    await floppy.onSerial(/HYPERVUE-CHECK READY/, 60_000);
    expect(checks(floppy)).toEqual({ ...Object.fromEntries(names.map((name) => [name, 'OK'])), disk: 'NONE', cdrom: 'NONE' });
    expect(floppy.screen()).toMatch(/Disk +floppy, write-protected/);
    await floppy.vm.sendKeys(['8']);
    await floppy.onScreen(/Primary 1 +nothing[\s\S]*Started from +floppy[\s\S]*Result +write-protected/);
  });

  test('R starts it again, so does a restart, and the power button ends it', async () => {
    await floppy.vm.sendKeys(['escape']);
    await floppy.vm.sendKeys(['r']);
    await floppy.onSerial(/RESTART\r\n[\s\S]*HYPERVUE-CHECK START[\s\S]*HYPERVUE-CHECK READY/, 60_000);
    const states: string[] = [];
    floppy.vm.onState.on(({ state }) => void states.push(state));
    const from = floppy.serial.length;
    await floppy.vm.restart();
    await floppy.until('the next run', () => /POWER OFF[\s\S]*HYPERVUE-CHECK READY/.test(floppy.serial.slice(from)), 60_000);
    expect(states).toEqual([]);
    // Whoever shuts down has thought better of it.
    await Promise.all([floppy.vm.restart(), floppy.vm.shutdown()]);
    await floppy.until('power off', () => floppy.vm.state === 'off', 20_000);
    expect(floppy.serial.slice(from).match(/POWER OFF/g)).toHaveLength(2);
  });
});
