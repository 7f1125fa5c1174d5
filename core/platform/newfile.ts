/** Files that appear whole or not at all, and never in the place of another one. */
import { randomUUID } from 'node:crypto';
import { link, lstat, open, rename, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { Disposable } from '../util/disposable.ts';
import { errorFrom, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { syncFolder } from './atomicfile.ts';
import { hasNoHardLinks } from './hardlinks.ts';
import { acquireLock } from './locks.ts';
import { fileError } from './nodefile.ts';

/** What is being made has such a name; what a program that died has left behind is found by it. */
export const UNFINISHED = '.creating-';
/** Ending of the lock beside it. It is taken first, so that there is no instant at which the work looks abandoned. */
export const CREATOR_LOCK = '.lock';

/** Renames a file; rejects with 'already-exists' when there is something at `to`. */
export async function moveFile(from: string, to: string): Promise<void> {
  const what = await lstat(from).catch((error) => {
    throw fileError(error, from, 'create');
  });
  // A symlink is moved as what it is: link(2) may follow it. A folder can't have links, and takes no file's place and no full folder's.
  if (what.isFile()) await moveByLink(from, to);
  else await renameUnlessThere(from, to);
  await syncFolder(path.dirname(to)).catch(() => {});
}

async function moveByLink(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(to, error);
    if (!hasNoHardLinks(error)) throw fileError(error, to, 'create');
    return moveOverOwn(from, to);
  }
  await unlink(from).catch((error) => {
    throw fileError(error, from, 'create');
  });
}

/** Where there are no links: an empty file that only we made takes the name first, so that nobody else's is replaced. */
async function moveOverOwn(from: string, to: string): Promise<void> {
  try {
    const handle = await open(to, 'wx');
    await handle.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(to, error);
    throw fileError(error, to, 'create');
  }
  try {
    await rename(from, to);
  } catch (error) {
    await rm(to, { force: true }).catch(() => {});
    throw fileError(error, to, 'create');
  }
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
  let lock: Disposable | undefined;
  try {
    lock = acquireLock(`${temporary}${CREATOR_LOCK}`, path.basename(file), path.basename(file));
    await make(temporary);
    await moveFile(temporary, file);
  } catch (error) {
    throw aboutWanted(error, temporary, file);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
    lock?.dispose();
  }
}

/** An error that names the file or folder, and what is in it, by the name that it was wanted under: the hidden one says nothing to anybody. */
export function aboutWanted(error: unknown, hidden: string, file: string): unknown {
  if (!(error instanceof HypervueError) || !error.message.includes(hidden)) return error;
  const shown = <T>(value: T) =>
    typeof value === 'string' ? value.replaceAll(`${hidden}${CREATOR_LOCK}`, file).replaceAll(hidden, file) : value;
  const shownAll = <T extends object>(values: T) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, shown(value)])) as T;
  const { message, context, said, ...rest } = error.toJSON();
  const named = {
    ...rest,
    message: shown(message),
    context: shownAll(context),
    ...(said ? { said: { ...said, params: shownAll(said.params) } } : {}),
  };
  return Object.assign(errorFrom(named), { cause: error });
}
