import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { TrashItem } from '../contract/storage.ts';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { moveFile } from '../platform/newfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { moveIntoLibrary } from './createvm.ts';
import { LOCK_FILE } from './machinelocks.ts';
import { freeFileName } from './names.ts';
import { CONFIG_FILE } from './vmconfigfile.ts';

/** Below the library or the pool, so that moving something there and back is a rename on one file system. */
export const TRASH = '.trash';
const TRASH_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Beside what was deleted: where it was, and when. Entries of old do without. */
const RECORD_FILE = '.deleted.json';
const recordSchema = z.object({ from: z.string(), deletedAt: z.string() });
/** Files of one entry that are counted and named. */
const MAX_COUNTED = 5000;
const MAX_NAMED = 50;

/** Moves a machine's folder or an image to the trash below `root`, under its own name in a folder named by the returned id. */
export async function moveToTrash(root: string, target: string): Promise<string> {
  const trashId = randomUUID();
  const place = path.join(root, TRASH, trashId);
  const there = path.join(place, path.basename(target));
  try {
    await mkdir(place, { recursive: true, mode: 0o700 });
    const record = { from: target, deletedAt: new Date().toISOString() };
    await writeFileAtomic(path.join(place, RECORD_FILE), JSON.stringify(record)).catch((error: HypervueError) => {
      // Deleting is what helps on a full disk: it goes on without the record, as entries of old do.
      if (error.kind !== 'no-space') throw error;
    });
    await rename(target, there);
  } catch (error) {
    await rm(path.join(place, RECORD_FILE), { force: true }).catch(() => {});
    // Only while it is empty: nothing here may ever take a machine with it.
    await rmdir(place).catch(() => {});
    throw fileError(error, target, 'delete');
  }
  // The caller's hold on the machine, which ends with the move.
  await rm(path.join(there, LOCK_FILE), { recursive: true, force: true }).catch(() => {});
  return trashId;
}

/** An entry without what has to be counted. */
export type TrashEntry = Omit<TrashItem, 'sizeBytes' | 'files'>;

/** What lies in the trash below `root`, the newest first. */
export async function listTrash(root: string): Promise<TrashEntry[]> {
  const ids = (await readdir(path.join(root, TRASH)).catch(() => [])).filter((id) => TRASH_ID.test(id));
  const entries: TrashEntry[] = [];
  for (const id of ids) {
    const entry = await describe(root, id).catch(() => undefined);
    if (entry) entries.push(entry);
  }
  return entries.sort((a, b) => (a.deletedAt < b.deletedAt ? 1 : -1));
}

/** With room and files; undefined when it is gone. */
export async function measured(root: string, entry: TrashEntry): Promise<TrashItem | undefined> {
  const there = await entryPath(root, entry.id);
  return there === undefined ? undefined : { ...entry, ...(await measure(there, entry.kind === 'machine')) };
}

async function describe(root: string, id: string): Promise<TrashEntry | undefined> {
  const place = path.join(root, TRASH, id);
  const entry = await entryIn(place);
  if (entry === undefined) return undefined;
  const there = path.join(place, entry);
  const isFolder = (await lstat(there)).isDirectory();
  const record = await readRecord(place);
  return {
    id,
    kind: isFolder ? 'machine' : 'volume',
    name: isFolder ? ((await machineName(there)) ?? entry) : entry,
    from: record?.from ?? path.join(root, entry),
    deletedAt: record?.deletedAt ?? (await stat(place)).mtime.toISOString(),
  };
}

/** True when the trash below `root` has it. */
export async function trashHolds(root: string, trashId: string): Promise<boolean> {
  return (await entryPath(root, trashId)) !== undefined;
}

/** Where an entry of the trash below `root` lies; undefined when there is none. */
export async function entryPath(root: string, trashId: string): Promise<string | undefined> {
  const place = path.join(root, TRASH, trashId);
  const entry = TRASH_ID.test(trashId) ? await entryIn(place) : undefined;
  return entry === undefined ? undefined : path.join(place, entry);
}

