/**
 * What maps guest clusters to the file: header, L1 table, L2 tables, refcounts, and the order in which changes of them reach the disk (`commit`).
 *
 * The order makes the image valid whatever write was the last to arrive, and in whatever order those between two syncs arrived:
 * 1. refcounts that went up, 2. sync (with the data), 3. L2 tables, new ones before the L1 entries that point to them, 4. sync,
 * 5. only then refcounts of what nothing refers to any more go down. What a crash leaves is at worst clusters counted and not used.
 */
import type { RandomAccessFile } from '../../backend/file.ts';
import { setU64, viewOf } from '../bigendian.ts';
import { Mutex } from '../mutex.ts';
import { corrupt } from './errors.ts';
import { encodeHeader, extendedL2, type Header, INCOMPAT_CORRUPT, INCOMPAT_DATA_FILE, MAX_OFFSET } from './header.ts';
import { switchHeader } from './headerswitch.ts';
import { IoCounter } from './iocounter.ts';
import { entryBytes, type L2Shape } from './l2entry.ts';
import { Refcounts } from './refcounts.ts';
import { l1TableOffset } from './l1entry.ts';
import { type Table, TableCache } from './tablecache.ts';
import { say, type Saying } from '../../util/say.ts';

const L2_CACHE_BYTES = 32 << 20;
/** Dirty tables from which on a commit begins by itself, and from which on writers wait for it. */
const MANY_DIRTY = 64;
const TOO_MANY_DIRTY = 256;

const L1_COPIED = 0x8000_0000;

interface Freed {
  first: number;
  count: number;
  epoch: number;
}

export class Metadata {
  readonly file: RandomAccessFile;
  readonly header: Header;
  readonly shape: L2Shape;
  readonly clusterSize: number;
  /** Entries of one L2 table. */
  readonly perL2: number;
  refcounts: Refcounts;
  readonly l2: TableCache;
  /** Held by everything that changes tables. Never while asking for a commit. */
  readonly lock = new Mutex();
  readonly io = new IoCounter();
  l1: DataView;
  /** Syncs the data file too, when there is one. */
  syncData: () => Promise<void> = async () => {};
  /** Before the first change of the image. */
  onFirstChange: () => Promise<void> = async () => {};
  /** The image itself has something in another place of the file than before, or it is known only now. */
  onTable: () => void = () => {};
  /** The first change of the image has been prepared. */
  changeable = false;
  /** An operation on snapshots did not come to marking what is ours alone since (snapshots.ts). */
  marksOpen = false;
  private changed: Promise<void> | undefined;
  private readonly dirtyL1 = new Set<number>();
  private readonly committing = new Mutex();
  private queued: Promise<void> | undefined;
  private freed: Freed[] = [];

  private constructor(file: RandomAccessFile, header: Header, refcounts: Refcounts, l1: Uint8Array) {
    this.file = file;
    this.header = header;
    this.clusterSize = 2 ** header.clusterBits;
    this.shape = {
      clusterBits: header.clusterBits,
      extended: extendedL2(header),
      version: header.version,
      externalData: (header.incompatible & INCOMPAT_DATA_FILE) !== 0,
    };
    this.perL2 = this.clusterSize / entryBytes(this.shape);
    this.refcounts = refcounts;
    this.l2 = new TableCache(file, this.clusterSize, L2_CACHE_BYTES);
    this.l2.onInsert = refcounts.cache.onInsert = () => this.onTable();
    this.l1 = viewOf(l1);
  }

  /** `tolerant`: refcount structures that can't be are noted instead of refused, for the repair. */
  static async open(file: RandomAccessFile, header: Header, tolerant: boolean): Promise<Metadata> {
    const refcounts = await Refcounts.open(file, header, tolerant);
    const l1 = new Uint8Array(header.l1Entries * 8);
    if ((await file.read(header.l1Offset, l1)) < l1.length) throw corrupt(file.path, say('damageL1Cut'));
    return new Metadata(file, header, refcounts, l1);
  }

  // ---- L1 and L2 --------------------------------------------------------------------------------------------------------------------------

  /** Offset of L2 table number `index`, 0 when there is none. Throws 'corrupt' for one that can't be. */
  l2Offset(index: number): number {
    const offset = l1TableOffset(this.l1, index);
    if (offset % this.clusterSize || offset > MAX_OFFSET) throw corrupt(this.file.path, say('damageL1Place', { number: index, offset }));
    return offset;
  }

