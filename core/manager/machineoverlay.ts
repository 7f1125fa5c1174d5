import path from 'node:path';
import { stat } from 'node:fs/promises';
import type { Drive } from '../contract/vm.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { readdir } from 'node:fs/promises';
import { fileError } from '../platform/nodefile.ts';
import { freeFileName } from './names.ts';

/**
 * Makes a qcow2 image in the machine's folder that lies on top of the raw disk of a drive and holds nothing yet, so that it reads the same. Gives its name, as vm.json has it. Rejects
 * as createDisk does.
 */
export async function makeOverlay(folder: string, drive: Drive & { path: string }): Promise<string> {
  const below = path.resolve(folder, drive.path);
  const { size } = await stat(below).catch((error) => {
    throw fileError(error, below, 'open');
  });
  const name = freeFileName(`${path.basename(below).replace(/\.[a-z0-9]{1,8}$/i, '')}.qcow2`, await readdir(folder));
  // Relative where both lie in the folder, which can then be moved.
  const inside = path.dirname(below) === path.resolve(folder);
  await createDisk(path.join(folder, name), {
    format: 'qcow2',
    sizeBytes: Math.ceil(size / 512) * 512,
    backingFile: inside ? path.basename(below) : below,
    backingFormat: 'raw',
  });
  return name;
}
