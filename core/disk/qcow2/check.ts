/**
 * The check of an image: what is in use according to the mapping, beside what the refcounts say; and the repair. Never changes guest data.
 * Leaks (counted and not used) waste room only; errors can lose data when the image is written to.
 */
import type { Said } from '../../contract/said.ts';
import { say, type Saying } from '../../util/say.ts';
import { getU64, viewOf } from '../bigendian.ts';
import { AUTOCLEAR_BITMAPS, INCOMPAT_CORRUPT, INCOMPAT_DATA_FILE, INCOMPAT_DIRTY, MAX_OFFSET } from './header.ts';
import type { Qcow2Image } from './image.ts';
import { badEntry, entryBytes, hasHost, hostOffset, isCompressed, isCopied, setCopied } from './l2entry.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { readSnapshots } from './snapshots.ts';
import { l1TableOffset } from './l1entry.ts';
import { clustersOf } from './tree.ts';

/** Messages kept; the counts go on. */
const MAX_MESSAGES = 100;
/** Clusters of a file that are checked at most: 4 bytes of memory each. */
const MAX_CLUSTERS = 2 ** 29;

export interface CheckReport {
  /** Clusters that are counted more often than used. */
  leaks: number;
  /** Everything else that is wrong. */
  errors: number;
  /** Of these, what was put right. */
  leaksFixed: number;
  errorsFixed: number;
  messages: string[];
  /** The same for clients that speak other languages. */
  saidMessages: Said[];
  allocatedClusters: number;
  compressedClusters: number;
  /** Data clusters that do not lie behind the one before. */
  fragmentedClusters: number;
  totalClusters: number;
  /** End of what is in use in the file. */
  endOffset: number;
}

export interface CheckOptions {
  /** 'leaks' frees what is not used; 'all' puts right what can be. */
  repair: 'none' | 'leaks' | 'all';
  progress?: (done: number, total: number) => void;
  signal?: { readonly aborted: boolean; readonly reason?: unknown };
}

export function checkImage(image: Qcow2Image, options: CheckOptions): Promise<CheckReport> {
  return image.exclusive(() => new Checker(image, options).run());
}

class Checker {
  private readonly image: Qcow2Image;
  private readonly options: CheckOptions;
  /** References found, by cluster of the file. */
  private readonly found: Uint32Array;
  private readonly fileClusters: number;
  private unfixable = 0;
  private readonly report: CheckReport;

  constructor(image: Qcow2Image, options: CheckOptions) {
    this.image = image;
    this.options = options;
    this.fileClusters = 0;
    this.found = new Uint32Array(0);
    this.report = {
      leaks: 0,
      errors: 0,
      leaksFixed: 0,
      errorsFixed: 0,
      messages: [],
      saidMessages: [],
      allocatedClusters: 0,
      compressedClusters: 0,
      fragmentedClusters: 0,
      totalClusters: Math.ceil(image.header.sizeBytes / image.meta.clusterSize),
      endOffset: 0,
    };
  }

  async run(): Promise<CheckReport> {
    const { meta, header } = this.image;
    const clusters = Math.ceil((await meta.file.size()) / meta.clusterSize);
    if (clusters > MAX_CLUSTERS) throw new RangeError(`${meta.file.path} has more clusters than can be checked`);
    Object.assign(this, { fileClusters: clusters, found: new Uint32Array(clusters + 1) });
    this.use(0, 1, () => say('damageTheHeader'));
    if (header.luks) this.useBytes(header.luks.offset, header.luks.length, () => say('damageTheLuks'));
    await this.tree(say('partDisk'), meta.l1, true);
    this.useBytes(header.l1Offset, header.l1Entries * 8, () => say('damageTheL1'));
    await this.snapshots();
    await this.bitmaps();
    this.useBytes(header.refcountTableOffset, header.refcountTableClusters * meta.clusterSize, () => say('damageTheRefcounts'));
    const bad = this.refcountBlocks();
    const counts = await this.compareCounts();
    if (this.options.repair !== 'none') await this.repair(bad, counts);
    for (let cluster = this.found.length - 1; cluster >= 0; cluster--)
      if (this.found[cluster]) {
        this.report.endOffset = (cluster + 1) * meta.clusterSize;
        break;
      }
    return this.report;
  }

  private error(what: () => Saying): void {
    this.report.errors++;
    this.tell(what);
  }

  /** Said only as long as it is kept: an image may have millions of them. */
  private tell(what: () => Saying): void {
    if (this.report.messages.length >= MAX_MESSAGES) return;
    const { text, said } = what();
    this.report.messages.push(text);
    this.report.saidMessages.push(said);
  }

