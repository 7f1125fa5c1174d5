/**
 * Interrupts of a periodic timer that came due while the host had no time for the machine. On hardware none is lost, and guests that count
 * ticks keep their clock by them, or judge other clocks (Linux gives up the time stamp counter). They are delivered afterwards, at a few
 * times the usual rate.
 *
 * Only what the host missed is made up for, not what the guest left unserved. It is not saved: a restored machine starts without debts.
 */
const SPEED = 8;
/** A guest that stood still for longer gets this much back, nanoseconds: a flood would stall it. */
const LONGEST_NS = 1e9;
/** Interrupts closer together than this would leave the guest no time. */
const SHORTEST_NS = 50_000;

export class TickDebt {
  private owed = 0;

  clear(): void {
    this.owed = 0;
  }

  /** A regular interrupt was delivered, late by `missed` whole periods. */
  add(missed: number, periodNs: number): void {
    this.owed = Math.min(this.owed + missed, Math.max(1, Math.floor(LONGEST_NS / periodNs)));
  }

  /** One that was owed has been delivered. */
  pay(): void {
    if (this.owed > 0) this.owed--;
  }

  /** When the next interrupt is to come, if its regular time is `regular`. */
  next(now: number, regular: number, periodNs: number): number {
    return this.owed > 0 ? Math.min(regular, now + Math.max(periodNs / SPEED, SHORTEST_NS)) : regular;
  }
}
