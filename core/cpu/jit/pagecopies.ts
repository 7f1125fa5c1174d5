/**
 * Copies of pages for the compiler, in memory that both threads share and that is used again once a job is done. An array of its own for each copy would lie
 * twice, as it was sent and as it came, until each of the threads collects its garbage: some tens of megabytes while a guest has much compiled.
 */
import type { CodePage } from './codepages.ts';

const PAGE = 4096;
/** What is known of where control went in a page (CodePage.reached). */
const REACHED = PAGE / 4;
const SLOT = PAGE + REACHED;
/** Copies there is room for: 64 jobs of the usual size. Jobs beyond that get arrays of their own. */
export const PAGE_COPIES = 256;

export class PageCopies {
  private readonly memory: Uint8Array;
  private readonly room = new SharedArrayBuffer(PAGE_COPIES * SLOT);
  /** Offsets of slots that are free, the lowest last: memory that was used is used again before other. */
  private readonly free = Array.from({ length: PAGE_COPIES }, (_, i) => (PAGE_COPIES - 1 - i) * SLOT);

  /** Of this memory. */
  constructor(memory: Uint8Array) {
    this.memory = memory;
  }

  /** Copies that are in use. */
  get taken(): number {
    return PAGE_COPIES - this.free.length;
  }

  /**
   * The page at byte `host` of the memory, `delta` pages from the entry's; `reached` is where the memory has what is known of where control went in it, 0: nothing is.
   * Valid until it is given back.
   */
  take(delta: number, host: number, reached: number): CodePage {
    const at = this.free.pop();
    if (at === undefined) return this.apart(delta, host, reached);
    const bytes = new Uint8Array(this.room, at, PAGE);
    bytes.set(this.memory.subarray(host, host + PAGE));
    if (!reached) return { delta, host, bytes };
    const known = new Uint8Array(this.room, at + PAGE, REACHED);
    known.set(this.memory.subarray(reached, reached + REACHED));
    return { delta, host, bytes, reached: known };
  }

  /** The same in arrays of its own, which nobody has to give back. */
  apart(delta: number, host: number, reached: number): CodePage {
    return {
      delta,
      host,
      bytes: this.memory.slice(host, host + PAGE),
      ...(reached ? { reached: this.memory.slice(reached, reached + REACHED) } : {}),
    };
  }

  /** Nobody reads these copies any more; those with arrays of their own are left alone. */
  give(pages: readonly CodePage[]): void {
    for (const { bytes } of pages) if (bytes.buffer === this.room) this.free.push(bytes.byteOffset);
  }
}
