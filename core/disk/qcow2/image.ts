import type { BlockBackend, BlockInfo } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import type { Placement } from '../../backend/placement.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { roundDown, roundUp } from '../bigendian.ts';
import type { SectorCipher } from '../cipher.ts';
import type { Codec } from '../codec.ts';
import type { CompressedTarget } from '../compressed.ts';
import type { Extent, MappedDisk } from '../extent.ts';
import { Gate } from '../gate.ts';
import { Bitmaps } from './bitmaps.ts';
import { unsupported } from './errors.ts';
import {
  AUTOCLEAR_DATA_FILE_RAW,
  extendedL2,
  type Header,
  HEADER_BYTES,
  INCOMPAT_CORRUPT,
  INCOMPAT_DATA_FILE,
  INCOMPAT_DIRTY,
  l1EntriesFor,
  parseHeader,
} from './header.ts';
import { Layers } from './layers.ts';
import { Mapping } from './mapping.ts';
import { Metadata } from './metadata.ts';
import { placeOf } from './placing.ts';
import { Reader } from './reader.ts';
import { closeMarks } from './snapshots.ts';
import { Writer } from './writer.ts';

const SECTOR = 512;
/** Zeros that are written where they can't be had by the mapping. */
const ZEROS = new Uint8Array(1 << 20);

export interface Qcow2Parts {
  /** The image below; the caller has opened it because the header names it. */
  backing?: BlockBackend;
  /** The file of an image with external data. */
  dataFile?: RandomAccessFile;
  codec: Codec;
  /** For encrypted images, from the passphrase. */
  cipher?: SectorCipher;
  readOnly: boolean;
  /** Opens a dirty or corrupt image all the same: for the check and its repair. */
  forRepair?: boolean;
  /** Nothing that the guest wrote is read or written: without cipher and backing file. */
  metadataOnly?: boolean;
}

/** Reads and checks the header of the image in `file`. */
export async function readHeader(file: RandomAccessFile): Promise<Header> {
  const start = new Uint8Array(Math.min(HEADER_BYTES, await file.size()));
  await file.read(0, start);
  return parseHeader(start, file.path);
}

/** Throws 'corrupt' for an image that must not be written to before it was checked: marked as damaged, or not closed. */
export function refuseUnsafeWrites(path: string, { incompatible }: Pick<Header, 'incompatible'>): void {
  const context = { path, operation: 'open' };
  if (incompatible & INCOMPAT_CORRUPT)
    throw new HypervueError('corrupt', say('imageMarkedDamaged', { path }), context, say('fixRepairOrReadOnly'));
  if (incompatible & INCOMPAT_DIRTY) throw new HypervueError('corrupt', say('imageNotClosed', { path }), context, say('fixRepair'));
}

/** A qcow2 image, version 2 or 3. Owns its file, its data file and the image below: `close` closes them. */
export class Qcow2Image implements MappedDisk, CompressedTarget {
  readonly header: Header;
  readonly meta: Metadata;
  readonly mapping: Mapping;
  readonly backing: BlockBackend | undefined;
  readonly layers: Layers;
  private readonly reader: Reader;
  private readonly writer: Writer;
  private readonly gate = new Gate();
  onMove: BlockBackend['onMove'];
  private bitmaps: Bitmaps | undefined;
  private current: BlockInfo;

  private constructor(meta: Metadata, layers: Layers, readOnly: boolean) {
    this.meta = meta;
    this.header = meta.header;
    this.layers = layers;
    this.backing = layers.backing;
    this.mapping = new Mapping(meta, layers);
    this.reader = new Reader(meta, layers, this.mapping);
    this.writer = new Writer(meta, layers, this.mapping, this.reader);
    this.writer.onMove = (offset, length) => this.onMove?.({ offset, length });
    meta.onTable = () => this.onMove?.();
    this.current = { sizeBytes: roundUp(this.header.sizeBytes, SECTOR), readOnly, label: meta.file.path };
  }

