// Layer lint: each folder may import only from lower floors or from inside itself (docs/architecture.md).
// Exit code 1 and one line a violation.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const floors = {
  'core/contract': 0,
  'core/util': 0,
  'core/memory': 1,
  'core/snapshot': 1,
  'core/backend': 1,
  'core/bus': 1,
  'core/devices': 2,
  'core/cpu': 2,
  'core/disk': 2,
  'core/net': 2,
  'core/vnc': 2,
  'core/machine': 3,
  'core/debug': 3,
  'core/engine': 4,
  'core/platform': 4,
  'core/vmprocess': 5,
  'core/netprocess': 5,
  'core/manager': 5,
  'core/server': 6,
  'core/cli': 6,
  electron: 6,
  renderer: 6,
};

/** Same-floor imports that are allowed, with the reason. */
const exceptions = new Map([
  ['core/util -> core/contract', 'errors carry the kinds that the contract declares'],
  ['core/bus -> core/memory', 'PCI BARs map pages and DMA reads guest memory'],
  ['core/bus -> core/snapshot', 'every device is snapshottable'],
  ['core/bus -> core/backend', 'virtio devices sit on back ends'],
  ['core/engine -> core/platform', 'drivers start processes and open sockets through the platform'],
  ['core/platform -> core/engine', 'the platform implements ProcessLauncher'],
  ['electron -> core/server', 'the desktop opens the manager as headless mode does'],
  ['core/cli -> core/server', '`hypervue serve` starts the server'],
]);

/** npm packages a place may import; floors 0-3 otherwise import none. */
const packages = {
  'core/contract': ['zod'],
  'core/platform': ['pngjs', 'koffi', 'jpeg-js', 'sax'],
  'core/vmprocess': [],
  'core/netprocess': [],
  'core/manager': ['zod'],
  'core/server': ['ws', 'zod', '@peculiar/x509', 'reflect-metadata'],
  'core/cli': ['commander', 'ws'],
};

const place = (file) => {
  const parts = file.split('/');
  return parts[0] === 'core' ? `core/${parts[1]}` : parts[0];
};

/** Checks one file's text; returns messages. `file` is relative to the repository, with slashes. */
export function checkFile(file, text) {
  const problems = [];
  const from = place(file);
  if (!(from in floors)) return problems;
  const isTest = /\.test\.ts$/.test(file) || file.includes('/testing/');
  const imports = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g),
  ];
  for (const match of imports) {
    const specifier = match[1] ?? match[2];
    if (specifier.startsWith('.')) {
      const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier));
      const to = place(target);
      if (to === from) continue;
      if (from === 'renderer' && to !== 'core/contract')
        problems.push(`${file}: the renderer may import core/contract and nothing else of core (${specifier})`);
      else if (!(to in floors)) {
        if (!isTest && !['resources'].includes(to)) problems.push(`${file}: imports ${specifier}, which is outside the floors`);
      } else if (isTest && to === 'core/platform') {
        // Tests of the environment-free floors run in Node and may use its platform.
      } else if (floors[to] > floors[from] || (floors[to] === floors[from] && !exceptions.has(`${from} -> ${to}`) && !isTest))
        problems.push(`${file}: ${from} (floor ${floors[from]}) must not import ${to} (floor ${floors[to]})`);
    } else if (from.startsWith('core/') && !isTest) {
      const isNode = specifier.startsWith('node:');
      if (isNode && floors[from] < 4) problems.push(`${file}: floors 0-3 must not import ${specifier}`);
      if (specifier === 'electron') problems.push(`${file}: nothing under core imports electron`);
      const name = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0];
      if (!isNode && !(packages[from] ?? []).includes(name)) problems.push(`${file}: ${from} may not import the package ${name}`);
    }
  }
  return problems;
}

function* sources(root, folder) {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules') yield* sources(root, name);
    } else if (/\.(ts|vue)$/.test(entry.name)) yield name;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const problems = [];
  let files = 0;
  for (const top of ['core', 'electron', 'renderer'])
    for (const file of sources(root, top)) {
      files++;
      problems.push(...checkFile(file, readFileSync(path.join(root, file), 'utf8')));
    }
  for (const problem of problems) console.error(problem);
  console.log(`layer lint: ${files} files, ${problems.length} violations`);
  process.exitCode = problems.length ? 1 : 0;
}
