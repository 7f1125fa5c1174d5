/** From guest offsets to where the bytes are. */
import type { Extent } from '../extent.ts';
import { corrupt } from './errors.ts';
import type { Layers } from './layers.ts';
import { badEntry, type ClusterKind, compressedPlace, entryBytes, hostOffset, kindAt } from './l2entry.ts';
import type { Metadata } from './metadata.ts';
import type { Table } from './tablecache.ts';
import { say } from '../../util/say.ts';

export const SUBCLUSTERS = 32;

export class Mapping {
  private readonly meta: Metadata;
  private readonly layers: Layers;
  /** Bytes that have one state: a cluster, or a 32nd of it. */
  readonly unit: number;
  private readonly entryBytes: number;
  private readonly covers: number;

  constructor(meta: Metadata, layers: Layers) {
    this.meta = meta;
    this.layers = layers;
    this.unit = meta.shape.extended ? meta.clusterSize / SUBCLUSTERS : meta.clusterSize;
    this.entryBytes = entryBytes(meta.shape);
    this.covers = meta.clusterSize * meta.perL2;
  }

  /** Number of the L2 table for the offset. */
  l2Index(offset: number): number {
    return Math.floor(offset / this.covers);
  }

  /** Byte of the entry in its L2 table. */
  entryAt(offset: number): number {
    return (Math.floor(offset / this.meta.clusterSize) % this.meta.perL2) * this.entryBytes;
  }

  /** The extent at `offset`, at most `length` bytes and within one L2 table. Throws 'corrupt'. */
  async extent(offset: number, length: number): Promise<Extent> {
    const inTable = Math.min(length, this.covers - (offset % this.covers));
    const found = this.meta.l2Table(this.l2Index(offset));
    const table = found instanceof Promise ? await found : found;
    if (!table) return this.empty('unallocated', offset, inTable);
    return this.inTable(table, offset, inTable);
  }

  /** The same within a table that is at hand. */
  inTable(table: Table, offset: number, length: number): Extent {
    const { meta, unit } = this;
    const { shape, clusterSize } = meta;
    const first = this.kindOf(table, offset);
    if (first === 'compressed') {
      const within = clusterSize - (offset % clusterSize);
      return { offset, length: Math.min(length, within), kind: 'compressed' };
    }
    const start = first === 'data' ? hostOffset(table.view, this.entryAt(offset)) + (offset % clusterSize) : 0;
    let done = unit - (offset % unit);
    while (done < length) {
      const next = offset + done;
      if (this.kindOf(table, next) !== first) break;
      if (first === 'data' && hostOffset(table.view, this.entryAt(next)) + (next % clusterSize) !== start + done) break;
      // A whole cluster of a standard entry at a time.
      done += shape.extended ? unit : clusterSize;
    }
    const taken = Math.min(done, length);
    if (first === 'data') return { offset, length: taken, kind: 'data', host: start };
    return this.empty(first, offset, taken);
  }

  /** What `unit` the offset lies in is. */
  kindOf(table: Table, offset: number): ClusterKind {
    const at = this.entryAt(offset);
    const bad = badEntry(this.meta.shape, table.view, at);
    if (bad) {
      void this.meta.markCorrupt();
      throw corrupt(this.meta.file.path, say('damageEntry', { problem: bad, offset }));
    }
    const sub = this.meta.shape.extended ? Math.floor((offset % this.meta.clusterSize) / this.unit) : 0;
    return kindAt(this.meta.shape, table.view, at, sub);
  }

  private empty(kind: 'unallocated' | 'zero', offset: number, length: number): Extent {
    if (kind === 'zero' || this.layers.backingIsZero(offset)) return { offset, length, kind: 'zero' };
    const below = this.layers.backing!.info.sizeBytes - offset;
    return { offset, length: Math.min(length, below), kind: 'backing' };
  }

  /** Where the packed data of the compressed cluster at `offset` lie. Throws 'corrupt' for a place outside the file. */
  async compressed(offset: number): Promise<{ host: number; length: number }> {
    const table = (await this.meta.l2Table(this.l2Index(offset)))!;
    const place = compressedPlace(this.meta.shape, table.view, this.entryAt(offset));
    if (place.host < this.meta.clusterSize || place.host > Number.MAX_SAFE_INTEGER - 2 ** 32)
      throw corrupt(this.meta.file.path, say('damageCompressedPlace', { offset }));
    return place;
  }
}
