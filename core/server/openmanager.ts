import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HostInfo } from '../contract/host.ts';
import { BuiltinEngine } from '../engine/builtin/builtinengine.ts';
import type { ProcessLauncher } from '../engine/builtin/protocol.ts';
import type { ManagerOptions } from '../manager/context.ts';
import { Manager } from '../manager/manager.ts';
import type { HostRunner } from '../manager/networks/host/runner.ts';
import type { NetworkLauncher } from '../manager/networks/networkprocess.ts';
import { openSystems } from '../manager/systems/opensystems.ts';
import { ChildProcessLauncher, networkProcessEntry, vmProcessEntry } from '../platform/childlauncher.ts';
import { findFirmware, findUefi } from '../platform/firmware.ts';
import { leaveMove, settleMove } from '../manager/librarymove/journal.ts';
import { chosenLibrary, chosenLibraryFile } from '../platform/chosenlibrary.ts';
import { type AppFolders, ensurePrivateFolder } from '../platform/folders.ts';
import { HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import { say } from '../util/say.ts';
import { runtimePaths } from '../vmprocess/runtimepaths.ts';

export interface OpenManagerOptions {
  folders: AppFolders;
  /** import.meta.url of the program's entry: tells a source tree from a bundle. */
  entry: string;
  version: string;
  mode: HostInfo['mode'];
  log: Logger;
  /** How VM processes are started; child processes of Node unless given. */
  launcher?: ProcessLauncher;
  /** The same for networks. */
  networkLauncher?: NetworkLauncher;
  /** What looks at and changes this computer's interfaces. */
  hostRunner?: HostRunner;
  /** Keeps the choice of another library and begins again with it; absent where the program is over sooner. */
  changeLibrary?: (folder: string) => Promise<void>;
}

/** Parts of the program that only the top knows the places of. */
export function appResources(entry: string): { rendererFolder: string; sampleImage: string; systemsFile: string } {
  const packaged = (process as { resourcesPath?: string }).resourcesPath;
  // core/cli/main.ts and out/main/cli.js are both two floors below the root; a chunk of a bundle is three.
  const root = ['../../', '../../../']
    .map((up) => fileURLToPath(new URL(up, entry)))
    .find((folder) => existsSync(path.join(folder, 'package.json')));
  const out = path.join(root ?? fileURLToPath(new URL('../../', entry)), 'out');
  const resource = (...parts: string[]) => {
    const own = packaged && path.join(packaged, ...parts);
    return own && existsSync(own) ? own : path.join(out, ...parts);
  };
  return {
    rendererFolder: path.join(out, 'renderer'),
    sampleImage: resource('sample', 'hypervue-check.img'),
    systemsFile: resource('systems', 'systems.json'),
  };
}

/** The manager with the built-in engine, as desktop, headless mode and the CLI all use it. */
export async function openManager(options: OpenManagerOptions): Promise<Manager> {
  // A library that is named for this run is what it is, whatever was moved.
  const named = options.folders.libraryFrom === 'named';
  if (named) await leaveMove(options.folders.config, options.folders.library, options.log);
  const settled = named ? undefined : await settleMove(options.folders.config, options.log);
  const chosen = settled?.said ? chosenLibrary(options.folders.config) : undefined;
  const folders = chosen === undefined ? options.folders : { ...options.folders, library: chosen, libraryFrom: 'chosen' as const };
  const { library, libraryFrom, config, locks } = folders;
  // Its drive may be away: an empty folder in its place would look as if all machines were gone.
  if (libraryFrom === 'chosen' && !existsSync(library))
    throw new HypervueError(
      'not-found',
      say('libraryAway', { folder: library }),
      { path: library, operation: 'open', reason: 'library-away' },
      say('fixLibraryAway', { file: chosenLibraryFile(config) }),
    );
  ensurePrivateFolder(locks);
  const manager = await Manager.open(managerOptions({ ...options, folders }));
  await settled?.opened();
  return manager;
}

/** What a manager is opened with; nothing is touched yet. */
export function managerOptions(options: OpenManagerOptions): ManagerOptions {
  const { folders, entry } = options;
  const paths = runtimePaths(entry);
  const { sampleImage, systemsFile } = appResources(entry);
  const firmware = () => findFirmware(paths.firmwareFolder);
  return {
    library: folders.library,
    libraryFrom: folders.libraryFrom,
    changeLibrary: options.changeLibrary,
    configFolder: folders.config,
    lockFolder: folders.locks,
    engine: new BuiltinEngine({
      launcher: options.launcher ?? new ChildProcessLauncher(vmProcessEntry(entry)),
      firmwareFolder: () => firmware().folder,
      cpuWasmPath: paths.cpuWasm,
      runtimeFolder: folders.runtime,
    }),
    networkLauncher: options.networkLauncher ?? new ChildProcessLauncher(networkProcessEntry(entry)),
    ...(options.hostRunner ? { hostRunner: options.hostRunner } : {}),
    runtimeFolder: folders.runtime,
    firmware,
    uefi: () => findUefi(paths.firmwareFolder),
    sampleImage,
    systems: openSystems(systemsFile),
    version: options.version,
    mode: options.mode,
    log: options.log,
  };
}
