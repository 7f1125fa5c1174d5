import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Drive } from '../contract/vm.ts';
import type { RunningVm } from '../engine/engine.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { fileError } from '../platform/nodefile.ts';
import { asHypervueError } from '../util/errors.ts';
import type { MachineLocks } from './machinelocks.ts';
import { freeFileName } from './names.ts';

/**
 * Makes a qcow2 image in the machine's folder that lies on top of the raw disk of a drive and holds nothing yet, so that it reads the same. Gives its name, as vm.json has it. Rejects
 * as createDisk does.
 */
async function makeOverlay(folder: string, drive: Drive & { path: string }): Promise<string> {
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

/** Puts such an image on top of the disk, for the running machine too; gives its name. `change` changes the drive in vm.json. */
export async function putOverlay(
  drive: Drive,
  machine: {
    name: string;
    folder: string;
    images: ImageLocks;
    locks: MachineLocks;
    running(): RunningVm | undefined;
    change(other: Partial<Drive>): Promise<void>;
  },
): Promise<string> {
  const { id, path: below, format } = drive;
  const name = await makeOverlay(machine.folder, { ...drive, path: below! });
  const file = path.join(machine.folder, name);
  const vm = machine.running();
  const lock = vm && machine.images.acquire(file, false, machine.name);
  try {
    if (vm?.pid !== undefined) lock?.share(vm.pid);
    // The file first: whatever comes in between, an image that holds nothing reads as what lies below it.
    await machine.change({ path: name, format: 'qcow2' });
    await vm?.overlayDisk(id, file);
  } catch (error) {
    lock?.dispose();
    // A process that said no has not done it; of one that died or does not answer nobody knows, and then both images together are the disk in any case.
    if (machine.running() === vm && asHypervueError(error).kind !== 'timeout') {
      await machine.change({ path: below, format });
      await rm(file, { force: true });
    }
    throw error;
  }
  if (lock && machine.running() === vm) machine.locks.addOverlay(id, lock);
  else lock?.dispose();
  return name;
}
