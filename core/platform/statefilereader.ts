/** Reads state files (snapshot/stateformat.ts) on the host: checked and unpacked on Node's own threads, a few sections at a time. */
import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { StateValue } from '../snapshot/snapshottable.ts';
import { decodeState } from '../snapshot/statecodec.ts';
import {
  applyChunk,
  BLOCKS_VERSION,
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  CHUNK_MAX_BYTES,
  chunkPages,
  PAGE_BYTES,
  parseFileHeader,
  parseSectionHeader,
  placeChunk,
  SECTION_HEADER_BYTES,
  type SectionHeader,
  type SectionKind,
  STATE_HEADER_BYTES,
} from '../snapshot/stateformat.ts';
import { decodeIndex, INDEX_POINTER_BYTES, type IndexedChunk, pagesToRead, type StateIndex, storedPages } from '../snapshot/stateindex.ts';
import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { AROUND_BLOCK, AroundCache, alignedMemory, piecesAfter } from './aroundcache.ts';
import { fileError } from './nodefile.ts';
import type { StateCipher } from './statecipher.ts';

const unzstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress);
const crc32 = (bytes: Uint8Array): number => zlib.crc32(bytes);

/** Sections that are unpacked or read at the same time: as many as Node has threads for it. */
const DEPTH = 4;

export interface Section {
  header: SectionHeader;
  plain: Uint8Array;
}

/** Which pages of memory are wanted of a file, and where they go. */
export interface WantedPages {
  /** The memory, by kind. */
  areas: ReadonlyMap<SectionKind, Uint8Array>;
  chunk(kind: SectionKind, index: number): boolean;
  /** Of a chunk that is wanted; `take` may be called for others too. */
  page(kind: SectionKind, index: number, page: number): boolean;
  take(kind: SectionKind, index: number, page: number, content: Uint8Array | null): void;
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
  /** The way around the system's cache, in a file whose pages were written so. */
  private around: AroundCache | undefined;
  /** Its chunks in blocks, where the file says where they are. */
  private index: StateIndex | undefined;

  private constructor(file: string, handle: FileHandle) {
    this.file = file;
    this.handle = handle;
  }

