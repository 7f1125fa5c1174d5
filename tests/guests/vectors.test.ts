import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Guest } from './support/guest.ts';
import { initramfs, linuxKernel } from './support/images.ts';

/** A program that a compiler made AVX2, FMA and BMI code of, under 64-bit Linux that keeps its YMM registers with XSAVE. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-vectors-'));
const program = path.join(folder, 'vectors');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hostFlags = readFileSync('/proc/cpuinfo', 'utf8');
const able =
  process.arch === 'x64' && ['avx2', 'fma', 'bmi2', 'movbe'].every((name) => new RegExp(`^flags.*\\b${name}\\b`, 'm').test(hostFlags));

// The interpreter's turn is in `npm run test:long`; its vector instructions are compared one by one in tests/conformance.
const accelerators = process.env.HYPERVUE_LONG ? (['interp', 'jit'] as const) : (['jit'] as const);

test.skipIf(!able).each(accelerators)(
  'x86-64-v3 programs give the results of the host, %s',
  async (accel) => {
    execFileSync(
      'gcc',
      // biome-ignore format: one line a purpose
      [
        '-O3', '-march=x86-64-v3', '-ffast-math',
        '-ffreestanding', '-fno-stack-protector', '-nostdlib', '-static', '-fno-pic', '-no-pie',
        '-o', program, path.join(import.meta.dirname, 'programs/vectors.c'),
      ],
    );
    const wanted = execFileSync(program, { encoding: 'latin1' });
    expect(wanted.split('\n')).toHaveLength(5);
    const initrd = path.join(folder, 'initrd');
    const extra = execFileSync('cpio', ['--quiet', '-o', '-H', 'newc'], { cwd: folder, input: 'vectors\n', maxBuffer: 1 << 24 });
    // The kernel unpacks archives one after the other.
    const base = readFileSync(initramfs('amd64'));
    writeFileSync(initrd, Buffer.concat([base, Buffer.alloc(-base.length & 511), extra]));
    const guest = await new Guest({
      memoryMiB: 192,
      cpu: 'x86-64-v3',
      accel,
      kernel: { path: linuxKernel('amd64'), initrd, cmdline: 'console=ttyS0,115200' },
    }).start();
    try {
      await guest.onSerial(/GUEST READY 6\.1\.\S+ x86_64/, 240_000);
      await guest.ask('', /\/ # /);
      await guest.ask('grep -c " avx2 .* bmi2 " /proc/cpuinfo', /^1\r?$/m);
      // Twice at once: each keeps its registers when the other runs.
      const [, first, second] = await guest.ask(
        '/vectors >/tmp/one & /vectors >/tmp/two; wait; echo BEGIN; cat /tmp/one; echo NEXT; cat /tmp/two; echo E""ND',
        /^BEGIN\r?\n([\s\S]*)^NEXT\r?\n([\s\S]*)^END\r?$/m,
        120_000,
      );
      const text = (s: string | undefined): string => (s ?? '').replaceAll('\r', '');
      expect(text(first)).toBe(wanted);
      expect(text(second)).toBe(wanted);
    } finally {
      await guest.end();
    }
  },
  400_000,
);
