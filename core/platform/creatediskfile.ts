import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { DiskFormat } from '../contract/vm.ts';
import { createQcow2, preallocate, type Qcow2Options } from '../disk/qcow2/create.ts';
import type { Qcow2Image } from '../disk/qcow2/image.ts';
import { HypervueError } from '../util/errors.ts';
import type { TaskOptions } from '../disk/task.ts';
import { syncFolder } from './atomicfile.ts';
import { createExclusive, createRawDisk } from './diskfile.ts';
import { NodeFile } from './nodefile.ts';
import { openImage } from './openimage.ts';

export interface CreateDiskOptions extends Qcow2Options, TaskOptions {
  format: DiskFormat;
}

/** Creates a disk image. Never overwrites; leaves nothing behind when it fails or is cancelled. */
export async function createDisk(file: string, options: CreateDiskOptions): Promise<void> {
  if (options.format === 'raw') {
    if (options.backingFile)
      throw new HypervueError('invalid-argument', 'a raw image has no backing file', { path: file }, 'Choose qcow2.');
    await createRawDisk(file, options.sizeBytes);
    if (options.preallocation === 'falloc' || options.preallocation === 'full') await reserveRaw(file, options.sizeBytes);
    return;
  }
  await (await createExclusive(file)).close();
  try {
    const target = await NodeFile.open(file, false);
    try {
      await createQcow2(target, options);
    } finally {
      await target.close();
    }
    if (options.preallocation && options.preallocation !== 'off') {
      const image = (await openImage(file, { readOnly: false, format: 'qcow2' })) as Qcow2Image;
      try {
        await preallocate(image, options.preallocation, options);
      } finally {
        await image.close();
      }
    }
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(file, { force: true }).catch(() => {});
    throw error;
  }
}

async function reserveRaw(file: string, sizeBytes: number): Promise<void> {
  const target = await NodeFile.open(file, false);
  try {
    await target.allocate(0, sizeBytes);
    await target.sync();
  } catch (error) {
    await rm(file, { force: true }).catch(() => {});
    throw error;
  } finally {
    await target.close();
  }
}
