import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../guests/support/packages.ts';

/** The benchmark's programs (tests/bench/programs), compiled when their sources are newer. Needs a gcc that makes 32-bit code; no C library. */
export type Width = 32 | 64;

/** Which processor the programs are compiled for: the baseline, or x86-64-v3 (AVX2, FMA, BMI). */
export type Level = 'base' | 'v3';

const source = fileURLToPath(new URL('../programs', import.meta.url));
const target = fileURLToPath(new URL('../../../out/bench', import.meta.url));

const COMMON = [
  '-O2',
  '-std=gnu11',
  '-ffreestanding',
  '-fno-pic',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-Wall',
  '-Wextra',
];
/** Debian's baselines: i686, and x86-64 with SSE2. The red zone would not survive an interrupt without a system below. */
const TARGETS: Record<Width, string[]> = { 32: ['-m32', '-march=i686'], 64: ['-m64', '-march=x86-64', '-mno-red-zone'] };

/** Object name, source and its own options. */
const objects: [string, string, string[]][] = [
  ['compute', 'compute.c', []],
  ['memory', 'memory.c', ['-msse2']],
  ['x87', 'floating.c', ['-DUSE_X87', '-mfpmath=387', '-fno-tree-vectorize']],
  ['sse', 'floating.c', ['-O3', '-msse2', '-mfpmath=sse']],
  ['strings', 'strings.c', []],
];

const newestSource = () => Math.max(...readdirSync(source).map((file) => statSync(path.join(source, file)).mtimeMs));

/** The fused multiplications of v3 round differently, so that checksums of its floating point are its own. */
const V3 = ['-march=x86-64-v3', '-O3'];

function compiled(base: string, width: Width, level: Level, main: string[], link: string[], finish: (partial: string) => void): string {
  const name = level === 'v3' ? `v3-${base}` : base;
  const file = path.join(target, name);
  if (existsSync(file) && statSync(file).mtimeMs > newestSource()) return file;
  mkdirSync(target, { recursive: true });
  const gcc = (args: string[]) => run('gcc', [...COMMON, ...TARGETS[width], ...args, ...(level === 'v3' ? V3 : [])], { cwd: source });
  const made = objects.map(([object, from, options]) => {
    const output = path.join(target, `${level === 'v3' ? 'v3-' : ''}${object}${width}.o`);
    gcc([...options, '-c', '-o', output, from]);
    return output;
  });
  const partial = `${file}.partial`;
  gcc(['-nostdlib', '-static', '-Wl,--build-id=none,-z,noexecstack', ...link, '-o', partial, ...main, ...made]);
  finish(partial);
  renameSync(partial, file);
  return file;
}

/** A multiboot image that runs the programs with no system; its command line is `NAMES PERCENT`. */
export const bareImage = (width: Width, level: Level = 'base'): string =>
  compiled(`bare${width}.elf`, width, level, [`bare${width}.S`, 'bare.c'], ['-Wl,-T,bare.ld'], (partial) => {
    // Multiboot loaders take 32-bit files only; the code stays what it is.
    if (width === 64) run('objcopy', ['-O', 'elf32-i386', partial]);
  });

/** A static 32-bit Linux program of one source. */
function program32(name: string): string {
  const file = path.join(target, name);
  if (existsSync(file) && statSync(file).mtimeMs > newestSource()) return file;
  mkdirSync(target, { recursive: true });
  const made = ['-nostdlib', '-static', '-Wl,--build-id=none,-z,noexecstack', '-o', `${file}.partial`, 'linux32.S', `${name}.c`];
  run('gcc', [...COMMON, ...TARGETS[32], ...made], { cwd: source });
  renameSync(`${file}.partial`, file);
  return file;
}

/** Requests all over a disk. */
export const randomDiskProgram = () => program32('randomdisk');
/** Bytes over TCP. */
export const tcpLoadProgram = () => program32('tcpload');

/** A static Linux program: init of a guest that runs the programs and turns itself off, and with the argument `native` a program of the host. */
export const linuxProgram = (width: Width, level: Level = 'base'): string =>
  compiled(`linux${width}`, width, level, [`linux${width}.S`, 'linux.c', 'system.c'], [], () => {});
