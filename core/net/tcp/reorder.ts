/** How far one sequence number lies behind another; negative where before. RFC 9293 section 3.4. */
export const after = (a: number, b: number): number => (a - b) | 0;

/** What one waiting segment costs besides its bytes. */
const OVERHEAD = 256;

/** Segments that came before those in front of them. */
export class Reorder {
  /** Bytes kept, with what keeping them costs. */
  cost = 0;
  private readonly waiting: { seq: number; bytes: Uint8Array }[] = [];

  get empty(): boolean {
    return this.waiting.length === 0;
  }

  /** Copies what is not there already, while it costs no more than `most`. */
  add(seq: number, bytes: Uint8Array, most: number): void {
    let at = this.waiting.length;
    while (at > 0 && after(this.waiting[at - 1]!.seq, seq) > 0) at--;
    const before = this.waiting[at - 1];
    if (before && after(before.seq + before.bytes.length, seq + bytes.length) >= 0) return;
    if (this.cost + bytes.length + OVERHEAD > most) return;
    this.waiting.splice(at, 0, { seq, bytes: bytes.slice() });
    this.cost += bytes.length + OVERHEAD;
  }

  /** The bytes that come next, if they are there. */
  take(next: number): Uint8Array | undefined {
    for (let first = this.waiting[0]; first && after(first.seq, next) <= 0; first = this.waiting[0]) {
      this.waiting.shift();
      this.cost -= first.bytes.length + OVERHEAD;
      const skip = after(next, first.seq);
      if (skip < first.bytes.length) return first.bytes.subarray(skip);
    }
    return undefined;
  }
}
