import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { ensurePrivateFolder } from '../platform/folders.ts';
import { acquireLock, livingOwner } from '../platform/locks.ts';
import { type Disposable, toDisposable } from '../util/disposable.ts';

const FILE = 'server.json';
const LOCK = 'server.lock';

/** How the CLI finds a running server. */
export interface ServerAddress {
  url: string;
  token: string;
  /** SHA-256 of its certificate, when it speaks TLS. */
  fingerprint?: string | undefined;
}

/** Claims the place of the one server of this runtime folder. Throws 'in-use' when another runs. */
export function claimServer(runtimeFolder: string): Disposable {
  ensurePrivateFolder(runtimeFolder);
  return acquireLock(path.join(runtimeFolder, LOCK), 'the server of this library', '`hypervue serve`');
}

/** Tells clients of this user where the server is; only they may read it. Dispose when the server closes. */
export async function publishServer(runtimeFolder: string, address: ServerAddress): Promise<Disposable> {
  const file = path.join(runtimeFolder, FILE);
  await writeFileAtomic(file, JSON.stringify(address), 0o600);
  return toDisposable(() => rmSync(file, { force: true }));
}

/** The running server; undefined when there is none, also when one died without tidying up. */
export function findServer(runtimeFolder: string): ServerAddress | undefined {
  if (!livingOwner(path.join(runtimeFolder, LOCK))) return undefined;
  try {
    const { url, token, fingerprint } = JSON.parse(readFileSync(path.join(runtimeFolder, FILE), 'utf8')) as Partial<ServerAddress>;
    return typeof url === 'string' && typeof token === 'string'
      ? { url, token, ...(typeof fingerprint === 'string' ? { fingerprint } : {}) }
      : undefined;
  } catch {
    return undefined;
  }
}
