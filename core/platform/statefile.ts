/** State files (snapshot/stateformat.ts) on the host: compressed and checked on Node's own threads, a few sections at a time. */
import { randomBytes } from 'node:crypto';
import { readSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { StateValue } from '../snapshot/snapshottable.ts';
import { decodeState, encodeState } from '../snapshot/statecodec.ts';
import {
  applyChunk,
  type ChunkBuilder,
  CHUNK_HEADER_BYTES,
  CHUNK_MAX_BYTES,
  encodeFileHeader,
  encodeSectionHeader,
  parseFileHeader,
  parseSectionHeader,
  placeChunk,
  SECTION_HEADER_BYTES,
  SECTION_MAX_BYTES,
  type SectionHeader,
  type SectionKind,
  STATE_HEADER_BYTES,
} from '../snapshot/stateformat.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { syncFolder } from './atomicfile.ts';
import { fileError } from './nodefile.ts';
import type { StateCipher } from './statecipher.ts';

const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);
const unzstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress);
const crc32 = (bytes: Uint8Array): number => zlib.crc32(bytes);

/** Level 1: memory shrinks by nearly as much as with higher ones, in a third of the time. */
const OPTIONS = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
/** Sections that are compressed, written or read at the same time: as many as Node has threads for it. */
const DEPTH = 4;

/** Bytes between two flushes while a file is written. */
const FLUSH_BYTES = 32 << 20;

/** Writes one state file. It appears under its name when `commit` resolves, whole; until then it has another name. */
export class StateFileWriter {
  /** Bytes that sections have taken up to now, written or about to be. */
  bytes = 0;
  private readonly target: string;
  private readonly temporary: string;
  private readonly handle: FileHandle;
  private readonly compress: boolean;
  /** Seals what comes from here on. */
  private cipher: StateCipher | undefined;
  private readonly depth: number;
  private sections = 0;
  private readonly running = new Set<Promise<void>>();
  /** Memory for chunks: a fresh MiB for each would cost as much as copying it. */
  private readonly pool: Uint8Array<ArrayBuffer>[] = [];
  private failure: unknown;
  private flushing: Promise<void> | undefined;
  private written = 0;
  /** What the last flush took along, of `written`. */
  private flushed = 0;
  /** Sections go to the file in the order they were given. */
  private tail: Promise<void> = Promise.resolve();

  private constructor(target: string, temporary: string, handle: FileHandle, how: { compress: boolean; depth: number }) {
    this.compress = how.compress;
    this.depth = how.depth;
    this.target = target;
    this.temporary = temporary;
    this.handle = handle;
  }

  /** `temporary`: what it is called until then; beside its place when absent. */
  static async create(
    target: string,
    { compress = true, depth = DEPTH, version = 1, temporary = `${target}.${randomBytes(6).toString('hex')}.tmp` } = {},
  ): Promise<StateFileWriter> {
    try {
      const writer = new StateFileWriter(target, temporary, await open(temporary, 'wx', 0o600), { compress, depth });
      await writer.put([encodeFileHeader(crc32, version)], 0);
      writer.bytes = STATE_HEADER_BYTES;
      return writer;
    } catch (error) {
      throw fileError(error, temporary, 'write');
    }
  }

  /** Takes a section; resolves when there is room for the next one, so that no more than a few are in memory. `plain` is the writer's until it calls `release`. */
  async add(kind: SectionKind, index: number, plain: Uint8Array, release?: () => void): Promise<void> {
    if (this.failure) throw this.failure;
    if (plain.length > SECTION_MAX_BYTES)
      throw new HypervueError('internal', `a section of the state has ${plain.length} bytes`, { path: this.target, operation: 'save' });
    await this.started(this.compress || this.cipher ? this.addPacked(kind, index, plain) : this.append(kind, index, plain), release);
  }

  /** As `add` of the chunk's plain bytes. They are read before it resolves. */
  async addGathered(kind: SectionKind, index: number, chunk: ChunkBuilder): Promise<void> {
    const buffer = this.pool.pop() ?? new Uint8Array(CHUNK_MAX_BYTES);
    await this.add(kind, index, chunk.finish(buffer), () => this.pool.push(buffer));
  }

  /**
   * Takes a chunk, its bitmaps first, whose pages may change until `drained` resolves; they are anything then, and have to be given again. Resolves as `add` does. For files of version 3
   * that are neither compressed nor sealed.
   */
  async addAsItIs(kind: SectionKind, index: number, pieces: readonly Uint8Array[]): Promise<void> {
    if (this.failure) throw this.failure;
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const sizes = { storedBytes: length, plainBytes: length };
    const header = { kind, compressed: false, sealed: false, pagesUnsummed: true, ordinal: 0, index, ...sizes, crc: crc32(pieces[0]!) };
    await this.started(this.place(header, pieces));
  }

