import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Drive } from '../contract/vm.ts';
import type { MediumStamp } from '../snapshot/machinestate.ts';
import { writeCount } from './blockdevice.ts';

/**
 * Size of an image, and when it was changed last, epoch milliseconds: of a device, whose changes have no time, a number that is another one after every write (writeCount). Undefined when it
 * is not there.
 */
export async function imageStamp(image: string): Promise<{ sizeBytes: number; modifiedMs: number } | undefined> {
  const info = await stat(image).catch(() => undefined);
  if (!info?.isBlockDevice()) return info && { sizeBytes: info.size, modifiedMs: info.mtimeMs };
  return { sizeBytes: 0, modifiedMs: createHash('sha256').update(writeCount(info.rdev)).digest().readUIntBE(0, 6) };
}

/** What images look like at this moment; those that are gone are left out. */
export async function stampMedia(drives: readonly Drive[], folder: string): Promise<MediumStamp[]> {
  const stamps: MediumStamp[] = [];
  for (const { id, kind, path: file } of drives) {
    if (file === null) continue;
    const image = path.resolve(folder, file);
    const stamp = await imageStamp(image);
    if (stamp) stamps.push({ drive: id, path: image, ...stamp, removable: kind !== 'disk' });
  }
  return stamps;
}
