/** Modules of Debian's kernels, as a guest's shell loads them without modprobe. Which ones depend on which changes with the kernel's updates. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A module's name as the running kernel has it: `-` and `_` are the same in file names. */
const canonical = (name: string): string => name.replaceAll('-', '_');

/** File of each module below the package's folder, by canonical name. */
function moduleFiles(kernel: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of readdirSync(kernel, { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('.ko')) files.set(canonical(path.basename(file, '.ko')), path.join(kernel, file));
  return files;
}

/** What the module says that it depends on: `depends=` of its section .modinfo, names between commas. */
function dependsOn(file: string): string[] {
  const bytes = readFileSync(file);
  const at = bytes.indexOf('\0depends=');
  const text = at < 0 ? '' : bytes.toString('latin1', at + 9, bytes.indexOf(0, at + 9));
  return text.split(',').filter(Boolean).map(canonical);
}

/**
 * Puts these modules of the kernel's package, with all that they depend on, into the folder, and a file `order` with their names as they can be loaded, one a line. What the package does not
 * have is built into the kernel, or not of its version; with `needed`, it throws for one of those.
 */
export function putModules(kernel: string, wanted: readonly string[], folder: string, needed = false): void {
  const files = moduleFiles(kernel);
  const order = new Set<string>();
  const add = (name: string) => {
    const file = files.get(name);
    if (!file || order.has(name)) return;
    for (const other of dependsOn(file)) add(other);
    order.add(name);
  };
  for (const name of wanted) {
    if (needed && !files.has(canonical(name))) throw new Error(`${kernel} has no module ${name}`);
    add(canonical(name));
  }
  mkdirSync(folder, { recursive: true });
  for (const name of order) copyFileSync(files.get(name)!, path.join(folder, `${name}.ko`));
  writeFileSync(path.join(folder, 'order'), [...order, ''].join('\n'));
}

/** A line of a shell that loads what `putModules` put into `/folder` and is not there yet; `otherwise` is done where one can't be loaded. */
export const loadModules = (folder: string, otherwise: string): string =>
  `while read m; do [ -d /sys/module/$m ] || insmod /${folder}/$m.ko || ${otherwise}; done </${folder}/order\n`;