  /** Resolves when nothing that was taken is looked at any more. */
  async drained(): Promise<void> {
    await Promise.all(this.running);
    if (this.failure) throw this.failure;
  }

  /** A section is being written. Resolves when there is room for another one. */
  private async started(written: Promise<void>, release?: () => void): Promise<void> {
    this.sections++;
    const job = written
      .then(() => {
        release?.();
        this.flushNow();
      })
      .catch((error) => {
        this.failure ??= error;
      })
      .then(() => {
        this.running.delete(job);
      });
    this.running.add(job);
    if (this.running.size >= this.depth) await Promise.race(this.running);
    if (this.failure) throw this.failure;
  }

  /** Its place in the file depends on what those before it are compressed to. */
  private addPacked(kind: SectionKind, index: number, plain: Uint8Array): Promise<void> {
    const { cipher } = this;
    const ordinal = this.sections;
    const packing = this.pack(plain);
    packing.catch(() => {});
    this.tail = this.tail.then(async () => {
      const { stored: packed, compressed } = await packing;
      const stored = cipher?.seal({ kind, index, ordinal }, packed) ?? packed;
      const sizes = { storedBytes: stored.length, plainBytes: plain.length };
      const header = { kind, compressed, sealed: cipher !== undefined, ordinal: cipher ? ordinal : 0, index, ...sizes, crc: crc32(stored) };
      await this.place(header, [stored]);
    });
    return this.tail;
  }

  /** As it is: its place is known at once, so nothing has to wait for what comes before. The checksum is taken now, while the bytes are in the processor's cache. */
  private append(kind: SectionKind, index: number, plain: Uint8Array): Promise<void> {
    const sizes = { storedBytes: plain.length, plainBytes: plain.length };
    return this.place({ kind, compressed: false, sealed: false, ordinal: 0, index, ...sizes, crc: crc32(plain) }, [plain]);
  }

  private place(header: SectionHeader, stored: readonly Uint8Array[]): Promise<void> {
    const at = this.bytes;
    this.bytes += SECTION_HEADER_BYTES + header.storedBytes;
    return this.put([encodeSectionHeader(header, crc32), ...stored], at);
  }

  addTree(kind: 'META' | 'TREE', tree: StateValue): Promise<void> {
    return this.add(kind, 0, encodeState(tree));
  }

  /** Seals all sections that follow, in a file of version 2. `drive`: whose key it is. */
  async sealFrom(drive: string, cipher: StateCipher): Promise<void> {
    await this.add('KEY ', 0, encodeState({ version: 1, drive, salt: cipher.salt }));
    this.cipher = cipher;
  }

  /** Everything is on the disk, under a name that nothing looks at yet. */
  async finish(): Promise<void> {
    await this.drained();
    await this.flushing;
    if (this.failure) throw this.failure;
    const nothing = { compressed: false, sealed: false, ordinal: 0, storedBytes: 0, plainBytes: 0, crc: 0 };
    await this.place({ kind: 'END ', index: this.sections, ...nothing }, []);
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
    await Promise.allSettled([...this.running, this.flushing]);
    await this.handle.close().catch(() => {});
    await rm(this.temporary, { force: true });
  }

  private async pack(plain: Uint8Array): Promise<{ stored: Uint8Array; compressed: boolean }> {
    if (!this.compress || plain.length < 64) return { stored: plain, compressed: false };
    const packed = await zstd(plain, OPTIONS);
    return packed.length < plain.length ? { stored: packed, compressed: true } : { stored: plain, compressed: false };
  }

