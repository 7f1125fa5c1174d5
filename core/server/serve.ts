import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BuiltinEngine } from '../engine/builtin/builtinengine.ts';
import { Manager } from '../manager/manager.ts';
import { ChildProcessLauncher, vmProcessEntry } from '../platform/childlauncher.ts';
import { type AppFolders, ensurePrivateFolder } from '../platform/folders.ts';
import { findFirmware } from '../platform/firmware.ts';
import { DisposableStore } from '../util/disposable.ts';
import type { Logger } from '../util/logger.ts';
import { runtimePaths } from '../vmprocess/runtimepaths.ts';
import { accessToken } from './access.ts';
import { HeadlessServer } from './headlessserver.ts';
import { claimServer, publishServer } from './serverfile.ts';

export interface ServeOptions {
  folders: AppFolders;
  host: string;
  port: number;
  log: Logger;
  /** import.meta.url of the program's entry: tells a source tree from a bundle. */
  entry: string;
  version: string;
}

/** Parts of the program that only the top knows the places of. */
export function appResources(entry: string): { rendererFolder: string; sampleImage: string } {
  // core/cli/main.ts and out/main/cli.js are both two floors below the root; a chunk of a bundle is three.
  const root = ['../../', '../../../']
    .map((up) => fileURLToPath(new URL(up, entry)))
    .find((folder) => existsSync(path.join(folder, 'package.json')));
  const out = path.join(root ?? fileURLToPath(new URL('../../', entry)), 'out');
  return { rendererFolder: path.join(out, 'renderer'), sampleImage: path.join(out, 'sample', 'hypervue-check.img') };
}

export function appVersion(entry: string): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(up, entry), 'utf8')) as { version: string }).version;
    } catch {
      // One floor up.
    }
  }
  return 'unknown';
}

export interface RunningServer {
  /** With the token in the fragment, which a browser never sends. */
  link: string;
  url: string;
  token: string;
  manager: Manager;
  /** Stops machines and server. Resolves with the names of machines that could not be stopped. */
  close(): Promise<string[]>;
}

/** Opens the library and serves it until closed. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { folders, entry, log } = options;
  const paths = runtimePaths(entry);
  const store = new DisposableStore();
  store.add(claimServer(folders.runtime));
  let manager: Manager | undefined;
  try {
    ensurePrivateFolder(folders.locks);
    const firmware = () => findFirmware(paths.firmwareFolder);
    manager = await Manager.open({
      library: folders.library,
      configFolder: folders.config,
      lockFolder: folders.locks,
      engine: new BuiltinEngine({
        launcher: new ChildProcessLauncher(vmProcessEntry(entry)),
        firmwareFolder: () => firmware().folder,
        cpuWasmPath: paths.cpuWasm,
        runtimeFolder: folders.runtime,
      }),
      firmware,
      ...appResources(entry),
      version: options.version,
      mode: 'headless',
      log,
    });
    const token = await accessToken(folders.config);
    const server = new HeadlessServer({ ...options, manager, token, rendererFolder: appResources(entry).rendererFolder });
    await server.listen();
    store.add(await publishServer(folders.runtime, { url: server.url, token }));
    const opened = manager;
    return {
      link: `${server.url}#token=${token}`,
      url: server.url,
      token,
      manager,
      close: async () => {
        store.dispose();
        const left = await opened.close();
        await server.close();
        return left;
      },
    };
  } catch (error) {
    store.dispose();
    await manager?.close();
    throw error;
  }
}
