/**
 * The file of a machine's state, versions 1 to 4. All numbers little-endian.
 *
 *   file header, 16 bytes:  "HVSTATE\n", u32 version, u32 CRC-32 of the 12 bytes before
 *   sections:               header of 32 bytes, then `stored` bytes
 *     +0  u32 kind (four letters)      +4  u32 how it is stored: bit 0 compressed by zstd, bit 1 sealed after that (2),
 *                                          bit 2 the checksum is that of a chunk's bitmaps alone (3)
 *     +8  u32 index                    +12 u32 stored bytes
 *     +16 u32 plain bytes              +20 u32 CRC-32 of the stored bytes
 *     +24 u32 its number among the       +28 u32 CRC-32 of the header before
 *         sections, from 0 (1: 0)
 *
 * Kinds: META (a tree, first), ROM (index 0 system BIOS, 1 VGA BIOS), MEMR and MEMV (a chunk of guest RAM or video memory), TREE (processor, clock and
 * devices), END (last; its index is the count of sections before it). A file without END was not written to its end.
 *
 * Version 2 has sealed sections, each with a tag of 16 bytes behind it (platform/statecipher.ts), and a KEY section (a tree) before the first of them. META is never sealed.
 *
 * Version 3 has chunks that were written out of a running guest's memory: their pages may have changed between any two looks, and a later chunk defines those that have. Packing
 * gives them a checksum.
 *
 * Version 4 is one of version 3 whose pages were written around the system's cache, in whole blocks of 4 KiB: the pages of a chunk of those begin at a multiple of that, as does
 * what follows them. PAD sections (zeros that nobody reads) lie between; snapshot/stateindex.ts describes the INDX section.
 *
 * A chunk is 256 pages of 4 KiB, its index is its place. Plain: a bitmap of the pages it defines, a bitmap of those that are not zeros (32 bytes each,
 * page 0 is bit 0 of byte 0), then these pages. What no chunk defines is zeros; a later chunk of the same index takes precedence for what it defines.
 */
import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';

export const STATE_VERSION = 4;
/** Where chunks may lie in blocks, and an index may tell where. */
export const BLOCKS_VERSION = 4;
export const STATE_HEADER_BYTES = 16;
export const SECTION_HEADER_BYTES = 32;
export const PAGE_BYTES = 4096;
export const CHUNK_PAGES = 256;
export const CHUNK_BYTES = PAGE_BYTES * CHUNK_PAGES;
const BITMAP_BYTES = CHUNK_PAGES / 8;
/** Of a chunk before compression. */
export const CHUNK_HEADER_BYTES = BITMAP_BYTES * 2;
export const CHUNK_MAX_BYTES = CHUNK_HEADER_BYTES + CHUNK_BYTES;
/** Largest section before and after compression: no reader ever needs more at a time. */
export const SECTION_MAX_BYTES = 16 << 20;

export type SectionKind = 'META' | 'KEY ' | 'ROM ' | 'MEMR' | 'MEMV' | 'TREE' | 'PAD ' | 'INDX' | 'END ';
const KINDS: readonly SectionKind[] = ['META', 'KEY ', 'ROM ', 'MEMR', 'MEMV', 'TREE', 'PAD ', 'INDX', 'END '];

export interface SectionHeader {
  kind: SectionKind;
  compressed: boolean;
  sealed: boolean;
  /** A chunk as it is, whose checksum is that of its bitmaps alone. */
  pagesUnsummed?: boolean;
  /** Its number among the sections of the file. */
  ordinal: number;
  index: number;
  storedBytes: number;
  plainBytes: number;
  crc: number;
}

/** CRC-32 of ISO 3309, as zlib's; `environment` gives a quick one. */
export type Crc32 = (bytes: Uint8Array) => number;

const MAGIC = new TextEncoder().encode('HVSTATE\n');

export function encodeFileHeader(crc32: Crc32, version = STATE_VERSION): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(STATE_HEADER_BYTES);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, version, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
  return bytes;
}

