/** RFC 6298, with a least of 200 ms as Linux has it: the cable is short. */
import { after } from './reorder.ts';

const MIN_MS = 200;
const FIRST_MS = 1000;
const MAX_MS = 60_000;
/** Probes of a shut window come no more seldom than 2 to this power times the first. */
const PROBE_TRIES = 5;

export class RetransmitTimer {
  dueAt = Number.POSITIVE_INFINITY;
  /** Times that it ran out in a row. */
  tries = 0;
  private timeout = FIRST_MS;
  private smoothed: number | undefined;
  private variation = 0;
  /** A byte whose acknowledgement is waited for, and since when. */
  private measuring: { seq: number; since: number } | undefined;

  start(now: number): void {
    this.dueAt = now + this.current();
  }

  ensure(now: number): void {
    if (this.dueAt === Number.POSITIVE_INFINITY) this.start(now);
  }

  stop(): void {
    this.dueAt = Number.POSITIVE_INFINITY;
  }

  measure(now: number, seq: number): void {
    this.measuring ??= { seq, since: now };
  }

  /** Karn's algorithm: what was sent twice tells nothing. */
  unmeasure(): void {
    this.measuring = undefined;
  }

  /** `all`: nothing is under way any more. */
  acknowledged(now: number, ack: number, all: boolean): void {
    if (this.measuring && after(ack, this.measuring.seq) >= 0) {
      this.sample(now - this.measuring.since);
      this.measuring = undefined;
    }
    this.tries = 0;
    if (all) this.stop();
    else this.start(now);
  }

  /** A guest that has shut its window is there all the same, for as long as it says so (RFC 9293 section 3.8.6.1). */
  answered(): void {
    this.tries = Math.min(this.tries, PROBE_TRIES);
  }

  backOff(now: number): void {
    this.tries++;
    this.measuring = undefined;
    this.start(now);
  }

  private current(): number {
    return Math.min(MAX_MS, this.timeout * 2 ** Math.min(this.tries, 16));
  }

  private sample(ms: number): void {
    if (this.smoothed === undefined) {
      this.smoothed = ms;
      this.variation = ms / 2;
    } else {
      this.variation += (Math.abs(this.smoothed - ms) - this.variation) / 4;
      this.smoothed += (ms - this.smoothed) / 8;
    }
    this.timeout = Math.min(MAX_MS, Math.max(MIN_MS, this.smoothed + 4 * this.variation));
  }
}
