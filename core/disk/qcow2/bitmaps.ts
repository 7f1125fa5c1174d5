/**
 * Persistent dirty bitmaps (QEMU's docs/interop/qcow2.txt, "Bitmaps extension"): backup programs keep in them what changed. Those that
 * are consistent are brought into memory; the ones that track ("auto") follow every write; they go back to the file at close. In between those that change are marked
 * as in use, so that a crash shows as "inconsistent" instead of as "nothing changed".
 */
import { getU64, roundUp, setU64, viewOf } from '../bigendian.ts';
import { corrupt } from './errors.ts';
import { AUTOCLEAR_BITMAPS, MAX_OFFSET } from './header.ts';
import type { Metadata } from './metadata.ts';
import { say } from '../../util/say.ts';

const FLAG_IN_USE = 1;
const FLAG_AUTO = 2;
const ENTRY_BYTES = 24;
const MAX_BITMAPS = 65535;
const MAX_DIRECTORY = MAX_BITMAPS * 1024;
/** As QEMU. */
const MAX_BITMAP_BYTES = 64 << 20;
const MIN_GRANULARITY_BITS = 9;
const MAX_GRANULARITY_BITS = 31;
/** Of all bitmaps in memory: a bit for each 64 KiB of 16 TiB, eight times. */
const MAX_MEMORY = 256 << 20;

interface Bitmap {
  /** Byte of its entry in the directory. */
  at: number;
  tableOffset: number;
  tableEntries: number;
  flags: number;
  granularityBits: number;
  /** Content of the consistent ones, as far as there is memory for them: where there is none, a tracking one becomes inconsistent with the first change. */
  bits: Uint8Array | undefined;
  /** Marked as in use in the file, by us. */
  held: boolean;
}

/** What `store` has written of a bitmap, and the clusters that it had before. */
interface StoredTable {
  offset: number;
  entries: number;
  freed: { first: number; count: number }[];
}

export class Bitmaps {
  private readonly meta: Metadata;
  private readonly directory: Uint8Array;
  private readonly bitmaps: Bitmap[];

  private constructor(meta: Metadata, directory: Uint8Array, bitmaps: Bitmap[]) {
    this.meta = meta;
    this.directory = directory;
    this.bitmaps = bitmaps;
  }

  /** The image's bitmaps, or undefined when it has none that are valid. Throws 'corrupt'. */
  static async open(meta: Metadata): Promise<Bitmaps | undefined> {
    const { header, file } = meta;
    const extension = header.bitmaps;
    if (!extension || !(header.autoclear & AUTOCLEAR_BITMAPS)) return undefined;
    if (extension.count > MAX_BITMAPS || extension.directorySize > MAX_DIRECTORY || extension.directoryOffset > MAX_OFFSET)
      throw corrupt(file.path, say('damageBitmapDirectory', { size: extension.directorySize }));
    const directory = new Uint8Array(extension.directorySize);
    await file.read(extension.directoryOffset, directory);
    const view = viewOf(directory);
    const bitmaps: Bitmap[] = [];
    const fileBytes = await file.size();
    let at = 0;
    for (let i = 0; i < extension.count; i++) {
      if (at + ENTRY_BYTES > directory.length) throw corrupt(file.path, say('damageBitmapDirectoryCut'));
      const bitmap: Bitmap = {
        at,
        tableOffset: getU64(view, at),
        tableEntries: view.getUint32(at + 8),
        flags: view.getUint32(at + 12),
        granularityBits: view.getUint8(at + 17),
        bits: undefined,
        held: false,
      };
      const type = view.getUint8(at + 16);
      if (
        type !== 1 ||
        bitmap.granularityBits < MIN_GRANULARITY_BITS ||
        bitmap.granularityBits > MAX_GRANULARITY_BITS ||
        bitmap.tableEntries * meta.clusterSize > 2 * MAX_BITMAP_BYTES ||
        bitmap.tableOffset % meta.clusterSize ||
        bitmap.tableOffset + bitmap.tableEntries * 8 > fileBytes
      )
        throw corrupt(file.path, say('damageBitmapNumber', { number: i }));
      bitmaps.push(bitmap);
      at += roundUp(ENTRY_BYTES + view.getUint16(at + 18) + view.getUint32(at + 20), 8);
    }
    const result = new Bitmaps(meta, directory, bitmaps);
    let memory = 0;
    for (const bitmap of bitmaps) {
      if (bitmap.flags & FLAG_IN_USE) continue;
      const bytes = result.bytesFor(bitmap, meta.header.sizeBytes);
      if (bytes > bitmap.tableEntries * meta.clusterSize)
        throw corrupt(file.path, say('damageBitmapNumber', { number: bitmaps.indexOf(bitmap) }));
      memory += bytes;
      if (memory <= MAX_MEMORY) await result.load(bitmap, bytes);
    }
    return result;
  }

