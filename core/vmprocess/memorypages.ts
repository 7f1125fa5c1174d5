import { DIRTY_MAP_BASE, DIRTY_SNAPSHOT, DIRTY_WRITTEN, GUEST_RAM_BASE, VRAM_BASE } from '../memory/layout.ts';
import { CHUNK_BYTES, CHUNK_PAGES, ChunkBuilder, PAGE_BYTES, type SectionKind } from '../snapshot/stateformat.ts';

/** A part of a machine's memory that is saved, as a section kind of the state file. */
export interface MemoryArea {
  kind: Extract<SectionKind, 'MEMR' | 'MEMV'>;
  bytes: Buffer;
}

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
/** The mark in each of four pages at once. */
const SNAPSHOT_WORD = DIRTY_SNAPSHOT * 0x01010101;

export function memoryAreas(memory: WebAssembly.Memory, ramBytes: number, vramBytes: number): MemoryArea[] {
  return [
    { kind: 'MEMR', bytes: Buffer.from(memory.buffer, GUEST_RAM_BASE, ramBytes) },
    { kind: 'MEMV', bytes: Buffer.from(memory.buffer, VRAM_BASE, vramBytes) },
  ];
}

export interface MemoryChunk {
  kind: MemoryArea['kind'];
  index: number;
  /** Its pages are the machine's memory itself. */
  chunk: ChunkBuilder;
}

/**
 * Reads a machine's memory for its saved state, also while the guest writes to it: whoever writes stores the data first and marks the page in the dirty
 * map then, so that what is read after clearing a page's mark is either the latest or the page is marked again. That is so whenever a chunk's pages are read, and how often.
 */
export class MemoryPages {
  private readonly areas: MemoryArea[];
  private readonly dirty: Uint8Array;
  private readonly dirtyWords: Int32Array;
  /** All of the memory. */
  private readonly words: Int32Array;

  constructor(memory: WebAssembly.Memory, ramBytes: number, vramBytes: number) {
    this.areas = memoryAreas(memory, ramBytes, vramBytes);
    this.words = new Int32Array(memory.buffer);
    // Marks of all pages of the memory, by byte offset / 4096.
    this.dirty = new Uint8Array(memory.buffer, DIRTY_MAP_BASE, (GUEST_RAM_BASE + ramBytes) / PAGE_BYTES);
    this.dirtyWords = new Int32Array(memory.buffer, DIRTY_MAP_BASE, this.dirty.length >> 2);
  }

  /** Bytes of `all` at most: of pages that were ever written. */
  get writtenBytes(): number {
    let pages = 0;
    for (const { kind, bytes } of this.areas) {
      const first = this.page(bytes, 0);
      const count = bytes.length / PAGE_BYTES;
      if (kind === 'MEMV') pages += count;
      else for (let page = first; page < first + count; page++) pages += (this.dirty[page]! & DIRTY_WRITTEN) >> 2;
    }
    return pages * PAGE_BYTES;
  }

  /** Every page that is not zeros, chunk by chunk, with its mark cleared. */
  *all(): Generator<MemoryChunk> {
    for (const { kind, bytes } of this.areas)
      for (let from = 0, index = 0; from < bytes.length; from += CHUNK_BYTES, index++) {
        const pages = Math.min(CHUNK_PAGES, (bytes.length - from) / PAGE_BYTES);
        const chunk = new ChunkBuilder();
        for (let page = 0; page < pages; page++) {
          const start = page;
          while (page < pages && this.takes(kind, bytes, from + page * PAGE_BYTES)) page++;
          if (page > start) chunk.addRun(start, bytes.subarray(from + start * PAGE_BYTES, from + page * PAGE_BYTES));
        }
        if (!chunk.empty) yield { kind, index, chunk };
      }
  }

  /** Pages that are marked. */
  get changed(): number {
    let count = 0;
    for (const { bytes } of this.areas) {
      const first = this.page(bytes, 0) >> 2;
      const last = first + bytes.length / PAGE_BYTES / 4;
      for (let word = first; word < last; word++) {
        const marks = this.dirtyWords[word]! & SNAPSHOT_WORD;
        if (marks) count += countMarks(marks);
      }
    }
    return count;
  }

  /** Every marked page as it is now, its mark cleared. */
  *changes(): Generator<MemoryChunk> {
    for (const { kind, bytes } of this.areas)
      for (let from = 0, index = 0; from < bytes.length; from += CHUNK_BYTES, index++) {
        const first = this.page(bytes, from);
        const pages = Math.min(CHUNK_PAGES, (bytes.length - from) / PAGE_BYTES);
        const marked: number[] = [];
        for (let word = first >> 2; word < (first + pages) >> 2; word++) {
          if (!(this.dirtyWords[word]! & SNAPSHOT_WORD)) continue;
          for (let page = word * 4; page < word * 4 + 4; page++) if (this.dirty[page]! & DIRTY_SNAPSHOT) marked.push(page - first);
        }
        if (!marked.length) continue;
        const chunk = new ChunkBuilder();
        for (const page of marked) {
          const at = from + page * PAGE_BYTES;
          chunk.add(page, this.takes(kind, bytes, at) ? bytes.subarray(at, at + PAGE_BYTES) : undefined);
        }
        yield { kind, index, chunk };
      }
  }

  /** Clears the mark of a page, and says whether it holds anything. A guest that clears it later, or writes to it, marks it again. */
  private takes(kind: MemoryArea['kind'], bytes: Buffer, at: number): boolean {
    // RAM begins as zeros, and whoever writes marks; not even looking at the rest keeps the host from giving memory for it.
    if (kind === 'MEMR' && !(this.dirty[this.page(bytes, at)]! & DIRTY_WRITTEN)) return false;
    this.clear(bytes, at);
    const word = (bytes.byteOffset + at) >> 2;
    // Most pages that hold anything do so at their beginning or in their middle.
    if (this.words[word] || this.words[word + 1] || this.words[word + 2] || this.words[word + 512]) return true;
    return !bytes.subarray(at, at + PAGE_BYTES).equals(ZERO_PAGE);
  }

  private page(bytes: Buffer, offset: number): number {
    return (bytes.byteOffset + offset) / PAGE_BYTES;
  }

  private clear(bytes: Buffer, offset: number): void {
    Atomics.and(this.dirty, this.page(bytes, offset), ~DIRTY_SNAPSHOT & 0xff);
  }
}

/** How many of a word's four bytes have the mark. */
const countMarks = (marks: number): number => {
  const folded = (marks >>> 1) + (marks >>> 9) + (marks >>> 17) + (marks >>> 25);
  return folded & 7;
};

/** The pages of a chunk of RAM that was put into a machine's memory count as written. */
export function markWritten(memory: WebAssembly.Memory, index: number, pages: number): void {
  new Uint8Array(memory.buffer, DIRTY_MAP_BASE + GUEST_RAM_BASE / PAGE_BYTES + index * CHUNK_PAGES, pages).fill(0xff);
}
