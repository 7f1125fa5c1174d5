import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { FolderListing } from '../contract/host.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Most entries of one folder that are listed. */
const MAX_ENTRIES = 2000;

/** Lists a folder for the file chooser: folders first, hidden files left out. Null starts in the home folder. */
export async function browse(folder: string | null): Promise<FolderListing> {
  const at = path.resolve(folder ?? homedir());
  let found: Dirent[];
  try {
    found = await readdir(at, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR')
      throw new HypervueError(
        'invalid-argument',
        say('noFolder', { path: at }),
        { path: at, operation: 'list' },
        say('fixChooseFolder'),
        error,
      );
    throw fileError(error, at, 'list');
  }
  const entries = await Promise.all(
    found
      .filter(({ name }) => !name.startsWith('.'))
      // So that what a large folder leaves out is at least not a way on.
      .sort((a, b) => Number(b.isDirectory()) - Number(a.isDirectory()) || (a.name < b.name ? -1 : 1))
      .slice(0, MAX_ENTRIES)
      .map(async ({ name }) => {
        const full = path.join(at, name);
        try {
          const info = await stat(full);
          const kind = info.isDirectory()
            ? ('folder' as const)
            : info.isFile() || info.isBlockDevice()
              ? ('file' as const)
              : ('other' as const);
          return { name, path: full, kind, sizeBytes: info.size, modifiedAt: isoTime(info.mtime) };
        } catch {
          return { name, path: full, kind: 'other' as const, sizeBytes: 0, modifiedAt: new Date(0).toISOString() };
        }
      }),
  );
  const rank = { folder: 0, file: 1, other: 2 };
  entries.sort((a, b) => rank[a.kind] - rank[b.kind] || a.name.localeCompare(b.name, undefined, { numeric: true }));
  const parent = path.dirname(at);
  return { path: at, parent: parent === at ? null : parent, entries };
}

/** File systems hold times that no calendar does. */
function isoTime(time: Date): string {
  return (Number.isNaN(time.getTime()) ? new Date(0) : time).toISOString();
}