  private async readTable(bitmap: Bitmap): Promise<DataView> {
    const table = new Uint8Array(bitmap.tableEntries * 8);
    await this.meta.file.read(bitmap.tableOffset, table);
    return viewOf(table);
  }

  private async load(bitmap: Bitmap, bytes: number): Promise<void> {
    const { meta } = this;
    const table = await this.readTable(bitmap);
    bitmap.bits = new Uint8Array(bytes);
    for (let i = 0; i * meta.clusterSize < bytes; i++) {
      const entry = getU64(table, i * 8);
      const target = bitmap.bits.subarray(i * meta.clusterSize, (i + 1) * meta.clusterSize);
      const offset = entry - (entry % 512);
      if (offset % meta.clusterSize || offset > MAX_OFFSET) throw corrupt(meta.file.path, say('damageBitmapEntry', { number: i }));
      if (offset) await meta.file.read(offset, target);
      else if (entry & 1) target.fill(0xff);
    }
  }

  private bytesFor(bitmap: Bitmap, sizeBytes: number): number {
    return Math.ceil(Math.ceil(sizeBytes / 2 ** bitmap.granularityBits) / 8);
  }

  /** The range changes. */
  touch(offset: number, length: number): void {
    for (const { bits, flags, granularityBits } of this.bitmaps) {
      if (!bits || !(flags & FLAG_AUTO) || !length) continue;
      const last = Math.floor((offset + length - 1) / 2 ** granularityBits);
      for (let bit = Math.floor(offset / 2 ** granularityBits); bit <= last; bit++) bits[bit >> 3]! |= 1 << (bit & 7);
    }
  }

  /** The disk is to have this size: call it before the header says so, as QEMU opens no image with a consistent bitmap that is too short. One that would be too large becomes inconsistent. */
  async resize(sizeBytes: number): Promise<void> {
    await this.hold(() => true);
    for (const bitmap of this.bitmaps) {
      if (!bitmap.bits) continue;
      const wanted = this.bytesFor(bitmap, sizeBytes);
      if (wanted > MAX_BITMAP_BYTES) {
        // It stays marked as in use.
        bitmap.bits = undefined;
        continue;
      }
      const bits = new Uint8Array(wanted);
      bits.set(bitmap.bits.subarray(0, wanted));
      // Bits behind the end must not come back with the next growth.
      const tail = Math.ceil(sizeBytes / 2 ** bitmap.granularityBits) % 8;
      if (tail) bits[wanted - 1]! &= (1 << tail) - 1;
      bitmap.bits = bits;
    }
  }

  /** Tracking bitmaps in the file are out of date from now on. */
  markInUse(): Promise<void> {
    return this.hold(({ flags }) => (flags & FLAG_AUTO) !== 0);
  }

  private async hold(wanted: (bitmap: Bitmap) => boolean): Promise<void> {
    const more = this.bitmaps.filter((bitmap) => !bitmap.held && !(bitmap.flags & FLAG_IN_USE) && wanted(bitmap));
    if (!more.length) return;
    for (const bitmap of more) this.setFlags(bitmap, bitmap.flags | FLAG_IN_USE);
    try {
      await this.writeDirectory();
    } catch (error) {
      for (const bitmap of more) this.setFlags(bitmap, bitmap.flags & ~FLAG_IN_USE);
      throw error;
    }
    for (const bitmap of more) bitmap.held = true;
  }

