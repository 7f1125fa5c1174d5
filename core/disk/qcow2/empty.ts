import type { Qcow2Image } from './image.ts';
import { walk } from './tree.ts';

/**
 * The image holds nothing of its own any more: everything reads as the image below does. The header switches to an empty L1 table in one write; only
 * then is the room given back. Call it for images without snapshots.
 */
export function emptyImage(image: Qcow2Image): Promise<void> {
  return image.exclusive(async () => {
    const { meta } = image;
    const old = meta.l1;
    await meta.lock.run(async () => {
      await meta.replaceL1(new Uint8Array(old.byteLength));
      await walk(meta, old, {
        onTable: (_, cluster) => meta.free(cluster, 1),
        onClusters: (first, count) => meta.free(first, count),
      });
    });
  });
}
