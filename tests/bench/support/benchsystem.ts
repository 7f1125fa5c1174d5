import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianPackage, findFile, newestPackage, run } from '../../guests/support/packages.ts';
import { linuxProgram, type Width } from './programs.ts';

/**
 * The Linux systems of the processor benchmark: Debian's kernel, and an initramfs whose init is our own program (tests/bench/programs/linux.c).
 * One has busybox beside it, the other GCC's compiler proper with its libraries.
 */
export type Kind = 'small' | 'compiler';

const target = fileURLToPath(new URL('../../../out/bench', import.meta.url));
const programs = fileURLToPath(new URL('../programs', import.meta.url));
const ARCHITECTURE: Record<Width, string> = { 32: 'i386', 64: 'amd64' };

export function kernel(width: Width): string {
  const name =
    width === 32
      ? newestPackage(/^linux-image-6\.1\.0-\d+-686$/, 'linux-image-6.1.0', 'i386')
      : newestPackage(/^linux-image-6\.1\.0-\d+-amd64$/, 'linux-image-6.1.0', 'amd64');
  return findFile(debianPackage(name), /boot\/vmlinuz-/);
}

/** The compiler's libraries: package and file. */
const libraries: [string, RegExp][] = [
  ['libc6', /\/libc\.so\.6$/],
  ['libc6', /\/libm\.so\.6$/],
  ['libgmp10', /\/libgmp\.so\.10$/],
  ['libmpfr6', /\/libmpfr\.so\.6$/],
  ['libmpc3', /\/libmpc\.so\.3$/],
  ['libisl23', /\/libisl\.so\.23$/],
  ['zlib1g', /\/libz\.so\.1$/],
  ['libzstd1', /\/libzstd\.so\.1$/],
];

function addCompiler(root: string, width: Width): void {
  const file = (name: string, pattern: RegExp) => findFile(debianPackage(`${name}:${ARCHITECTURE[width]}`), pattern);
  for (const folder of ['gcc', 'lib', 'lib64']) mkdirSync(path.join(root, folder));
  copyFileSync(file('cpp-12', /\/cc1$/), path.join(root, 'gcc/cc1'));
  chmodSync(path.join(root, 'gcc/cc1'), 0o755);
  // A copy follows the links that packages use for libraries.
  for (const [name, pattern] of libraries) {
    const library = file(name, pattern);
    copyFileSync(library, path.join(root, 'lib', path.basename(library)));
  }
  const loader = width === 32 ? 'lib/ld-linux.so.2' : 'lib64/ld-linux-x86-64.so.2';
  copyFileSync(file('libc6', /\/ld-linux-x86-64\.so\.2$|\/ld-linux\.so\.2$/), path.join(root, loader));
  chmodSync(path.join(root, loader), 0o755);
  run('gcc', [`-m${width}`, '-E', '-P', '-ffreestanding', '-o', path.join(root, 'gcc/input.i'), 'compute.c'], { cwd: programs });
}

/** A folder with the system's files, which is also what a native run takes as its root. */
export function systemRoot(width: Width, kind: Kind): string {
  const root = path.join(target, `root${width}-${kind}`);
  const program = linuxProgram(width);
  const init = path.join(root, 'init');
  if (existsSync(init) && readFileSync(init).equals(readFileSync(program))) return root;
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.join(root, 'bin'), { recursive: true });
  for (const folder of ['dev', 'tmp']) mkdirSync(path.join(root, folder));
  run('mknod', ['-m', '600', path.join(root, 'dev/console'), 'c', '5', '1']);
  copyFileSync(findFile(debianPackage(`busybox-static:${ARCHITECTURE[width]}`), /bin\/busybox$/), path.join(root, 'bin/busybox'));
  chmodSync(path.join(root, 'bin/busybox'), 0o755);
  if (kind === 'compiler') addCompiler(root, width);
  // Last, because it says that the rest is there.
  cpSync(program, init);
  return root;
}

/** Not compressed: unpacking would be one more benchmark. */
export function initrd(width: Width, kind: Kind): string {
  const root = systemRoot(width, kind);
  const file = `${root}.cpio`;
  const init = path.join(root, 'init');
  if (!existsSync(file) || statSync(file).mtimeMs < statSync(init).mtimeMs)
    run('sh', ['-c', `find . -path ./tmp/\\* -prune -o -print | cpio --quiet -o -H newc > '${file}'`], { cwd: root });
  return file;
}
