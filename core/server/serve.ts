import type { Manager } from '../manager/manager.ts';
import type { AppFolders } from '../platform/folders.ts';
import { DisposableStore } from '../util/disposable.ts';
import type { Logger } from '../util/logger.ts';
import { accessToken } from './access.ts';
import { HeadlessServer } from './headlessserver.ts';
import { appResources, openManager } from './openmanager.ts';
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
  const { folders, entry } = options;
  const store = new DisposableStore();
  store.add(claimServer(folders.runtime));
  let manager: Manager | undefined;
  try {
    manager = await openManager({ ...options, mode: 'headless' });
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
