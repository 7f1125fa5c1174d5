import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { moveIntoLibrary } from './createvm.ts';
import { LOCK_FILE } from './machine.ts';

/** Below the library, so that moving a machine there and back is a rename on one file system. */
export const TRASH = '.trash';
const TRASH_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Moves a VM folder to the trash, under its own name in a folder named by the returned id. */
export async function moveToTrash(library: string, folder: string): Promise<string> {
  const trashId = randomUUID();
  const place = path.join(library, TRASH, trashId);
  const there = path.join(place, path.basename(folder));
  try {
    await mkdir(place, { recursive: true, mode: 0o700 });
    await rename(folder, there);
  } catch (error) {
    // Only while it is empty: nothing here may ever take a machine with it.
    await rmdir(place).catch(() => {});
    throw fileError(error, folder, 'delete');
  }
  // The caller's hold on the machine, which ends with the move.
  await rm(path.join(there, LOCK_FILE), { force: true }).catch(() => {});
  return trashId;
}

/** Moves a machine back into the library; returns its folder. */
export async function restoreFromTrash(library: string, trashId: string): Promise<string> {
  const place = path.join(library, TRASH, trashId);
  const names = TRASH_ID.test(trashId) ? await readdir(place).catch(() => []) : [];
  const name = names[0];
  if (name === undefined)
    throw new HypervueError(
      'not-found',
      'this machine is no longer in the trash',
      { object: trashId, operation: 'restore' },
      'It may have been restored already.',
    );
  const folder = await moveIntoLibrary(path.join(place, name), library, name);
  await rmdir(place).catch(() => {});
  return folder;
}
