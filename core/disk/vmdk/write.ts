/** New VMDK images in one file: monolithicSparse, which VMware runs from, and streamOptimized, the compressed one of OVA files. */
import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { roundUp, viewOf } from '../bigendian.ts';
import type { Codec } from '../codec.ts';
import { zerosFrom } from '../extent.ts';
import { setU64LE } from '../littleendian.ts';
import { readPadded } from '../operations/compare.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import { isZero } from '../zeros.ts';
import { writeDescriptor } from './descriptor.ts';
import {
  AT_END,
  encodeSparseHeader,
  FLAG_COMPRESSED,
  FLAG_MARKERS,
  FLAG_NEWLINES,
  FLAG_REDUNDANT,
  SECTOR,
  type SparseHeader,
} from './header.ts';

export type VmdkSubformat = 'monolithicSparse' | 'streamOptimized';

const GRAIN_SECTORS = 128;
const GRAIN = GRAIN_SECTORS * SECTOR;
const PER_TABLE = 512;
const TABLE_BYTES = PER_TABLE * 4;
/** Guest bytes that one grain table maps; also what is read and written at once. */
const COVERS = GRAIN * PER_TABLE;
const DESCRIPTOR_AT = 1;
const DESCRIPTOR_SECTORS = 20;
/** Kinds of markers in a stream. */
const MARKER_END = 0;
const MARKER_TABLE = 1;
const MARKER_DIRECTORY = 2;
const MARKER_FOOTER = 3;
/** Places are sectors in 32 bits. */
const MAX_SECTOR = 2 ** 32 - 1;

export interface WriteVmdkOptions extends TaskOptions {
  subformat: VmdkSubformat;
  codec: Codec;
  /** Name of the new file as its descriptor has it. */
  name: string;
  /** Eight hexadecimal digits, at random; other than ffffffff. */
  contentId: string;
}

/** Writes what `source` holds into `file`, which is empty. Rejects with what failed, or 'cancelled'; the file is worth nothing then. */
export async function writeVmdk(source: BlockBackend, file: RandomAccessFile, options: WriteVmdkOptions): Promise<void> {
  const writer =
    options.subformat === 'streamOptimized' ? new StreamWriter(source, file, options) : new SparseWriter(source, file, options);
  await writer.run();
  await file.sync();
}

abstract class Writer {
  protected readonly file: RandomAccessFile;
  protected readonly options: WriteVmdkOptions;
  protected readonly capacity: number;
  protected readonly tables: number;
  protected readonly directory: Uint8Array;
  /** Sector where the next thing goes. */
  protected next = 0;
  private readonly source: BlockBackend;

  constructor(source: BlockBackend, file: RandomAccessFile, options: WriteVmdkOptions) {
    this.source = source;
    this.file = file;
    this.options = options;
    this.capacity = source.info.sizeBytes / SECTOR;
    this.tables = Math.ceil(source.info.sizeBytes / COVERS);
    this.directory = new Uint8Array(roundUp(this.tables * 4, SECTOR));
  }

  /** Writes what comes before the grains. */
  protected abstract begin(): Promise<void>;
  /** Writes the grains of one table and the table. `grains` are those that are not zeros, by number in the table. */
  protected abstract table(number: number, grains: Map<number, Uint8Array>): Promise<void>;
  protected abstract end(): Promise<void>;

  async run(): Promise<void> {
    await this.begin();
    const total = this.source.info.sizeBytes;
    // The next stretch is read while this one is packed and written.
    let ahead = this.grainsOf(0);
    for (let number = 0; number < this.tables; number++) {
      stopIfAborted(this.options, this.source.info.label);
      const grains = await ahead;
      ahead = number + 1 < this.tables ? this.grainsOf(number + 1) : Promise.resolve(new Map());
      // A failure shows where it is waited for.
      ahead.catch(() => {});
      if (grains.size) await this.table(number, grains);
      this.options.progress?.(Math.min(total, (number + 1) * COVERS), total);
    }
    await this.end();
  }

  private async grainsOf(number: number): Promise<Map<number, Uint8Array>> {
    const from = number * COVERS;
    const end = Math.min(from + COVERS, this.source.info.sizeBytes);
    const grains = new Map<number, Uint8Array>();
    for (let at = from; at < end; ) {
      const zeros = await zerosFrom(this.source, at, end);
      if (zeros >= GRAIN || at + zeros === end) {
        at += at + zeros === end ? zeros : zeros - (zeros % GRAIN);
        continue;
      }
      const bytes = new Uint8Array(Math.min(4 << 20, roundUp(end - at, GRAIN)));
      await readPadded(this.source, at, bytes);
      for (let done = 0; done < bytes.length; done += GRAIN) {
        const grain = bytes.subarray(done, done + GRAIN);
        if (!isZero(grain)) grains.set((at - from + done) / GRAIN, grain);
      }
      at += bytes.length;
    }
    return grains;
  }

  /** Room for `sectors` at the end of the file. */
  protected take(sectors: number): number {
    const at = this.next;
    this.next += sectors;
    if (this.next > MAX_SECTOR)
      throw new HypervueError(
        'resource-limit',
        say('vmdkTooLarge', { path: this.file.path }),
        { path: this.file.path, operation: 'convert' },
        say('fixQcow2OrRaw'),
      );
    return at;
  }

