#!/usr/bin/env node
// The `hypervue` command, on Node 24 where the running Node is older: the built CLI, or the source, which Node 24 runs as it is.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const old = Number(process.versions.node.split('.')[0]) < 24;
const local = at(process.platform === 'win32' ? '../node_modules/node/bin/node.exe' : '../node_modules/node/bin/node');
const built = at('../out/main/cli.js');
const source = at('../core/cli/main.ts');
const cli = existsSync(built) ? built : source;
if (!existsSync(cli) || (cli === source && !existsSync(at('../node_modules')))) {
  console.error('hypervue: the program is not set up yet. Run `npm start` once, or `node scripts/build.mjs`.');
  process.exit(1);
}
if (old && cli === source && !existsSync(local)) {
  console.error(`hypervue: this is Node ${process.versions.node}, and running without a build needs Node 24. Run \`npm start\` once.`);
  process.exit(1);
}
if (!old || !existsSync(local)) {
  process.argv[1] = cli;
  await import(pathToFileURL(cli).href);
} else {
  const child = spawn(local, [cli, ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl+C reaches the child by the terminal; it decides when to end.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 0)));
}
