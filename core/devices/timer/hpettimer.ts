import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import { TickDebt } from './tickdebt.ts';

export const HPET_NS_PER_TICK = 10;
const MASK32 = 0xffffffffn;
export const MASK64 = 0xffff_ffff_ffff_ffffn;
/** A match further away than this does not come in the machine's life: 2^53 nanoseconds are 104 days. */
const NEVER_TICKS = 2n ** 49n;
/** Interrupts faster than this would starve the guest. */
const MIN_PERIOD_TICKS = 2000n;

// Configuration and capabilities, low half (2.3.8).
const LEVEL = 1 << 1;
const ENABLED = 1 << 2;
const PERIODIC = 1 << 3;
/** Can repeat, is 64 bits wide. */
const CAPABILITIES = (1 << 4) | (1 << 5);
const SET_ACCUMULATOR = 1 << 6;
const MODE_32 = 1 << 8;
const ROUTE_SHIFT = 9;
const ROUTE_MASK = 0x1f << ROUTE_SHIFT;
const PLAIN_BITS = LEVEL | ENABLED | PERIODIC | SET_ACCUMULATOR | MODE_32;

export interface HpetTimerOptions {
  /** One bit an I/O APIC input that this timer can be routed to. */
  routes: number;
  clock: Clock;
  /** The comparator matched. */
  expired: () => void;
}

/** One comparator of an HPET. The counter belongs to the chip, which calls `schedule` whenever it jumps, stops or starts. */
export class HpetTimer {
  readonly routes: number;
  private readonly clock: Clock;
  private readonly alarm: Timer;
  private readonly expired: () => void;
  private readonly debt = new TickDebt();
  private bits = 0;
  private match = MASK64;
  private period = 0n;
  /** When the counter reaches `match`; undefined: not in sight. An interrupt that is owed may come before. */
  private matchTime: number | undefined;

  constructor({ routes, clock, expired }: HpetTimerOptions) {
    this.routes = routes;
    this.clock = clock;
    this.expired = expired;
    this.alarm = clock.createTimer(expired);
  }

  get configuration(): number {
    return this.bits | CAPABILITIES;
  }

  /** The value of the next match. */
  get comparator(): bigint {
    return this.match;
  }

  get level(): boolean {
    return (this.bits & LEVEL) !== 0;
  }

  get enabled(): boolean {
    return (this.bits & ENABLED) !== 0;
  }

  get route(): number {
    return (this.bits & ROUTE_MASK) >> ROUTE_SHIFT;
  }

  /** The next write to the comparator sets the accumulator of a periodic timer, not only its period (2.3.9.2.2). */
  get setsAccumulator(): boolean {
    return this.periodic && (this.bits & SET_ACCUMULATOR) !== 0;
  }

  private get periodic(): boolean {
    return (this.bits & PERIODIC) !== 0;
  }

  private get mask(): bigint {
    return this.bits & MODE_32 ? MASK32 : MASK64;
  }

  configure(value: number): void {
    // A route that is not offered is not taken, by which software finds out (2.3.8, Tn_INT_ROUTE_CNF).
    const route = (value & ROUTE_MASK) >> ROUTE_SHIFT;
    const offered = ((this.routes >>> route) & 1) !== 0;
    this.bits = (value & PLAIN_BITS) | (offered ? value & ROUTE_MASK : this.bits & ROUTE_MASK);
    this.match &= this.mask;
    this.period &= this.mask;
  }

  writeLow(value: number): void {
    const low = (old: bigint) => (old & ~MASK32) | BigInt(value);
    if (!this.periodic || this.setsAccumulator) this.match = low(this.match) & this.mask;
    if (this.periodic) this.period = low(this.period) & this.mask;
    this.bits &= ~SET_ACCUMULATOR;
  }

  /** `setAccumulator`: upper half of a 64-bit write whose lower half set the accumulator. */
  writeHigh(value: number, setAccumulator: boolean): void {
    const high = (old: bigint) => (old & MASK32) | (BigInt(value) << 32n);
    if (!this.periodic || this.setsAccumulator || setAccumulator) this.match = high(this.match) & this.mask;
    if (this.periodic) this.period = high(this.period) & this.mask;
    this.bits &= ~SET_ACCUMULATOR;
  }

  /** Waits for the match from the given counter value on; undefined: the counter stands. */
  schedule(counter: bigint | undefined): void {
    this.debt.clear();
    this.wait(counter === undefined ? undefined : (this.match - counter) & this.mask);
  }

  /** Reports a match that lies in the past but has not been reported, before something else changes. */
  settle(): void {
    if (this.alarm.deadline === undefined || this.alarm.deadline > this.clock.now()) return;
    this.alarm.disarm();
    this.expired();
  }

  /** After an alarm: the next one. */
  advance(counter: bigint): void {
    const now = this.clock.now();
    if (this.matchTime !== undefined && now < this.matchTime) {
      this.debt.pay();
      this.arm(now);
      return;
    }
    const late = (counter - this.match) & this.mask;
    if (this.periodic && this.period > 0n) {
      const missed = late / this.period;
      this.debt.add(Number(missed), this.periodNs);
      this.match = (this.match + (missed + 1n) * this.period) & this.mask;
      const distance = (this.match - counter) & this.mask;
      this.wait(distance < MIN_PERIOD_TICKS ? MIN_PERIOD_TICKS : distance);
    } else this.wait(this.mask + 1n - late);
  }

  reset(): void {
    this.debt.clear();
    this.wait(undefined);
    this.bits = 0;
    this.match = MASK64;
    this.period = 0n;
  }

  save(): { [key: string]: StateValue } {
    const { matchTime } = this;
    return {
      bits: this.bits,
      match: split(this.match),
      period: split(this.period),
      remaining: matchTime === undefined ? null : Math.max(0, Math.ceil((matchTime - this.clock.now()) / HPET_NS_PER_TICK)),
    };
  }

  restore(reader: StateReader): void {
    this.bits = 0;
    this.configure(reader.number('bits', 0, 0xffffffff));
    this.match = joined(reader, 'match') & this.mask;
    this.period = joined(reader, 'period') & this.mask;
    const remaining = reader.optionalNumber('remaining');
    this.debt.clear();
    this.wait(remaining === undefined ? undefined : BigInt(Math.floor(Math.min(Math.max(remaining, 0), Number(NEVER_TICKS)))));
  }

  private get periodNs(): number {
    return Number(this.period) * HPET_NS_PER_TICK;
  }

  /** The match is `ticks` away. */
  private wait(ticks: bigint | undefined): void {
    const now = this.clock.now();
    this.matchTime = ticks === undefined || ticks > NEVER_TICKS ? undefined : now + Number(ticks) * HPET_NS_PER_TICK;
    this.arm(now);
  }

  private arm(now: number): void {
    if (this.matchTime === undefined) this.alarm.disarm();
    else this.alarm.arm(this.debt.next(now, this.matchTime, this.periodNs));
  }
}

/** A 64-bit value as two numbers, low half first. */
export const split = (value: bigint): [number, number] => [Number(value & MASK32), Number(value >> 32n)];

export function joined(reader: StateReader, key: string): bigint {
  const [low = 0, high = 0] = reader.numbers(key, 2).map((half) => BigInt(Math.trunc(Math.min(Math.max(half, 0), 0xffffffff)) || 0));
  return BigInt(low) | (BigInt(high) << 32n);
}
