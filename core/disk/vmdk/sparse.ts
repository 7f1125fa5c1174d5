/** A hosted sparse extent: a directory of tables of grains, plain or compressed. */
import type { RandomAccessFile } from '../../backend/file.ts';
import { viewOf } from '../bigendian.ts';
import type { Codec } from '../codec.ts';
import type { Extent } from '../extent.ts';
import { corruptImage } from '../formaterrors.ts';
import { getU64LE } from '../littleendian.ts';
import { PagedTable } from '../pagedtable.ts';
import { AT_END, FLAG_MARKERS, FLAG_ZEROED_GRAINS, parseSparseHeader, SECTOR, type SparseHeader } from './header.ts';
import { say } from '../../util/say.ts';

const ZEROED = 1;
const MARKER_BYTES = 12;
/** Grains that one extent has at most: nothing waits for a longer walk. */
const MOST_GRAINS = 4096;
/** A packed grain that is larger than this is none. */
const packedLimit = (grainBytes: number): number => 2 * grainBytes + 4096;

export class SparseExtent {
  readonly header: SparseHeader;
  readonly file: RandomAccessFile;
  private readonly codec: Codec;
  private readonly tables: PagedTable;
  private readonly grainBytes: number;
  /** Guest bytes that one grain table maps. */
  private readonly covers: number;
  private unpacked: { grain: number; bytes: Uint8Array } | undefined;

  private constructor(file: RandomAccessFile, header: SparseHeader, codec: Codec) {
    this.file = file;
    this.header = header;
    this.codec = codec;
    // Tables lie all over the file: one cache for them all.
    this.tables = new PagedTable(file, 0);
    this.grainBytes = header.grainSectors * SECTOR;
    this.covers = this.grainBytes * header.entriesPerTable;
  }

  /** Rejects with 'corrupt' or 'unsupported'; the file stays the caller's. */
  static async open(file: RandomAccessFile, codec: Codec): Promise<SparseExtent> {
    const bytes = new Uint8Array(SECTOR);
    const size = await file.size();
    await file.read(0, bytes);
    let header = parseSparseHeader(bytes, file.path);
    if (header.directory === AT_END) {
      // The footer lies before the marker at the end of the stream.
      if (size < 4 * SECTOR) throw corruptImage(file.path, say('damageCutOff'));
      await file.read(size - 2 * SECTOR, bytes);
      header = parseSparseHeader(bytes, file.path);
      if (header.directory === AT_END) throw corruptImage(file.path, say('damageCutNoDirectory'));
    }
    const tables = Math.ceil(header.capacity / (header.grainSectors * header.entriesPerTable));
    if (!header.directory || header.directory * SECTOR + tables * 4 > size) throw corruptImage(file.path, say('damageGrainDirectoryCut'));
    return new SparseExtent(file, header, codec);
  }

  /** The extent at `offset` of this part of the disk. 'backing': nothing is known here. */
  async locate(offset: number, length: number): Promise<Extent> {
    const { grainBytes, header } = this;
    const first = await this.grainAt(offset);
    const inGrain = Math.min(length, grainBytes - (offset % grainBytes));
    if (first > ZEROED && header.compressed) return { offset, length: inGrain, kind: 'compressed' };
    let taken = inGrain;
    for (let i = 0; taken < length && i < MOST_GRAINS; i++) {
      // A table of nothing in one step.
      if (first === 0 && (offset + taken) % this.covers === 0 && (await this.tableAt(offset + taken)) === 0) {
        taken += this.covers;
        continue;
      }
      const next = await this.grainAt(offset + taken);
      const wanted =
        first > ZEROED
          ? first + (Math.floor((offset + taken) / grainBytes) - Math.floor(offset / grainBytes)) * header.grainSectors
          : first;
      if (next !== wanted) break;
      taken += grainBytes;
    }
    const result = { offset, length: Math.min(taken, length) };
    if (first > ZEROED) return { ...result, kind: 'data', host: first * SECTOR + (offset % grainBytes) };
    return { ...result, kind: first === ZEROED ? 'zero' : 'backing' };
  }

  /** The bytes of the compressed grain from `offset` on. */
  async unpack(offset: number): Promise<Uint8Array> {
    const { grainBytes, file } = this;
    const grain = Math.floor(offset / grainBytes);
    let bytes = this.unpacked?.grain === grain ? this.unpacked.bytes : undefined;
    if (!bytes) {
      bytes = await this.readPacked(grain, (await this.grainAt(offset)) * SECTOR);
      if (bytes.length < grainBytes) {
        // The last grain may end with the disk.
        const left = this.header.capacity * SECTOR - grain * grainBytes;
        if (bytes.length < Math.min(left, grainBytes))
          throw corruptImage(file.path, say('damageGrainShort', { grain, size: bytes.length }));
        const whole = new Uint8Array(grainBytes);
        whole.set(bytes);
        bytes = whole;
      }
      this.unpacked = { grain, bytes };
    }
    return bytes.subarray(offset % grainBytes);
  }

  private async readPacked(grain: number, host: number): Promise<Uint8Array> {
    const { grainBytes, file } = this;
    let at = host;
    let length = packedLimit(grainBytes);
    if (this.header.flags & FLAG_MARKERS) {
      const marker = new Uint8Array(MARKER_BYTES);
      await file.read(host, marker);
      length = viewOf(marker).getUint32(8, true);
      if (!length || length > packedLimit(grainBytes)) throw corruptImage(file.path, say('damageGrainPacked', { grain, size: length }));
      if (getU64LE(viewOf(marker), 0) !== grain * this.header.grainSectors)
        throw corruptImage(file.path, say('damageGrainMarked', { grain, sector: getU64LE(viewOf(marker), 0) }));
      at += MARKER_BYTES;
    }
    const packed = new Uint8Array(length);
    const got = await file.read(at, packed);
    try {
      return await this.codec.inflate(packed.subarray(0, got), grainBytes);
    } catch (error) {
      throw corruptImage(file.path, say('damageGrainUnpack', { grain, problem: String(error) }));
    }
  }

  /** Sector of the file of the grain table for the offset; 0: none. */
  private async tableAt(offset: number): Promise<number> {
    return this.word(this.header.directory * SECTOR + Math.floor(offset / this.covers) * 4);
  }

  /** Sector of the file where the grain begins; 0: not here, ZEROED: zeros. */
  private async grainAt(offset: number): Promise<number> {
    const table = await this.tableAt(offset);
    if (!table) return 0;
    const entry = await this.word(table * SECTOR + Math.floor((offset % this.covers) / this.grainBytes) * 4);
    if (entry === ZEROED && !(this.header.flags & FLAG_ZEROED_GRAINS))
      throw corruptImage(this.file.path, say('damageGrainInHeader', { offset }));
    return entry;
  }

  private word(at: number): number | Promise<number> {
    const loaded = this.tables.page(at);
    if (loaded instanceof DataView) return loaded.getUint32(this.tables.within(at), true);
    return loaded.then((view) => view.getUint32(this.tables.within(at), true));
  }
}
