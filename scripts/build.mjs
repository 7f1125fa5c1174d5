// Builds only what changed: each target has a stamp made from the names, sizes and contents of its inputs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { childEnv, node24, osinfoFolders, root } from './setup.mjs';

const bin = (name, file) => path.join(root, 'node_modules', name, file);

/** `inputs` are files or folders; `output` must exist afterwards. */
export const targets = {
  wasm: {
    inputs: ['core/cpu/x86', 'core/cpu/interp/wasm', 'core/memory/layout.ts', 'scripts/build-wasm.mjs'],
    // The build itself writes the generated ones: with them in its stamp, every first build would be followed by a second.
    ignore: /\.test\.ts$|\/generated\//,
    output: 'out/wasm/cpu.wasm',
    command: () => [node24(), ['scripts/build-wasm.mjs']],
  },
  app: {
    inputs: ['core', 'electron', 'renderer', 'resources/icons', 'electron.vite.config.ts', 'package.json', 'package-lock.json'],
    ignore: /\.test\.ts$|\/generated\//,
    output: 'out/renderer/index.html',
    command: () => [node24(), [bin('electron-vite', 'bin/electron-vite.js'), 'build', '--logLevel', 'warn']],
  },
  sample: {
    inputs: ['resources/sample', 'scripts/build-sample.mjs'],
    output: 'out/sample/hypervue-check.img',
    command: () => [node24(), ['scripts/build-sample.mjs']],
    optional: 'the check image needs nasm (Debian: apt-get install nasm); "Try a sample" stays disabled until it is there',
  },
  systems: {
    inputs: ['scripts/build-systems.mjs', ...osinfoFolders.map((folder) => path.relative(root, path.join(folder, 'VERSION')))],
    output: 'out/systems/systems.json',
    command: () => [node24(), ['scripts/build-systems.mjs']],
    optional:
      'the table of operating systems needs osinfo-db (Debian: apt-get install osinfo-db); media are told by their names until it is there',
  },
};

function* files(name) {
  const full = path.join(root, name);
  if (!existsSync(full)) return;
  if (!statSync(full).isDirectory()) {
    yield name;
    return;
  }
  for (const entry of readdirSync(full).sort()) if (entry !== 'node_modules') yield* files(`${name}/${entry}`);
}

function inputStamp(target) {
  const hash = createHash('sha256').update(process.platform);
  for (const input of target.inputs)
    for (const file of files(input)) {
      if (target.ignore?.test(file)) continue;
      hash
        .update(file)
        .update('\0')
        .update(readFileSync(path.join(root, file)));
    }
  return hash.digest('hex');
}

/** Builds what is out of date. Throws an Error with the builder's own output already printed. */
export function build(names = Object.keys(targets)) {
  for (const name of names) {
    const target = targets[name];
    const stampFile = path.join(root, 'out', '.stamps', name);
    const stamp = inputStamp(target);
    if (existsSync(stampFile) && existsSync(path.join(root, target.output)) && readFileSync(stampFile, 'utf8') === stamp) continue;
    const [command, args] = target.command();
    console.log(`[build] ${name}`);
    rmSync(stampFile, { force: true });
    const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: childEnv() });
    if (result.status !== 0) {
      if (target.optional) {
        console.log(`[build] ${target.optional}`);
        continue;
      }
      throw new Error(`building ${name} failed`);
    }
    mkdirSync(path.dirname(stampFile), { recursive: true });
    writeFileSync(stampFile, stamp);
  }
}

if (process.argv[1] === path.join(root, 'scripts', 'build.mjs')) {
  try {
    build(process.argv.length > 2 ? process.argv.slice(2) : undefined);
  } catch (error) {
    console.error(`[build] ${error.message}`);
    process.exit(1);
  }
}