  /** The index of its chunks in blocks, when its last section tells of one. A file whose end is not there has none: reading all of it says what is wrong. */
  private async findIndex(): Promise<StateIndex | undefined> {
    const { size } = await this.handle.stat();
    const endAt = size - SECTION_HEADER_BYTES - INDEX_POINTER_BYTES;
    if (endAt < STATE_HEADER_BYTES) return undefined;
    const end = await this.read(endAt, SECTION_HEADER_BYTES + INDEX_POINTER_BYTES);
    const pointer = end.subarray(SECTION_HEADER_BYTES);
    let header: SectionHeader;
    try {
      header = parseSectionHeader(end, this.file, crc32);
    } catch {
      return undefined;
    }
    if (header.kind !== 'END ' || header.storedBytes !== INDEX_POINTER_BYTES) return undefined;
    const at = Number(pointer.readBigUInt64LE());
    if (crc32(pointer) !== header.crc || at > endAt - SECTION_HEADER_BYTES) throw this.corrupt(say('damageIndexPlace'));
    const section = parseSectionHeader(await this.read(at, SECTION_HEADER_BYTES), this.file, crc32);
    if (section.kind !== 'INDX') throw this.corrupt(say('damageIndexPlace'));
    const { plain } = await this.unpack(section, await this.read(at + SECTION_HEADER_BYTES, section.storedBytes));
    return decodeIndex(plain, at, this.file);
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
      const version = parseFileHeader(await reader.read(0, STATE_HEADER_BYTES), file, crc32);
      if (version >= BLOCKS_VERSION) {
        reader.index = await reader.findIndex();
        reader.around = await AroundCache.open(file, 'read');
      }
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
      if (header.kind === 'PAD ' || header.kind === 'INDX') continue;
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
      async ({ kind, index, pagesAt, bitmaps }) => {
        const stored = storedPages(bitmaps) * PAGE_BYTES;
        await this.readPieces(placeChunk(bitmaps, CHUNK_HEADER_BYTES + stored, index, areas.get(kind)!, this.file), pagesAt, stored);
        filled(kind, index);
      },
    );
  }

  /**
   * Gives the pages of memory that follow to `take`, those of one place in their order, null for zeros, and resolves with the first section of another kind. What is not wanted is
   * passed over unread where that can be. The bytes are used again after `take`.
   */
  chunks({ areas, chunk, page, take }: WantedPages): Promise<Section | undefined> {
    const pool: Buffer[] = [];
    /** Memory for a chunk, in which its pages come to lie at blocks. */
    const borrow = () => pool.pop() ?? alignedMemory(AROUND_BLOCK + CHUNK_BYTES).subarray(AROUND_BLOCK - CHUNK_HEADER_BYTES);
    const hand = ({ header: { kind, index }, plain }: Section) => {
      if (chunk(kind, index))
        for (const [at, content] of chunkPages(plain, index, areas.get(kind)!, this.file)) take(kind, index, at, content);
    };
    return this.eachPlace(
      (kind) => areas.has(kind),
      hand,
      async (header, from) => {
        if (!chunk(header.kind, header.index)) return;
        const buffer = header.storedBytes <= CHUNK_MAX_BYTES ? borrow() : undefined;
        hand(await this.unpack(header, await this.readChunk(header, from, buffer)));
        if (buffer) pool.push(buffer);
      },
      async (indexed) => {
        const { kind, index } = indexed;
        if (!chunk(kind, index)) return;
        const { runs, pages } = pagesToRead(indexed, (at) => page(kind, index, at), areas.get(kind)!.length, this.file);
        const buffer = borrow();
        const room = buffer.subarray(CHUNK_HEADER_BYTES);
        for (const { at, fileAt, bytes } of runs) await this.readPieces([room.subarray(at, at + bytes)], fileAt, bytes);
        for (const [n, at] of pages) take(kind, index, n, at < 0 ? null : room.subarray(at, at + PAGE_BYTES));
        pool.push(buffer);
      },
    );
  }

  /**
   * Goes through the sections of memory that follow: `ahead` does those that were read before, `indexed` those that the index has, `work` all others, a few at a time. Resolves with
   * the first that is none.
   */
  private async eachPlace(
    memory: (kind: SectionKind) => boolean,
    ahead: (section: Section) => void,
    work: (header: SectionHeader, from: number) => Promise<void>,
    indexed: (chunk: IndexedChunk) => Promise<void>,
  ): Promise<Section | undefined> {
    for (;;) {
      // What was read ahead, of whatever kind.
      const section = this.ahead.length ? await this.ahead.shift() : undefined;
      if (!section) break;
      if (!memory(section.header.kind)) return section;
      ahead(section);
    }
    const busy = new Map<string, Promise<void>>();
    const begin = async (kind: SectionKind, index: number, job: () => Promise<void>) => {
      const place = `${kind}${index}`;
      // A later section of the same place takes precedence.
      await busy.get(place);
      while (busy.size >= DEPTH) await Promise.race(busy.values());
      const running = job().then(() => {
        busy.delete(place);
      });
      running.catch(() => {});
      busy.set(place, running);
    };
    try {
      const { index } = this;
      if (index && this.at < index.endAt) {
        const next = this.at;
        for (const chunk of index.chunks) if (chunk.pagesAt > next) await begin(chunk.kind, chunk.index, () => indexed(chunk));
        this.at = index.endAt;
        this.sections = index.sections;
      }
      for (;;) {
        const header = this.headerNow();
        if (header?.kind === 'PAD ' || header?.kind === 'INDX') continue;
        if (!header || !memory(header.kind)) {
          await Promise.all(busy.values());
          return header && (await this.unpack(header, await this.read(this.at - header.storedBytes, header.storedBytes)));
        }
        const from = this.at - header.storedBytes;
        await begin(header.kind, header.index, () => work(header, from));
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
      throw this.corrupt(say('damageEndsEarly'));
    const pieces = placeChunk(bitmaps, header.plainBytes, header.index, area, this.file);
    await this.readPieces(pieces, from + bitmaps.length, header.plainBytes - bitmaps.length);
    const summed = header.pagesUnsummed ? [] : pieces;
    const crc = summed.reduce((sum, piece) => zlib.crc32(piece, sum), crc32(bitmaps));
    if (crc !== header.crc) throw this.corrupt(say('damageSectionSum', { section: header.kind.trim() }));
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
    if (got < bytes.length) throw this.corrupt(say('damageEndsEarly'));
    return this.enter(bytes);
  }

  /** Steps over the section of this header; undefined when it is the end. */
  private enter(bytes: Uint8Array): SectionHeader | undefined {
    const header = parseSectionHeader(bytes, this.file, crc32);
    this.at += SECTION_HEADER_BYTES;
    if (header.kind === 'END ') {
      if (header.index !== this.sections) throw this.corrupt(say('damageSectionsMissing'));
      if (header.storedBytes && !this.index) throw this.corrupt(say('damageEndsEarly'));
      this.ended = true;
      return undefined;
    }
    // Sealed ones can't be put in another order either.
    if (header.sealed && header.ordinal !== this.sections) throw this.corrupt(say('damageSectionsMissing'));
    this.sections++;
    this.at += header.storedBytes;
    return header;
  }

  /** The next section, which has to be a tree of this kind. */
  async tree(kind: 'META' | 'TREE'): Promise<StateValue> {
    const section = await this.next();
    if (section?.header.kind !== kind) throw this.corrupt(say('damageNoSection', { section: kind }));
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

  corrupt(what: Saying): HypervueError {
    return new HypervueError('corrupt', say('stateDamaged', { file: this.file, what }), { path: this.file, operation: 'restore' });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.ahead);
    await this.around?.close();
    await this.handle.close();
  }

  private async unpack(header: SectionHeader, stored: Buffer): Promise<Section> {
    if (crc32(header.pagesUnsummed ? stored.subarray(0, CHUNK_HEADER_BYTES) : stored) !== header.crc)
      throw this.corrupt(say('damageSectionSum', { section: header.kind.trim() }));
    const packed = header.sealed ? this.cipher?.open(header, stored) : stored;
    if (!packed)
      throw this.cipher
        ? this.corrupt(say('damageSectionKey', { section: header.kind.trim() }))
        : new HypervueError(
            'unauthorized',
            say('stateEncrypted', { file: this.file }),
            { path: this.file, operation: 'restore', reason: 'passphrase-missing' },
            say('fixPassphraseOfDisks'),
          );
    if (!header.compressed) {
      if (packed.length !== header.plainBytes) throw this.corrupt(say('damageSectionSize', { section: header.kind.trim() }));
      return { header, plain: packed };
    }
    const plain = await unzstd(packed, { maxOutputLength: Math.max(1, header.plainBytes) }).catch((error) => {
      throw this.corrupt(
        say('damageSectionUnpack', { section: header.kind.trim(), problem: error instanceof Error ? error.message : String(error) }),
      );
    });
    if (plain.length !== header.plainBytes) throw this.corrupt(say('damageSectionSize', { section: header.kind.trim() }));
    return { header, plain };
  }

  /** A chunk's bytes. `into`: memory for them, in which pages come to lie at blocks. */
  private async readChunk(header: SectionHeader, from: number, into: Buffer | undefined): Promise<Buffer> {
    if (!into || !this.around || header.storedBytes < CHUNK_HEADER_BYTES) return this.read(from, header.storedBytes, into);
    await this.read(from, CHUNK_HEADER_BYTES, into);
    const bytes = into.subarray(0, header.storedBytes);
    await this.readPieces([bytes.subarray(CHUNK_HEADER_BYTES)], from + CHUNK_HEADER_BYTES, bytes.length - CHUNK_HEADER_BYTES);
    return bytes;
  }

  /** Fills the pieces, `length` bytes in all, with what lies at `at`. */
  private async readPieces(pieces: readonly Uint8Array[], at: number, length: number): Promise<void> {
    const around = at % AROUND_BLOCK === 0 ? this.around : undefined;
    try {
      for (let done = 0; done < length; ) {
        const left = piecesAfter(pieces, done);
        const blocks = (await around?.read(left, at + done)) ?? 0;
        const got = blocks || (await this.handle.readv(left as Uint8Array[], at + done)).bytesRead;
        if (got === 0) throw this.corrupt(say('damageEndsEarly'));
        done += got;
      }
    } catch (error) {
      throw error instanceof HypervueError ? error : fileError(error, this.file, 'read');
    }
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
    if (done < length) throw this.corrupt(say('damageEndsEarly'));
    return bytes;
  }
}
