import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Drive } from '../contract/vm.ts';
import type { MediumStamp } from '../snapshot/machinestate.ts';

/** What images look like at this moment; those that are gone are left out. */
export async function stampMedia(drives: readonly Drive[], folder: string): Promise<MediumStamp[]> {
  const stamps: MediumStamp[] = [];
  for (const { id, kind, path: file } of drives) {
    if (file === null) continue;
    const image = path.resolve(folder, file);
    const info = await stat(image).catch(() => undefined);
    if (info) stamps.push({ drive: id, path: image, sizeBytes: info.size, modifiedMs: info.mtimeMs, removable: kind !== 'disk' });
  }
  return stamps;
}
