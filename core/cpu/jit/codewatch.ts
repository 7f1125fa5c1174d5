/** Pages of the shared memory that regions were made from, or are being made from: writes to them are reported (interp/wasm/tlb.ts). */
import type { Helpers } from './helpers.ts';

export const PAGE = 4096;
/** Writes into a page that are remembered while something of it is being compiled. */
const MAX_WRITES = 32;

/** Bytes from `low` up to, not including, `high` of a page of the shared memory. */
export interface PagePart {
  page: number;
  low: number;
  high: number;
}

interface Page<R> {
  regions: Set<R>;
  pending: number;
  /** Places that can't be compiled as long as the page stays as it is. */
  refused: Set<number>;
  /** Byte ranges written while something was pending; undefined: too many. */
  writes: [first: number, last: number][] | undefined;
}

export class CodeWatch<R extends { parts: readonly PagePart[] }> {
  private readonly pages = new Map<number, Page<R>>();
  private readonly helpers: Pick<Helpers, 'jitWatchPage'>;

  constructor(helpers: Pick<Helpers, 'jitWatchPage'>) {
    this.helpers = helpers;
  }

  /** The region can't be compiled as long as the page stays as it is. */
  refuse(number: number, key: number): void {
    this.page(number).refused.add(key);
  }
  refuses(number: number, key: number): boolean {
    return this.pages.get(number)?.refused.has(key) ?? false;
  }

  /** Something of the page is being compiled: writes into it are noted from now on. */
  expect(number: number): void {
    const page = this.page(number);
    page.pending++;
    if (page.pending === 1) page.writes = [];
    this.helpers.jitWatchPage(number * PAGE, 1);
  }
  /** What was expected has come. */
  expected(number: number): void {
    const page = this.page(number);
    page.pending--;
    this.tidy(number, page);
  }
  /** Something of these bytes may have changed since they were given to the compiler. */
  stale(part: PagePart): boolean {
    const { writes } = this.page(part.page);
    return !writes || writes.some(([first, last]) => part.low <= last && part.high > first);
  }
  /** Whatever is being compiled is stale. */
  spoil(): void {
    for (const page of this.pages.values()) page.writes = undefined;
  }

  add(region: R): void {
    for (const { page } of region.parts) this.page(page).regions.add(region);
  }
  remove(region: R): void {
    for (const { page: number } of region.parts) {
      const page = this.pages.get(number);
      page?.regions.delete(region);
      if (page) this.tidy(number, page);
    }
  }
  /** Regions that are made from something of the page. */
  regionsOf(number: number): Iterable<R> {
    return this.pages.get(number)?.regions ?? [];
  }

  /** `size` bytes at `host`, of one page, were written: the regions made from some of them. */
  written(host: number, size: number): R[] {
    const number = Math.floor(host / PAGE);
    const page = this.pages.get(number);
    if (!page) return [];
    const first = host - number * PAGE;
    const last = first + size - 1;
    page.refused.clear();
    if (page.pending && page.writes) {
      if (page.writes.length < MAX_WRITES) page.writes.push([first, last]);
      else page.writes = undefined;
    }
    const hit = [...page.regions].filter(({ parts }) =>
      parts.some((part) => part.page === number && part.low <= last && part.high > first),
    );
    if (!hit.length) this.tidy(number, page);
    return hit;
  }

  private page(number: number): Page<R> {
    let page = this.pages.get(number);
    if (!page) {
      page = { regions: new Set(), pending: 0, refused: new Set(), writes: undefined };
      this.pages.set(number, page);
    }
    return page;
  }

  private tidy(number: number, page: Page<R>): void {
    if (page.regions.size || page.pending) return;
    this.helpers.jitWatchPage(number * PAGE, 0);
    if (!page.refused.size) this.pages.delete(number);
  }
}
