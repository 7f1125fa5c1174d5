import type { AccessCount } from './statistics.ts';

/** Most addresses told apart; what comes later is not counted. */
const MAX_ADDRESSES = 4096;
/** Addresses handed out. */
const BUSIEST = 64;

/** Counts accesses to device registers by address. */
export class AccessCounter {
  private readonly counts = new Map<number, AccessCount>();

  read(address: number): void {
    const count = this.at(address);
    if (count) count.reads++;
  }

  write(address: number): void {
    const count = this.at(address);
    if (count) count.writes++;
  }

  busiest(): AccessCount[] {
    return [...this.counts.values()]
      .sort((a, b) => b.reads + b.writes - a.reads - a.writes)
      .slice(0, BUSIEST)
      .map((count) => ({ ...count }));
  }

  private at(address: number): AccessCount | undefined {
    const known = this.counts.get(address);
    if (known || this.counts.size >= MAX_ADDRESSES) return known;
    const made = { address, reads: 0, writes: 0 };
    this.counts.set(address, made);
    return made;
  }
}
