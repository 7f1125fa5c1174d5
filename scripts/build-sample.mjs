// Assembles the check image of "Try a sample" from resources/sample into out/sample. Needs nasm.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

const folder = path.join(root, 'out', 'sample');
mkdirSync(folder, { recursive: true });
const target = path.join(folder, 'hypervue-check.img');
const result = spawnSync('nasm', ['-f', 'bin', '-w+error', 'check.asm', '-o', `${target}.new`], {
  cwd: path.join(root, 'resources', 'sample'),
  stdio: 'inherit',
});
if (result.error || result.status !== 0) {
  console.error(result.error ? `nasm could not be started: ${result.error.message}` : 'nasm reported errors');
  process.exit(1);
}
renameSync(`${target}.new`, target);
