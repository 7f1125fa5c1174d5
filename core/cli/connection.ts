import path from 'node:path';
import type { WebSocket } from 'ws';
import { ContractClient } from '../contract/client.ts';
import type { ChannelKind } from '../contract/methods.ts';
import type { Transport, WireMessage } from '../contract/transport.ts';
import { chooseLibrary } from '../platform/chosenlibrary.ts';
import type { AppFolders } from '../platform/folders.ts';
import { appVersion } from '../server/appversion.ts';
import { holdFirstWords, openPinned } from '../server/pinned.ts';
import { findServer, type ServerAddress } from '../server/serverfile.ts';
import { HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';

/** Milliseconds for the server to take the token. */
const CONNECT_MS = 10_000;

/** Where a command's calls go: a running server, or the library opened by this very process. */
export interface Connection {
  /** Of the server; null without one. */
  url: string | null;
  client: ContractClient;
  /** The machine's byte channel as a WebSocket with binary frames, paused until `resume()`. Only with a server. */
  openChannel(kind: ChannelKind, vmId: string): Promise<WebSocket>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  folders: AppFolders;
  entry: string;
  log: Logger;
  /** Without a server, open the library here; for verbs that leave nothing running. */
  local: boolean;
}

/** Rejects with 'not-found' when a server is needed and none runs. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const server = findServer(options.folders.runtime);
  if (server) {
    const connection = await connectToServer(server);
    await checkLibrary(connection);
    return connection;
  }
  if (!options.local)
    throw new HypervueError(
      'not-found',
      'no Hypervue server is running on this library',
      { operation: 'connect' },
      'Start one with `hypervue serve` and try again.',
    );
  return openLocally(options);
}

/** A library that was named must be the one that the server has, or a command would change the wrong machines. */
async function checkLibrary(connection: Connection): Promise<void> {
  const wanted = process.env.HYPERVUE_LIBRARY;
  if (!wanted) return;
  const { libraryFolder } = await connection.client.call('host.info', {});
  if (path.resolve(wanted) === path.resolve(libraryFolder)) return;
  await connection.close();
  throw new HypervueError(
    'invalid-argument',
    `the running server has another library, ${libraryFolder}`,
    { path: wanted, operation: 'connect' },
    'Stop that server, or leave --library and HYPERVUE_LIBRARY out.',
  );
}

async function connectToServer(server: ServerAddress): Promise<Connection> {
  const base = server.url.replace(/^http/, 'ws');
  const socket = await opened(openPinned(new URL('contract', base), [], server.fingerprint ?? null), server.url);
  await new Promise<void>((resolve, reject) => {
    const refused = (why: string) => reject(new HypervueError('permission-denied', `the server at ${server.url} refused: ${why}`));
    const timer = setTimeout(() => refused('it did not answer'), CONNECT_MS);
    socket.once('message', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('close', (_code, reason) => refused(reason.toString() || 'it closed the connection'));
    socket.send(JSON.stringify({ type: 'auth', token: server.token }));
  });
  const transport: Transport = {
    send: (message) => socket.send(JSON.stringify(message)),
    onMessage: (listener) => socket.on('message', (data) => listener(JSON.parse(data.toString()) as unknown)),
    onClose: (listener) => socket.on('close', listener),
    close: () => socket.close(),
  };
  return {
    url: server.url,
    client: new ContractClient(transport),
    openChannel: (kind, vmId) => {
      const token = `token.${Buffer.from(server.token).toString('base64url')}`;
      return opened(
        holdFirstWords(openPinned(new URL(`channel/${kind}/${vmId}`, base), ['hypervue.channel', token], server.fingerprint ?? null)),
        server.url,
      );
    },
    close: async () => socket.close(),
  };
}

function opened(socket: WebSocket, url: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', (error) =>
      reject(
        error instanceof HypervueError
          ? error
          : new HypervueError(
              'io-error',
              `can't reach the server at ${url}: ${error.message}`,
              { operation: 'connect' },
              'Is it still running?',
            ),
      ),
    );
  });
}

/** The manager in this process behind an in-memory transport, so that commands can't tell the difference. */
async function openLocally(options: ConnectOptions): Promise<Connection> {
  const { folders, entry, log } = options;
  // Not for commands that only talk to a server.
  const [{ openManager }, { settleMove }] = await Promise.all([
    import('../server/openmanager.ts'),
    import('../manager/librarymove/journal.ts'),
  ]);
  // This process ends soon; the next one begins with what was chosen.
  const changeLibrary = (library: string) => chooseLibrary(folders.config, library);
  const manager = await openManager({ folders, entry, log, version: appVersion(entry), mode: 'headless', changeLibrary });
  const toManager: ((message: unknown) => void)[] = [];
  const toClient: ((message: unknown) => void)[] = [];
  const end = (own: ((message: unknown) => void)[], other: ((message: unknown) => void)[]): Transport => ({
    send: (message: WireMessage) =>
      queueMicrotask(() => {
        for (const listener of other) listener(message);
      }),
    onMessage: (listener) => own.push(listener),
    onClose: () => {},
    close: () => {},
  });
  manager.connect(end(toManager, toClient));
  return {
    url: null,
    client: new ContractClient(end(toClient, toManager)),
    openChannel: () => Promise.reject(new HypervueError('invalid-state', 'no machine runs without a server')),
    close: async () => {
      await manager.close();
      // Where it was moved to another file system, the old place goes now.
      if (folders.libraryFrom !== 'named') await (await settleMove(folders.config, log)).opened();
    },
  };
}