  private async put(pieces: Uint8Array[], at: number): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    try {
      for (let done = 0; done < length; ) {
        const { bytesWritten } = await this.handle.writev(rest(pieces, done), at + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw fileError(error, this.temporary, 'write');
    }
    this.written += length;
  }

  /** Has the system write to the disk meanwhile what it has taken, so that there is little left to wait for at the end. */
  private flushNow(): void {
    if (this.flushing || this.written - this.flushed < FLUSH_BYTES) return;
    this.flushed = this.written;
    this.flushing = this.handle
      .datasync()
      .catch((error) => {
        this.failure ??= fileError(error, this.temporary, 'write');
      })
      .finally(() => {
        this.flushing = undefined;
      });
  }
}

/** What is left of the pieces after their first `done` bytes. */
function rest(pieces: Uint8Array[], done: number): Uint8Array[] {
  if (done === 0) return pieces;
  let skip = done;
  return pieces.flatMap((piece) => {
    const from = Math.min(skip, piece.length);
    skip -= from;
    return from < piece.length ? [piece.subarray(from)] : [];
  });
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
  private cipher: StateCipher | undefined;

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
      const bytes = await this.read(this.at, SECTION_HEADER_BYTES);
      // Its key may come before it is asked for.
      if (this.ahead.length && !this.cipher && parseSectionHeader(bytes, this.file, crc32).sealed) break;
      const header = this.enter(bytes);
      if (!header) break;
      const stored = await this.read(this.at - header.storedBytes, header.storedBytes);
      const section = this.unpack(header, stored);
      // It may fail before anybody asks for it.
      section.catch(() => {});
      this.ahead.push(section);
    }
    return this.ahead.shift();
  }

  /**
   * Puts the sections of memory that follow into `areas`, by their kind, and calls `filled` for each; resolves with the first section of another kind. What is not compressed is
   * read to where it belongs at once. When it rejects, the areas hold anything.
   */
  fill(areas: ReadonlyMap<SectionKind, Uint8Array>, filled: (kind: SectionKind, index: number) => void): Promise<Section | undefined> {
    return this.eachPlace(
      (kind) => areas.has(kind),
      ({ header, plain }) => {
        applyChunk(plain, header.index, areas.get(header.kind)!, this.file);
        filled(header.kind, header.index);
      },
      async (header, from) => {
        await this.fillOne(header, from, areas.get(header.kind)!);
        filled(header.kind, header.index);
      },
    );
  }

  /**
   * Gives the sections of memory that follow to `take`, those of one place in their order, and resolves with the first section of another kind. What is not `wanted` is passed
   * over unread. The bytes are used again after `take`.
   */
  chunks(
    kinds: readonly SectionKind[],
    wanted: (kind: SectionKind, index: number) => boolean,
    take: (kind: SectionKind, index: number, plain: Uint8Array) => void,
  ): Promise<Section | undefined> {
    const pool: Buffer[] = [];
    const hand = ({ header: { kind, index }, plain }: Section) => {
      if (wanted(kind, index)) take(kind, index, plain);
    };
    return this.eachPlace(
      (kind) => kinds.includes(kind),
      hand,
      async (header, from) => {
        if (!wanted(header.kind, header.index)) return;
        const buffer = header.storedBytes <= CHUNK_MAX_BYTES ? (pool.pop() ?? Buffer.allocUnsafeSlow(CHUNK_MAX_BYTES)) : undefined;
        hand(await this.unpack(header, await this.read(from, header.storedBytes, buffer)));
        if (buffer) pool.push(buffer);
      },
    );
  }

  /** Goes through the sections of memory that follow: `ahead` does those that were read before, `work` all others, a few at a time. Resolves with the first that is none. */
  private async eachPlace(
    memory: (kind: SectionKind) => boolean,
    ahead: (section: Section) => void,
    work: (header: SectionHeader, from: number) => Promise<void>,
  ): Promise<Section | undefined> {
    for (;;) {
      // What was read ahead, of whatever kind.
      const section = this.ahead.length ? await this.ahead.shift() : undefined;
      if (!section) break;
      if (!memory(section.header.kind)) return section;
      ahead(section);
    }
    const busy = new Map<string, Promise<void>>();
    try {
      for (;;) {
        const header = this.headerNow();
        if (!header || !memory(header.kind)) {
          await Promise.all(busy.values());
          return header && (await this.unpack(header, await this.read(this.at - header.storedBytes, header.storedBytes)));
        }
        const place = `${header.kind}${header.index}`;
        // A later section of the same place takes precedence.
        await busy.get(place);
        while (busy.size >= DEPTH) await Promise.race(busy.values());
        const job = work(header, this.at - header.storedBytes).then(() => {
          busy.delete(place);
        });
        job.catch(() => {});
        busy.set(place, job);
      }
    } finally {
      await Promise.allSettled(busy.values());
    }
  }

  private async fillOne(header: SectionHeader, from: number, area: Uint8Array): Promise<void> {
    if (header.compressed || header.sealed) {
      const { plain } = await this.unpack(header, await this.read(from, header.storedBytes));
      applyChunk(plain, header.index, area, this.file);
      return;
    }
    const bitmaps = Buffer.allocUnsafe(CHUNK_HEADER_BYTES);
    if (header.plainBytes < bitmaps.length || readSync(this.handle.fd, bitmaps, 0, bitmaps.length, from) < bitmaps.length)
      throw this.corrupt('it ends too early');
    const pieces = placeChunk(bitmaps, header.plainBytes, header.index, area, this.file);
    for (let done = 0, length = header.plainBytes - bitmaps.length; done < length; ) {
      const { bytesRead } = await this.handle.readv(rest(pieces, done), from + bitmaps.length + done).catch((error) => {
        throw fileError(error, this.file, 'read');
      });
      if (bytesRead === 0) throw this.corrupt('it ends too early');
      done += bytesRead;
    }
    const summed = header.pagesUnsummed ? [] : pieces;
    const crc = summed.reduce((sum, piece) => zlib.crc32(piece, sum), crc32(bitmaps));
    if (crc !== header.crc) throw this.corrupt(`section ${header.kind.trim()} has a wrong checksum`);
  }

  /**
   * The header of the next section, whose contents the reader is behind then; undefined at the end. On this thread: a few bytes from the system's cache, while nothing else
   * goes on here.
   */
  private headerNow(): SectionHeader | undefined {
    if (this.ended) return undefined;
    const bytes = Buffer.allocUnsafe(SECTION_HEADER_BYTES);
    let got: number;
    try {
      got = readSync(this.handle.fd, bytes, 0, bytes.length, this.at);
    } catch (error) {
      throw fileError(error, this.file, 'read');
    }
    if (got < bytes.length) throw this.corrupt('it ends too early');
    return this.enter(bytes);
  }

  /** Steps over the section of this header; undefined when it is the end. */
  private enter(bytes: Uint8Array): SectionHeader | undefined {
    const header = parseSectionHeader(bytes, this.file, crc32);
    this.at += SECTION_HEADER_BYTES;
    if (header.kind === 'END ') {
      if (header.index !== this.sections) throw this.corrupt('sections are missing');
      this.ended = true;
      return undefined;
    }
    // Sealed ones can't be put in another order either.
    if (header.sealed && header.ordinal !== this.sections) throw this.corrupt('sections are missing');
    this.sections++;
    this.at += header.storedBytes;
    return header;
  }

  /** The next section, which has to be a tree of this kind. */
  async tree(kind: 'META' | 'TREE'): Promise<StateValue> {
    const section = await this.next();
    if (section?.header.kind !== kind) throw this.corrupt(`it has no ${kind} where it belongs`);
    return this.decode(section.plain);
  }

  /** Has `next` give the section again. */
  unread(section: Section): void {
    this.ahead.unshift(Promise.resolve(section));
  }

  /** The key for the sections that follow. */
  unlock(cipher: StateCipher): void {
    this.cipher = cipher;
  }

  decode(plain: Uint8Array): StateValue {
    return decodeState(plain, this.file);
  }

  corrupt(what: string): HypervueError {
    return new HypervueError('corrupt', say('stateDamaged', { file: this.file, what }), { path: this.file, operation: 'restore' });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.ahead);
    await this.handle.close();
  }

  private async unpack(header: SectionHeader, stored: Buffer): Promise<Section> {
    if (crc32(header.pagesUnsummed ? stored.subarray(0, CHUNK_HEADER_BYTES) : stored) !== header.crc)
      throw this.corrupt(`section ${header.kind.trim()} has a wrong checksum`);
    const packed = header.sealed ? this.cipher?.open(header, stored) : stored;
    if (!packed)
      throw this.cipher
        ? this.corrupt(`section ${header.kind.trim()} was not sealed with the key of this machine's disk`)
        : new HypervueError(
            'unauthorized',
            say('stateEncrypted', { file: this.file }),
            { path: this.file, operation: 'restore', reason: 'passphrase-missing' },
            say('fixPassphraseOfDisks'),
          );
    if (!header.compressed) {
      if (packed.length !== header.plainBytes) throw this.corrupt(`section ${header.kind.trim()} has another size than it says`);
      return { header, plain: packed };
    }
    const plain = await unzstd(packed, { maxOutputLength: Math.max(1, header.plainBytes) }).catch((error) => {
      throw this.corrupt(`section ${header.kind.trim()} can't be unpacked (${error instanceof Error ? error.message : String(error)})`);
    });
    if (plain.length !== header.plainBytes) throw this.corrupt(`section ${header.kind.trim()} has another size than it says`);
    return { header, plain };
  }

  /** `into`: memory for it, at least as long. */
  private async read(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafe(length);
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
