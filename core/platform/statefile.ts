/** State files (snapshot/stateformat.ts) on the host: compressed and checked on Node's own threads, a few sections at a time. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { StateValue } from '../snapshot/snapshottable.ts';
import { decodeState, encodeState } from '../snapshot/statecodec.ts';
import {
  encodeFileHeader,
  encodeSectionHeader,
  parseFileHeader,
  parseSectionHeader,
  SECTION_HEADER_BYTES,
  SECTION_MAX_BYTES,
  type SectionHeader,
  type SectionKind,
  STATE_HEADER_BYTES,
} from '../snapshot/stateformat.ts';
import { HypervueError } from '../util/errors.ts';
import { syncFolder } from './atomicfile.ts';
import { fileError } from './nodefile.ts';

const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);
const unzstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress);
const crc32 = (bytes: Uint8Array): number => zlib.crc32(bytes);

/** Level 1: memory shrinks by nearly as much as with higher ones, in a third of the time. */
const OPTIONS = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
/** Sections that are compressed or read at the same time: as many as Node has threads for it. */
const DEPTH = 4;

/** Writes one state file. It appears under its name when `commit` resolves, whole; until then it has another name. */
export class StateFileWriter {
  /** Bytes written so far. */
  bytes = 0;
  private readonly target: string;
  private readonly temporary: string;
  private readonly handle: FileHandle;
  private sections = 0;
  private readonly running = new Set<Promise<void>>();
  private failure: unknown;
  /** Sections go to the file in the order they were given. */
  private tail: Promise<void> = Promise.resolve();

  private constructor(target: string, temporary: string, handle: FileHandle) {
    this.target = target;
    this.temporary = temporary;
    this.handle = handle;
  }

  static async create(target: string): Promise<StateFileWriter> {
    const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      const writer = new StateFileWriter(target, temporary, await open(temporary, 'wx', 0o600));
      await writer.put(encodeFileHeader(crc32));
      return writer;
    } catch (error) {
      throw fileError(error, temporary, 'write');
    }
  }

  /** Takes a section; resolves when there is room for the next one, so that no more than a few are in memory. `plain` is the writer's from here on. */
  async add(kind: SectionKind, index: number, plain: Uint8Array): Promise<void> {
    if (this.failure) throw this.failure;
    if (plain.length > SECTION_MAX_BYTES)
      throw new HypervueError('internal', `a section of the state has ${plain.length} bytes`, { path: this.target, operation: 'save' });
    this.sections++;
    const packing = this.pack(plain);
    packing.catch(() => {});
    this.tail = this.tail.then(async () => {
      const { stored, compressed } = await packing;
      const header = { kind, compressed, index, storedBytes: stored.length, plainBytes: plain.length, crc: crc32(stored) };
      await this.put(Buffer.concat([encodeSectionHeader(header, crc32), stored]));
    });
    const job = this.tail
      .catch((error) => {
        this.failure ??= error;
      })
      .then(() => {
        this.running.delete(job);
      });
    this.running.add(job);
    if (this.running.size >= DEPTH) await Promise.race(this.running);
    if (this.failure) throw this.failure;
  }

  addTree(kind: 'META' | 'TREE', tree: StateValue): Promise<void> {
    return this.add(kind, 0, encodeState(tree));
  }

  /** Everything is on the disk, under a name that nothing looks at yet. */
  async finish(): Promise<void> {
    await this.tail;
    const end = { kind: 'END ' as const, compressed: false, index: this.sections, storedBytes: 0, plainBytes: 0, crc: 0 };
    await this.put(encodeSectionHeader(end, crc32));
    try {
      await this.handle.sync();
      await this.handle.close();
    } catch (error) {
      throw fileError(error, this.temporary, 'write');
    }
  }

  /** After `finish`: the file gets its name, in place of one that may be there. */
  async commit(): Promise<void> {
    try {
      await rename(this.temporary, this.target);
      await syncFolder(path.dirname(this.target));
    } catch (error) {
      throw fileError(error, this.target, 'write');
    }
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    await Promise.allSettled([...this.running]);
    await this.handle.close().catch(() => {});
    await rm(this.temporary, { force: true });
  }

  private async pack(plain: Uint8Array): Promise<{ stored: Uint8Array; compressed: boolean }> {
    if (plain.length < 64) return { stored: plain, compressed: false };
    const packed = await zstd(plain, OPTIONS);
    return packed.length < plain.length ? { stored: packed, compressed: true } : { stored: plain, compressed: false };
  }

  private async put(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; )
        done += (await this.handle.write(bytes, done, bytes.length - done, this.bytes + done)).bytesWritten;
    } catch (error) {
      throw fileError(error, this.temporary, 'write');
    }
    this.bytes += bytes.length;
  }
}

