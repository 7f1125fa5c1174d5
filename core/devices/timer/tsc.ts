/** Time stamp counter ticks in a nanosecond of machine time. */
export const TSC_PER_NS = 1;
export const TSC_KHZ = 1_000_000 * TSC_PER_NS;

/** How the guest's time stamp counter relates to machine time; the processor keeps the counter itself and tells of writes to it. */
export class Tsc {
  /** The counter minus machine time. */
  private offset = 0n;
  private readonly now: () => number;
  private readonly listeners: (() => void)[] = [];

  /** `now` gives machine time, nanoseconds. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** The counter was set to `value` just now. */
  written(value: bigint): void {
    const offset = value - BigInt(Math.floor(this.now() * TSC_PER_NS));
    if (offset === this.offset) return;
    this.offset = offset;
    for (const listener of this.listeners) listener();
  }

  onWritten(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Value of the counter at machine time `ns`. */
  at(ns: number): bigint {
    return BigInt.asUintN(64, BigInt(Math.floor(ns * TSC_PER_NS)) + this.offset);
  }

  /** Machine time at which the counter is `value`; a moment that is long gone or ages away is clipped. */
  timeOf(value: bigint): number {
    const ticks = BigInt.asIntN(64, value - this.offset);
    return Number(ticks) / TSC_PER_NS;
  }
}
