import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';

/** The check image on the real machine: every page, key by key. */
const image = fileURLToPath(new URL('../../out/sample/hypervue-check.img', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-sample-'));
const copy = path.join(folder, 'check.img');
let guest: Guest;

beforeAll(async () => {
  if (!existsSync(image)) throw new Error('the check image was not built: install nasm and run `node scripts/build.mjs`');
  copyFileSync(image, copy);
  guest = await new Guest({ memoryMiB: 32, drives: [drive('fd0', 'floppy', copy)] }).start();
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

test('it boots, and every check of its own is good', async () => {
  await guest.onSerial(/HYPERVUE-CHECK READY/, 60_000);
  const results = [...guest.serial.matchAll(/CHECK (\S+) (OK|FAIL|NONE)/g)].map(([, name, result]) => `${name} ${result}`);
  expect(results).toEqual(
    ['cpu', 'memory', 'a20', 'timer', 'clock', 'keyboard', 'mouse', 'video', 'serial', 'disk'].map((name) => `${name} OK`),
  );
  const screen = guest.screen();
  expect(screen).toMatch(/Processor +Hypervue Virtual CPU/);
  expect(screen).toMatch(/Memory +32 MiB/);
  // The clock in the bar is the host's, in UTC.
  const shown = /(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)/.exec(screen)![1]!;
  expect(Math.abs(Date.parse(`${shown.replace(' ', 'T')}Z`) - Date.now())).toBeLessThan(10_000);
});

test('keys arrive with their set-1 codes', async () => {
  const from = guest.serial.length;
  await guest.vm.sendKeys(['a']);
  await guest.vm.sendKeys(['up']);
  await guest.until('codes', () => /KEY 1E\r\nKEY E048\r\n/.test(guest.serial.slice(from)), 20_000);
  await guest.onScreen(/Keyboard +code E0 C8/);
});

test('planar graphics have their sixteen colours', async () => {
  await page(2);
  await size(640, 480);
  await guest.until('the last bar', () => pixel(620, 100) === 'ffffff' && pixel(60, 400) === '0000aa', 20_000);
  const bars = Array.from({ length: 16 }, (_, bar) => pixel(bar * 40 + 5, 300));
  expect(new Set(bars).size).toBeGreaterThanOrEqual(14);
  expect(bars[4]).toBe('aa0000');
});

test('256 colours move with the palette', async () => {
  await page(3);
  // The scan-out shows what a monitor gets: each line and pixel twice.
  await size(640, 400);
  const before = pixel(80, 200);
  await guest.until('another colour', () => pixel(80, 200) !== before, 20_000);
});

test('the linear frame buffer has every colour of the gradient', async () => {
  await page(4);
  await size(1024, 768);
  await guest.until('the last row', () => pixel(1020, 767) === 'fffe01', 60_000);
  expect(pixel(0, 0)).toBe('0000ff');
  expect(pixel(1023, 0)).toBe('ff00ff');
  expect(pixel(512, 384)).toMatch(/^(807f80|80807f|ffffff)$/);
});

test('the mouse moves its mark', async () => {
  await page(6);
  const from = guest.serial.length;
  const input = guest.vm.input;
  input.pointerRelative(10, 5, 0);
  await guest.until('a position', () => /MOUSE \d+ \d+ 0/.test(guest.serial.slice(from)), 20_000);
  input.pointerRelative(0, 0, 1);
  await guest.until('a button', () => /MOUSE \d+ \d+ 1/.test(guest.serial.slice(from)), 20_000);
  input.pointerRelative(0, 0, 0);
});

test('timer interrupts keep the clock’s time', async () => {
  await page(7);
  const [, rate] = await guest.onScreen(/(\d+\.\d\d) a second/, 30_000);
  expect(Number(rate)).toBeGreaterThan(17.5);
  expect(Number(rate)).toBeLessThan(19);
}, 60_000);

test('the disk page writes to the image on the host', async () => {
  const before = readFileSync(copy).subarray(-512);
  await page(8);
  await guest.onScreen(/written, read back and compared/);
  await guest.until('a change in the file', () => !readFileSync(copy).subarray(-512).equals(before), 20_000);
});

test('the serial line echoes', async () => {
  await page(9);
  const from = guest.serial.length;
  guest.vm.serial[0]!.receive(Buffer.from('hello'));
  await guest.until('the echo', () => guest.serial.slice(from).includes('hello'), 20_000);
  await guest.onScreen(/5 bytes came in/);
});

test('an idle guest takes next to no processor time, and the power button ends it', async () => {
  await page(0);
  const from = process.cpuUsage();
  const at = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { user, system } = process.cpuUsage(from);
  const share = (user + system) / 1000 / (Date.now() - at);
  // Timings gate nothing, but a guest that halts must not spin: far above anything a busy host adds, far below a spinning thread.
  expect(share).toBeLessThan(0.6);
  console.log(`idle check image: ${(share * 100).toFixed(1)} % of one processor`);
  await guest.vm.shutdown();
  await guest.until('power off', () => guest.vm.state === 'off', 20_000);
  expect(guest.serial).toContain('POWER OFF');
}, 60_000);