  /**
   * Writes what is in memory back and takes the mark away. True when something was written; commit again after it. An entry of the directory may lie
   * across two sectors, of which a power cut may leave either: so the new place of a table is durable before the mark goes, and at no instant has an entry
   * more of a table than there is at its place. Length and mark always lie in one sector.
   */
  async store(): Promise<boolean> {
    const { meta } = this;
    const held = this.bitmaps.filter((bitmap) => bitmap.held && bitmap.bits);
    if (!held.length) return false;
    const tables: StoredTable[] = [];
    for (const bitmap of held) tables.push(await meta.lock.run(() => this.writeTable(bitmap)));
    await meta.lock.run(() => meta.writeRefcounts(true));
    await meta.file.sync();
    let shrinks = false;
    held.forEach((bitmap, i) => {
      if (tables[i]!.entries >= bitmap.tableEntries) return;
      shrinks = true;
      this.setEntries(bitmap, tables[i]!.entries);
    });
    if (shrinks) await this.writeDirectory();
    held.forEach((bitmap, i) => {
      this.setPlace(bitmap, tables[i]!.offset);
    });
    await this.writeDirectory();
    held.forEach((bitmap, i) => {
      this.setEntries(bitmap, tables[i]!.entries);
      this.setFlags(bitmap, bitmap.flags & ~FLAG_IN_USE);
    });
    await this.writeDirectory();
    for (const bitmap of held) bitmap.held = false;
    await meta.lock.run(async () => {
      for (const { freed } of tables) for (const { first, count } of freed) meta.free(first, count);
    });
    return true;
  }

  /** The bitmap's content and its table in clusters of their own; the directory does not know of them yet. Under the lock. */
  private async writeTable(bitmap: Bitmap): Promise<StoredTable> {
    const { meta } = this;
    const { clusterSize } = meta;
    const freed: StoredTable['freed'] = [];
    const old = await this.readTable(bitmap);
    for (let at = 0; at < old.byteLength; at += 8) {
      const offset = getU64(old, at) - (getU64(old, at) % 512);
      if (offset) freed.push({ first: offset / clusterSize, count: 1 });
    }
    const oldClusters = Math.ceil((bitmap.tableEntries * 8) / clusterSize);
    if (oldClusters) freed.push({ first: bitmap.tableOffset / clusterSize, count: oldClusters });
    const bits = bitmap.bits!.subarray(0, this.bytesFor(bitmap, meta.header.sizeBytes));
    const entries = Math.ceil(bits.length / clusterSize);
    const table = new Uint8Array(entries * 8);
    for (let i = 0; i < entries; i++) {
      const part = bits.subarray(i * clusterSize, (i + 1) * clusterSize);
      if (part.every((byte) => byte === 0)) continue;
      setU64(viewOf(table), i * 8, (await meta.writeClusters(part)) * clusterSize);
    }
    return { offset: (await meta.writeClusters(table)) * clusterSize, entries, freed };
  }

  private setPlace(bitmap: Bitmap, offset: number): void {
    bitmap.tableOffset = offset;
    setU64(viewOf(this.directory), bitmap.at, offset);
  }

  private setEntries(bitmap: Bitmap, entries: number): void {
    bitmap.tableEntries = entries;
    viewOf(this.directory).setUint32(bitmap.at + 8, entries);
  }

  private setFlags(bitmap: Bitmap, flags: number): void {
    bitmap.flags = flags;
    viewOf(this.directory).setUint32(bitmap.at + 12, flags);
  }

  /** In place: entries keep their length. */
  private async writeDirectory(): Promise<void> {
    await this.meta.file.write(this.meta.header.bitmaps!.directoryOffset, this.directory);
    await this.meta.file.sync();
  }
}