  /** Rejects with 'corrupt' or 'unsupported'; then `file` and the parts are still the caller's. */
  static async open(file: RandomAccessFile, header: Header, parts: Qcow2Parts): Promise<Qcow2Image> {
    const readOnly = parts.readOnly || file.readOnly;
    if (!readOnly && !parts.forRepair) refuseUnsafeWrites(file.path, header);
    const external = (header.incompatible & INCOMPAT_DATA_FILE) !== 0;
    if (external && !parts.dataFile) throw unsupported(file.path, 'an external data file that was not given');
    if (header.encryption !== 'none' && !parts.cipher && !parts.forRepair && !parts.metadataOnly)
      throw new HypervueError(
        'unauthorized',
        say('stateEncrypted', { file: file.path }),
        { path: file.path, operation: 'open', reason: 'passphrase-missing' },
        say('fixPassphraseOfImage'),
      );
    if (header.encryption === 'aes' && !readOnly && !parts.forRepair)
      throw unsupported(file.path, 'the AES encryption of old QEMU versions, with which it can only be read', say('fixToLuks'));
    const meta = await Metadata.open(file, header, parts.forRepair === true);
    const data = parts.dataFile ?? file;
    const layers = new Layers({
      data,
      backing: parts.backing,
      codec: parts.codec,
      cipher: parts.cipher,
      guestNumbers: header.encryption === 'aes',
    });
    if (parts.dataFile) meta.syncData = () => data.sync();
    const image = new Qcow2Image(meta, layers, readOnly);
    if (!readOnly) {
      image.bitmaps = await Bitmaps.open(meta);
      meta.onFirstChange = () => image.firstChange();
    }
    return image;
  }

  get info(): BlockInfo {
    return this.current;
  }

  /** Bytes of a cluster: what `writeCompressed` takes. */
  get compressedUnit(): number {
    return this.meta.clusterSize;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.check(offset, target.length, 'read');
    await this.gate.enter();
    const epoch = this.meta.io.begin();
    try {
      await this.reader.read(offset, target);
    } finally {
      this.meta.io.end(epoch);
      this.gate.leave();
    }
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.checkWrite(offset, source.length, 'write');
    await this.change(offset, source.length, () => this.writer.write(offset, source));
  }

