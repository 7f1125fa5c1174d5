import { parseArgs } from 'node:util';
import { Guest } from '../guests/support/guest.ts';
import { OUR_MODEL } from './support/emulators.ts';
import { Markers, type Measured } from './support/markers.ts';
import { bareImage, linuxProgram, type Width } from './support/programs.ts';
import { Qemu } from './support/qemu.ts';
import { spawn } from 'node:child_process';

/**
 * `npx node tests/bench/micro.ts [--bits 32|64] [--on interp,tcg,native] [--percent N] [program...]`: the benchmark's programs with no system under
 * them, for measuring a change to the processor within seconds. Prints milliseconds per program; build the processor first
 * (`npx node scripts/build-wasm.mjs`).
 */
const USAGE = 'usage: micro.ts [--bits 32|64] [--on interp,jit,tcg,native] [--percent N] [program...]';
const MEMORY_MIB = 64;
const LIMIT_MS = 600_000;

type Results = Map<string, Measured>;

/** On the real machine in this process. `accel` is passed on as the machine takes it. */
async function ours(accel: string, width: Width, names: string, percent: number): Promise<Results> {
  const options = {
    memoryMiB: MEMORY_MIB,
    cpu: OUR_MODEL,
    kernel: { path: bareImage(width), cmdline: `${names} ${percent}` },
    accel: accel as 'jit' | 'interp',
  };
  const guest = new Guest(options);
  let done = false;
  const markers = new Markers(process.pid, (line) => {
    done ||= line === 'done';
  });
  try {
    await guest.start();
    // Replaces the collecting of Guest, whose report of a failure shows it.
    guest.vm.serial[0]!.onOutput = (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      guest.serial += text;
      markers.take(text);
    };
    await guest.until('the end of the programs', () => done || guest.vm.state !== 'running', LIMIT_MS);
    return markers.measured;
  } finally {
    await guest.end();
  }
}

async function tcg(width: Width, names: string, percent: number): Promise<Results> {
  const qemu = new Qemu(['-kernel', bareImage(width), '-append', `${names} ${percent}`, '-m', String(MEMORY_MIB)], width);
  const markers = new Markers(qemu.pid);
  qemu.child.stdout!.on('data', (data: Buffer) => markers.take(data.toString('latin1')));
  try {
    await qemu.onSerial(/^done/m, LIMIT_MS);
    return markers.measured;
  } finally {
    await qemu.end();
  }
}

async function native(width: Width, names: string, percent: number): Promise<Results> {
  const child = spawn(linuxProgram(width), ['native', names, String(percent)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const markers = new Markers(child.pid!);
  child.stdout.on('data', (data: Buffer) => markers.take(data.toString('latin1')));
  await new Promise((resolve) => child.on('close', resolve));
  return markers.measured;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bits: { type: 'string', default: '32' },
    on: { type: 'string', default: 'interp,tcg' },
    percent: { type: 'string', default: '20' },
  },
});
const width = Number(values.bits) as Width;
const percent = Number(values.percent);
if ((width !== 32 && width !== 64) || !(percent > 0)) {
  console.error(USAGE);
  process.exit(2);
}
const names = positionals.join(',') || 'integer,branches,calls,indirect,hash,sort,rep-movs,copy,sieve,chase,x87,sse';
const columns: [string, Results][] = [];
for (const machine of values.on.split(',')) {
  const run = { tcg, native }[machine] ?? ((...args: [Width, string, number]) => ours(machine, ...args));
  columns.push([machine, await run(width, names, percent)]);
}

const cell = (text: string) => text.padStart(10);
console.log(`${`${width} bits, ms`.padEnd(14)}${columns.map(([machine]) => cell(machine)).join('')}`);
for (const name of names.split(',')) {
  const sums = new Set(columns.map(([, results]) => results.get(name)?.checksum));
  console.log(
    `${name.padEnd(14)}${columns.map(([, results]) => cell(results.get(name)?.ms.toFixed(1) ?? '-')).join('')}${sums.size > 1 ? '  WRONG RESULT' : ''}`,
  );
}
process.exit(0);
