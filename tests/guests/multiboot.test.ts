import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Guest } from './support/guest.ts';
import { run } from './support/packages.ts';

/** A multiboot kernel of our own that reports on COM1 what its loader gave it; QEMU's loader gives it the same. */
const source = fileURLToPath(new URL('support/asm/multiboot.asm', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-multiboot-'));
let guest: Guest | undefined;

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function kernel(name: string, ...options: string[]): string {
  const target = path.join(folder, name);
  run('nasm', ['-f', 'bin', ...options, '-o', target, source]);
  return target;
}

/** The kernel's checksum of its module: rotate left by one, add the byte. */
function checksum(bytes: Uint8Array): string {
  let sum = 0;
  for (const byte of bytes) sum = (((sum << 1) | (sum >>> 31)) + byte) | 0;
  return (sum >>> 0).toString(16).padStart(8, '0');
}

const hex = (value: number) => value.toString(16).padStart(8, '0');

test.each([
  { kind: 'an ELF file', name: 'kernel.elf', options: [] },
  { kind: 'a flat file with load addresses', name: 'kernel.bin', options: ['-DFLAT'] },
])(
  '$kind starts with processor, memory map, command line and module as the specification has them',
  async ({ name, options }) => {
    const module = Uint8Array.from({ length: 123_457 }, (_, index) => (index * index) >> 3);
    const initrd = path.join(folder, 'module');
    writeFileSync(initrd, module);
    guest = new Guest({ memoryMiB: 64, kernel: { path: kernel(name, ...options), initrd, cmdline: 'one two=3' } });
    let exit = -1;
    guest.vm.onDebugExit.on((code) => {
      exit = code;
    });
    await guest.start();
    await guest.onSerial(/^END$/m, 60_000);
    const lines = guest.serial.split('\n').slice(0, -2);
    const regions = lines.filter((line) => line.startsWith('map ')).map((line) => line.slice(4));
    expect(lines.filter((line) => !/^(map|upper)/.test(line))).toEqual([
      'magic 2badb002',
      'cr0 00000001',
      'eflags 00000000',
      'bss 00000000',
      'a20 11111111',
      `lower ${hex(639)}`,
      `line ${name} one two=3`,
      'loader Hypervue',
      `module ${hex(module.length)} ${checksum(module)}`,
    ]);
    expect(regions[0]).toBe(`00000000 ${hex(0x9fc00)} 00000001`);
    const [, bytes] = /^00100000 (\w{8}) 00000001$/m.exec(regions.join('\n'))!;
    // All but what the firmware keeps at the top.
    expect(Number.parseInt(bytes!, 16)).toBeGreaterThan(62 * 2 ** 20);
    expect(Number.parseInt(bytes!, 16)).toBeLessThan(63 * 2 ** 20);
    expect(lines).toContain(`upper ${hex(Number.parseInt(bytes!, 16) / 1024)}`);
    await guest.until('the exit', () => exit >= 0, 10_000);
    expect(exit).toBe((0x15 << 1) | 1);
  },
  90_000,
);

test('it boots again after a reset', async () => {
  guest = await new Guest({ memoryMiB: 16, kernel: { path: kernel('again.elf', '-DSTAY') } }).start();
  await guest.onSerial(/^END$/m, 60_000);
  await guest.vm.reset();
  const reports = () => guest!.serial.split('END\n');
  await guest.until('the second report', () => reports().length > 2, 60_000);
  expect(reports()[1]).toBe(reports()[0]);
}, 90_000);