  /** The range reads as zeros from now on. `unmap`: room is given back where it can be. */
  async writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    this.checkWrite(offset, length, 'write zeros');
    await this.change(offset, length, async () => {
      const { clusterSize } = this.meta;
      const end = offset + length;
      const from = roundUp(offset, clusterSize);
      // The last cluster of the disk may be a partial one.
      const to = end === this.current.sizeBytes ? roundUp(end, clusterSize) : roundDown(end, clusterSize);
      if (to <= from || !this.writer.canZero(from)) return this.writeZeros(offset, end);
      await this.writeZeros(offset, Math.min(from, end));
      await this.writer.zero(from, to - from, unmap);
      if (to < end) await this.writeZeros(to, end);
    });
  }

  private async writeZeros(from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      const extent = await this.mapping.extent(at, to - at);
      const length = Math.min(extent.length, ZEROS.length);
      if (extent.kind !== 'zero') await this.writer.write(at, ZEROS.subarray(0, length));
      at += length;
    }
  }

  /** The guest does not need the range any more; whole clusters are given back and read as zeros. */
  async discard(offset: number, length: number): Promise<void> {
    this.checkWrite(offset, length, 'discard');
    const { clusterSize } = this.meta;
    const end = offset + length;
    const from = roundUp(offset, clusterSize);
    const to = end === this.current.sizeBytes ? roundUp(end, clusterSize) : roundDown(end, clusterSize);
    if (to <= from || !this.writer.canZero(from)) return;
    await this.change(offset, length, () => this.writer.zero(from, to - from, true));
  }

  /** Writes one whole cluster (the last one of the disk may be cut off) compressed when that makes it smaller. */
  async writeCompressed(offset: number, source: Uint8Array): Promise<void> {
    this.checkWrite(offset, source.length, 'write compressed');
    const { clusterSize } = this.meta;
    if (offset % clusterSize || (source.length !== clusterSize && offset + source.length !== this.current.sizeBytes))
      throw new HypervueError('invalid-argument', `compressed writes are whole clusters; ${this.current.label} got ${source.length} bytes`);
    let cluster = source;
    if (source.length < clusterSize) {
      cluster = new Uint8Array(clusterSize);
      cluster.set(source);
    }
    const { codec } = this.layers;
    const packed = await (this.header.compression === 'zstd' ? codec.zstd(cluster) : codec.deflateRaw(cluster));
    const worth = packed.length < clusterSize && this.header.encryption === 'none' && !this.meta.shape.externalData;
    await this.change(offset, source.length, () =>
      worth ? this.writer.writeCompressed(offset, packed) : this.writer.write(offset, source),
    );
  }

  /** Gives the range its place in the file without writing it; it reads as zeros. For new images. */
  async reserve(offset: number, length: number): Promise<void> {
    this.checkWrite(offset, length, 'reserve');
    await this.change(offset, length, () => this.writer.reserve(offset, length));
  }

  async flush(): Promise<void> {
    if (this.current.readOnly) return;
    await this.meta.commit();
  }

  /** Brings tables to the file when some have changed: what a crash of this process would lose since the last call. */
  async writeBack(): Promise<void> {
    if (this.meta.needsCommit) await this.meta.commit();
  }

  async close(): Promise<void> {
    this.onMove?.();
    try {
      if (!this.current.readOnly)
        await this.gate.exclusive(async () => {
          await closeMarks(this);
          await this.settle();
          if (await this.bitmaps?.store()) await this.settle();
        });
    } finally {
      await this.meta.file.close();
      if (this.layers.data !== this.meta.file) await this.layers.data.close();
      await this.backing?.close();
    }
  }

  /** Bytes may be written in place once the image is marked as changed, where no bitmap wants to know of it. */
  place(offset: number): Placement | undefined {
    if (this.gate.held) return undefined;
    try {
      return placeOf(this, offset, this.current.sizeBytes, !this.current.readOnly && this.meta.changeable && !this.bitmaps);
    } catch {
      // Damage: the read or write itself will say so.
      return undefined;
    }
  }

  /** Where the bytes from `offset` come from, at most `length` of them. */
  async extent(offset: number, length: number): Promise<Extent> {
    this.check(offset, length, 'map');
    return this.mapping.extent(offset, length);
  }

  /** Makes keys for other purposes from that of the image's encryption; undefined when it has none. */
  get deriveKey(): SectorCipher['deriveKey'] {
    return this.layers.deriveKey;
  }

  /** Runs `section` while nothing else is under way and everything is in the file. */
  exclusive<T>(section: () => Promise<T>): Promise<T> {
    this.onMove?.();
    return this.gate.exclusive(async () => {
      if (!this.current.readOnly) {
        await this.meta.beforeChange();
        // What an operation on snapshots that failed left to be marked.
        await closeMarks(this);
        await this.settle();
      }
      const result = await section();
      if (!this.current.readOnly) await this.settle();
      this.reader.forgetUnpacked();
      return result;
    });
  }

  /** Commits until nothing is left: what one commit frees, the next one writes. */
  private async settle(): Promise<void> {
    do await this.meta.commit();
    while (this.meta.needsCommit);
  }

  /** A larger or smaller disk. What lies behind the new end is lost: whoever calls this has made sure that it may be. */
  async resize(sizeBytes: number): Promise<void> {
    if (sizeBytes % SECTOR || sizeBytes <= 0) throw new HypervueError('invalid-argument', say('noDiskSize512', { size: sizeBytes }));
    if (this.header.snapshotCount && this.header.version === 2)
      throw unsupported(this.current.label, 'version 2 with snapshots, which can not be resized', say('fixSnapshotsFirst'));
    const old = this.current.sizeBytes;
    const { clusterSize } = this.meta;
    if (sizeBytes < old) {
      const from = roundUp(sizeBytes, clusterSize);
      if (from < old) await this.discardTail(from, old - from);
    } else if (old < sizeBytes && this.backing && this.backing.info.sizeBytes > old) {
      // A longer image below must not show through where the disk was not before.
      await this.growVisible(sizeBytes);
      await this.writeZeroes(old, Math.min(sizeBytes, this.backing.info.sizeBytes) - old, true);
      return;
    }
    await this.growVisible(sizeBytes);
  }

  private async discardTail(from: number, length: number): Promise<void> {
    await this.change(from, length, () => this.writer.zero(from, length, true));
  }

  private async growVisible(sizeBytes: number): Promise<void> {
    await this.exclusive(async () => {
      const entries = l1EntriesFor(sizeBytes, this.header);
      if (entries > this.header.l1Entries) {
        const l1 = new Uint8Array(entries * 8);
        const now = this.meta.l1;
        l1.set(new Uint8Array(now.buffer, now.byteOffset, now.byteLength));
        await this.meta.lock.run(() => this.meta.replaceL1(l1));
      }
      const before = this.header.sizeBytes;
      await this.bitmaps?.resize(sizeBytes);
      if (sizeBytes > before) await this.growRawData(before, sizeBytes);
      this.header.sizeBytes = sizeBytes;
      try {
        await this.meta.writeHeader();
      } catch (error) {
        this.header.sizeBytes = before;
        await this.bitmaps?.resize(before);
        // Their bits behind the smaller end are gone.
        this.bitmaps?.touch(sizeBytes, Math.max(0, before - sizeBytes));
        // What went wrong first is the message.
        await this.meta.writeHeader().catch(() => {});
        throw error;
      }
      this.current = { ...this.current, sizeBytes };
      if (sizeBytes < before && this.dataIsRaw) await this.layers.data.truncate(sizeBytes);
    });
  }

  /** The external data file is the disk by itself. */
  private get dataIsRaw(): boolean {
    const { autoclear, incompatible } = this.header;
    return (autoclear & AUTOCLEAR_DATA_FILE_RAW) !== 0 && (incompatible & INCOMPAT_DATA_FILE) !== 0;
  }

  /** An external data file that is the disk by itself grows with it; one that goes on behind the disk's end keeps what is there, and is no longer said to be the disk. */
  private async growRawData(before: number, sizeBytes: number): Promise<void> {
    if (!this.dataIsRaw) return;
    const { data } = this.layers;
    if ((await data.size()) > before) this.header.autoclear &= ~AUTOCLEAR_DATA_FILE_RAW;
    else await data.truncate(sizeBytes);
  }

  /** Before the whole disk becomes another one of that size. */
  async replacing(sizeBytes: number): Promise<void> {
    await this.bitmaps?.resize(sizeBytes);
    this.bitmaps?.touch(0, sizeBytes);
  }

  /** The header has another size than before. */
  sizeChanged(): void {
    this.current = { ...this.current, sizeBytes: roundUp(this.header.sizeBytes, SECTOR) };
  }

  private async change(offset: number, length: number, work: () => Promise<void>): Promise<void> {
    await this.gate.enter();
    const epoch = this.meta.io.begin();
    try {
      await this.meta.beforeChange();
      this.bitmaps?.touch(offset, length);
      await work();
    } finally {
      this.meta.io.end(epoch);
      this.gate.leave();
    }
  }

  private async firstChange(): Promise<void> {
    const { header } = this;
    let rewrite = header.foreignAutoclear;
    if (!this.dataIsRaw && header.autoclear & AUTOCLEAR_DATA_FILE_RAW) {
      header.autoclear &= ~AUTOCLEAR_DATA_FILE_RAW;
      rewrite = true;
    }
    if (rewrite) {
      header.foreignAutoclear = false;
      await this.meta.writeHeader();
    }
    await this.bitmaps?.markInUse();
  }

  private check(offset: number, length: number, operation: string): void {
    if (!(offset >= 0) || offset + length > this.current.sizeBytes)
      throw new HypervueError('invalid-argument', `${operation} of ${length} bytes at ${offset} is past the end of ${this.current.label}`, {
        path: this.current.label,
        operation,
      });
  }

  private checkWrite(offset: number, length: number, operation: string): void {
    this.check(offset, length, operation);
    if (this.current.readOnly)
      throw new HypervueError('permission-denied', say('readOnlyImage', { path: this.current.label }), {
        path: this.current.label,
        operation,
      });
  }

  /** For messages: what the image uses. */
  get features(): string[] {
    const { header } = this;
    return [
      ...(extendedL2(header) ? ['extended L2 entries'] : []),
      ...(header.incompatible & INCOMPAT_DATA_FILE ? ['external data file'] : []),
      ...(header.encryption === 'none' ? [] : [`${header.encryption} encryption`]),
    ];
  }
}
