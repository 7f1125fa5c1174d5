import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Manager } from '../manager/manager.ts';
import { chooseLibrary } from '../platform/chosenlibrary.ts';
import type { AppFolders } from '../platform/folders.ts';
import { DisposableStore } from '../util/disposable.ts';
import { asHypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import path from 'node:path';
import { accessToken, isLoopback, ownNames } from './access.ts';
import { HeadlessServer } from './headlessserver.ts';
import { appResources, openManager } from './openmanager.ts';
import { ownCertificate, type TlsFiles } from './tls.ts';
import { claimServer, publishServer } from './serverfile.ts';

export interface ServeOptions {
  folders: AppFolders;
  host: string;
  port: number;
  /** TLS with these files, or with a certificate of our own making. */
  tls?: TlsFiles | 'self-signed' | undefined;
  /** Further names that people reach this server by. */
  names?: readonly string[] | undefined;
  log: Logger;
  /** import.meta.url of the program's entry: tells a source tree from a bundle. */
  entry: string;
  version: string;
  /** Start the machines that are to start with the manager. */
  autostart?: boolean;
  /** It ended by itself: neither the chosen library nor the one before it could be opened. */
  onGone?: () => void;
}

export interface RunningServer {
  /** With the token in the fragment, which a browser never sends. */
  link: string;
  url: string;
  token: string;
  /** SHA-256 of the certificate, when there is one. */
  fingerprint: string | undefined;
  readonly manager: Manager;
  /** Stops machines and server. Resolves with the names of machines that could not be stopped. */
  close(): Promise<string[]>;
}

/** Connections of the old server are let go of within this, and the call that chose the library has its answer. */
const ANSWERED_MS = 200;

/** Opens the library and serves it until closed; when another library is chosen, it closes, and opens that one at the same address. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  let closed = false;
  let moving: Promise<void> = Promise.resolve();
  const changeLibrary = async (library: string): Promise<void> => {
    const { folders } = current.options;
    await chooseLibrary(folders.config, library);
    setTimeout(() => {
      moving = moveTo({ ...folders, library, libraryFrom: 'chosen' }).catch((error) => {
        options.log.error(`the server could not begin again: ${asHypervueError(error).message}`);
        options.onGone?.();
      });
    }, ANSWERED_MS).unref();
  };
  const moveTo = async (folders: AppFolders): Promise<void> => {
    if (closed) return;
    const before = current;
    const port = Number(new URL(before.server.url).port);
    await before.close();
    if (closed) return;
    options.log.info(`the library is ${folders.library} now`);
    try {
      current = await openServer({ ...before.options, folders, port }, changeLibrary);
    } catch (error) {
      // One that was moved there is nowhere else.
      if (!existsSync(before.options.folders.library)) throw error;
      options.log.error(`${folders.library} could not be opened: ${asHypervueError(error).message}; going back`);
      await chooseLibrary(folders.config, before.options.folders.library);
      current = await openServer({ ...before.options, port }, changeLibrary);
    }
    if (closed) await current.close();
    else if (options.autostart) void current.manager.autostart();
  };
  let current = await openServer(options, changeLibrary);
  if (options.autostart) void current.manager.autostart();
  const { url, fingerprint } = current.server;
  return {
    link: `${url}#token=${current.token}`,
    url,
    token: current.token,
    fingerprint,
    get manager() {
      return current.manager;
    },
    close: async () => {
      closed = true;
      await moving;
      return current.close();
    },
  };
}

interface OpenServer {
  options: ServeOptions;
  manager: Manager;
  server: HeadlessServer;
  token: string;
  close(): Promise<string[]>;
}

async function openServer(options: ServeOptions, changeLibrary: (folder: string) => Promise<void>): Promise<OpenServer> {
  const { folders, entry } = options;
  const store = new DisposableStore();
  store.add(claimServer(folders.runtime));
  let manager: Manager | undefined;
  try {
    manager = await openManager({ ...options, mode: 'headless', changeLibrary });
    const token = await accessToken(folders.config);
    const tls =
      options.tls === 'self-signed' ? await ownCertificate(path.join(folders.config, 'tls'), certifiedHosts(options)) : options.tls;
    // Clients of this user know the server by its certificate.
    const onCertificate = (renewed: string) =>
      void publishServer(folders.runtime, { url: server.url, token, fingerprint: renewed }).catch((error) =>
        options.log.warn(`the new certificate could not be told to the command line: ${String(error)}`),
      );
    const { rendererFolder } = appResources(entry);
    const server: HeadlessServer = new HeadlessServer({ ...options, tls, manager, token, rendererFolder, onCertificate });
    await server.listen();
    const { url, fingerprint } = server;
    store.add(await publishServer(folders.runtime, { url, token, fingerprint }));
    const opened = manager;
    let left: Promise<string[]> | undefined;
    const close = async () => {
      store.dispose();
      const names = await opened.close();
      await server.close();
      return names;
    };
    return { options, manager, server, token, close: () => (left ??= close()) };
  } catch (error) {
    store.dispose();
    await manager?.close();
    throw error;
  }
}

/** What a certificate of our own making has to be good for: all that people may have in their address bar. */
function certifiedHosts({ host, names = [] }: ServeOptions): string[] {
  const everywhere = host === '0.0.0.0' || host === '::';
  const addresses = everywhere ? Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)) : [host];
  const all = ['localhost', '127.0.0.1', '::1', ...(isLoopback(host) ? [] : ownNames()), ...addresses, ...names];
  // Scopes (fe80::1%eth0) mean something on this computer alone.
  return [...new Set(all.filter((name) => !name.includes('%')))];
}
