import { parseArgs } from 'node:util';
import { BARE_PROGRAMS, native, ours, type Results, tcg, V3_PROGRAMS } from './support/bareruns.ts';
import type { Accel } from './support/emulators.ts';
import type { Level, Width } from './support/programs.ts';

/**
 * `npx node tests/bench/micro.ts [--bits 32|64] [--v3] [--on interp,jit,tcg,native] [--percent N] [program...]`: the benchmark's programs with no system under
 * them, for measuring a change to the processor within seconds; with `--v3` (64 bits) compiled for AVX2, FMA and BMI. Prints milliseconds per program; build the processor first
 * (`npx node scripts/build-wasm.mjs`).
 */
const USAGE = 'usage: micro.ts [--bits 32|64] [--v3] [--on interp,jit,tcg,native] [--percent N] [program...]';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    v3: { type: 'boolean', default: false },
    bits: { type: 'string', default: '32' },
    on: { type: 'string', default: 'interp,tcg' },
    percent: { type: 'string', default: '20' },
  },
});
const level: Level = values.v3 ? 'v3' : 'base';
const width = (values.v3 ? 64 : Number(values.bits)) as Width;
const percent = Number(values.percent);
if ((width !== 32 && width !== 64) || !(percent > 0)) {
  console.error(USAGE);
  process.exit(2);
}
const names = positionals.join(',') || (values.v3 ? V3_PROGRAMS : BARE_PROGRAMS);
const columns: [string, Results][] = [];
for (const machine of values.on.split(',')) {
  const run = { tcg, native }[machine] ?? ((...args: [Width, string, number, Level]) => ours(machine as Accel, ...args));
  columns.push([machine, await run(width, names, percent, level)]);
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
