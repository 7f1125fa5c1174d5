import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Tsc } from '../timer/tsc.ts';
import { TickDebt } from '../timer/tickdebt.ts';

/** The timer's input clock before the divider: 1 GHz, so that a count of 1 with divider 1 is one nanosecond. */
const NS_PER_INPUT_TICK = 1;
/** Host timers finer than this would starve the guest. */
const MIN_PERIOD_NS = 20_000;

/** Modes, as in bits 17 and 18 of the timer's entry of the local vector table. */
export type LapicTimerMode = 'one-shot' | 'periodic' | 'deadline';

/**
 * Count-down timer of a local APIC: one-shot, periodic, or at a value of the time stamp counter. Spec: Intel SDM volume 3, section 11.5.4 (APIC
 * timer) and 11.5.4.1 (TSC-deadline mode).
 */
export class LapicTimer {
  private readonly clock: Clock;
  private readonly timer: Timer;
  private readonly expired: () => void;
  private readonly debt = new TickDebt();
  private initial = 0;
  /** Bits 0, 1 and 3 of the divide configuration register. */
  private divide = 0;
  private mode: LapicTimerMode = 'one-shot';
  /** IA32_TSC_DEADLINE; 0 when disarmed. */
  private tscDeadline = 0n;
  private readonly tsc: Tsc | undefined;
  /** The count was `baseCount` at `baseTime`. */
  private baseTime = 0;
  private baseCount = 0;

  /** `expired` is called whenever the count reaches zero. Without `tsc` there is no deadline mode. */
  constructor(clock: Clock, expired: () => void, tsc?: Tsc) {
    this.clock = clock;
    this.tsc = tsc;
    tsc?.onWritten(() => this.armDeadline());
    this.expired = expired;
    this.timer = clock.createTimer((now) => this.fire(now));
  }

  get initialCount(): number {
    return this.initial;
  }

  set initialCount(value: number) {
    if (this.mode === 'deadline') return;
    this.initial = value >>> 0;
    this.start(this.initial);
  }

  get currentCount(): number {
    // A one-shot count that reached zero stays there, whatever mode comes next, until a new one is written.
    if (this.initial === 0 || this.baseCount === 0 || this.mode === 'deadline') return 0;
    const passed = Math.floor((this.clock.now() - this.baseTime) / this.tickNs);
    if (passed < this.baseCount) return this.baseCount - passed;
    // Expired, and the host has not come round to say so yet.
    return this.mode === 'periodic' ? this.initial - ((passed - this.baseCount) % this.initial) : 0;
  }

  get divideConfiguration(): number {
    return this.divide;
  }

  set divideConfiguration(value: number) {
    const count = this.currentCount;
    this.divide = value & 0x0b;
    if (count > 0) this.start(count);
  }

  setMode(mode: LapicTimerMode): void {
    if (mode === this.mode) return;
    const count = this.currentCount;
    const before = this.mode;
    this.mode = mode;
    // Into and out of deadline mode the timer is disarmed.
    if (mode === 'deadline' || before === 'deadline') {
      this.initial = 0;
      this.tscDeadline = 0n;
      this.start(0);
    } else if (count > 0) this.start(count);
  }

  /** IA32_TSC_DEADLINE reads 0 and ignores writes in the other modes. */
  get deadline(): bigint {
    return this.tscDeadline;
  }

  set deadline(value: bigint) {
    if (this.mode !== 'deadline') return;
    this.tscDeadline = value;
    this.armDeadline();
  }

  private armDeadline(): void {
    if (this.mode !== 'deadline') return;
    if (this.tscDeadline === 0n) this.timer.disarm();
    else this.timer.arm(Math.max(this.clock.now(), this.tsc!.timeOf(this.tscDeadline)));
  }

  reset(): void {
    this.timer.disarm();
    this.debt.clear();
    this.initial = this.divide = this.baseTime = this.baseCount = 0;
    this.mode = 'one-shot';
    this.tscDeadline = 0n;
  }

  save(): { [key: string]: StateValue } {
    return { initial: this.initial, divide: this.divide, mode: this.mode, current: this.currentCount, deadline: this.tscDeadline };
  }

  restore(state: StateReader): void {
    this.initial = state.number('initial', 0, 0xffffffff);
    this.divide = state.byte('divide') & 0x0b;
    const mode = state.string('mode');
    this.mode = mode === 'periodic' || (mode === 'deadline' && this.tsc) ? mode : 'one-shot';
    this.start(Math.min(state.number('current', 0, 0xffffffff), this.initial));
    this.tscDeadline = state.u64('deadline');
    this.armDeadline();
  }

  /** Divider 2, 4, 8 up to 128, and 1 for 111 binary. */
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
    if (this.mode === 'deadline') {
      this.tscDeadline = 0n;
      this.expired();
      return;
    }
    if (this.mode === 'periodic' && this.initial > 0) {
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
