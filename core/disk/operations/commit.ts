/**
 * Commit: what an overlay holds goes into the image below it. The overlay hides every range while it is written below, so that it reads the same at
 * every instant; only when all of it is durable is the overlay emptied, in one write of one sector. A commit that was cut off is done again.
 */
import type { BlockBackend } from '../../backend/block.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { extents } from '../extent.ts';
import { Parallel } from '../parallel.ts';
import type { Qcow2Image } from '../qcow2/image.ts';
import { emptyImage } from '../qcow2/empty.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { CHUNK, DEPTH } from './copy.ts';
import { zeroRange } from './zerorange.ts';

/** A disk that can become larger. */
interface Resizable {
  resize(sizeBytes: number): Promise<void>;
}

/** Throws 'unsupported' when the image has snapshots, which would show other contents once `what` is done. */
export function refuseSnapshots(image: Qcow2Image, what: string): void {
  if (!image.header.snapshotCount) return;
  throw new HypervueError(
    'unsupported',
    say('snapshotsWouldChange', { path: image.info.label, count: image.header.snapshotCount, what }),
    { path: image.info.label, operation: what },
    say('fixSnapshotsOrCopy'),
  );
}

/**
 * Writes what `top` holds itself into `base`, the image that lies below it, opened for writing, and empties `top`. Both stay open. When it is cancelled or
 * fails, `top` reads as before; `base` alone may then hold some of it.
 */
export async function commitInto(top: Qcow2Image, base: BlockBackend, options: TaskOptions = {}): Promise<void> {
  refuseSnapshots(top, 'a commit');
  const total = top.info.sizeBytes;
  if (base.info.sizeBytes < total) await (base as BlockBackend & Resizable).resize(total);
  const jobs = new Parallel(DEPTH);
  try {
    for await (const extent of extents(top, 0, total)) {
      if (extent.kind !== 'backing')
        for (let done = 0; done < extent.length; ) {
          stopIfAborted(options, top.info.label);
          const at = extent.offset + done;
          const length = extent.kind === 'zero' ? extent.length : Math.min(CHUNK, extent.length - done);
          await jobs.add(async () => {
            if (extent.kind === 'zero') return zeroRange(base, at, length);
            const bytes = new Uint8Array(length);
            await top.read(at, bytes);
            await base.write(at, bytes);
          });
          done += length;
          options.progress?.(at + length, total);
        }
    }
  } catch (error) {
    await jobs.idle();
    throw error;
  }
  await jobs.finish();
  stopIfAborted(options, top.info.label);
  await base.flush();
  await emptyImage(top);
  options.progress?.(total, total);
}
