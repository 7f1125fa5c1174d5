/**
 * Rebase: an overlay gets another image below it and reads as before. First what would change is written into the overlay, which changes nothing yet;
 * when that is durable the header switches to the new name in one write of one sector.
 */
import type { BlockBackend, BlockInfo } from '../../backend/block.ts';
import { type Extent, extents, type MappedDisk, zerosFrom } from '../extent.ts';
import { setBackingFile } from '../qcow2/backinglink.ts';
import type { Qcow2Image } from '../qcow2/image.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { firstDifference, isZero, runs } from '../zeros.ts';
import { refuseSnapshots } from './commit.ts';
import { readPadded } from './compare.ts';
import { CHUNK } from './copy.ts';

/**
 * An image below that is as large as the one on top: where it has ended, the overlay must be asked to keep zeros of its own, which it would not be if it
 * saw the end.
 */
export class PaddedDisk implements MappedDisk {
  readonly info: BlockInfo;
  readonly backing: BlockBackend | undefined;

  /** Without a disk it is all zeros. */
  constructor(disk: BlockBackend | undefined, sizeBytes: number) {
    this.backing = disk;
    this.info = { sizeBytes, readOnly: true, label: disk?.info.label ?? 'nothing' };
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    if (this.backing) await readPadded(this.backing, offset, target);
    else target.fill(0);
  }

  async extent(offset: number, length: number): Promise<Extent> {
    const there = (this.backing?.info.sizeBytes ?? 0) - offset;
    if (there <= 0) return { offset, length, kind: 'zero' };
    return { offset, length: Math.min(length, there), kind: 'backing' };
  }

  write(): Promise<void> {
    return Promise.reject(new Error('a padded disk is for reading'));
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.backing?.close();
  }
}

/**
 * `top` lies on a PaddedDisk over the image that is below it now, and gets `next` (none: it will stand by itself), which `name` and `format` of its header
 * are to say. When it is cancelled or fails, `top` reads as before and lies where it lay.
 */
export async function rebaseOnto(
  top: Qcow2Image,
  next: BlockBackend | undefined,
  link: { name: string; format: string } | undefined,
  options: TaskOptions = {},
): Promise<void> {
  refuseSnapshots(top, 'a rebase');
  const total = top.info.sizeBytes;
  const old = top.backing!;
  const now = new Uint8Array(CHUNK);
  const then = new Uint8Array(CHUNK);
  for await (const extent of extents(top, 0, total)) {
    if (extent.kind === 'backing')
      for (let at = extent.offset; at < extent.offset + extent.length; ) {
        stopIfAborted(options, top.info.label);
        const end = extent.offset + extent.length;
        const same = await sameFrom(old, next, at, end);
        const length = Math.min(CHUNK, end - at);
        if (!same) {
          const left = now.subarray(0, length);
          const right = then.subarray(0, length);
          await readPadded(old, at, left);
          if (next) await readPadded(next, at, right);
          else right.fill(0);
          const different = (from: number, to: number) => firstDifference(left.subarray(from, to), right.subarray(from, to)) >= 0;
          for (const [from, to] of runs(length, top.mapping.unit, different)) await keep(top, at + from, left.subarray(from, to));
        }
        at += same || length;
        options.progress?.(at, total);
      }
  }
  await top.flush();
  stopIfAborted(options, top.info.label);
  await setBackingFile(top, link);
  options.progress?.(total, total);
}

/** Bytes from `at` on that are the same in both without a look at them. */
async function sameFrom(old: BlockBackend, next: BlockBackend | undefined, at: number, end: number): Promise<number> {
  const left = await zerosFrom(old, at, end);
  return next && left ? Math.min(left, await zerosFrom(next, at, end)) : left;
}

/** The overlay holds these bytes itself. */
async function keep(top: Qcow2Image, at: number, bytes: Uint8Array): Promise<void> {
  if (isZero(bytes)) await top.writeZeroes(at, bytes.length, true);
  else await top.write(at, bytes);
}