export interface Section {
  header: SectionHeader;
  plain: Uint8Array;
}

/** Reads a state file from its beginning to its end. Everything in it is checked; what is wrong with it is 'corrupt'. */
export class StateFileReader {
  readonly file: string;
  private readonly handle: FileHandle;
  private at = STATE_HEADER_BYTES;
  private sections = 0;
  private ended = false;
  private readonly ahead: Promise<Section>[] = [];

  private constructor(file: string, handle: FileHandle) {
    this.file = file;
    this.handle = handle;
  }

  static async open(file: string): Promise<StateFileReader> {
    let handle: FileHandle;
    try {
      handle = await open(file, 'r');
    } catch (error) {
      throw fileError(error, file, 'open');
    }
    const reader = new StateFileReader(file, handle);
    try {
      parseFileHeader(await reader.read(0, STATE_HEADER_BYTES), file, crc32);
      return reader;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The next section, or undefined at the end of a whole file. */
  async next(): Promise<Section | undefined> {
    while (!this.ended && this.ahead.length < DEPTH) {
      const header = parseSectionHeader(await this.read(this.at, SECTION_HEADER_BYTES), this.file, crc32);
      this.at += SECTION_HEADER_BYTES;
      if (header.kind === 'END ') {
        if (header.index !== this.sections) throw this.corrupt('sections are missing');
        this.ended = true;
        break;
      }
      this.sections++;
      const stored = await this.read(this.at, header.storedBytes);
      this.at += header.storedBytes;
      const section = this.unpack(header, stored);
      // It may fail before anybody asks for it.
      section.catch(() => {});
      this.ahead.push(section);
    }
    return this.ahead.shift();
  }

  /** The next section, which has to be a tree of this kind. */
  async tree(kind: 'META' | 'TREE'): Promise<StateValue> {
    const section = await this.next();
    if (section?.header.kind !== kind) throw this.corrupt(`it has no ${kind} where it belongs`);
    return this.decode(section.plain);
  }

  decode(plain: Uint8Array): StateValue {
    return decodeState(plain, this.file);
  }

  corrupt(what: string): HypervueError {
    return new HypervueError('corrupt', `${this.file} is damaged: ${what}`, { path: this.file, operation: 'restore' });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.ahead);
    await this.handle.close();
  }

  private async unpack(header: SectionHeader, stored: Buffer): Promise<Section> {
    if (crc32(stored) !== header.crc) throw this.corrupt(`section ${header.kind.trim()} has a wrong checksum`);
    if (!header.compressed) return { header, plain: stored };
    const plain = await unzstd(stored, { maxOutputLength: Math.max(1, header.plainBytes) }).catch((error) => {
      throw this.corrupt(`section ${header.kind.trim()} can't be unpacked (${error instanceof Error ? error.message : String(error)})`);
    });
    if (plain.length !== header.plainBytes) throw this.corrupt(`section ${header.kind.trim()} has another size than it says`);
    return { header, plain };
  }

  private async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    try {
      while (done < length) {
        const { bytesRead } = await this.handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (error) {
      throw fileError(error, this.file, 'read');
    }
    if (done < length) throw this.corrupt('it ends too early');
    return bytes;
  }
}