  /** True when no snapshot shares L2 table number `index`. */
  l1Copied(index: number): boolean {
    return (this.l1.getUint32(index * 8) & L1_COPIED) !== 0;
  }

  setL1Copied(index: number, copied: boolean): void {
    const high = this.l1.getUint32(index * 8);
    this.l1.setUint32(index * 8, (copied ? high | L1_COPIED : high & ~L1_COPIED) >>> 0);
    this.dirtyL1.add(index);
  }

  /**
   * Throws 'corrupt' when guest data would be written over what the image itself is made of: an entry of the mapping that points there comes from
   * damage or from malice.
   */
  refuseMetadata(host: number, length: number): void {
    const what = this.metadataAt(host, length);
    if (!what) return;
    void this.markCorrupt();
    throw corrupt(this.file.path, say('damageDataOn', { what, offset: host }));
  }

  /** What of the image itself lies in these bytes of the file, as far as its tables are in memory. */
  metadataAt(host: number, length: number): Saying | undefined {
    if (this.shape.externalData) return undefined;
    const { header, clusterSize } = this;
    const hits = (offset: number, bytes: number) => host < offset + bytes && offset < host + length;
    if (hits(0, clusterSize)) return say('damageTheHeader');
    if (hits(header.l1Offset, header.l1Entries * 8)) return say('damageTheL1');
    if (hits(header.refcountTableOffset, header.refcountTableClusters * clusterSize)) return say('damageTheRefcounts');
    if (header.luks && hits(header.luks.offset, header.luks.length)) return say('damageTheLuks');
    for (let at = host - (host % clusterSize); at < host + length; at += clusterSize)
      if (this.l2.peek(at)) return say('damageAnL2');
      else if (this.refcounts.cache.peek(at)) return say('damageARefcountBlock');
    return undefined;
  }

  /** The L2 table, or undefined when nothing in its range is allocated. */
  l2Table(index: number): Table | undefined | Promise<Table> {
    const offset = this.l2Offset(index);
    return offset ? (this.l2.peek(offset) ?? this.l2.get(offset)) : undefined;
  }

  /** The L2 table for changing: made, or copied when a snapshot shares it. Under the lock. */
  async l2ForWriting(index: number): Promise<Table> {
    const offset = this.l2Offset(index);
    if (offset && this.l1.getUint32(index * 8) & L1_COPIED) return this.l2.peek(offset) ?? this.l2.get(offset);
    const old = offset ? await this.l2.get(offset) : undefined;
    const { first } = await this.refcounts.allocate(1, true);
    const table = this.l2.create(first * this.clusterSize, old?.bytes.slice());
    this.setL1(index, table.offset);
    if (offset) this.free(offset / this.clusterSize, 1);
    return table;
  }

  private setL1(index: number, offset: number): void {
    setU64(this.l1, index * 8, offset);
    this.l1.setUint32(index * 8, (this.l1.getUint32(index * 8) | L1_COPIED) >>> 0);
    this.dirtyL1.add(index);
  }

  /** Where the last used cluster ends. */
  async fileEnd(): Promise<number> {
    return (await this.lock.run(() => this.refcounts.end())) * this.clusterSize;
  }

  /** Clusters that the file has or that are allocated: nothing may point behind them. */
  async clusters(): Promise<number> {
    return Math.max(Math.ceil((await this.file.size()) / this.clusterSize), this.refcounts.usedEnd);
  }

  /** Makes the file at least this long. */
  async growTo(bytes: number): Promise<void> {
    if ((await this.file.size()) < bytes) await this.file.truncate(bytes);
  }

  /** Nothing refers to these clusters any more once the present tables are on disk. Under the lock. */
  free(first: number, count: number): void {
    const last = this.freed.at(-1);
    if (last && last.first + last.count === first && last.epoch === this.io.now) last.count += count;
    else this.freed.push({ first, count, epoch: this.io.now });
  }

  /** The refcounts in the file are others than before. */
  async reloadRefcounts(): Promise<void> {
    this.refcounts = await Refcounts.open(this.file, this.header, false);
    this.refcounts.cache.onInsert = () => this.onTable();
  }

  // ---- Commit ------------------------------------------------------------------------------------------------------------------------------

