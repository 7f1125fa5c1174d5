/**
 * What programs make of CPUID: glibc's dynamic loader says which levels of the x86-64 psABI it finds (`ld.so --help`, which also asks XGETBV), and Linux
 * which features it names. Each model has to be its level and no more.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Guest } from '../guests/support/guest.ts';
import { initramfs, linuxKernel } from '../guests/support/images.ts';
import { debianPackage, findFile } from '../guests/support/packages.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-cpulevels-'));
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The initramfs of the other tests, with Debian's loader in it as /ld.so. */
function withLoader(): string {
  copyFileSync(findFile(debianPackage('libc6:amd64'), /\/ld-linux-x86-64\.so\.2$/), path.join(folder, 'ld.so'));
  const extra = execFileSync('cpio', ['--quiet', '-o', '-H', 'newc'], { cwd: folder, input: 'ld.so\n' });
  const base = readFileSync(initramfs('amd64'));
  const file = path.join(folder, 'initrd');
  writeFileSync(file, Buffer.concat([base, Buffer.alloc(-base.length & 511), extra]));
  return file;
}

/** As /proc/cpuinfo names what the psABI's table 3.1 asks for. */
const FEATURES = {
  'x86-64': ['lm', 'cmov', 'cx8', 'fpu', 'fxsr', 'mmx', 'syscall', 'sse', 'sse2'],
  'x86-64-v2': ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3'],
  'x86-64-v3': ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'],
} as const;
const LEVELS = Object.keys(FEATURES) as (keyof typeof FEATURES)[];

test.each(LEVELS.map((level, i) => [level, i] as const))(
  '%s is what the C library and Linux take for that level, and no more',
  async (model, level) => {
    guest = await new Guest({
      memoryMiB: 256,
      cpu: model,
      kernel: { path: linuxKernel('amd64'), initrd: withLoader(), cmdline: 'console=ttyS0,115200 quiet cryptomgr.notests=1' },
    }).start();
    await guest.onSerial(/GUEST READY/, 480_000);
    await guest.ask('', /\/ # /);
    const from = guest.serial.length;
    await guest.ask('/ld.so --help; echo end of $((3*7))', /^end of 21\r?$/m, 60_000);
    const help = guest.serial.slice(from);
    const supported = [...help.matchAll(/^ +(x86-64-v\d) \(supported/gm)].map(([, name]) => name);
    expect(supported.sort()).toEqual(LEVELS.slice(1, level + 1));
    // The loader knows of the levels above too.
    expect(help).toMatch(/^ +x86-64-v4\r?$/m);
    const at = guest.serial.length;
    await guest.ask('grep -m1 ^flags /proc/cpuinfo; echo end of $((4*7))', /^end of 28\r?$/m);
    const flags = new Set(/^flags\s*:(.*)$/m.exec(guest.serial.slice(at))?.[1]?.trim().split(/\s+/));
    for (const [i, name] of LEVELS.entries())
      expect([name, FEATURES[name].filter((feature) => flags.has(feature))]).toEqual([name, i <= level ? FEATURES[name] : []]);
  },
  900_000,
);
