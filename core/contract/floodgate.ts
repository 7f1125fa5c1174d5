/** A client may send this many messages in one window of time; far more than any page of ours does, even with 500 machines. */
const MAX_MESSAGES = 20_000;
/** And this many that were refused: unknown, malformed, not allowed, too many at once. */
const MAX_REFUSED = 2_000;
const WINDOW_MS = 10_000;

/** Counts what a client sends. One that goes on beyond all sense is cut off, so that it costs the others nothing. */
export class Floodgate {
  private readonly now: () => number;
  private start = Number.NEGATIVE_INFINITY;
  private messages = 0;
  private refusals = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  /** A message came. False when it is one too many. */
  message(): boolean {
    this.turn();
    return ++this.messages <= MAX_MESSAGES;
  }

  /** It was refused. False when that happened too often. */
  refused(): boolean {
    this.turn();
    return ++this.refusals <= MAX_REFUSED;
  }

  private turn(): void {
    const now = this.now();
    if (now - this.start < WINDOW_MS) return;
    this.start = now;
    this.messages = 0;
    this.refusals = 0;
  }
}
