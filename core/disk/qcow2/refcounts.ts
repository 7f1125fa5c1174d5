/**
 * Refcounts of host clusters and the search for free ones. Counts change in memory; commit.ts writes them, increments before what refers to the cluster,
 * decrements after nothing refers to it any more (the caller's duty). Call everything under the image's metadata lock.
 */
import type { RandomAccessFile } from '../../backend/file.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import { getU64, setU64, viewOf } from '../bigendian.ts';
import { corrupt } from './errors.ts';
import { type Header, MAX_OFFSET } from './header.ts';
import { readRefcount, refcountLimit, writeRefcount } from './refcountblock.ts';
import { type Table, TableCache } from './tablecache.ts';

const CACHE_BYTES = 16 << 20;

export class Refcounts {
  readonly cache: TableCache;
  private readonly path: string;
  private readonly clusterSize: number;
  private readonly order: number;
  /** Counts in one block. */
  readonly perBlock: number;
  /** Offsets of the blocks; 0: none, all its clusters are free. */
  private table: number[];
  /** Entries that the table in the file has room for. */
  private tableRoom: number;
  /** Entries of the table that differ from the file. */
  readonly dirtyEntries = new Set<number>();
  /** No cluster before this one is free. */
  private firstFree = 0;
  /** Clusters from this one on have never been used for anything. */
  private untouched: number;
  /** Where packed (compressed) data go on, within a cluster that has some; 0: in a new one. */
  packedEnd = 0;
  /** What is wrong with the table in the file. */
  readonly badEntries: Saying[] = [];

  private constructor(file: RandomAccessFile, header: Header, table: number[], fileBytes: number) {
    this.path = file.path;
    this.clusterSize = 2 ** header.clusterBits;
    this.order = header.refcountOrder;
    this.perBlock = (this.clusterSize * 8) / 2 ** header.refcountOrder;
    this.cache = new TableCache(file, this.clusterSize, CACHE_BYTES);
    this.table = table;
    this.tableRoom = table.length;
    this.untouched = Math.ceil(fileBytes / this.clusterSize);
  }

