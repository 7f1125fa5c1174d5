/** Chunks of a state file (snapshot/stateformat.ts) that are written around the system's cache, some at a time: each has a block before its pages, with a PAD section, its header and its bitmaps. */
import zlib from 'node:zlib';
import { CHUNK_HEADER_BYTES, encodeSectionHeader, SECTION_HEADER_BYTES, type SectionHeader } from '../snapshot/stateformat.ts';
import { AROUND_BLOCK, alignedMemory } from './aroundcache.ts';

/** Enough for one write: fewer, larger ones are no quicker. */
const ENOUGH_BYTES = 4 << 20;
const MOST_CHUNKS = 64;
/** A system takes 1024 at once (IOV_MAX). */
const MOST_PIECES = 512;
const crc32 = (bytes: Uint8Array): number => zlib.crc32(bytes);

/** A PAD section's header and its zeros, `bytes` in all. */
export function padding(bytes: number): [header: SectionHeader, zeros: Uint8Array] {
  const zeros = new Uint8Array(bytes - SECTION_HEADER_BYTES);
  const sizes = { storedBytes: zeros.length, plainBytes: zeros.length };
  return [{ kind: 'PAD ', compressed: false, sealed: false, ordinal: 0, index: 0, ...sizes, crc: crc32(zeros) }, zeros];
}

const FILLER = AROUND_BLOCK - SECTION_HEADER_BYTES - CHUNK_HEADER_BYTES;
const FILLER_HEADER = encodeSectionHeader(padding(FILLER)[0], crc32);

export class StateBlocks {
  readonly pieces: Uint8Array[] = [];
  /** Of the first block. */
  at = 0;
  bytes = 0;
  private chunks = 0;
  private readonly heads = alignedMemory(MOST_CHUNKS * AROUND_BLOCK);

  /** For the next ones, when these are written. */
  restart(at: number): void {
    this.at = at;
    this.bytes = 0;
    this.chunks = 0;
    this.pieces.length = 0;
  }

  /** `pieces`: the bitmaps of a chunk, then its pages, which are whole. */
  add(header: SectionHeader, [bitmaps, ...pages]: readonly Uint8Array[]): void {
    const from = this.chunks++ * AROUND_BLOCK;
    const head = this.heads.subarray(from, from + AROUND_BLOCK);
    head.set(FILLER_HEADER);
    head.set(encodeSectionHeader(header, crc32), FILLER);
    head.set(bitmaps!, FILLER + SECTION_HEADER_BYTES);
    this.pieces.push(head, ...pages);
    this.bytes += AROUND_BLOCK + header.storedBytes - CHUNK_HEADER_BYTES;
  }

  get full(): boolean {
    return this.bytes >= ENOUGH_BYTES || this.chunks === MOST_CHUNKS || this.pieces.length >= MOST_PIECES;
  }
}
