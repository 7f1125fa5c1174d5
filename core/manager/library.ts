import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { VmConfig } from '../contract/vm.ts';
import { livingOwner } from '../platform/locks.ts';
import { fileError } from '../platform/nodefile.ts';
import { asHypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import type { MachineSource } from './machine.ts';
import { renewedCards } from './macs.ts';
import { LOCK_FILE } from './machinelocks.ts';
import { freeName } from './names.ts';
import { CONFIG_FILE, readVmConfig, writeVmConfig } from './vmconfigfile.ts';

/** Folders of the library that hold machines: those with a vm.json. Hidden ones are ours (trash, unfinished). */
export async function vmFolders(library: string): Promise<string[]> {
  let names: string[];
  try {
    await mkdir(library, { recursive: true });
    names = await readdir(library);
  } catch (error) {
    throw fileError(error, library, 'open');
  }
  const found: string[] = [];
  for (const name of names.sort()) {
    const folder = path.join(library, name);
    if (!name.startsWith('.') && (await exists(path.join(folder, CONFIG_FILE)))) found.push(folder);
  }
  return found;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  );
}

/** What the other machines of the library have. */
export interface Others {
  ids: ReadonlySet<string>;
  names: readonly string[];
  /** An address for a network card that none of them has. */
  newMac(): string;
}

/**
 * Reads one machine. One that can't be read comes with its `problem` and is left as it is. A copy of a folder within the library is a machine of
 * its own: it gets a new id, a free name, and network cards with addresses of their own.
 */
export async function loadVm(folder: string, { ids, names, newMac }: Others, log: Logger): Promise<MachineSource> {
  let config: VmConfig;
  let copied = false;
  try {
    config = await readVmConfig(folder);
    const name = freeName(config.name, names);
    if (ids.has(config.id) || (name !== config.name && !livingOwner(path.join(folder, LOCK_FILE)))) {
      copied = ids.has(config.id);
      const id = copied ? randomUUID() : config.id;
      log.info(`${folder}: ${copied ? 'a copy of another machine, given an id of its own' : 'its name was taken'}; named ${name}`);
      config = { ...config, id, name, ...(copied ? { autostart: null, network: renewedCards(config.network, newMac) } : {}) };
      await writeVmConfig(folder, config);
    }
  } catch (cause) {
    const problem = asHypervueError(cause, { path: folder });
    log.warn(problem.message);
    const id = `broken-${createHash('sha256').update(path.basename(folder)).digest('hex').slice(0, 16)}`;
    return { id, folder, config: null, problem };
  }
  return { id: config.id, folder, config, problem: null, copied };
}
