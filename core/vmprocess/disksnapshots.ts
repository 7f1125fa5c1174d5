/** Snapshots inside the images of a machine's disks, all of them or none. */
import type { BlockBackend } from '../backend/block.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshotsNamed, readSnapshots, revertToSnapshot } from '../disk/qcow2/snapshots.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

function qcow2(images: ReadonlyMap<string, BlockBackend>, drive: string): Qcow2Image {
  const image = images.get(drive);
  if (image instanceof Qcow2Image) return image;
  throw new HypervueError('unsupported', say('noSnapshots', { drive }), { drive, operation: 'snapshot' }, say('fixConvertQcow2'));
}

/**
 * Takes a snapshot called `tag` in each image. Every image is held from the moment of the call, so that what is written later is not in it, and
 * released when its own is done. When one fails the others lose theirs again.
 */
export async function snapshotDisks(images: ReadonlyMap<string, BlockBackend>, drives: readonly string[], tag: string): Promise<void> {
  const now = Date.now();
  const date = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
  const results = await Promise.allSettled(drives.map((drive) => createSnapshot(qcow2(images, drive), tag, date)));
  const failed = results.find((result) => result.status === 'rejected');
  if (!failed) return;
  const taken = drives.filter((_, index) => results[index]!.status === 'fulfilled');
  await deleteDiskSnapshots(images, taken, tag);
  throw failed.reason;
}

/** Whether each image has a snapshot called `tag` of a disk as large as it is now. Rejects with 'not-found' when one has none. */
export async function checkDiskSnapshots(
  images: ReadonlyMap<string, BlockBackend>,
  drives: readonly string[],
  tag: string,
): Promise<boolean> {
  for (const drive of drives) {
    const image = qcow2(images, drive);
    const entry = (await readSnapshots(image)).entries.find(({ name }) => name === tag);
    if (!entry)
      throw new HypervueError('not-found', say('snapshotGone', { image: image.info.label, tag }), {
        path: image.info.label,
        object: tag,
      });
    if (entry.diskBytes !== image.header.sizeBytes) return false;
  }
  return true;
}

/** Every image is held from the moment of the call, and released when its disk is what it was. Those that nobody has to wait for are done when one fails. */
export async function revertDisks(images: ReadonlyMap<string, BlockBackend>, drives: readonly string[], tag: string): Promise<void> {
  const results = await Promise.allSettled(drives.map((drive) => revertToSnapshot(qcow2(images, drive), tag)));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Images that have no snapshot of that name are left alone. */
export async function deleteDiskSnapshots(
  images: ReadonlyMap<string, BlockBackend>,
  drives: readonly string[],
  tag: string,
): Promise<void> {
  for (const drive of drives) await deleteSnapshotsNamed(qcow2(images, drive), tag);
}