  private use(first: number, count: number, what: () => Saying): boolean {
    if (first < 0 || first + count > this.fileClusters) {
      this.error(() => say('foundBehind', { what: what(), cluster: first }));
      this.unfixable++;
      return false;
    }
    for (let cluster = first; cluster < first + count; cluster++) this.found[cluster]!++;
    return true;
  }

  private useBytes(offset: number, length: number, what: () => Saying): void {
    const { clusterSize } = this.image.meta;
    if (length) this.use(offset / clusterSize, Math.ceil(length / clusterSize), what);
  }

  private async tree(name: Saying, l1: DataView, active: boolean): Promise<void> {
    const { meta } = this.image;
    const step = entryBytes(meta.shape);
    const entries = l1.byteLength / 8;
    const data = () => say('partData', { what: name });
    let expected = -1;
    for (let index = 0; index < entries; index++) {
      const offset = l1TableOffset(l1, index);
      if (!offset) continue;
      this.stopIfCancelled();
      if (active) this.options.progress?.(index, entries);
      if (offset % meta.clusterSize || offset > MAX_OFFSET) {
        this.error(() => say('foundL1Place', { index, what: name, offset }));
        this.unfixable++;
        continue;
      }
      if (!this.use(offset / meta.clusterSize, 1, () => say('partL2', { index, what: name }))) continue;
      const table = await meta.l2.get(offset);
      for (let at = 0; at < table.bytes.length; at += step) {
        const bad = badEntry(meta.shape, table.view, at);
        if (bad) {
          this.error(() => say('foundL2Entry', { entry: at / step, index, what: name, problem: bad }));
          this.unfixable++;
          continue;
        }
        const { first, count } = clustersOf(meta, table, at);
        if (!count) {
          if (active && meta.shape.externalData && hasHost(meta.shape, table.view, at)) this.report.allocatedClusters++;
          continue;
        }
        if (active) {
          this.report.allocatedClusters++;
          if (isCompressed(table.view, at)) this.report.compressedClusters++;
          else {
            if (expected >= 0 && first !== expected) this.report.fragmentedClusters++;
            expected = first + 1;
          }
        }
        // Packed data may end in the last, partial cluster of the file.
        this.use(first, count, data);
      }
    }
  }

  private async snapshots(): Promise<void> {
    const { meta, header } = this.image;
    if (!header.snapshotCount) return;
    const { entries, used } = await readSnapshots(this.image);
    this.useBytes(header.snapshotsOffset, used, () => say('damageTheSnapshots'));
    for (const entry of entries) {
      const l1 = new Uint8Array(entry.l1Entries * 8);
      await meta.file.read(entry.l1Offset, l1);
      await this.tree(say('partSnapshot', { name: entry.name }), viewOf(l1), false);
      this.useBytes(entry.l1Offset, l1.length, () => say('partSnapshotL1', { name: entry.name }));
    }
  }

  private async bitmaps(): Promise<void> {
    const { meta, header } = this.image;
    const extension = header.bitmaps;
    if (!extension || !(header.autoclear & AUTOCLEAR_BITMAPS)) return;
    this.useBytes(extension.directoryOffset, extension.directorySize, () => say('partBitmaps'));
    const directory = new Uint8Array(Math.min(extension.directorySize, 64 << 20));
    await meta.file.read(extension.directoryOffset, directory);
    const view = viewOf(directory);
    for (let at = 0, i = 0; i < extension.count && at + 24 <= directory.length; i++) {
      const tableOffset = getU64(view, at);
      const entries = Math.min(view.getUint32(at + 8), 1 << 22);
      this.useBytes(tableOffset, entries * 8, () => say('partBitmapTable', { number: i }));
      const table = new Uint8Array(entries * 8);
      await meta.file.read(tableOffset, table);
      for (let entry = 0; entry < entries; entry++) {
        const value = getU64(viewOf(table), entry * 8);
        const offset = value - (value % 512);
        if (offset) this.useBytes(offset, meta.clusterSize, () => say('partBitmap', { number: i }));
      }
      at += Math.ceil((24 + view.getUint16(at + 18) + view.getUint32(at + 20)) / 8) * 8;
    }
  }

