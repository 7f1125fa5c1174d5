import type { Accelerator } from '../cpu/accelerator.ts';
import type { Mailbox } from '../memory/mailbox.ts';
import type { HostMachineClock } from './machineclock.ts';

/** Longest stretch of guest code between looks at the clock, instructions. */
const MAX_SLICE = 200_000;
const MIN_SLICE = 500;
/** Longest a slice should take, nanoseconds: bounds the latency of timers whose deadline lies within it. */
const TARGET_SLICE_NS = 1_000_000;

export interface RunLoopOptions {
  accelerator: Accelerator;
  clock: HostMachineClock;
  mailbox: Mailbox;
  /** Handles everything other threads sent; called between slices whenever the mailbox rang. */
  drain(): void;
  /** Called after each slice and before sleeping: flush batched output. */
  afterSlice(): void;
  /** The CPU shut down (triple fault). */
  onShutdown(): void;
  /** HLT with nothing that could end it: interrupts off and no NMI source. Called once for each such HLT. */
  onHalted?(): void;
}

/** The machine thread's loop: guest code, due timers, completed I/O, sleep while the guest halts. */
export class RunLoop {
  private readonly options: RunLoopOptions;
  private stopped = false;
  private pausedFlag = true;
  /** Guest instructions per nanosecond, smoothed. */
  private speed = 0.03;
  /** Nanoseconds the guest spent halted, for statistics. */
  haltedNs = 0;

  constructor(options: RunLoopOptions) {
    this.options = options;
    options.clock.pause();
    options.clock.onNewEarliest = () => {
      if (options.clock.nextDeadline()! < this.sliceEnd) options.accelerator.requestExit();
    };
  }

  private sliceEnd = 0;

  get paused(): boolean {
    return this.pausedFlag;
  }

  pause(): void {
    this.pausedFlag = true;
    this.options.clock.pause();
    this.options.accelerator.requestExit();
  }

  resume(): void {
    this.pausedFlag = false;
    this.options.clock.resume();
  }

  stop(): void {
    this.stopped = true;
    this.options.accelerator.requestExit();
  }

  /** Blocks the thread until `stop`. */
  run(): void {
    while (!this.stopped) this.turn();
  }

  private turn(): void {
    const { accelerator, clock, mailbox } = this.options;
    if (mailbox.take()) this.options.drain();
    if (this.stopped) return;
    if (this.pausedFlag) {
      this.options.afterSlice();
      mailbox.wait(undefined);
      return;
    }
    const start = clock.now();
    clock.runDue(start);
    if (this.pausedFlag || this.stopped) return;
    const next = clock.nextDeadline();
    const span = next === undefined ? TARGET_SLICE_NS : Math.min(TARGET_SLICE_NS, next - start);
    this.sliceEnd = start + span;
    const budget = Math.max(MIN_SLICE, Math.min(MAX_SLICE, Math.floor(span * this.speed)));
    const before = accelerator.instructions;
    const exit = accelerator.run(budget);
    this.options.afterSlice();
    const end = clock.now();
    const done = accelerator.instructions - before;
    if (done > 2000 && end > start) this.speed = this.speed * 0.9 + (done / (end - start)) * 0.1;
    if (exit === 'shutdown') this.options.onShutdown();
    else if (exit === 'halt') {
      if (done > 0 && !accelerator.interruptsEnabled) this.options.onHalted?.();
      this.sleep(end);
    }
  }

  /** Halted: wait for the next timer or a message. Below 50 us waking up costs more than it saves. */
  private sleep(now: number): void {
    const { clock, mailbox } = this.options;
    const next = clock.nextDeadline();
    if (next !== undefined && next - now < 50_000) return;
    mailbox.wait(next === undefined ? undefined : (next - now) / 1e6);
    this.haltedNs += clock.now() - now;
  }
}