  /** Puts bytes into clusters of their own, filled up with zeros, and gives the first one's number. Neither they nor their counts are synced. Under the lock. */
  async writeClusters(bytes: Uint8Array): Promise<number> {
    const clusters = Math.max(1, Math.ceil(bytes.length / this.clusterSize));
    const { first } = await this.refcounts.allocate(clusters, true);
    const padded = new Uint8Array(clusters * this.clusterSize);
    padded.set(bytes);
    await this.file.write(first * this.clusterSize, padded);
    return first;
  }

  /** Something in memory is not in the file yet. */
  get needsCommit(): boolean {
    return this.l2.dirty.size > 0 || this.dirtyL1.size > 0 || this.refcounts.cache.dirty.size > 0 || this.freed.length > 0;
  }

  /** Call before a change: marks the image as changed, and waits while far too much of it is in memory only. Not under the lock. */
  async beforeChange(): Promise<void> {
    this.changed ??= this.onFirstChange().catch((error) => {
      this.changed = undefined;
      throw error;
    });
    await this.changed;
    this.changeable = true;
    const dirty = this.l2.dirty.size + this.refcounts.cache.dirty.size;
    if (dirty > TOO_MANY_DIRTY) await this.commit();
    // A failure shows at the next flush.
    else if (dirty > MANY_DIRTY && !this.queued) this.commit().catch(() => {});
  }

  /** Everything acknowledged before the call is on stable storage when it resolves. Callers that come while one runs share the next. */
  commit(): Promise<void> {
    this.queued ??= this.committing.run(() => {
      this.queued = undefined;
      return this.commitNow();
    });
    return this.queued;
  }

  /**
   * Tables in which nothing but marks "used once" has changed are on stable storage when it resolves, and the counts that went down are not yet: what a
   * power cut leaves then are leaks, with the counts first it would be marks that are missing.
   */
  commitMarks(): Promise<void> {
    return this.committing.run(() => this.writeTables(async () => {}));
  }

  private async commitNow(): Promise<void> {
    // What is free is what was unlinked before the tables' copies were made.
    const freed = this.freed.splice(0);
    try {
      await this.writeTables(() => this.writeRefcounts(false));
    } catch (error) {
      this.freed.unshift(...freed);
      throw error;
    }
    await this.lock.run(() => this.release(freed));
  }

  private async writeTables(first: () => Promise<void>): Promise<void> {
    const tables = [...this.l2.dirty.values()].map((table) => ({ table, bytes: table.bytes.slice() }));
    const l1 = [...this.dirtyL1].map((index) => ({ index, value: this.l1.getBigUint64(index * 8) }));
    for (const { table } of tables) {
      this.l2.markClean(table);
      table.pins++;
    }
    this.dirtyL1.clear();
    this.io.advance();
    try {
      await first();
      if (tables.length) {
        await this.sync();
        for (const { table, bytes } of tables) await this.file.write(table.offset, bytes);
      }
      if (l1.length) {
        await this.file.sync();
        for (const { index, value } of l1) {
          const entry = new Uint8Array(8);
          viewOf(entry).setBigUint64(0, value);
          await this.file.write(this.header.l1Offset + index * 8, entry);
        }
      }
      await this.sync();
    } catch (error) {
      for (const { table } of tables) if (this.l2.peek(table.offset) === table) this.l2.markDirty(table);
      for (const { index } of l1) this.dirtyL1.add(index);
      throw error;
    } finally {
      for (const { table } of tables) table.pins--;
    }
  }

  private async sync(): Promise<void> {
    await this.syncData();
    await this.file.sync();
  }

  /** Counts down what nothing refers to; what a running read may still look at waits for the next commit. Under the lock. */
  private async release(freed: Freed[]): Promise<void> {
    for (const entry of freed) {
      if (!this.io.over(entry.epoch)) {
        this.freed.push(entry);
        continue;
      }
      await this.refcounts.add(entry.first, entry.count, -1);
      await this.dropFree(entry.first, entry.count);
    }
  }

  /** Gives clusters that nobody uses any more back to the file system. */
  private async dropFree(first: number, count: number): Promise<void> {
    for (let cluster = first; cluster < first + count; cluster++) {
      if ((await this.refcounts.get(cluster)) !== 0) continue;
      this.l2.forget(cluster * this.clusterSize);
      let end = cluster + 1;
      while (end < first + count && (await this.refcounts.get(end)) === 0) this.l2.forget(end++ * this.clusterSize);
      await this.file.discard?.(cluster * this.clusterSize, (end - cluster) * this.clusterSize);
      cluster = end - 1;
    }
  }

