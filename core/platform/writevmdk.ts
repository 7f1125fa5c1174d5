import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import type { TaskOptions } from '../disk/task.ts';
import { type VmdkSubformat, writeVmdk } from '../disk/vmdk/write.ts';
import { syncFolder } from './atomicfile.ts';
import { nodeCodec } from './diskcodec.ts';
import { createExclusive } from './diskfile.ts';
import { NodeFile } from './nodefile.ts';

/** A new VMDK image with what `source` holds. Never overwrites; leaves nothing behind when it fails or is cancelled. */
export async function createVmdk(file: string, source: BlockBackend, options: TaskOptions & { subformat: VmdkSubformat }): Promise<void> {
  await (await createExclusive(file)).close();
  try {
    const target = await NodeFile.open(file, false);
    try {
      // The first bit is 0: ffffffff means "no image".
      const contentId = (randomBytes(4).readUInt32BE() >>> 1).toString(16).padStart(8, '0');
      await writeVmdk(source, target, { ...options, codec: nodeCodec, name: path.basename(file), contentId });
    } finally {
      await target.close();
    }
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(file, { force: true }).catch(() => {});
    throw error;
  }
}
