// Generates decoder tables and dispatch from the instruction table, then compiles the AssemblyScript interpreter to out/wasm/cpu.wasm.
// `--debug` keeps names and skips the optimiser; `--out=FILE` writes elsewhere.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { generate } from '../core/cpu/x86/generate.ts';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const debug = process.argv.includes('--debug');
const out = process.argv.find((a) => a.startsWith('--out='))?.slice(6) ?? 'out/wasm/cpu.wasm';
mkdirSync(dirname(out), { recursive: true });

const folder = 'core/cpu/interp/wasm/generated';
mkdirSync(folder, { recursive: true });
const { tables, dispatch, dispatch64 } = generate();
for (const [name, text] of [
  ['tables.ts', tables],
  ['dispatch.ts', dispatch],
  ['dispatch64.ts', dispatch64],
]) {
  const path = `${folder}/${name}`;
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

// Tests that run meanwhile read the old one or the new one, never half of it.
const fresh = `${out}.${process.pid}.wasm`;
const { error } = await asc.main(
  [
    'core/cpu/interp/wasm/index.ts',
    '-o',
    fresh,
    '--runtime',
    'stub',
    '--importMemory',
    // Compiled regions are functions of this table.
    '--importTable',
    '--sharedMemory',
    '--initialMemory',
    '1552',
    '--maximumMemory',
    '65536',
    '--memoryBase',
    '4096',
    '--enable',
    'simd',
    '--enable',
    'threads',
    '--enable',
    'bulk-memory',
    '--use',
    'abort=',
    // AS201 warns of casts that a 64-bit memory would need; offsets here are 32 bits wide by design. AS112 warns of v128 in the signatures of
    // functions, which matters for exports only: these are internal.
    '--disableWarning',
    '201',
    '--disableWarning',
    '112',
    ...(debug ? ['--debug'] : ['-O3', '--noAssert']),
  ],
  { stdout: process.stdout, stderr: process.stderr },
);
if (error) {
  rmSync(fresh, { force: true });
  console.error(error.message);
  process.exit(1);
}
renameSync(fresh, out);