  /** Counts the refcount blocks; true when some can't be where they are said to be, so that all must be made anew. */
  private refcountBlocks(): boolean {
    const { meta } = this.image;
    let bad = false;
    for (const problem of meta.refcounts.badEntries) {
      this.error(() => problem);
      bad = true;
    }
    meta.refcounts.blockOffsets.forEach((offset, i) => {
      if (!offset) return;
      const cluster = offset / meta.clusterSize;
      if (cluster >= this.fileClusters) {
        this.error(() => say('foundBlockBehind', { block: i }));
        bad = true;
      } else {
        if (this.found[cluster]) {
          this.error(() => say('foundBlockOn', { block: i }));
          bad = true;
        }
        this.found[cluster]!++;
      }
    });
    return bad;
  }

  /** Clusters whose count is not what was found. */
  private async compareCounts(): Promise<{ cluster: number; by: number }[]> {
    const { meta } = this.image;
    const wrong: { cluster: number; by: number }[] = [];
    const end = Math.max(this.fileClusters, await meta.refcounts.end().catch(() => 0));
    for (let cluster = 0; cluster < end; cluster++) {
      const stored = await meta.refcounts.get(cluster);
      const found = this.found[cluster] ?? 0;
      if (stored === found) continue;
      wrong.push({ cluster, by: found - stored });
      if (stored > found) {
        this.report.leaks++;
        this.tell(() => say('foundLeak', { cluster, stored, found }));
      } else this.error(() => say('foundError', { cluster, stored, found }));
      if ((cluster & 0xffff) === 0) this.stopIfCancelled();
    }
    await this.copiedMarks(false);
    return wrong;
  }

  /**
   * Marks "ours alone" of the active tables against what was found; with `fix`, puts them right. A mark that is missing because the cluster is counted
   * too often is part of that leak.
   */
  private async copiedMarks(fix: boolean): Promise<void> {
    const { meta } = this.image;
    const step = entryBytes(meta.shape);
    for (let index = 0; index < meta.l1.byteLength / 8; index++) {
      const offset = l1TableOffset(meta.l1, index);
      if (!offset || offset % meta.clusterSize || offset / meta.clusterSize >= this.fileClusters) continue;
      const own = this.found[offset / meta.clusterSize] === 1;
      if (own !== meta.l1Copied(index)) {
        if (fix) meta.setL1Copied(index, own);
        else if (await this.markIsError(offset / meta.clusterSize, own))
          this.error(() => say(own ? 'foundL1NotMarked' : 'foundL1Marked', { index }));
      }
      const table = await meta.l2.get(offset);
      for (let at = 0; at < table.bytes.length; at += step) {
        if (isCompressed(table.view, at) || !hasHost(meta.shape, table.view, at) || badEntry(meta.shape, table.view, at)) continue;
        if (meta.header.incompatible & INCOMPAT_DATA_FILE) continue;
        const cluster = hostOffset(table.view, at) / meta.clusterSize;
        if (cluster >= this.fileClusters) continue;
        const alone = this.found[cluster] === 1;
        if (alone === isCopied(table.view, at)) continue;
        if (fix) {
          setCopied(table.view, at, alone);
          meta.l2.markDirty(table);
        } else if (await this.markIsError(cluster, alone))
          this.error(() => say(alone ? 'foundL2NotMarked' : 'foundL2Marked', { entry: at / step, index }));
      }
    }
  }

  private async markIsError(cluster: number, alone: boolean): Promise<boolean> {
    return !alone || (await this.image.meta.refcounts.get(cluster)) === 1;
  }

  private async repair(badBlocks: boolean, wrong: { cluster: number; by: number }[]): Promise<void> {
    const { meta, header } = this.image;
    const { report } = this;
    const all = this.options.repair === 'all';
    if (badBlocks && all) {
      await rebuildRefcounts(this.image, this.found);
      report.leaksFixed = report.leaks;
    } else if (!badBlocks) {
      await meta.lock.run(async () => {
        for (const { cluster, by } of wrong) {
          if (by > 0 && !all) continue;
          await meta.refcounts.add(cluster, 1, by);
        }
      });
      report.leaksFixed = report.leaks;
    }
    // The counts must be in the file before a mark says that there is only one.
    await meta.commit();
    if (all || !badBlocks) await this.copiedMarks(true);
    await meta.commit();
    if (!all) return;
    report.errorsFixed = report.errors - this.unfixable;
    if (report.errorsFixed < report.errors || !(header.incompatible & (INCOMPAT_DIRTY | INCOMPAT_CORRUPT))) return;
    header.incompatible &= ~(INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
    await meta.writeHeader();
  }

  private stopIfCancelled(): void {
    if (this.options.signal?.aborted) throw this.options.signal.reason;
  }
}