/** The version of the file. Throws 'corrupt', or 'unsupported' for one that a later Hypervue wrote. */
export function parseFileHeader(bytes: Uint8Array, file: string, crc32: Crc32): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    bytes.length < STATE_HEADER_BYTES ||
    MAGIC.some((byte, at) => bytes[at] !== byte) ||
    view.getUint32(12, true) !== crc32(bytes.subarray(0, 12))
  )
    throw new HypervueError('corrupt', say('noStateFile', { file }), { path: file });
  const version = view.getUint32(8, true);
  if (version < 1 || version > STATE_VERSION)
    throw new HypervueError(
      'unsupported',
      say('laterState', { file, version, known: STATE_VERSION }),
      { path: file },
      say('fixLaterState'),
    );
  return version;
}

export function encodeSectionHeader(header: SectionHeader, crc32: Crc32): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SECTION_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) bytes[i] = header.kind.charCodeAt(i);
  view.setUint32(
    4,
    (header.compressed ? COMPRESSED : 0) | (header.sealed ? SEALED : 0) | (header.pagesUnsummed ? PAGES_UNSUMMED : 0),
    true,
  );
  view.setUint32(8, header.index, true);
  view.setUint32(12, header.storedBytes, true);
  view.setUint32(16, header.plainBytes, true);
  view.setUint32(20, header.crc, true);
  view.setUint32(24, header.ordinal, true);
  view.setUint32(28, crc32(bytes.subarray(0, 28)), true);
  return bytes;
}

export function parseSectionHeader(bytes: Uint8Array, file: string, crc32: Crc32): SectionHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const corrupt = (what: Saying) => new HypervueError('corrupt', say('stateDamaged', { file, what }), { path: file });
  if (bytes.length < SECTION_HEADER_BYTES) throw corrupt(say('damageEndsEarly'));
  if (view.getUint32(28, true) !== crc32(bytes.subarray(0, 28))) throw corrupt(say('damageSectionHeaderSum'));
  const name = String.fromCharCode(...bytes.subarray(0, 4));
  const kind = KINDS.find((known) => known === name);
  if (!kind) throw corrupt(say('damageSectionUnknown', { section: name }));
  const how = view.getUint32(4, true);
  const storedBytes = view.getUint32(12, true);
  const plainBytes = view.getUint32(16, true);
  if (
    how > PAGES_UNSUMMED ||
    storedBytes > SECTION_MAX_BYTES ||
    plainBytes > SECTION_MAX_BYTES ||
    ((how === 0 || how === PAGES_UNSUMMED) && storedBytes !== plainBytes) ||
    (how === PAGES_UNSUMMED && (storedBytes < CHUNK_HEADER_BYTES || (kind !== 'MEMR' && kind !== 'MEMV')))
  )
    throw corrupt(say('damageSectionSizes', { section: name.trim() }));
  return {
    kind,
    compressed: (how & COMPRESSED) !== 0,
    sealed: (how & SEALED) !== 0,
    pagesUnsummed: (how & PAGES_UNSUMMED) !== 0,
    ordinal: view.getUint32(24, true),
    index: view.getUint32(8, true),
    storedBytes,
    plainBytes,
    crc: view.getUint32(20, true),
  };
}

/** Bits that say how a section is stored. */
const COMPRESSED = 1;
const SEALED = 2;
const PAGES_UNSUMMED = 4;

/** Bit `page` of a chunk's bitmap. */
const bit = (bytes: Uint8Array, from: number, page: number): boolean => (bytes[from + (page >> 3)]! & (1 << (page & 7))) !== 0;

/** Collects pages for one chunk. They are not copied before `finish`. */
export class ChunkBuilder {
  /** Its bitmaps, then runs of pages, all one after another. */
  readonly pieces: Uint8Array[] = [new Uint8Array(CHUNK_HEADER_BYTES)];
  length = CHUNK_HEADER_BYTES;
  private any = false;

  /** Page `page` (0..255) is `content`; undefined: zeros. */
  add(page: number, content: Uint8Array | undefined): void {
    if (content) this.addRun(page, content);
    else this.define(page);
  }

