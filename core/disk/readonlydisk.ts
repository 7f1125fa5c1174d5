import type { BlockBackend, BlockInfo } from '../backend/block.ts';
import type { RandomAccessFile } from '../backend/file.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Extent, MappedDisk } from './extent.ts';
import { readPadded } from './operations/compare.ts';

/** A disk in an image of another program's format: read, never written. A subclass says where bytes lie. Owns its file and the image below. */
export abstract class ReadOnlyDisk implements MappedDisk {
  readonly info: BlockInfo;
  readonly backing: BlockBackend | undefined;
  protected readonly file: RandomAccessFile;

  protected constructor(file: RandomAccessFile, sizeBytes: number, backing?: BlockBackend) {
    this.file = file;
    this.backing = backing;
    this.info = { sizeBytes: Math.ceil(sizeBytes / 512) * 512, readOnly: true, label: file.path };
  }

  /** The extent at `offset`, at least one byte and at most `length`. Rejects with 'corrupt'. */
  protected abstract locate(offset: number, length: number): Promise<Extent>;

  /** Unpacks the compressed extent that holds `offset`, and gives the bytes from there on. */
  protected unpack(_offset: number): Promise<Uint8Array> {
    throw new Error('this format has no compressed data');
  }

  /** The file that the extent lies in. */
  protected fileOf(_extent: Extent): RandomAccessFile {
    return this.file;
  }

  async extent(offset: number, length: number): Promise<Extent> {
    this.check(offset, length, 'map');
    const extent = await this.locate(offset, length);
    if (extent.kind === 'backing' && !this.backing) return { offset, length: extent.length, kind: 'zero' };
    return extent;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.check(offset, target.length, 'read');
    for (let done = 0; done < target.length; ) {
      const extent = await this.locate(offset + done, target.length - done);
      const part = target.subarray(done, done + extent.length);
      await this.fill(extent, part);
      done += extent.length;
    }
  }

  private async fill(extent: Extent, target: Uint8Array): Promise<void> {
    if (extent.kind === 'data') {
      const got = await this.fileOf(extent).read(extent.host!, target);
      target.fill(0, got);
    } else if (extent.kind === 'compressed') target.set((await this.unpack(extent.offset)).subarray(0, target.length));
    else if (extent.kind === 'backing' && this.backing) await readPadded(this.backing, extent.offset, target);
    else target.fill(0);
  }

  write(): Promise<void> {
    return Promise.reject(
      new HypervueError(
        'unsupported',
        say('onlyRead', { path: this.info.label }),
        { path: this.info.label, operation: 'write' },
        say('fixConvertQcow2Raw'),
      ),
    );
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.file.close();
    await this.backing?.close();
  }

  private check(offset: number, length: number, operation: string): void {
    if (!(offset >= 0) || offset + length > this.info.sizeBytes)
      throw new HypervueError('invalid-argument', `${operation} of ${length} bytes at ${offset} is past the end of ${this.info.label}`, {
        path: this.info.label,
        operation,
      });
  }
}