  /** Throws 'corrupt' for a table that can't be; `tolerant`: notes it in `badEntries`. */
  static async open(file: RandomAccessFile, header: Header, tolerant: boolean): Promise<Refcounts> {
    const clusterSize = 2 ** header.clusterBits;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterSize);
    await file.read(header.refcountTableOffset, bytes);
    const view = viewOf(bytes);
    const table: number[] = [];
    const bad: Saying[] = [];
    for (let at = 0; at < bytes.length; at += 8) {
      const offset = getU64(view, at);
      if (offset % clusterSize || offset > MAX_OFFSET) {
        const what = say('damageRefcountEntry', { number: at / 8, offset });
        if (!tolerant) throw corrupt(file.path, what);
        bad.push(what);
        table.push(0);
      } else table.push(offset);
    }
    const refcounts = new Refcounts(file, header, table, await file.size());
    refcounts.badEntries.push(...bad);
    return refcounts;
  }

  /** Offsets of all refcount blocks, by number. */
  get blockOffsets(): readonly number[] {
    return this.table;
  }

  /** True when the table has outgrown its place in the file (growTable). */
  get outgrown(): boolean {
    return this.table.length > this.tableRoom;
  }

  async get(cluster: number): Promise<number> {
    const block = await this.blockOf(cluster);
    return block ? readRefcount(block.view, this.order, cluster % this.perBlock) : 0;
  }

  /** Adds `by` to the counts of `count` clusters from `first`. Throws 'corrupt' when one would go below zero or nothing counts it, 'resource-limit' when above its width. */
  async add(first: number, count: number, by: number): Promise<void> {
    for (let cluster = first; cluster < first + count; cluster++) {
      const block = await this.blockOf(cluster);
      // Whoever takes clusters has made their block. The others have their numbers from the file.
      if (!block) throw corrupt(this.path, by < 0 ? say('damageFreedTwice', { cluster }) : say('damageNotCounted', { cluster }));
      const index = cluster % this.perBlock;
      const value = readRefcount(block.view, this.order, index) + by;
      if (value < 0) throw corrupt(this.path, say('damageFreedTwice', { cluster }));
      if (value > refcountLimit(this.order))
        throw new HypervueError(
          'resource-limit',
          say('refcountMost', { path: this.path, most: refcountLimit(this.order) }),
          { path: this.path, operation: 'count references' },
          say('fixWiderRefcounts'),
        );
      writeRefcount(block.view, this.order, index, value);
      this.cache.markDirty(block);
      if (value > 0) continue;
      if (cluster < this.firstFree) this.firstFree = cluster;
      if (cluster === Math.floor(this.packedEnd / this.clusterSize)) this.packedEnd = 0;
    }
  }

  /**
   * Takes up to `wanted` free clusters in a row (at least one, exactly `wanted` when `exact`), with a refcount of one each.
   * Returns the first one's number, how many, and whether they have never been used for anything, so that the file has zeros there.
   */
  async allocate(wanted: number, exact: boolean): Promise<{ first: number; count: number; fresh: boolean }> {
    // Each new block lies in the first cluster that it counts, which would cut such a row in pieces for ever.
    if (exact && wanted >= this.perBlock) return this.allocateBehind(wanted);
    let first = -1;
    let count = 0;
    let cluster = this.firstFree;
    let lowestFree = -1;
    while (count < wanted) {
      if (cluster * this.clusterSize > MAX_OFFSET) throw corrupt(this.path, say('damageNoCluster'));
      const block = await this.blockOf(cluster);
      if (!block) {
        const next = (Math.floor(cluster / this.perBlock) + 1) * this.perBlock;
        if (next - this.perBlock >= this.untouched) await this.makeBlock(cluster);
        else if (count && !exact) break;
        else {
          // A part of the file that nothing counts: there is no telling what lies there.
          cluster = next;
          count = 0;
        }
        continue;
      }
      if (readRefcount(block.view, this.order, cluster % this.perBlock) === 0) {
        if (lowestFree < 0) lowestFree = cluster;
        if (count === 0) first = cluster;
        count++;
      } else if (count && !exact) break;
      else count = 0;
      cluster++;
    }
    // Making blocks may have taken clusters of the row: they would have been seen as used, as the search goes upwards.
    await this.add(first, count, 1);
    this.firstFree = lowestFree === first ? first + count : lowestFree;
    const fresh = first >= this.untouched;
    this.untouched = Math.max(this.untouched, first + count);
    return { first, count, fresh };
  }

  /** A row longer than what a block counts: behind everything else, and before it all the blocks that it needs, which count themselves too. */
  private async allocateBehind(wanted: number): Promise<{ first: number; count: number; fresh: boolean }> {
    const number = Math.max(this.table.length, Math.ceil(this.untouched / this.perBlock));
    const blocks = Math.ceil(wanted / (this.perBlock - 1));
    const start = number * this.perBlock;
    const first = start + blocks;
    if ((first + wanted) * this.clusterSize > MAX_OFFSET) throw corrupt(this.path, say('damageNoCluster'));
    for (let i = 0; i < blocks; i++) this.placeBlock(number + i, start + i);
    this.untouched = first + wanted;
    await this.add(start, blocks + wanted, 1);
    return { first, count: wanted, fresh: true };
  }

  /** Clusters from this one on have never been used since the image was opened, and the file did not have them. */
  get usedEnd(): number {
    return this.untouched;
  }

  /** Number of the cluster after the last one that has a count. */
  async end(): Promise<number> {
    for (let i = this.table.length - 1; i >= 0; i--) {
      if (!this.table[i]) continue;
      const block = await this.cache.get(this.table[i]!);
      for (let index = this.perBlock - 1; index >= 0; index--)
        if (readRefcount(block.view, this.order, index)) return i * this.perBlock + index + 1;
    }
    return 0;
  }

  /** The table as it is to be in the file. `room` is in entries. */
  encodeTable(room: number): Uint8Array {
    const bytes = new Uint8Array(room * 8);
    const view = viewOf(bytes);
    this.table.forEach((offset, i) => {
      setU64(view, i * 8, offset);
    });
    return bytes;
  }

  /** Clusters that a table for all blocks, and half as many again, takes. */
  get tableClustersWanted(): number {
    return Math.ceil((this.table.length * 1.5 * 8) / this.clusterSize);
  }

  /** The table has a new place with room for `entries`. */
  tableMoved(entries: number): void {
    this.tableRoom = entries;
    this.dirtyEntries.clear();
  }

  private async blockOf(cluster: number): Promise<Table | undefined> {
    const offset = this.table[Math.floor(cluster / this.perBlock)];
    return offset ? (this.cache.peek(offset) ?? this.cache.get(offset)) : undefined;
  }

  /** A block for the counts around `cluster`. All clusters it counts are free, so it lies in the first of them. Throws 'corrupt' when they are not. */
  private async makeBlock(cluster: number): Promise<Table> {
    const number = Math.floor(cluster / this.perBlock);
    const first = number * this.perBlock;
    if (first < this.untouched) throw corrupt(this.path, say('damageNotCounted', { cluster }));
    const block = this.placeBlock(number, first);
    writeRefcount(block.view, this.order, 0, 1);
    this.untouched = Math.max(this.untouched, first + 1);
    return block;
  }

  /** An empty block with that number, in `cluster`, which is not counted yet. */
  private placeBlock(number: number, cluster: number): Table {
    const block = this.cache.create(cluster * this.clusterSize);
    while (this.table.length <= number) this.table.push(0);
    this.table[number] = block.offset;
    this.dirtyEntries.add(number);
    return block;
  }
}
