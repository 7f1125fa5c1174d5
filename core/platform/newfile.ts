/** Files that appear whole or not at all, and never in the place of another one. */
import { randomUUID } from 'node:crypto';
import { link, lstat, rename, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { syncFolder } from './atomicfile.ts';
import { acquireLock } from './locks.ts';
import { fileError } from './nodefile.ts';

/** What is being made has such a name; what a program that died has left behind is found by it. */
export const UNFINISHED = '.creating-';
/** Ending of the lock beside it. It is taken first, so that there is no instant at which the work looks abandoned. */
export const CREATOR_LOCK = '.lock';

/** File systems without hard links, as those of memory sticks. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Renames a file; rejects with 'already-exists' when there is something at `to`. */
export async function moveFile(from: string, to: string): Promise<void> {
  try {
    // lstat: a symlink is moved as what it is; link(2) may follow it.
    if ((await lstat(from)).isSymbolicLink()) await renameUnlessThere(from, to);
    else {
      await link(from, to);
      await unlink(from);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw existsError(to, error);
    if (!NO_LINKS.has(code ?? '')) throw fileError(error, to, 'create');
    await renameUnlessThere(from, to);
  }
  await syncFolder(path.dirname(to)).catch(() => {});
}

/** Rejects with 'already-exists' when there is anything of that name. */
export async function refuseTaken(file: string): Promise<void> {
  const there = await lstat(file).then(
    () => true,
    () => false,
  );
  if (there) throw existsError(file);
}

async function renameUnlessThere(from: string, to: string): Promise<void> {
  await refuseTaken(to);
  await rename(from, to).catch((error) => {
    throw fileError(error, to, 'create');
  });
}

/** Nothing is written over what is there. */
export function existsError(file: string, cause?: unknown): HypervueError {
  return new HypervueError('already-exists', say('fileExists', { path: file }), { path: file, operation: 'create' }, say('fixName'), cause);
}

/**
 * Lets `make` write a file under another name in the same folder and shows it as `file` when it is complete. A failure or a cancel removes it; what a
 * killed program leaves is hidden, and removed at the next start.
 */
export async function makeFile(file: string, make: (temporary: string) => Promise<void>): Promise<void> {
  // Before the work, not after it.
  await refuseTaken(file);
  const temporary = path.join(path.dirname(file), `${UNFINISHED}${randomUUID()}`);
  const lock = acquireLock(`${temporary}${CREATOR_LOCK}`, path.basename(file), path.basename(file));
  try {
    await make(temporary);
    await moveFile(temporary, file);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
    lock.dispose();
  }
}
