/** Tells where guest bytes lie, for a machine that reads and writes them in the file without asking the image each time. */
import { type Placement, REGION_BYTES } from '../../backend/placement.ts';
import { roundDown } from '../bigendian.ts';
import { isCopied } from './l2entry.ts';
import type { Layers } from './layers.ts';
import type { Mapping } from './mapping.ts';
import type { Metadata } from './metadata.ts';

/**
 * The run of clusters around `offset` (below `sizeBytes`), at most a region. Undefined when its table is not in memory, or the bytes are packed, encrypted,
 * zeros or nowhere. Throws 'corrupt'. `mayWrite`: clusters that are ours alone may be written in place.
 */
export function placeOf(
  { meta, layers, mapping }: { meta: Metadata; layers: Layers; mapping: Mapping },
  offset: number,
  sizeBytes: number,
  mayWrite: boolean,
): Placement | undefined {
  if (layers.encrypted) return undefined;
  const { clusterSize } = meta;
  const index = mapping.l2Index(offset);
  const tableOffset = meta.l2Offset(index);
  const table = tableOffset ? meta.l2.peek(tableOffset) : undefined;
  if (tableOffset && !table) return undefined;
  const unit = mapping.unit;
  const tableStart = index * clusterSize * meta.perL2;
  const end = Math.min(roundDown(offset, REGION_BYTES) + REGION_BYTES, sizeBytes, (index + 1) * clusterSize * meta.perL2);
  let start = table ? Math.max(roundDown(offset, REGION_BYTES), tableStart) : roundDown(offset, unit);
  let extent = table ? mapping.inTable(table, start, end - start) : undefined;
  while (table && extent && start + extent.length <= offset) {
    start += extent.length;
    extent = mapping.inTable(table, start, end - start);
  }
  if (extent?.kind === 'data') {
    const { descriptor } = layers.data;
    if (descriptor === undefined) return undefined;
    /** Whether the cluster there may be written in place. */
    const own = (at: number) => mayWrite && meta.l1Copied(index) && isCopied(table!.view, mapping.entryAt(at));
    const writable = own(offset);
    let from = offset - (offset % clusterSize);
    while (from > start && own(from - clusterSize) === writable) from -= clusterSize;
    from = Math.max(from, start);
    let to = roundDown(offset, clusterSize) + clusterSize;
    while (to < start + extent.length && own(to) === writable) to += clusterSize;
    to = Math.min(to, start + extent.length);
    const host = extent.host! + (from - start);
    const length = to - from;
    return { offset: from, length, descriptor, host, writable: writable && meta.metadataAt(host, length) === undefined };
  }
  const { backing } = layers;
  if (!backing || (extent && extent.kind !== 'backing') || offset >= backing.info.sizeBytes) return undefined;
  const below = backing.place?.(offset);
  if (!below) return undefined;
  const from = Math.max(start, below.offset);
  const to = Math.min(extent ? start + extent.length : end, below.offset + below.length);
  return { ...below, offset: from, length: to - from, host: below.host + (from - below.offset), writable: false };
}
