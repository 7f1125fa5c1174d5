import { DIRTY_MAP_BASE, DIRTY_SNAPSHOT, GUEST_RAM_BASE, VRAM_BASE } from '../memory/layout.ts';
import { CHUNK_BYTES, CHUNK_PAGES, ChunkBuilder, PAGE_BYTES, type SectionKind } from '../snapshot/stateformat.ts';

/** A part of a machine's memory that is saved, as a section kind of the state file. */
export interface MemoryArea {
  kind: Extract<SectionKind, 'MEMR' | 'MEMV'>;
  bytes: Buffer;
}

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const ZERO_CHUNK = Buffer.alloc(CHUNK_BYTES);

export function memoryAreas(memory: WebAssembly.Memory, ramBytes: number, vramBytes: number): MemoryArea[] {
  return [
    { kind: 'MEMR', bytes: Buffer.from(memory.buffer, GUEST_RAM_BASE, ramBytes) },
    { kind: 'MEMV', bytes: Buffer.from(memory.buffer, VRAM_BASE, vramBytes) },
  ];
}

export interface MemoryChunk {
  kind: MemoryArea['kind'];
  index: number;
  plain: Uint8Array;
}

/**
 * Reads a machine's memory for its saved state, also while the guest writes to it: whoever writes stores the data first and marks the page in the dirty
 * map then, so that what is read after clearing a page's mark is either the latest or the page is marked again.
 */
export class MemoryPages {
  private readonly areas: MemoryArea[];
  private readonly dirty: Uint8Array;

  constructor(memory: WebAssembly.Memory, ramBytes: number, vramBytes: number) {
    this.areas = memoryAreas(memory, ramBytes, vramBytes);
    // Marks of all pages of the memory, by byte offset / 4096.
    this.dirty = new Uint8Array(memory.buffer, DIRTY_MAP_BASE, (GUEST_RAM_BASE + ramBytes) / PAGE_BYTES);
  }

  /** Every page that is not zeros, chunk by chunk, with its mark cleared. */
  *all(): Generator<MemoryChunk> {
    for (const { kind, bytes } of this.areas)
      for (let from = 0, index = 0; from < bytes.length; from += CHUNK_BYTES, index++) {
        const pages = Math.min(CHUNK_PAGES, (bytes.length - from) / PAGE_BYTES);
        for (let page = 0; page < pages; page++) this.clear(bytes, from + page * PAGE_BYTES);
        const chunk = bytes.subarray(from, from + pages * PAGE_BYTES);
        if (chunk.equals(ZERO_CHUNK.subarray(0, chunk.length))) continue;
        const builder = new ChunkBuilder();
        for (let page = 0; page < pages; page++) {
          const content = chunk.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
          if (!content.equals(ZERO_PAGE)) builder.add(page, content);
        }
        // A guest that clears the chunk meanwhile leaves nothing; the marks tell that.
        if (!builder.empty) yield { kind, index, plain: builder.finish() };
      }
  }

  /** Pages that are marked. */
  get changed(): number {
    let count = 0;
    for (const { bytes } of this.areas) {
      const first = this.page(bytes, 0);
      for (let page = first; page < first + bytes.length / PAGE_BYTES; page++) if (this.dirty[page]! & DIRTY_SNAPSHOT) count++;
    }
    return count;
  }

  /** Every marked page as it is now, its mark cleared. */
  *changes(): Generator<MemoryChunk> {
    for (const { kind, bytes } of this.areas)
      for (let from = 0, index = 0; from < bytes.length; from += CHUNK_BYTES, index++) {
        const first = this.page(bytes, from);
        const pages = Math.min(CHUNK_PAGES, (bytes.length - from) / PAGE_BYTES);
        let builder: ChunkBuilder | undefined;
        for (let page = 0; page < pages; page++) {
          if (!(this.dirty[first + page]! & DIRTY_SNAPSHOT)) continue;
          const at = from + page * PAGE_BYTES;
          this.clear(bytes, at);
          const content = bytes.subarray(at, at + PAGE_BYTES);
          builder ??= new ChunkBuilder();
          builder.add(page, content.equals(ZERO_PAGE) ? undefined : content);
        }
        if (builder) yield { kind, index, plain: builder.finish() };
      }
  }

  private page(bytes: Buffer, offset: number): number {
    return (bytes.byteOffset + offset) / PAGE_BYTES;
  }

  private clear(bytes: Buffer, offset: number): void {
    Atomics.and(this.dirty, this.page(bytes, offset), ~DIRTY_SNAPSHOT & 0xff);
  }
}
