/** What an internal snapshot keeps that nothing else in the image refers to. */
import type { Qcow2Image } from './image.ts';
import { isCompressed } from './l2entry.ts';
import { findSnapshot, readL1, readSnapshots } from './snapshots.ts';
import { viewOf } from '../bigendian.ts';
import { walk } from './tree.ts';

/** Bytes that deleting the snapshot gives back: clusters, tables and its L1 table. Throws 'not-found' or 'corrupt'. Changes nothing. */
export async function snapshotRoom(image: Qcow2Image, idOrName: string): Promise<number> {
  const { meta } = image;
  const entry = findSnapshot((await readSnapshots(image)).entries, idOrName, image);
  let clusters = Math.max(1, Math.ceil((entry.l1Entries * 8) / meta.clusterSize));
  /** Several packed clusters of one snapshot lie in one host cluster, and each is a reference. */
  const packed = new Map<number, number>();
  await walk(meta, viewOf(await readL1(image, entry)), {
    onTable: async (_, cluster) => {
      if ((await meta.refcounts.get(cluster)) === 1) clusters++;
    },
    onClusters: async (first, count, table, at) => {
      if (isCompressed(table.view, at)) {
        for (let cluster = first; cluster < first + count; cluster++) packed.set(cluster, (packed.get(cluster) ?? 0) + 1);
      } else if ((await meta.refcounts.get(first)) === 1) clusters++;
    },
  });
  for (const [cluster, references] of packed) if ((await meta.refcounts.get(cluster)) === references) clusters++;
  return clusters * meta.clusterSize;
}
