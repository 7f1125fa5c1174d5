/** Walks what an L1 table refers to: its L2 tables and their clusters. */
import { corrupt } from './errors.ts';
import { l1TableOffset } from './l1entry.ts';
import { badEntry, compressedPlace, entryBytes, hasHost, hostOffset, isCompressed } from './l2entry.ts';
import type { Metadata } from './metadata.ts';
import type { Table } from './tablecache.ts';
import { say } from '../../util/say.ts';

/** Host clusters that the L2 entry at `at` refers to: first and count; count 0 for none. Entries that can't be refer to nothing. */
export function clustersOf(meta: Metadata, table: Table, at: number): { first: number; count: number } {
  const { shape, clusterSize } = meta;
  if (badEntry(shape, table.view, at)) return { first: 0, count: 0 };
  if (isCompressed(table.view, at)) {
    const { host, length } = compressedPlace(shape, table.view, at);
    const first = Math.floor(host / clusterSize);
    return { first, count: Math.floor((host + length - 1) / clusterSize) - first + 1 };
  }
  if (shape.externalData || !hasHost(shape, table.view, at)) return { first: 0, count: 0 };
  return { first: hostOffset(table.view, at) / clusterSize, count: 1 };
}

/**
 * Calls `onTable` for every L2 table of the L1 table, then `onClusters` for what each of its entries refers to. L1 entries that point to no cluster
 * are left out. Throws 'corrupt' for what points behind the end of the file. The walk holds no table longer than its turn.
 */
export async function walk(
  meta: Metadata,
  l1: DataView,
  visitor: {
    onTable?(index: number, cluster: number, table: Table): void | Promise<void>;
    onClusters?(first: number, count: number, table: Table, at: number): void | Promise<void>;
  },
): Promise<void> {
  const step = entryBytes(meta.shape);
  const limit = await meta.clusters();
  for (let index = 0; index < l1.byteLength / 8; index++) {
    const offset = l1TableOffset(l1, index);
    if (!offset || offset % meta.clusterSize) continue;
    if (offset / meta.clusterSize >= limit) throw corrupt(meta.file.path, say('damageL1Behind', { number: index }));
    const table = await meta.l2.get(offset);
    await visitor.onTable?.(index, offset / meta.clusterSize, table);
    if (!visitor.onClusters) continue;
    for (let at = 0; at < table.bytes.length; at += step) {
      const { first, count } = clustersOf(meta, table, at);
      if (!count) continue;
      if (first + count > limit) throw corrupt(meta.file.path, say('damageL2Behind', { entry: at / step, table: index, cluster: first }));
      const waiting = visitor.onClusters(first, count, table, at);
      if (waiting) await waiting;
    }
  }
}
