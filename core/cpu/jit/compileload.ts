/**
 * How busy compiling is, and how much hotter a place has to be for it. A region takes V8 some four milliseconds. Where few are wanted, that is no reason to wait:
 * the sooner the better. Where they never cease, as with a large compiler that is everywhere a little, most would run for less time than they took to make.
 */

/** A request counts for less and less, after this many ms for 1/e. */
const LATELY_MS = 3000;
/** Requests lately that change nothing, and how many times hotter it is at most. */
const FREE = 200;
export const MOST = 4;

export class CompileLoad {
  private readonly now: () => number;
  private at: number;
  /** Requests lately. */
  private lately = 0;

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.now = now;
    this.at = now();
  }

  /** A region is to be compiled. */
  request(): void {
    this.pass();
    this.lately++;
  }

  /** How many times hotter than in a quiet moment a place has to be now, 1..MOST. */
  factor(): number {
    this.pass();
    return Math.min(MOST, Math.max(1, this.lately / FREE));
  }

  private pass(): void {
    const now = this.now();
    this.lately *= Math.exp((this.at - now) / LATELY_MS);
    this.at = now;
  }
}
