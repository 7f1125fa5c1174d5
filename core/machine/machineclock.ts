import type { Accelerator } from '../cpu/accelerator.ts';
import { TimerQueue } from '../util/clock.ts';
import { SpeedEstimate } from './speed.ts';

/** Something to be done as soon as the clock allows it; see MachineClock.deferred. */
export interface Deferred {
  request(): void;
  cancel(): void;
  /** Requested and not done yet. */
  readonly pending: boolean;
}

/** The clock of a machine thread: what time it is for the guest, and how long it may run until somebody has to look at it. */
export abstract class MachineClock extends TimerQueue {
  /** Slices end exactly where this clock says (Accelerator.run). */
  abstract readonly exact: boolean;

  /** The processor that runs by this clock. */
  abstract attach(accelerator: Accelerator): void;

  abstract pause(): void;
  abstract resume(): void;

  /** While paused: it is `now` (machine nanoseconds) from here on, as in the machine whose state is being restored. No timer may be armed. */
  abstract restore(now: number): void;

  /** Instructions to execute now. Guest code runs from here on until `ended`. */
  abstract slice(): number;

  /** The guest executed that many instructions. */
  abstract ended(instructions: number): void;

  /** While guest code runs: a timer became the earliest. Makes the slice end in time for it. */
  abstract hurry(accelerator: Accelerator): void;

  /** While guest code runs: it called a device, which may take as long as thousands of instructions. */
  abstract deviceCalled(accelerator: Accelerator): void;

  /** The guest halts: lets time pass up to the next timer, in `wait` (milliseconds; undefined: until somebody rings) or at once. */
  abstract idle(wait: (ms: number | undefined) => void): void;

  /**
   * For effects that a device has outside of itself and that reach the processor: `action` is called at once where the order does not matter,
   * and at a fixed instruction with a clock that makes every run the same.
   */
  abstract deferred(action: () => void): Deferred;
}

/** Longest a slice should take, nanoseconds: bounds the latency of messages and of timers that a device arms for a time within it. */
const TARGET_SLICE_NS = 1_000_000;
/** Shortest slice worth entering guest code for, nanoseconds, and instructions. */
const MIN_SLICE_NS = 5_000;
const MIN_SLICE = 500;
const MAX_SLICE = 0x3fff_ffff;
/** Device accesses between looks at the host's clock: some of them take a microsecond, all of them less than ten. */
const CALLS_PER_LOOK = 32;
/** Waking up costs more than sleeping so short saves, nanoseconds. */
const MIN_SLEEP_NS = 50_000;

/**
 * Machine time from the host's monotonic clock: starts at 0 with the machine, stands still while it is paused. Wall time follows the host, so
 * a guest that reads its RTC after a pause sees the right time.
 */
export class HostMachineClock extends MachineClock {
  readonly exact = false;
  readonly speed = new SpeedEstimate();
  private readonly state: { offset: number; pausedAt: number | undefined };
  private readonly host: () => number;
  private sliceStart = 0;
  private sliceEnd = 0;
  private deviceCalls = 0;

  /** `host` gives monotonic nanoseconds, `wall` epoch milliseconds. */
  constructor(host: () => number, wall: () => number) {
    const state = { offset: host(), pausedAt: undefined as number | undefined };
    super(() => Math.floor((state.pausedAt ?? host()) - state.offset), wall);
    this.state = state;
    this.host = host;
  }

  attach(): void {}

  pause(): void {
    this.state.pausedAt ??= this.host();
  }

  resume(): void {
    if (this.state.pausedAt === undefined) return;
    this.state.offset += this.host() - this.state.pausedAt;
    this.state.pausedAt = undefined;
  }

  restore(now: number): void {
    this.state.offset = (this.state.pausedAt ?? this.host()) - now;
  }

  slice(): number {
    this.sliceStart = this.now();
    const next = this.nextDeadline();
    const span = next === undefined ? TARGET_SLICE_NS : Math.min(TARGET_SLICE_NS, next - this.sliceStart);
    this.sliceEnd = this.sliceStart + span;
    return Math.max(MIN_SLICE, Math.min(MAX_SLICE, Math.floor(Math.max(MIN_SLICE_NS, span) * this.speed.value)));
  }

  ended(instructions: number): void {
    this.speed.measured(instructions, this.now() - this.sliceStart);
  }

  hurry(accelerator: Accelerator): void {
    if (this.nextDeadline()! < this.sliceEnd) accelerator.requestExit();
  }

  deviceCalled(accelerator: Accelerator): void {
    if (++this.deviceCalls % CALLS_PER_LOOK === 0 && this.now() > this.sliceEnd) accelerator.requestExit();
  }

  idle(wait: (ms: number | undefined) => void): void {
    const next = this.nextDeadline();
    const ns = next === undefined ? undefined : next - this.now();
    if (ns === undefined || ns >= MIN_SLEEP_NS) wait(ns === undefined ? undefined : ns / 1e6);
  }

  deferred(action: () => void): Deferred {
    return { request: action, cancel: () => {}, pending: false };
  }
}
