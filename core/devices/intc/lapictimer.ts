import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import { TickDebt } from '../timer/tickdebt.ts';

/** The timer's input clock before the divider: 1 GHz, so that a count of 1 with divider 1 is one nanosecond. */
const NS_PER_INPUT_TICK = 1;
/** Host timers finer than this would starve the guest. */
const MIN_PERIOD_NS = 20_000;

/** Count-down timer of a local APIC: one-shot or periodic. Spec: Intel SDM volume 3, section 11.5.4 (APIC timer). */
export class LapicTimer {
  private readonly clock: Clock;
  private readonly timer: Timer;
  private readonly expired: () => void;
  private readonly debt = new TickDebt();
  private initial = 0;
  /** Bits 0, 1 and 3 of the divide configuration register. */
  private divide = 0;
  private periodic = false;
  /** The count was `baseCount` at `baseTime`. */
  private baseTime = 0;
  private baseCount = 0;

  /** `expired` is called whenever the count reaches zero. */
  constructor(clock: Clock, expired: () => void) {
    this.clock = clock;
    this.expired = expired;
    this.timer = clock.createTimer((now) => this.fire(now));
  }

  get initialCount(): number {
    return this.initial;
  }

  set initialCount(value: number) {
    this.initial = value >>> 0;
    this.start(this.initial);
  }

  get currentCount(): number {
    if (this.initial === 0) return 0;
    const passed = Math.floor((this.clock.now() - this.baseTime) / this.tickNs);
    if (passed < this.baseCount) return this.baseCount - passed;
    // Expired, and the host has not come round to say so yet.
    return this.periodic ? this.initial - ((passed - this.baseCount) % this.initial) : 0;
  }

  get divideConfiguration(): number {
    return this.divide;
  }

  set divideConfiguration(value: number) {
    const count = this.currentCount;
    this.divide = value & 0x0b;
    if (count > 0) this.start(count);
  }

  setPeriodic(periodic: boolean): void {
    if (periodic === this.periodic) return;
    const count = this.currentCount;
    this.periodic = periodic;
    if (count > 0) this.start(count);
  }

  reset(): void {
    this.timer.disarm();
    this.debt.clear();
    this.initial = this.divide = this.baseTime = this.baseCount = 0;
    this.periodic = false;
  }

  save(): { [key: string]: StateValue } {
    return { initial: this.initial, divide: this.divide, periodic: this.periodic, current: this.currentCount };
  }

  restore(state: StateReader): void {
    this.initial = state.number('initial', 0, 0xffffffff);
    this.divide = state.byte('divide') & 0x0b;
    this.periodic = state.boolean('periodic');
    this.start(Math.min(state.number('current', 0, 0xffffffff), this.initial));
  }

  /** Divider 2, 4, 8 … 128, and 1 for 111 binary. */
  private get tickNs(): number {
    const code = (this.divide & 3) | ((this.divide >> 1) & 4);
    return NS_PER_INPUT_TICK * (code === 7 ? 1 : 2 << code);
  }

  private start(count: number): void {
    this.debt.clear();
    this.baseTime = this.clock.now();
    this.baseCount = count;
    if (count === 0) this.timer.disarm();
    else this.timer.arm(this.baseTime + count * this.tickNs);
  }

  private fire(now: number): void {
    if (this.periodic && this.initial > 0) {
      const period = this.initial * this.tickNs;
      const due = this.baseTime + this.baseCount * this.tickNs;
      if (now < due) this.debt.pay();
      else {
        const missed = Math.floor((now - due) / period);
        this.debt.add(missed, period);
        this.baseTime = due + missed * period;
        this.baseCount = this.initial;
      }
      const next = this.baseTime + this.baseCount * this.tickNs;
      this.timer.arm(Math.max(this.debt.next(now, next, period), now + MIN_PERIOD_NS));
    } else {
      this.baseCount = 0;
      this.baseTime = now;
    }
    this.expired();
  }
}
