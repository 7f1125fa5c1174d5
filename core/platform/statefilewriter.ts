/** Writes state files (snapshot/stateformat.ts) on the host: compressed and checked on Node's own threads, a few sections at a time. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { StateValue } from '../snapshot/snapshottable.ts';
import { encodeState } from '../snapshot/statecodec.ts';
import {
  BLOCKS_VERSION,
  type ChunkBuilder,
  CHUNK_MAX_BYTES,
  encodeFileHeader,
  encodeSectionHeader,
  SECTION_HEADER_BYTES,
  SECTION_MAX_BYTES,
  type SectionHeader,
  type SectionKind,
  STATE_HEADER_BYTES,
} from '../snapshot/stateformat.ts';
import { encodeIndex, INDEX_MAX_CHUNKS, INDEX_POINTER_BYTES, type IndexedChunk } from '../snapshot/stateindex.ts';
import { HypervueError } from '../util/errors.ts';
import { AROUND_BLOCK, AroundCache, piecesAfter } from './aroundcache.ts';
import { syncFolder } from './atomicfile.ts';
import { fileError } from './nodefile.ts';
import { padding, StateBlocks } from './stateblocks.ts';
import type { StateCipher } from './statecipher.ts';

const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);
const crc32 = (bytes: Uint8Array): number => zlib.crc32(bytes);

/** Level 1: memory shrinks by nearly as much as with higher ones, in a third of the time. */
const OPTIONS = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
/** Sections that are compressed or written at the same time: as many as Node has threads for it. */
const DEPTH = 4;
/** Bytes between two flushes while a file is written. */
const FLUSH_BYTES = 32 << 20;
/** Writes of blocks around the system's cache at the same time: the disk is busy, and a thread is left for the guest's disks. */
const BLOCK_WRITES = 3;

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
  /** The way around the system's cache, for chunks as they are. */
  private around: AroundCache | undefined;
  private blocks: StateBlocks | undefined;
  private readonly blocksPool: StateBlocks[] = [];
  /** Of all chunks in blocks, as long as nothing but more of them was written since the first. */
  private index: IndexedChunk[] | undefined = [];
  /** Where the section after them begins, and how many come before it. */
  private indexEnd = { endAt: 0, sections: 0 };

  private constructor(target: string, temporary: string, handle: FileHandle, how: { compress: boolean; depth: number }) {
    this.compress = how.compress;
    this.depth = how.depth;
    this.target = target;
    this.temporary = temporary;
    this.handle = handle;
  }

  /** `temporary`: what it is called until then; beside its place when absent. `version` 3 becomes 4 where the file system lets chunks go around the system's cache. */
  static async create(
    target: string,
    { compress = true, depth = DEPTH, version = 1, temporary = `${target}.${randomBytes(6).toString('hex')}.tmp` } = {},
  ): Promise<StateFileWriter> {
    try {
      const writer = new StateFileWriter(target, temporary, await open(temporary, 'wx', 0o600), { compress, depth });
      if (version === 3) writer.around = await AroundCache.open(temporary, 'write');
      await writer.put([encodeFileHeader(crc32, writer.around ? BLOCKS_VERSION : version)], 0);
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
    if (this.around) await this.addBlocks(header, pieces);
    else await this.started(this.place(header, pieces));
  }

  private async addBlocks(header: SectionHeader, pieces: readonly Uint8Array[]): Promise<void> {
    if (!this.blocks) {
      if (this.index?.length && this.indexEnd.endAt !== this.bytes) this.index = undefined;
      const beyond = this.bytes % AROUND_BLOCK;
      const short = AROUND_BLOCK - beyond;
      const [pad, zeros] = padding(short < SECTION_HEADER_BYTES ? short + AROUND_BLOCK : short);
      if (beyond) await this.started(this.place(pad, [zeros]));
      this.blocks = this.blocksPool.pop() ?? new StateBlocks();
      this.blocks.restart(this.bytes);
    }
    const { blocks } = this;
    const pagesAt = this.bytes + AROUND_BLOCK;
    blocks.add(header, pieces);
    this.sections += 2;
    this.bytes = blocks.at + blocks.bytes;
    this.index?.push({ kind: header.kind as IndexedChunk['kind'], index: header.index, pagesAt, bitmaps: pieces[0]! });
    this.indexEnd = { endAt: this.bytes, sections: this.sections };
    if (!blocks.full) return;
    this.sendBlocks();
    while (this.running.size >= BLOCK_WRITES) await Promise.race(this.running);
    if (this.failure) throw this.failure;
  }

  /** What was gathered goes to the file. */
  private sendBlocks(): void {
    const { blocks } = this;
    if (!blocks) return;
    this.blocks = undefined;
    this.run(
      this.put(blocks.pieces, blocks.at, this.around).then(() => {
        this.blocksPool.push(blocks);
      }),
    );
  }

  /** Resolves when nothing that was taken is looked at any more. */
  async drained(): Promise<void> {
    this.sendBlocks();
    await Promise.all(this.running);
    if (this.failure) throw this.failure;
  }

  /** A section is being written. Resolves when there is room for another one. */
  private async started(written: Promise<void>, release?: () => void): Promise<void> {
    this.sections++;
    this.run(
      written.then(() => {
        release?.();
        this.flushNow();
      }),
    );
    if (this.running.size >= this.depth) await Promise.race(this.running);
    if (this.failure) throw this.failure;
  }

  private run(work: Promise<void>): void {
    const job = work
      .catch((error) => {
        this.failure ??= error;
      })
      .then(() => {
        this.running.delete(job);
      });
    this.running.add(job);
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
    this.sendBlocks();
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
    const pointer = await this.addIndex();
    const sizes = { storedBytes: pointer.length, plainBytes: pointer.length };
    const plain = { compressed: false, sealed: false, ordinal: 0, ...sizes, crc: pointer.length ? crc32(pointer) : 0 };
    await this.place({ kind: 'END ', index: this.sections, ...plain }, [pointer]);
    try {
      await this.around?.close();
      this.around = undefined;
      await this.handle.sync();
      await this.handle.close();
    } catch (error) {
      throw fileError(error, this.temporary, 'write');
    }
  }

  /** What the END section says of the index: nothing when there is none. */
  private async addIndex(): Promise<Uint8Array> {
    const { index: chunks } = this;
    if (!chunks?.length || chunks.length > INDEX_MAX_CHUNKS) return new Uint8Array(0);
    const pointer = new Uint8Array(INDEX_POINTER_BYTES);
    new DataView(pointer.buffer).setBigUint64(0, BigInt(this.bytes), true);
    await this.add('INDX', 0, encodeIndex({ ...this.indexEnd, chunks }));
    await this.drained();
    return pointer;
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
    await this.around?.close().catch(() => {});
    await this.handle.close().catch(() => {});
    await rm(this.temporary, { force: true });
  }

  private async pack(plain: Uint8Array): Promise<{ stored: Uint8Array; compressed: boolean }> {
    if (!this.compress || plain.length < 64) return { stored: plain, compressed: false };
    const packed = await zstd(plain, OPTIONS);
    return packed.length < plain.length ? { stored: packed, compressed: true } : { stored: plain, compressed: false };
  }

  /** `around`: rather so, when the system takes it. */
  private async put(pieces: readonly Uint8Array[], at: number, around?: AroundCache): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    try {
      for (let done = 0; done < length; ) {
        const left = piecesAfter(pieces, done);
        const blocks = (await around?.write(left, at + done)) ?? 0;
        done += blocks || (await this.handle.writev(left as Uint8Array[], at + done)).bytesWritten;
      }
    } catch (error) {
      throw fileError(error, this.temporary, 'write');
    }
    if (!around) this.written += length;
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
