import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { chosenLibrary } from './chosenlibrary.ts';
import { fileError } from './nodefile.ts';

export interface AppFolders {
  /** One folder a machine. Its `.trash` keeps deleted machines. */
  library: string;
  /** Whether that is the usual folder, was chosen in the window, or is named by HYPERVUE_LIBRARY, which counts above the two. */
  libraryFrom: 'usual' | 'chosen' | 'named';
  /** settings.json and the access token. */
  config: string;
  /** Sockets and the file that tells the CLI where the server is; only this user may enter. */
  runtime: string;
  /** Locks of disk images, shared by every manager of this user wherever its library is. */
  locks: string;
}

/**
 * HYPERVUE_HOME puts everything but image locks below one folder; otherwise the places of the system (XDG on Linux). HYPERVUE_LIBRARY names the
 * folder of the machines alone, and so does what was chosen in the window. Throws when that choice can't be read.
 */
export function appFolders(env: NodeJS.ProcessEnv = process.env): AppFolders {
  const folders = usualFolders(env);
  if (env.HYPERVUE_LIBRARY) return { ...folders, library: path.resolve(env.HYPERVUE_LIBRARY), libraryFrom: 'named' };
  const chosen = chosenLibrary(folders.config);
  return chosen === undefined ? { ...folders, libraryFrom: 'usual' } : { ...folders, library: chosen, libraryFrom: 'chosen' };
}

function usualFolders(env: NodeJS.ProcessEnv): Omit<AppFolders, 'libraryFrom'> {
  const shared = env.XDG_RUNTIME_DIR ? path.join(env.XDG_RUNTIME_DIR, 'hypervue') : privateTemporary();
  const locks = path.join(shared, 'locks');
  if (env.HYPERVUE_HOME) {
    const root = path.resolve(env.HYPERVUE_HOME);
    return { library: path.join(root, 'machines'), config: root, runtime: path.join(root, 'run'), locks };
  }
  if (process.platform === 'linux') {
    const data = env.XDG_DATA_HOME ?? path.join(homedir(), '.local', 'share');
    const config = env.XDG_CONFIG_HOME ?? path.join(homedir(), '.config');
    return { library: path.join(data, 'hypervue', 'machines'), config: path.join(config, 'hypervue'), runtime: shared, locks };
  }
  const root = path.join(homedir(), 'Hypervue');
  return { library: path.join(root, 'machines'), config: root, runtime: shared, locks };
}

function privateTemporary(): string {
  return path.join(tmpdir(), `hypervue-${typeof process.getuid === 'function' ? process.getuid() : 'user'}`);
}

/** Creates a folder that only this user may enter. Throws 'permission-denied' when somebody else made it first, as one can in a shared /tmp. */
export function ensurePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (process.platform === 'win32') return;
    const info = lstatSync(folder);
    if (!info.isDirectory() || info.uid !== process.getuid!())
      throw new HypervueError(
        'permission-denied',
        say('foreignFolder', { folder }),
        { path: folder, operation: 'create' },
        say('fixForeignFolder'),
      );
    if (info.mode & 0o077) chmodSync(folder, 0o700);
  } catch (error) {
    throw fileError(error, folder, 'create');
  }
}

/** sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS and the BSDs, with the final zero. */
const MAX_SOCKET_PATH = 103;

/** A socket path for `name` that fits the system's limit; a named pipe on Windows. */
export function socketPath(runtime: string, name: string): string {
  const key = createHash('sha256').update(runtime).digest('hex').slice(0, 8);
  if (process.platform === 'win32') return `\\\\.\\pipe\\hypervue-${key}-${name}`;
  const wanted = path.join(runtime, `${name}.sock`);
  if (Buffer.byteLength(wanted) <= MAX_SOCKET_PATH) {
    ensurePrivateFolder(runtime);
    return wanted;
  }
  ensurePrivateFolder(privateTemporary());
  return path.join(privateTemporary(), `${key}-${name}.sock`);
}