/** Moves a machine back into the library; returns its folder. */
export async function restoreFromTrash(library: string, trashId: string): Promise<string> {
  const { place, entry } = await find(library, trashId);
  const folder = await moveIntoLibrary(path.join(place, entry), library, entry);
  await removePlace(place);
  return folder;
}

/** True when the entry is an image, not a machine. */
export async function isVolume(root: string, trashId: string): Promise<boolean> {
  const { place, entry } = await find(root, trashId);
  return !(await lstat(path.join(place, entry))).isDirectory();
}

/** Moves an image back to where it was, under a free name; returns its path. What the record says is believed only within `root`. */
export async function restoreVolume(root: string, trashId: string): Promise<string> {
  const { place, entry } = await find(root, trashId);
  const record = await readRecord(place);
  const was = record ? path.dirname(path.resolve(record.from)) : root;
  const folder = was === root || path.dirname(was) === root ? was : root;
  const names = await readdir(folder).catch((error) => {
    throw new HypervueError(
      'not-found',
      say('trashPlaceGone', { folder, name: entry }),
      { object: entry, path: folder, operation: 'restore' },
      say('fixTrashPlaceGone'),
      error,
    );
  });
  const to = path.join(folder, freeFileName(entry, names));
  await moveFile(path.join(place, entry), to);
  await removePlace(place);
  return to;
}

/** Removes an entry for good. */
export async function removeFromTrash(root: string, trashId: string): Promise<void> {
  const { place } = await find(root, trashId);
  await rm(place, { recursive: true, force: true }).catch((error) => {
    throw fileError(error, place, 'delete');
  });
}

async function find(root: string, trashId: string): Promise<{ place: string; entry: string }> {
  const place = path.join(root, TRASH, trashId);
  const entry = TRASH_ID.test(trashId) ? await entryIn(place) : undefined;
  if (entry === undefined)
    throw new HypervueError('not-found', say('trashGone'), { object: trashId, operation: 'restore' }, say('fixTrashGone'));
  return { place, entry };
}

async function entryIn(place: string): Promise<string | undefined> {
  // The record, or one that was cut off while it was written.
  return (await readdir(place).catch(() => [])).find((name) => !name.startsWith(RECORD_FILE));
}

async function removePlace(place: string): Promise<void> {
  await rm(path.join(place, RECORD_FILE), { force: true }).catch(() => {});
  await rmdir(place).catch(() => {});
}

async function readRecord(place: string): Promise<z.infer<typeof recordSchema> | undefined> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(path.join(place, RECORD_FILE), 'utf8')));
    return Number.isNaN(Date.parse(record.deletedAt)) ? undefined : record;
  } catch {
    return undefined;
  }
}

async function machineName(folder: string): Promise<string | undefined> {
  try {
    const { name } = JSON.parse(await readFile(path.join(folder, CONFIG_FILE), 'utf8')) as { name?: unknown };
    return typeof name === 'string' ? name.slice(0, 128) : undefined;
  } catch {
    return undefined;
  }
}

/** Room that it takes, and its files' names; links are not followed. */
async function measure(there: string, isFolder: boolean): Promise<{ sizeBytes: number; files: string[] }> {
  if (!isFolder) return { sizeBytes: (await lstat(there)).blocks * 512, files: [path.basename(there)] };
  let sizeBytes = 0;
  const files: string[] = [];
  const entries = await readdir(there, { recursive: true, withFileTypes: true });
  for (const entry of entries.slice(0, MAX_COUNTED)) {
    if (!entry.isFile()) continue;
    const full = path.join(entry.parentPath, entry.name);
    sizeBytes += (await lstat(full).catch(() => ({ blocks: 0 }))).blocks * 512;
    if (files.length < MAX_NAMED) files.push(path.relative(there, full));
  }
  return { sizeBytes, files: files.sort() };
}