  protected header(flags: number, changes: Partial<SparseHeader>): Uint8Array {
    return encodeSparseHeader({
      version: 1,
      flags: FLAG_NEWLINES | flags,
      capacity: this.capacity,
      grainSectors: GRAIN_SECTORS,
      descriptorOffset: DESCRIPTOR_AT,
      descriptorSectors: DESCRIPTOR_SECTORS,
      entriesPerTable: PER_TABLE,
      redundantDirectory: 0,
      directory: 0,
      overhead: 0,
      compressed: false,
      ...changes,
    });
  }

  protected descriptor(): Uint8Array {
    const { subformat, name, contentId } = this.options;
    const bytes = new Uint8Array(DESCRIPTOR_SECTORS * SECTOR);
    bytes.set(new TextEncoder().encode(writeDescriptor({ type: subformat, sectors: this.capacity, file: name, contentId })));
    return bytes;
  }
}

/** The tables have their places before the grains, twice. */
class SparseWriter extends Writer {
  private places = { redundant: 0, directory: 0 };

  protected async begin(): Promise<void> {
    this.take(DESCRIPTOR_AT + DESCRIPTOR_SECTORS);
    const one = (this.directory.length + this.tables * TABLE_BYTES) / SECTOR;
    this.places = { redundant: this.take(one), directory: this.take(one) };
    this.take(roundUp(this.next, GRAIN_SECTORS) - this.next);
    const overhead = this.next;
    for (const start of [this.places.redundant, this.places.directory]) {
      const directory = new Uint8Array(this.directory.length);
      for (let i = 0; i < this.tables; i++) viewOf(directory).setUint32(i * 4, this.tableAt(start, i), true);
      await this.file.write(start * SECTOR, directory);
    }
    await this.file.write(DESCRIPTOR_AT * SECTOR, this.descriptor());
    await this.file.write(
      0,
      this.header(FLAG_REDUNDANT, { redundantDirectory: this.places.redundant, directory: this.places.directory, overhead }),
    );
    await this.file.truncate(overhead * SECTOR);
  }

  private tableAt(start: number, number: number): number {
    return start + (this.directory.length + number * TABLE_BYTES) / SECTOR;
  }

  protected async table(number: number, grains: Map<number, Uint8Array>): Promise<void> {
    const table = new Uint8Array(TABLE_BYTES);
    const first = this.take(grains.size * GRAIN_SECTORS);
    const bytes = new Uint8Array(grains.size * GRAIN);
    let at = 0;
    for (const [index, grain] of grains) {
      bytes.set(grain, at * GRAIN);
      viewOf(table).setUint32(index * 4, first + at * GRAIN_SECTORS, true);
      at++;
    }
    await this.file.write(first * SECTOR, bytes);
    for (const start of [this.places.redundant, this.places.directory]) await this.file.write(this.tableAt(start, number) * SECTOR, table);
  }

  protected async end(): Promise<void> {
    await this.file.truncate(this.next * SECTOR);
  }
}

/** Packed grains, each table behind its grains, the directory and a footer at the end: everything is written once, in order. */
class StreamWriter extends Writer {
  protected async begin(): Promise<void> {
    await this.file.write(0, this.sparseHeader(AT_END));
    await this.file.write(DESCRIPTOR_AT * SECTOR, this.descriptor());
    this.take(GRAIN_SECTORS);
  }

  private sparseHeader(directory: number): Uint8Array {
    return this.header(FLAG_COMPRESSED | FLAG_MARKERS, { version: 3, directory, overhead: GRAIN_SECTORS, compressed: true });
  }

  protected async table(number: number, grains: Map<number, Uint8Array>): Promise<void> {
    const packed = await Promise.all(
      [...grains].map(async ([index, grain]) => ({ index, bytes: await this.options.codec.deflate(grain) })),
    );
    const table = new Uint8Array(TABLE_BYTES);
    const room = packed.reduce((sum, { bytes }) => sum + roundUp(12 + bytes.length, SECTOR), 0);
    const first = this.take(room / SECTOR);
    const out = new Uint8Array(room);
    let at = 0;
    for (const { index, bytes } of packed) {
      viewOf(table).setUint32(index * 4, first + at / SECTOR, true);
      setU64LE(viewOf(out), at, (number * PER_TABLE + index) * GRAIN_SECTORS);
      viewOf(out).setUint32(at + 8, bytes.length, true);
      out.set(bytes, at + 12);
      at += roundUp(12 + bytes.length, SECTOR);
    }
    await this.file.write(first * SECTOR, out);
    const place = await this.marked(MARKER_TABLE, table);
    viewOf(this.directory).setUint32(number * 4, place, true);
  }

  protected async end(): Promise<void> {
    const place = await this.marked(MARKER_DIRECTORY, this.directory);
    await this.marked(MARKER_FOOTER, this.sparseHeader(place));
    await this.marked(MARKER_END, new Uint8Array(0));
  }

  /** Writes a marker and the sectors behind it; returns where those begin. */
  private async marked(kind: number, content: Uint8Array): Promise<number> {
    const bytes = new Uint8Array(SECTOR + content.length);
    setU64LE(viewOf(bytes), 0, content.length / SECTOR);
    viewOf(bytes).setUint32(12, kind, true);
    bytes.set(content, SECTOR);
    const at = this.take(bytes.length / SECTOR);
    await this.file.write(at * SECTOR, bytes);
    return at + 1;
  }
}
