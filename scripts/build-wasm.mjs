// Compiles the AssemblyScript interpreter to out/wasm/cpu.wasm. `--debug` keeps names and skips the optimiser.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
mkdirSync('out/wasm', { recursive: true });
const debug = process.argv.includes('--debug');
const { error } = await asc.main(
  [
    'core/cpu/interp/wasm/index.ts',
    '-o',
    'out/wasm/cpu.wasm',
    '--runtime',
    'stub',
    '--importMemory',
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
    ...(debug ? ['--debug'] : ['-O3', '--noAssert', '--converge']),
  ],
  { stdout: process.stdout, stderr: process.stderr },
);
if (error) {
  console.error(error.message);
  process.exit(1);
}
