import { existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../guests/support/packages.ts';

const source = fileURLToPath(new URL('../guest', import.meta.url));
const target = fileURLToPath(new URL('../../../out/bench/guest.elf', import.meta.url));
const files = ['start.S', 'main.c', 'kernels.c', 'screens.c'];

/** The bench guest (tests/bench/guest), a multiboot image, compiled when its sources are newer. Needs gcc that makes 32-bit code. */
export function benchGuest(): string {
  const newest = Math.max(...[...files, 'guest.h', 'link.ld'].map((file) => statSync(path.join(source, file)).mtimeMs));
  if (existsSync(target) && statSync(target).mtimeMs > newest) return target;
  mkdirSync(path.dirname(target), { recursive: true });
  run(
    'gcc',
    [
      ...['-m32', '-march=i686', '-O2', '-ffreestanding', '-fno-pic', '-fno-stack-protector', '-nostdlib', '-static', '-Wall'],
      ...['-Wl,-T,link.ld,--build-id=none,-z,noexecstack', '-o', target, ...files],
    ],
    { cwd: source },
  );
  return target;
}
