import type { BlockInfo } from '../backend/block.ts';
import type { RandomAccessFile } from '../backend/file.ts';
import type { Placement } from '../backend/placement.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Extent, MappedDisk } from './extent.ts';

const SECTOR = 512;
/** Zeros that are written where no hole can be made. */
const ZEROS = new Uint8Array(1 << 20);

/**
 * A raw image: byte n of the disk is byte n of the file. A last partial sector reads as zero-filled up to `sectorBytes`; the
 * disk's size is the file's, rounded up to a whole sector.
 */
export class RawDisk implements MappedDisk {
  info: BlockInfo;
  private readonly file: RandomAccessFile;
  /** Bytes that the file has had so far. */
  private fileBytes: number;

  private constructor(file: RandomAccessFile, info: BlockInfo, fileBytes: number) {
    this.file = file;
    this.info = info;
    this.fileBytes = fileBytes;
  }

  /** `sectorBytes` is 512 for disks and floppies, 2048 for CD-ROM. Throws 'corrupt' for an empty file. */
  static async open(file: RandomAccessFile, options: { readOnly: boolean; sectorBytes: number }): Promise<RawDisk> {
    const bytes = await file.size();
    if (bytes === 0)
      throw new HypervueError(
        'corrupt',
        say('fileEmpty', { path: file.path }),
        { path: file.path, operation: 'open disk' },
        say('fixOtherImage'),
      );
    const sizeBytes = Math.ceil(bytes / options.sectorBytes) * options.sectorBytes;
    return new RawDisk(file, { sizeBytes, readOnly: options.readOnly || file.readOnly, label: file.path }, bytes);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.check(offset, target.length, 'read');
    const got = await this.file.read(offset, target);
    // Zeros in place of what was cut off meanwhile would be silent corruption.
    if (offset + got < Math.min(offset + target.length, this.fileBytes))
      throw new HypervueError(
        'io-error',
        say('imageShrank', { path: this.info.label }),
        { path: this.info.label, operation: 'read' },
        say('fixWholeFile'),
      );
    if (got < target.length) target.fill(0, got);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.checkWrite(offset, source.length, 'write');
    await this.file.write(offset, source);
    this.fileBytes = Math.max(this.fileBytes, offset + source.length);
  }

  /** All but a last sector that the file has in part only. */
  place(): Placement | undefined {
    const { descriptor } = this.file;
    const length = this.fileBytes - (this.fileBytes % SECTOR);
    return descriptor === undefined ? undefined : { offset: 0, length, descriptor, host: 0, writable: !this.info.readOnly };
  }

  async extent(offset: number, length: number): Promise<Extent> {
    this.check(offset, length, 'map');
    const found = this.file.holeAt?.(offset, offset + length);
    if (found?.hole) return { offset, length: found.length, kind: 'zero' };
    return { offset, length: found?.length ?? length, kind: 'data', host: offset };
  }

  /** Makes a hole, where the host can. */
  async discard(offset: number, length: number): Promise<void> {
    this.checkWrite(offset, length, 'discard');
    await this.file.discard?.(offset, length);
  }

  /** Zeros, as a hole where `unmap` allows it and the host can. */
  async writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    this.checkWrite(offset, length, 'write zeros');
    if (!(unmap && (await this.file.punch?.(offset, length))))
      for (let done = 0; done < length; done += ZEROS.length)
        await this.file.write(offset + done, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)));
    // A hole does not make the file longer.
    else if (offset + length > this.fileBytes) await this.file.truncate(offset + length);
    this.fileBytes = Math.max(this.fileBytes, offset + length);
  }

  async flush(): Promise<void> {
    if (!this.info.readOnly) await this.file.sync();
  }

  /** A larger or smaller disk; what lies behind a new end is lost. */
  async resize(sizeBytes: number): Promise<void> {
    await this.file.truncate(sizeBytes);
    await this.file.sync();
    this.info = { ...this.info, sizeBytes };
    this.fileBytes = sizeBytes;
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.file.close();
    }
  }

  private checkWrite(offset: number, length: number, operation: string): void {
    this.check(offset, length, operation);
    if (this.info.readOnly)
      throw new HypervueError('permission-denied', say('readOnlyImage', { path: this.info.label }), { path: this.info.label, operation });
  }

  private check(offset: number, length: number, operation: string): void {
    if (!(offset >= 0) || offset + length > this.info.sizeBytes)
      throw new HypervueError('invalid-argument', `${operation} of ${length} bytes at ${offset} is past the end of ${this.info.label}`, {
        path: this.info.label,
        operation,
      });
  }
}
