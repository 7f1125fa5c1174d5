import { readdirSync, readFileSync } from 'node:fs';
import { initramfs, linuxKernel } from '../guests/support/images.ts';
import { type Product, openProduct, seconds } from './support/product.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * What of a cold boot is spent compiling, in processor time by thread (proc(5): comm, schedstat), so that a busy host changes nothing: on the machine thread
 * the recompiler's own count, which it takes by the clock, beside everything that thread ran; on the compile thread all that it ran; V8's workers, which
 * optimise the interpreter and the regions, apart.
 */
const MEMORY_MIB = 256;
const LIMIT_SECONDS = 600;
const COMMAND_LINE = 'console=ttyS0,115200 console=tty0 mitigations=off cryptomgr.notests=1';

/** Seconds on a processor, by thread name. */
function ranByName(pid: number): Map<string, number> {
  const ran = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`))
    try {
      const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim();
      const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      ran.set(name, (ran.get(name) ?? 0) + Number(nanoseconds) / 1e9);
    } catch {
      // It ended meanwhile.
    }
  return ran;
}

async function boot(product: Product, arch: 'i386' | 'amd64'): Promise<Row> {
  const machine = await product.machine(`cold ${arch}`, COMMAND_LINE, {
    memoryMiB: MEMORY_MIB,
    cpuModel: arch === 'amd64' ? 'x86-64-v3' : 'i686',
    source: { type: 'kernel', path: linuxKernel(arch), initrd: initramfs(arch), cmdline: COMMAND_LINE },
  });
  for (let waited = 0; !/GUEST READY/.test((await product.screen(machine)) ?? ''); waited++) {
    if (waited > LIMIT_SECONDS) throw new Error(`Linux was not ready after ${LIMIT_SECONDS} s`);
    await seconds(0.5);
  }
  const ran = ranByName(machine.pid);
  const { compile, regions } = await product.statistics(machine);
  const own = ran.get('machine') ?? 0;
  const compiler = ran.get('compile') ?? 0;
  const workers = ran.get('V8Worker') ?? 0;
  const percent = (part: number, all: number) => `${fixed((part / all) * 100)} %`;
  return {
    what: `overhead: compiling in a cold boot, Linux ${arch}`,
    ours: percent(compile.totalMs / 1000 + compiler, own + compiler),
    note: `machine thread ${fixed(compile.totalMs / 1000, 2)} of ${fixed(own)} s (${percent(compile.totalMs / 1000, own)}), compile thread ${fixed(compiler)} s, V8's workers ${fixed(workers)} s; ${regions.compiled} regions`,
  };
}

export const overhead: Bench = async () => {
  const product = await openProduct();
  try {
    return [await boot(product, 'i386'), await boot(product, 'amd64')];
  } finally {
    await product.end();
  }
};
