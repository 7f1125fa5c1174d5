import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { DiskFormat } from '../contract/vm.ts';
import { createQcow2, preallocate, type Qcow2Options } from '../disk/qcow2/create.ts';
import type { Qcow2Image } from '../disk/qcow2/image.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { TaskOptions } from '../disk/task.ts';
import { syncFolder } from './atomicfile.ts';
import { createExclusive, createRawDisk } from './diskfile.ts';
import { makeLuksHeader } from './luks.ts';
import { NodeFile } from './nodefile.ts';
import { backingPath, openImage, readImageHeader } from './openimage.ts';

export interface CreateDiskOptions extends Qcow2Options, TaskOptions {
  format: DiskFormat;
  /** Encrypts the image (LUKS, qcow2 only); the passphrase opens it. */
  passphrase?: string | undefined;
  /** Of the key derivation; for tests. Otherwise a try takes about a second. */
  luksIterations?: number;
}

/** Creates a disk image. Never overwrites; leaves nothing behind when it fails or is cancelled. */
export async function createDisk(file: string, options: CreateDiskOptions): Promise<void> {
  if (options.format === 'raw') {
    if (options.backingFile) throw new HypervueError('invalid-argument', say('rawNoBacking'), { path: file }, say('fixQcow2'));
    if (options.passphrase !== undefined) throw new HypervueError('unsupported', say('rawUnencrypted'), { path: file }, say('fixQcow2'));
    if (options.preallocation === 'metadata')
      throw new HypervueError('unsupported', say('rawNoMetadata'), { path: file }, say('fixPreallocation'));
    if (options.clusterSize !== undefined || options.refcountBits !== undefined || options.extendedL2 || options.compression !== undefined)
      throw new HypervueError('unsupported', say('rawNoClusters'), { path: file }, say('fixLeaveOrQcow2'));
    await createRawDisk(file, options.sizeBytes);
    if (options.preallocation === 'falloc' || options.preallocation === 'full') await reserveRaw(file, options.sizeBytes);
    return;
  }
  await refusePlainOverlay(file, options);
  await (await createExclusive(file)).close();
  try {
    const target = await NodeFile.open(file, false);
    try {
      const luksHeader =
        options.passphrase === undefined
          ? undefined
          : await makeLuksHeader(options.passphrase, {
              label: file,
              ...(options.luksIterations === undefined ? {} : { iterations: options.luksIterations }),
            });
      await createQcow2(target, { ...options, ...(luksHeader ? { luksHeader } : {}) });
    } finally {
      await target.close();
    }
    if (options.preallocation && options.preallocation !== 'off') {
      const image = (await openImage(file, { readOnly: false, format: 'qcow2', passphrase: options.passphrase })) as Qcow2Image;
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

/**
 * What a guest writes to an overlay of an encrypted image is as secret as the image: without encryption of its own it would lie there for all to read.
 * One passphrase opens the whole chain, so it must be that of the image below.
 */
async function refusePlainOverlay(file: string, options: CreateDiskOptions): Promise<void> {
  const { backingFile, passphrase } = options;
  if (backingFile === undefined) return;
  const base = backingPath(path.resolve(file), backingFile);
  // One that can't be read has an error of its own when the overlay is opened.
  const below = await readImageHeader(base).catch(() => undefined);
  if (!below || below.encryption === 'none') return;
  if (passphrase !== undefined) {
    await (await openImage(base, { readOnly: true, format: 'qcow2', passphrase })).close();
    return;
  }
  throw new HypervueError(
    'unauthorized',
    say('backingEncrypted', { path: backingFile }),
    { path: file, operation: 'create', reason: 'passphrase-missing' },
    say('fixBackingEncrypted'),
  );
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
