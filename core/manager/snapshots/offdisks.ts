/** Internal snapshots of disks that no machine has open. The caller holds their locks. */
import path from 'node:path';
import { stat } from 'node:fs/promises';
import { Qcow2Image } from '../../disk/qcow2/image.ts';
import { snapshotRoom } from '../../disk/qcow2/snapshotroom.ts';
import { createSnapshot, deleteSnapshotsNamed, readSnapshots, revertToSnapshot } from '../../disk/qcow2/snapshots.ts';
import { openImage } from '../../platform/openimage.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

export interface OffDisk {
  drive: string;
  path: string;
}

async function withImage<T>(folder: string, disk: OffDisk, readOnly: boolean, work: (image: Qcow2Image) => Promise<T>): Promise<T> {
  const file = path.resolve(folder, disk.path);
  // Neither passphrase nor the images below: nothing that the guest wrote is read.
  const image = await openImage(file, { readOnly, format: 'qcow2', metadataOnly: true });
  try {
    if (!(image instanceof Qcow2Image)) throw new HypervueError('unsupported', say('noQcow2', { path: file }), { path: file });
    return await work(image);
  } finally {
    await image.close();
  }
}

const has = async (image: Qcow2Image, tag: string) => (await readSnapshots(image)).entries.some(({ name }) => name === tag);

export async function takeOffDisk(folder: string, disk: OffDisk, tag: string): Promise<void> {
  const now = Date.now();
  const date = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
  await withImage(folder, disk, false, (image) => createSnapshot(image, tag, date));
}

/** Deletes it where it is. An image that is gone has none. */
export async function deleteOffDisk(folder: string, disk: OffDisk, tag: string): Promise<void> {
  const there = await stat(path.resolve(folder, disk.path)).catch(() => undefined);
  if (!there) return;
  await withImage(folder, disk, false, (image) => deleteSnapshotsNamed(image, tag));
}

export function revertOffDisk(folder: string, disk: OffDisk, tag: string): Promise<void> {
  return withImage(folder, disk, false, (image) => revertToSnapshot(image, tag));
}

/** Rejects with 'not-found' when the image or its snapshot is not there. Also while a machine has it open. */
export async function checkOffDisk(folder: string, disk: OffDisk, tag: string): Promise<void> {
  await withImage(folder, disk, true, async (image) => {
    if (!(await has(image, tag)))
      throw new HypervueError(
        'not-found',
        say('snapshotGone', { image: disk.path, tag }),
        { path: path.resolve(folder, disk.path), object: tag },
        say('fixSnapshotGone'),
      );
  });
}

/** Bytes of the image that only the snapshot keeps. Also while a machine has it open; then what it did in the last seconds may be missing. */
export function roomOffDisk(folder: string, disk: OffDisk, tag: string): Promise<number> {
  return withImage(folder, disk, true, (image) => snapshotRoom(image, tag));
}
