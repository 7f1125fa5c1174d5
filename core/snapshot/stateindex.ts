/**
 * The index of the chunks of a state file that were written in blocks (version 4), so that who wants a few pages need not go through all of it. It is the INDX section; the END
 * section of such a file has 8 bytes, u64: where that begins. Little-endian:
 *
 *   +0  u64 where the section after the last of these chunks begins    +8  u32 how many sections lie before that    +12 u32 0
 *   then for each chunk, in their order, 80 bytes:
 *     +0  u32 0 guest RAM, 1 video memory    +4  u32 index of the chunk
 *     +8  u64 where its pages begin           +16 its bitmaps, 64 bytes
 */
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_PAGES, PAGE_BYTES, SECTION_MAX_BYTES, type SectionKind } from './stateformat.ts';

/** In the END section. */
export const INDEX_POINTER_BYTES = 8;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 16 + CHUNK_HEADER_BYTES;
/** Of a section at most. */
export const INDEX_MAX_CHUNKS = Math.floor((SECTION_MAX_BYTES - HEADER_BYTES) / ENTRY_BYTES);

export interface IndexedChunk {
  kind: Extract<SectionKind, 'MEMR' | 'MEMV'>;
  index: number;
  /** Where its pages begin. */
  pagesAt: number;
  bitmaps: Uint8Array;
}

export interface StateIndex {
  /** Where the section after the last of `chunks` begins, and how many sections lie before that. */
  endAt: number;
  sections: number;
  chunks: readonly IndexedChunk[];
}

export function encodeIndex({ endAt, sections, chunks }: StateIndex): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + chunks.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(endAt), true);
  view.setUint32(8, sections, true);
  for (const [n, { kind, index, pagesAt, bitmaps }] of chunks.entries()) {
    const at = HEADER_BYTES + n * ENTRY_BYTES;
    view.setUint32(at, kind === 'MEMV' ? 1 : 0, true);
    view.setUint32(at + 4, index, true);
    view.setBigUint64(at + 8, BigInt(pagesAt), true);
    bytes.set(bitmaps, at + 16);
  }
  return bytes;
}

/** Throws 'corrupt' when it says what can't be in a file of so many bytes. */
export function decodeIndex(bytes: Uint8Array, fileBytes: number, file: string): StateIndex {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const corrupt = () => new HypervueError('corrupt', say('stateDamaged', { file, what: say('damageIndexUnfit') }), { path: file });
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % ENTRY_BYTES) throw corrupt();
  const place = (at: number): number => {
    const value = view.getBigUint64(at, true);
    if (value > BigInt(fileBytes)) throw corrupt();
    return Number(value);
  };
  const endAt = place(0);
  const chunks: IndexedChunk[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    const kind = view.getUint32(at, true);
    const pagesAt = place(at + 8);
    const bitmaps = bytes.slice(at + 16, at + ENTRY_BYTES);
    if (kind > 1 || pagesAt % PAGE_BYTES || pagesAt + storedPages(bitmaps) * PAGE_BYTES > endAt) throw corrupt();
    chunks.push({ kind: kind ? 'MEMV' : 'MEMR', index: view.getUint32(at + 4, true), pagesAt, bitmaps });
  }
  return { endAt, sections: view.getUint32(8, true), chunks };
}

/** Pages of a chunk that the file holds. */
export function storedPages(bitmaps: Uint8Array): number {
  let pages = 0;
  for (let page = 0; page < CHUNK_PAGES; page++) if (chunkHolds(bitmaps, page) === 'stored') pages++;
  return pages;
}

/** What a chunk says of a page: nothing, that it is zeros, or that the file holds it. */
function chunkHolds(bitmaps: Uint8Array, page: number): 'nothing' | 'zeros' | 'stored' {
  const bit = 1 << (page & 7);
  if (!(bitmaps[page >> 3]! & bit)) return 'nothing';
  return bitmaps[CHUNK_HEADER_BYTES / 2 + (page >> 3)]! & bit ? 'stored' : 'zeros';
}

export interface PageRun {
  /** Where it lies in the file, and in a chunk's worth of memory in which stored pages follow one another. */
  fileAt: number;
  at: number;
  bytes: number;
}

/** Pages that are read although nobody wants them, rather than beginning anew after them. */
const GAP_PAGES = 8;

/**
 * What has to be read of a chunk for the pages (0..255) that are wanted: the runs, and where each page comes to lie in the memory that they are read to; -1: it is zeros. Throws
 * 'corrupt' when it has pages beyond `areaBytes` of memory.
 */
export function pagesToRead(
  { index, pagesAt, bitmaps }: IndexedChunk,
  wanted: (page: number) => boolean,
  areaBytes: number,
  file: string,
): { runs: PageRun[]; pages: [page: number, at: number][] } {
  const runs: PageRun[] = [];
  const pages: [page: number, at: number][] = [];
  let at = 0;
  for (let page = 0; page < CHUNK_PAGES; page++) {
    const holds = chunkHolds(bitmaps, page);
    if (holds === 'nothing') continue;
    if (index * CHUNK_BYTES + (page + 1) * PAGE_BYTES > areaBytes)
      throw new HypervueError('corrupt', say('stateMemoryUnfit', { file }), { path: file });
    if (wanted(page)) {
      pages.push([page, holds === 'zeros' ? -1 : at]);
      const last = runs.at(-1);
      if (holds === 'zeros') continue;
      if (last && at - (last.at + last.bytes) <= GAP_PAGES * PAGE_BYTES) last.bytes = at + PAGE_BYTES - last.at;
      else runs.push({ fileAt: pagesAt + at, at, bytes: PAGE_BYTES });
    }
    if (holds === 'stored') at += PAGE_BYTES;
  }
  return { runs, pages };
}
