import { DIRTY_MAP_BASE, DIRTY_SNAPSHOT, DIRTY_WRITTEN, GUEST_RAM_BASE } from '../memory/layout.ts';
import type { Section, StateFileReader } from '../platform/statefilereader.ts';
import { CHUNK_PAGES, PAGE_BYTES, type SectionKind } from '../snapshot/stateformat.ts';
import { type MemoryArea, memoryAreas } from './memorypages.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * Makes the memory of a machine that stands what a state file says. Pages that are what they have to be are not touched, so that code which was compiled from them stays good;
 * `changed` are the others.
 */
export class MemoryRevert {
  /** Pages that are other ones now, by byte offset in the whole memory / 4096. */
  readonly changed: number[] = [];
  private readonly areas: Map<SectionKind, MemoryArea>;
  private readonly dirty: Uint8Array;
  /** By kind and chunk: which pages the file has something for. */
  private readonly defined = new Map<string, Uint8Array>();
  private readonly onlyMarked: boolean;

  /** `onlyMarked`: every page that is not marked is known to be as in the file. */
  constructor(memory: WebAssembly.Memory, ramBytes: number, vramBytes: number, onlyMarked: boolean) {
    this.areas = new Map(memoryAreas(memory, ramBytes, vramBytes).map((area) => [area.kind, area]));
    this.dirty = new Uint8Array(memory.buffer, DIRTY_MAP_BASE, (GUEST_RAM_BASE + ramBytes) / PAGE_BYTES);
    this.onlyMarked = onlyMarked;
  }

  /** Resolves with the section that follows memory in the file. When it rejects, memory is a mixture of both. */
  async load(reader: StateFileReader): Promise<Section | undefined> {
    const wanted = new Set<string>();
    for (const area of this.areas.values())
      for (let index = 0; index * CHUNK_PAGES * PAGE_BYTES < area.bytes.length; index++)
        if (!this.onlyMarked || this.anyMarked(area, index)) wanted.add(`${area.kind}${index}`);
    const section = await reader.chunks({
      areas: new Map([...this.areas].map(([kind, { bytes }]) => [kind, bytes])),
      // What lies beyond memory is looked at, and refused.
      chunk: (kind, index) => wanted.has(`${kind}${index}`) || index * CHUNK_PAGES * PAGE_BYTES >= this.areas.get(kind)!.bytes.length,
      page: (kind, index, page) => this.mayDiffer(this.areas.get(kind)!, index * CHUNK_PAGES + page),
      take: (kind, index, page, content) => this.take(kind, index, page, content),
    });
    for (const area of this.areas.values())
      for (let index = 0; index * CHUNK_PAGES * PAGE_BYTES < area.bytes.length; index++)
        if (wanted.has(`${area.kind}${index}`)) this.clearRest(area, index);
    this.unmark();
    return section;
  }

  /** Memory is as in the file, so nothing counts as changed since. */
  unmark(kind?: MemoryArea['kind']): void {
    for (const area of this.areas.values()) {
      if (kind && area.kind !== kind) continue;
      const first = this.page(area, 0);
      const words = new Int32Array(this.dirty.buffer, this.dirty.byteOffset + first, area.bytes.length / PAGE_BYTES / 4);
      for (let word = 0; word < words.length; word++) if (words[word]) Atomics.and(words, word, ~(DIRTY_SNAPSHOT * 0x01010101));
    }
  }

  private take(kind: SectionKind, index: number, page: number, content: Uint8Array | null): void {
    const place = `${kind}${index}`;
    const defined = this.defined.get(place) ?? new Uint8Array(CHUNK_PAGES);
    this.defined.set(place, defined);
    defined[page] = 1;
    this.put(this.areas.get(kind)!, index * CHUNK_PAGES + page, content ?? ZERO_PAGE);
  }

  private mayDiffer(area: MemoryArea, page: number): boolean {
    return !this.onlyMarked || (this.dirty[this.page(area, page)]! & DIRTY_SNAPSHOT) !== 0;
  }

  /** What the file does not define is zeros. */
  private clearRest(area: MemoryArea, index: number): void {
    const defined = this.defined.get(`${area.kind}${index}`);
    const end = Math.min((index + 1) * CHUNK_PAGES, area.bytes.length / PAGE_BYTES);
    for (let page = index * CHUNK_PAGES; page < end; page++) {
      if (defined?.[page - index * CHUNK_PAGES] || !this.mayDiffer(area, page)) continue;
      // RAM that nobody ever wrote to is zeros, and the host has given no memory for it.
      if (area.kind === 'MEMR' && !(this.dirty[this.page(area, page)]! & DIRTY_WRITTEN)) continue;
      this.put(area, page, ZERO_PAGE);
    }
  }

  private put(area: MemoryArea, page: number, content: Uint8Array): void {
    const now = area.bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    if (now.equals(content)) return;
    now.set(content);
    const at = this.page(area, page);
    // Data first, then the mark, as everybody who writes does.
    this.dirty[at] = 0xff;
    this.changed.push(at);
  }

  private anyMarked(area: MemoryArea, index: number): boolean {
    const first = this.page(area, index * CHUNK_PAGES);
    const end = Math.min(first + CHUNK_PAGES, this.page(area, area.bytes.length / PAGE_BYTES));
    for (let page = first; page < end; page++) if (this.dirty[page]! & DIRTY_SNAPSHOT) return true;
    return false;
  }

  private page({ bytes }: MemoryArea, page: number): number {
    return bytes.byteOffset / PAGE_BYTES + page;
  }
}
