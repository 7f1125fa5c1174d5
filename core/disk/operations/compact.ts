/** Compact: the room of what reads as zeros, and of what nothing uses, goes back to the host. */
import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import { extents, zerosFrom } from '../extent.ts';
import { Parallel } from '../parallel.ts';
import type { Qcow2Image } from '../qcow2/image.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { dataRuns, isZero, runs, ZERO_UNIT } from '../zeros.ts';
import { CHUNK, DEPTH } from './copy.ts';

/**
 * Writes what `source` itself holds into `target`, a new image of the same shape over the same image below. Packed clusters stay packed.
 * Snapshots and bitmaps of the source are not carried over.
 */
export async function compactInto(source: Qcow2Image, target: Qcow2Image, options: TaskOptions = {}): Promise<void> {
  const total = source.info.sizeBytes;
  const jobs = new Parallel(DEPTH);
  try {
    for await (const extent of extents(source, 0, total)) {
      stopIfAborted(options, source.info.label);
      const end = extent.offset + extent.length;
      if (extent.kind === 'zero') await jobs.add(() => zeros(target, extent.offset, extent.length));
      else if (extent.kind !== 'backing')
        for (let at = extent.offset; at < end; at += CHUNK) {
          const length = Math.min(CHUNK, end - at);
          await jobs.add(() => move(source, target, at, length, extent.kind === 'compressed'));
        }
      options.progress?.(end, total);
    }
  } catch (error) {
    await jobs.idle();
    throw error;
  }
  await jobs.finish();
}

async function move(source: Qcow2Image, target: Qcow2Image, at: number, length: number, packed: boolean): Promise<void> {
  const bytes = new Uint8Array(length);
  await source.read(at, bytes);
  if (packed) return isZero(bytes) ? zeros(target, at, length) : target.writeCompressed(at, bytes);
  const { unit } = source.mapping;
  for (const [from, to] of dataRuns(bytes, unit)) await target.write(at + from, bytes.subarray(from, to));
  if (!source.backing) return;
  const empty = (from: number, to: number) => isZero(bytes.subarray(from, to));
  for (const [from, to] of runs(length, unit, empty)) await zeros(target, at + from, to - from);
}

/** Zeros, noted only where something else would be seen without. */
async function zeros(target: Qcow2Image, at: number, length: number): Promise<void> {
  if ((await zerosFrom(target, at, at + length)) < length) await target.writeZeroes(at, length, true);
}

/**
 * The same in place, for images with snapshots or other things that a new image would not have: clusters of zeros are given up, and what nothing
 * refers to becomes a hole. The image must be sound (checkImage): a cluster that is used but not counted would be lost.
 */
export async function reclaimInPlace(image: Qcow2Image, options: TaskOptions = {}): Promise<void> {
  const total = image.info.sizeBytes;
  const { clusterSize, file } = image.meta;
  for await (const extent of extents(image, 0, total)) {
    stopIfAborted(options, image.info.label);
    if (extent.kind === 'data')
      for (let at = extent.offset; at < extent.offset + extent.length; at += CHUNK) {
        stopIfAborted(options, image.info.label);
        const bytes = new Uint8Array(Math.min(CHUNK, extent.offset + extent.length - at));
        await image.read(at, bytes);
        const empty = (from: number, to: number) => isZero(bytes.subarray(from, to));
        for (const [from, to] of runs(bytes.length, clusterSize, empty)) await image.writeZeroes(at + from, to - from, true);
      }
    options.progress?.(extent.offset + extent.length, total);
  }
  await image.exclusive(async () => {
    const clusters = Math.ceil((await file.size()) / clusterSize);
    const { refcounts } = image.meta;
    for (let first = 0; first < clusters; ) {
      let end = first;
      while (end < clusters && (await refcounts.get(end)) === 0) end++;
      if (end > first) await file.discard?.(first * clusterSize, (end - first) * clusterSize);
      first = end + 1;
    }
    await file.truncate(Math.min(await file.size(), await image.meta.fileEnd()));
  });
}

/** Makes holes where the file of a raw image has zeros. */
export async function punchZeros(disk: BlockBackend, file: RandomAccessFile, options: TaskOptions = {}): Promise<void> {
  const total = await file.size();
  const bytes = new Uint8Array(CHUNK);
  for (let at = 0; at < total; at += CHUNK) {
    stopIfAborted(options, disk.info.label);
    const part = bytes.subarray(0, Math.min(CHUNK, total - at));
    await disk.read(at, part);
    const empty = (from: number, to: number) => isZero(part.subarray(from, to));
    for (const [from, to] of runs(part.length, ZERO_UNIT, empty)) await file.discard?.(at + from, to - from);
    options.progress?.(at + part.length, total);
  }
}
