import { randomBytes } from 'node:crypto';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileError } from './nodefile.ts';

/**
 * Replaces a file so that a crash at any instant leaves the old content or the new one, never a mix: temporary file, fsync, rename, fsync of the folder.
 */
export async function writeFileAtomic(file: string, data: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(error, file, 'write');
  }
}

const CUT_OFF = /^(.+)\.[0-9a-f]{12}\.tmp$/;

/**
 * Removes what a crash left in `folder` of writes of the files that `ours` knows by name. Unless nobody may be writing them meanwhile, only what is older than
 * `olderThanMs`: a write takes an instant.
 */
export async function removeCutOffWrites(folder: string, ours: (name: string) => boolean, olderThanMs = 0): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, written] = CUT_OFF.exec(name) ?? [];
    if (written === undefined || !ours(written)) continue;
    const left = path.join(folder, name);
    const { mtimeMs } = (await lstat(left).catch(() => undefined)) ?? { mtimeMs: Infinity };
    if (Date.now() - mtimeMs >= olderThanMs) await rm(left, { force: true }).catch(() => {});
  }
}

/** File systems that can't sync a folder (network shares, FUSE), or folders we may write but not list. */
const CANT_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES', 'EBADF']);

/** Makes a rename or creation in `folder` durable, where the system can. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!CANT_SYNC.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** What was written to a file is on the disk. */
export async function syncFile(file: string): Promise<void> {
  try {
    const handle = await open(file, 'r+');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    throw fileError(error, file, 'write');
  }
}
