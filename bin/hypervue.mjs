#!/usr/bin/env node
// The `hypervue` command: the built CLI, on Node 24 where the running Node is older.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const cli = at('../out/main/cli.js');
if (!existsSync(cli)) {
  console.error('hypervue: the program is not built yet. Run `npm start` once, or `node scripts/build.mjs`.');
  process.exit(1);
}
const old = Number(process.versions.node.split('.')[0]) < 24;
const local = at(process.platform === 'win32' ? '../node_modules/node/bin/node.exe' : '../node_modules/node/bin/node');
if (!old || !existsSync(local)) {
  process.argv[1] = cli;
  await import(new URL('../out/main/cli.js', import.meta.url).href);
} else {
  const child = spawn(local, [cli, ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl+C reaches the child by the terminal; it decides when to end.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 0)));
}
