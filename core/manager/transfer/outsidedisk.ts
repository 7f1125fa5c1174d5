/** Disks that lie outside their machine's folder: a copy of that folder has the very same ones. */
import path from 'node:path';
import type { Drive } from '../../contract/vm.ts';
import { type Saying, say } from '../../util/say.ts';
import { keyOf } from '../storage/scan.ts';

/** A machine and what it has in its drives; their paths may be relative to `folder`. */
export interface DiskOwner {
  name: string;
  folder: string;
  drives: readonly Drive[];
}

/** The first of `owners` that has the image at `file` (absolute) as a disk, under whatever path. */
export async function diskOf(file: string, owners: readonly DiskOwner[]): Promise<string | undefined> {
  const key = await keyOf(file);
  for (const { name, folder, drives } of owners)
    for (const drive of drives) {
      if (drive.kind !== 'disk' || drive.path === null) continue;
      const other = path.resolve(folder, drive.path);
      if (other === file || (key !== undefined && (await keyOf(other)) === key)) return name;
    }
  return undefined;
}

/** What an import says of a drive whose file lies outside the machine's folder and stays in use there. */
export async function outsideNote(drive: Drive & { path: string }, owners: readonly DiskOwner[]): Promise<Saying> {
  const what = { drive: drive.id, path: drive.path };
  if (drive.kind !== 'disk') return say('importOutside', what);
  const name = await diskOf(drive.path, owners);
  return name === undefined ? say('importOutsideDisk', what) : say('importSharedDisk', { ...what, name });
}
