/** A line of numbered places that is given out in pieces: the first gap that is large enough is taken, and gaps beside each other become one. */
export class Ranges {
  private readonly gaps: { start: number; size: number }[];

  constructor(start: number, size: number) {
    this.gaps = size > 0 ? [{ start, size }] : [];
  }

  /** Where `size` places begin that nobody else has; undefined when no gap is as large. Of nothing it is 0. */
  take(size: number): number | undefined {
    if (size === 0) return 0;
    const i = this.gaps.findIndex((gap) => gap.size >= size);
    const gap = this.gaps[i];
    if (!gap) return undefined;
    const { start } = gap;
    gap.start += size;
    gap.size -= size;
    if (!gap.size) this.gaps.splice(i, 1);
    return start;
  }

  /** Gives back what `take` gave. */
  give(start: number, size: number): void {
    if (size === 0) return;
    let i = this.gaps.findIndex((gap) => gap.start > start);
    if (i < 0) i = this.gaps.length;
    this.gaps.splice(i, 0, { start, size });
    for (const left of [i, i - 1]) {
      const a = this.gaps[left];
      const b = this.gaps[left + 1];
      if (!a || !b || a.start + a.size !== b.start) continue;
      a.size += b.size;
      this.gaps.splice(left + 1, 1);
    }
  }
}
