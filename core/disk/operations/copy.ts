/** Copies what one disk holds to another, new one; what reads as zeros is left out. */
import type { BlockBackend } from '../../backend/block.ts';
import { pageAligned } from '../../util/pagealigned.ts';
import type { CompressedTarget } from '../compressed.ts';
import { isMapped, zerosFrom } from '../extent.ts';
import { Parallel } from '../parallel.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { dataRuns, isZero } from '../zeros.ts';
import { zeroRange } from './zerorange.ts';

/** Bytes read and written at once, and how many such pieces at a time. */
export const CHUNK = 4 << 20;
export const DEPTH = 4;

/** Zeros written at once. */
const ZEROS = 64 << 20;
/** Bytes of a piece of a copy: small enough that what was read is still in the processor's cache when it is written. */
const PIECE = 1 << 20;

/**
 * Brings the contents of `source` into `target`, which reads as zeros and is as large. `packed`: the target's way to write whole clusters
 * compressed. `overwrite`: the target holds something else and may be larger; zeros are written too. Rejects with what failed, or 'cancelled'; the target is worth nothing then.
 */
export async function copyContents(
  source: BlockBackend,
  target: BlockBackend,
  options: TaskOptions & { packed?: CompressedTarget | undefined; overwrite?: boolean } = {},
): Promise<void> {
  const total = source.info.sizeBytes;
  const { packed, overwrite } = options;
  const unit = packed ? packed.compressedUnit : PIECE;
  const jobs = new Parallel(DEPTH);
  // Used again and again: fresh memory costs the system as much as the copy. It begins at a page, for files that are written around the system's cache.
  const memory = pageAligned(DEPTH * unit);
  const buffers = Array.from({ length: DEPTH }, (_, n) => memory.subarray(n * unit, (n + 1) * unit));
  let done = 0;
  /** Up to here there is nothing to leave out as far as the source's tables tell; asking a file system takes its time. */
  let dataUntil = 0;
  const finished = (bytes: number) => {
    done += bytes;
    options.progress?.(Math.min(done, total), total);
  };
  try {
    for (let at = 0; at < total; ) {
      stopIfAborted(options, source.info.label);
      const zeros = at < dataUntil ? 0 : await zerosFrom(source, at, total);
      const known = packed && at + zeros < total ? zeros - (zeros % unit) : zeros;
      const skipped = overwrite ? Math.min(known, ZEROS) : known;
      if (skipped > 0) {
        if (overwrite) await zeroRange(target, at, skipped);
        at += skipped;
        finished(skipped);
        continue;
      }
      if (at >= dataUntil && isMapped(source)) {
        const { kind, length } = await source.extent(at, total - at);
        if (kind === 'data' || kind === 'compressed') dataUntil = at + length;
      }
      const from = at;
      const length = Math.min(unit, total - at);
      await jobs.add(async () => {
        const buffer = buffers.pop()!;
        const bytes = buffer.subarray(0, length);
        await source.read(from, bytes);
        if (overwrite) await target.write(from, bytes);
        else if (!packed) for (const [start, end] of dataRuns(bytes)) await target.write(from + start, bytes.subarray(start, end));
        else if (!isZero(bytes)) await packed.writeCompressed(from, bytes);
        buffers.push(buffer);
        finished(length);
      });
      at += length;
    }
  } catch (error) {
    await jobs.idle();
    throw error;
  }
  await jobs.finish();
}
