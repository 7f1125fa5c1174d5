/**
 * Images in the trash lie on other images by name. What such a name means must be there again, and still mean the same, when they come back; and it must not go for good without
 * them.
 */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { backingPath, readImageHeader } from '../platform/openimage.ts';
import { HypervueError } from '../util/errors.ts';
import { entryPath, type TrashEntry } from './trash.ts';
import { say } from '../util/say.ts';

/** What lies in the trash below `root`. */
export interface Trashed extends TrashEntry {
  root: string;
}

/** Throws when something that `item` lies on is in the trash too, or when others in the trash would come to lie on another image than on `item`. */
export async function refuseRestore(item: Trashed, trash: readonly Trashed[]): Promise<void> {
  const others = trash.filter(({ id }) => id !== item.id);
  for (const other of others) {
    const file = await needOf(item, other);
    if (file !== undefined)
      throw new HypervueError(
        'invalid-state',
        say('liesOnTrash', { name: item.name, file }),
        { object: item.name, path: file, operation: 'restore' },
        say('fixRestoreFirst', { name: other.name }),
      );
  }
  if (!existsSync(item.from)) return;
  for (const other of await lyingOn(item, others))
    throw new HypervueError(
      'already-exists',
      say('noOtherName', { name: item.name, other: other.name, path: item.from }),
      { object: item.name, path: item.from, operation: 'restore' },
      say('fixNoOtherName', { path: item.from, name: other.name }),
    );
}

/** Throws when something in the trash that is not to go too lies on one of those with `ids`, which are to go for good. */
export async function refuseRemoval(ids: readonly string[], trash: readonly Trashed[]): Promise<void> {
  const staying = trash.filter(({ id }) => !ids.includes(id));
  for (const item of trash)
    if (ids.includes(item.id))
      for (const other of await lyingOn(item, staying))
        throw new HypervueError(
          'in-use',
          say('lostWithIt', { other: other.name, name: item.name }),
          { object: item.name, path: item.from, operation: 'remove' },
          say('fixLostWithIt', { name: other.name }),
        );
}

/** Those of `others` that lie on `item`. */
async function lyingOn(item: Trashed, others: readonly Trashed[]): Promise<Trashed[]> {
  const found: Trashed[] = [];
  for (const other of others) if ((await needOf(other, item)) !== undefined) found.push(other);
  return found;
}

/** A file of `lower` that `upper` lies on, as it was called; undefined when there is none. */
async function needOf(upper: Trashed, lower: Trashed): Promise<string | undefined> {
  // What was deleted before was nothing that it lay on when it went.
  if (lower.deletedAt < upper.deletedAt) return undefined;
  for (const file of await imagesNeeded(upper))
    if (isWithin(file, lower.from) && !(await wasThere(file, Date.parse(upper.deletedAt)))) return file;
  return undefined;
}

/** True when the file is there, and is not one that was made later under the same name. */
async function wasThere(file: string, at: number): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && found.birthtimeMs <= at;
}

const isWithin = (file: string, place: string) => file === place || file.startsWith(place + path.sep);

/** Files outside an entry that its images name as lying directly below them, as they were called when it was deleted. An image that can't be read names none. */
async function imagesNeeded(item: Trashed): Promise<string[]> {
  const there = await entryPath(item.root, item.id);
  if (there === undefined) return [];
  const images =
    item.kind === 'volume'
      ? [{ file: there, was: item.from }]
      : (await readdir(there).catch(() => [])).map((name) => ({ file: path.join(there, name), was: path.join(item.from, name) }));
  const needed: string[] = [];
  for (const { file, was } of images) {
    const header = await readImageHeader(file).catch(() => undefined);
    if (header?.backingFile !== undefined) needed.push(backingPath(was, header.backingFile));
    if (header?.dataFile !== undefined) needed.push(backingPath(was, header.dataFile));
  }
  return needed.filter((file) => !isWithin(file, item.from));
}
