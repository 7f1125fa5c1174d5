import type { BlockBackend } from '../../backend/block.ts';
import { zerosFrom } from '../extent.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { firstDifference } from '../zeros.ts';
import { CHUNK } from './copy.ts';

/** Reads; what lies behind the end of the disk is zeros. */
export async function readPadded(disk: BlockBackend, offset: number, target: Uint8Array): Promise<void> {
  const there = Math.max(0, Math.min(target.length, disk.info.sizeBytes - offset));
  if (there) await disk.read(offset, target.subarray(0, there));
  target.fill(0, there);
}

/** Offset of the first byte that differs, undefined when both disks hold the same. What one has beyond the other's end counts as zeros. */
export async function compareDisks(a: BlockBackend, b: BlockBackend, options: TaskOptions = {}): Promise<number | undefined> {
  const total = Math.max(a.info.sizeBytes, b.info.sizeBytes);
  const left = new Uint8Array(CHUNK);
  const right = new Uint8Array(CHUNK);
  for (let at = 0; at < total; ) {
    stopIfAborted(options, a.info.label);
    const zeros = Math.min(await zerosFrom(a, at, total), await zerosFrom(b, at, total));
    const length = Math.min(CHUNK, total - at);
    if (!zeros) {
      await Promise.all([readPadded(a, at, left.subarray(0, length)), readPadded(b, at, right.subarray(0, length))]);
      const different = firstDifference(left.subarray(0, length), right.subarray(0, length));
      if (different >= 0) return at + different;
    }
    at += zeros || length;
    options.progress?.(at, total);
  }
  return undefined;
}

/** Offset of the first byte from `from` on that is not zero, undefined when there is none. */
export async function firstData(disk: BlockBackend, from: number, options: TaskOptions = {}): Promise<number | undefined> {
  const total = disk.info.sizeBytes;
  const bytes = new Uint8Array(CHUNK);
  for (let at = from; at < total; ) {
    stopIfAborted(options, disk.info.label);
    const zeros = await zerosFrom(disk, at, total);
    const part = bytes.subarray(0, Math.min(CHUNK, total - at));
    if (!zeros) {
      await disk.read(at, part);
      const data = part.findIndex((byte) => byte !== 0);
      if (data >= 0) return at + data;
    }
    at += zeros || part.length;
    options.progress?.(at - from, total - from);
  }
  return undefined;
}