  /** Refcounts as they are now; synced only where the order among them asks for it. `locked`: the caller holds the lock. */
  async writeRefcounts(locked: boolean): Promise<void> {
    const { refcounts } = this;
    if (refcounts.outgrown) await (locked ? this.moveRefcountTable() : this.lock.run(() => this.moveRefcountTable()));
    const entries = [...refcounts.dirtyEntries];
    refcounts.dirtyEntries.clear();
    const room = (this.header.refcountTableClusters * this.clusterSize) / 8;
    try {
      await this.writeRefcountBlocks();
      // A block that came meanwhile and has no room in the table waits for the next commit; so do the tables that need it (they were not dirty above).
      const mine = entries.filter((index) => index < room);
      if (mine.length) await this.file.sync();
      for (const index of mine) {
        const entry = new Uint8Array(8);
        setU64(viewOf(entry), 0, refcounts.blockOffsets[index]!);
        await this.file.write(this.header.refcountTableOffset + index * 8, entry);
      }
    } catch (error) {
      for (const index of entries) refcounts.dirtyEntries.add(index);
      throw error;
    }
  }

  private async writeRefcountBlocks(): Promise<void> {
    const { cache } = this.refcounts;
    for (const block of [...cache.dirty.values()]) {
      cache.markClean(block);
      block.pins++;
      try {
        await this.file.write(block.offset, block.bytes.slice());
      } catch (error) {
        cache.markDirty(block);
        throw error;
      } finally {
        block.pins--;
      }
    }
  }

  /** Writes the refcount table to a larger place; the header's pointer changes in one write of one sector. Under the lock. */
  private async moveRefcountTable(): Promise<void> {
    const { refcounts } = this;
    const wanted = refcounts.tableClustersWanted;
    const { first, count } = await refcounts.allocate(wanted, true);
    const room = (count * this.clusterSize) / 8;
    const bytes = refcounts.encodeTable(room);
    await this.writeRefcountBlocks();
    await this.file.write(first * this.clusterSize, bytes);
    await this.sync();
    const old = { first: this.header.refcountTableOffset / this.clusterSize, count: this.header.refcountTableClusters };
    const pointer = new Uint8Array(12);
    setU64(viewOf(pointer), 0, first * this.clusterSize);
    viewOf(pointer).setUint32(8, count);
    await switchHeader(this.file, 48, pointer);
    this.header.refcountTableOffset = first * this.clusterSize;
    this.header.refcountTableClusters = count;
    this.onTable();
    refcounts.tableMoved(room);
    this.free(old.first, old.count);
  }

  // ---- Header ------------------------------------------------------------------------------------------------------------------------------

  /** Writes the header with its extensions and syncs it. */
  async writeHeader(): Promise<void> {
    await this.file.write(0, encodeHeader(this.header, this.file.path));
    await this.file.sync();
  }

  /** Marks the image as corrupt, so that no program writes to it before a repair. Best effort. */
  async markCorrupt(): Promise<void> {
    if (this.header.version < 3 || this.file.readOnly) return;
    this.header.incompatible |= INCOMPAT_CORRUPT;
    const bits = new Uint8Array(8);
    setU64(viewOf(bits), 0, this.header.incompatible);
    await this.file.write(72, bits).catch(() => {});
  }

  /** Replaces the L1 table by one elsewhere, in one write of one sector (offset and entries). Commit first. Under the lock; frees the old one. */
  async replaceL1(l1: Uint8Array): Promise<void> {
    const first = await this.writeClusters(l1);
    await this.writeRefcounts(true);
    await this.sync();
    const old = { offset: this.header.l1Offset, entries: this.header.l1Entries };
    const fields = new Uint8Array(12);
    viewOf(fields).setUint32(0, l1.length / 8);
    setU64(viewOf(fields), 4, first * this.clusterSize);
    await switchHeader(this.file, 36, fields);
    this.header.l1Offset = first * this.clusterSize;
    this.header.l1Entries = l1.length / 8;
    this.l1 = viewOf(l1);
    this.onTable();
    if (old.offset) this.free(old.offset / this.clusterSize, Math.max(1, Math.ceil((old.entries * 8) / this.clusterSize)));
  }
}
