import { parseArgs } from 'node:util';
import { BARE_PROGRAMS, native, ours, type Results, tcg } from './support/bareruns.ts';
import type { Accel } from './support/emulators.ts';
import type { Width } from './support/programs.ts';

/**
 * `npx node tests/bench/micro.ts [--bits 32|64] [--on interp,tcg,native] [--percent N] [program...]`: the benchmark's programs with no system under
 * them, for measuring a change to the processor within seconds. Prints milliseconds per program; build the processor first
 * (`npx node scripts/build-wasm.mjs`).
 */
const USAGE = 'usage: micro.ts [--bits 32|64] [--on interp,jit,tcg,native] [--percent N] [program...]';

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
const names = positionals.join(',') || BARE_PROGRAMS;
const columns: [string, Results][] = [];
for (const machine of values.on.split(',')) {
  const run = { tcg, native }[machine] ?? ((...args: [Width, string, number]) => ours(machine as Accel, ...args));
  columns.push([machine, await run(width, names, percent)]);
}

const cell = (text: string) => text.padStart(10);
console.log(`${`${width} bits, ms`.padEnd(14)}${columns.map(([machine]) => cell(machine)).join('')}`);
for (const name of names.split(',')) {
  const sums = new Set(columns.map(([, results]) => results.get(name)?.checksum));
  console.log(
    `${name.padEnd(14)}${columns.map(([, results]) => cell(results.get(name)?.ms.toFixed(1) ?? '-')).join('')}${sums.size > 1 ? `  WRONG RESULT: ${columns.map(([, results]) => results.get(name)?.checksum ?? '-').join(' ')}` : ''}`,
  );
}
process.exit(0);