  /** As `add` of each page in `content`, the first of which is `page`. */
  addRun(page: number, content: Uint8Array): void {
    for (const end = page + content.length / PAGE_BYTES; page < end; page++) {
      this.define(page);
      this.pieces[0]![BITMAP_BYTES + (page >> 3)]! |= 1 << (page & 7);
    }
    this.pieces.push(content);
    this.length += content.length;
  }

  private define(page: number): void {
    this.any = true;
    this.pieces[0]![page >> 3]! |= 1 << (page & 7);
  }

  get empty(): boolean {
    return !this.any;
  }

  /** The plain bytes, in `into` when it is given, which has room for them. */
  finish(into: Uint8Array<ArrayBuffer> = new Uint8Array(this.length)): Uint8Array<ArrayBuffer> {
    let at = 0;
    for (const piece of this.pieces) {
      into.set(piece, at);
      at += piece.length;
    }
    return into.subarray(0, at);
  }
}

/**
 * Where the pages of a chunk belong in `area`, in the order in which they follow its bitmaps, neighbours as one piece. `bitmaps` are its first bytes, `plainBytes` its length.
 * Pages that it says are zeros are made so. Throws 'corrupt' when they don't fit.
 */
export function placeChunk(bitmaps: Uint8Array, plainBytes: number, index: number, area: Uint8Array, file: string): Uint8Array[] {
  const corrupt = () => new HypervueError('corrupt', say('stateMemoryUnfit', { file }), { path: file });
  if (plainBytes < CHUNK_HEADER_BYTES || bitmaps.length < CHUNK_HEADER_BYTES) throw corrupt();
  const pieces: Uint8Array[] = [];
  let length = CHUNK_HEADER_BYTES;
  for (let page = 0; page < CHUNK_PAGES; page++) {
    if (!bit(bitmaps, 0, page)) continue;
    const at = (index * CHUNK_PAGES + page) * PAGE_BYTES;
    if (at + PAGE_BYTES > area.length) throw corrupt();
    if (!bit(bitmaps, BITMAP_BYTES, page)) {
      area.fill(0, at, at + PAGE_BYTES);
      continue;
    }
    let last = page;
    while (last + 1 < CHUNK_PAGES && bit(bitmaps, 0, last + 1) && bit(bitmaps, BITMAP_BYTES, last + 1)) last++;
    const end = (index * CHUNK_PAGES + last + 1) * PAGE_BYTES;
    if (end > area.length) throw corrupt();
    pieces.push(area.subarray(at, end));
    length += end - at;
    page = last;
  }
  if (length !== plainBytes) throw corrupt();
  return pieces;
}

/** What a chunk says of each of its pages: the bytes, null for zeros; pages that it does not define are left out. Throws 'corrupt'. */
export function* chunkPages(
  plain: Uint8Array,
  index: number,
  area: Uint8Array,
  file: string,
): Generator<[page: number, Uint8Array | null]> {
  const corrupt = () => new HypervueError('corrupt', say('stateMemoryUnfit', { file }), { path: file });
  if (plain.length < CHUNK_HEADER_BYTES) throw corrupt();
  let from = CHUNK_HEADER_BYTES;
  for (let page = 0; page < CHUNK_PAGES; page++) {
    if (!bit(plain, 0, page)) continue;
    if ((index * CHUNK_PAGES + page + 1) * PAGE_BYTES > area.length) throw corrupt();
    if (!bit(plain, BITMAP_BYTES, page)) {
      yield [page, null];
      continue;
    }
    if (from + PAGE_BYTES > plain.length) throw corrupt();
    yield [page, plain.subarray(from, from + PAGE_BYTES)];
    from += PAGE_BYTES;
  }
  if (from !== plain.length) throw corrupt();
}

/** Puts the pages of a chunk into `area`, the memory it belongs to. Throws 'corrupt' when they don't fit. */
export function applyChunk(plain: Uint8Array, index: number, area: Uint8Array, file: string): void {
  let from = CHUNK_HEADER_BYTES;
  for (const piece of placeChunk(plain, plain.length, index, area, file)) {
    piece.set(plain.subarray(from, from + piece.length));
    from += piece.length;
  }
}
