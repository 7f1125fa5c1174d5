/** Places at which a machine listens: whether one is free, and what is said of one that is not. */
import { constants, lstatSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import type { GdbListen } from '../contract/debug.ts';
import type { VncListen } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { abandonedSocket } from './abandonedsocket.ts';

/** RFC 6143 section 3: display n is TCP port 5900 + n. */
const VNC_BASE_PORT = 5900;
/** Loopback only: whoever reaches the stub owns the guest. */
export const GDB_HOST = '127.0.0.1';

export type ListenPlace = { host: string; port: number } | { path: string };

export interface Listening {
  what: 'vnc' | 'gdb';
  place: ListenPlace;
  /** As its owner wrote it. */
  name: string;
}

export const vncPlace = (listen: VncListen): Listening =>
  listen.type === 'tcp'
    ? { what: 'vnc', place: { host: listen.host, port: VNC_BASE_PORT + listen.display }, name: `${listen.host}:${listen.display}` }
    : { what: 'vnc', place: { path: listen.path }, name: listen.path };

export const gdbPlace = (listen: GdbListen): Listening =>
  listen.type === 'tcp'
    ? { what: 'gdb', place: { host: GDB_HOST, port: listen.port }, name: `${GDB_HOST}:${listen.port}` }
    : { what: 'gdb', place: { path: listen.path }, name: listen.path };

/** Why nobody can listen there: 'in-use', 'permission-denied' or 'io-error', naming the address. */
export function listenError({ what, name }: Listening, error: NodeJS.ErrnoException): HypervueError {
  const inUse = error.code === 'EADDRINUSE';
  const code = error.code ?? error.message;
  const texts =
    what === 'vnc'
      ? { inUse: say('vncInUse', { address: name }), failed: say('vncFailed', { address: name, code }), operation: 'listen for VNC' }
      : { inUse: say('gdbInUse', { address: name }), failed: say('gdbFailed', { address: name, code }), operation: 'listen for gdb' };
  return new HypervueError(
    inUse ? 'in-use' : error.code === 'EACCES' ? 'permission-denied' : 'io-error',
    inUse ? texts.inUse : texts.failed,
    { object: name, operation: texts.operation },
    say(what === 'gdb' ? 'fixGdb' : inUse ? 'fixVncInUse' : 'fixVnc'),
    error,
  );
}

/** What `listenError` says where nobody can listen now; undefined where somebody can. A port is taken for an instant to see. Nothing is left or removed. */
export async function listenProblem(listening: Listening): Promise<HypervueError | undefined> {
  const { place } = listening;
  try {
    if ('path' in place) await trySocket(place.path);
    else if (place.port !== 0) await tryPort(place);
    return undefined;
  } catch (error) {
    return listenError(listening, error as NodeJS.ErrnoException);
  }
}

function tryPort(place: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ ...place, exclusive: true }, () => server.close(() => resolve()));
  });
}

async function trySocket(place: string): Promise<void> {
  if (process.platform === 'win32') return;
  if (!lstatSync(place, { throwIfNoEntry: false })) return access(path.dirname(place), constants.W_OK | constants.X_OK);
  // One that a killed machine left is taken over.
  if (!(await abandonedSocket(place))) throw Object.assign(new Error(`${place} is taken`), { code: 'EADDRINUSE' });
}
