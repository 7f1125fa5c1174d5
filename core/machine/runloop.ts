import type { Accelerator } from '../cpu/accelerator.ts';
import type { Mailbox } from '../memory/mailbox.ts';
import type { MachineClock } from './machineclock.ts';

export interface RunLoopOptions {
  accelerator: Accelerator;
  clock: MachineClock;
  mailbox: Mailbox;
  /** Handles everything other threads sent; called between slices whenever the mailbox rang. */
  drain(): void;
  /** Called after each slice and before sleeping: flush batched output. */
  afterSlice(): void;
  /** The CPU shut down (triple fault). */
  onShutdown(): void;
  /** HLT with nothing that could end it: interrupts off and no NMI source. Called once for each such HLT. */
  onHalted?(): void;
  /** A host debugger's breakpoint, watchpoint or step ended the slice. */
  onDebug?(): void;
}

/** The machine thread's loop: guest code, due timers, completed I/O, sleep while the guest halts. */
export class RunLoop {
  private readonly options: RunLoopOptions;
  private stopped = false;
  private pausedFlag = true;
  private inside = false;
  /** Machine time that passed while the guest was halted, for profiles. */
  haltedNs = 0;

  constructor(options: RunLoopOptions) {
    this.options = options;
    options.clock.pause();
    options.clock.onNewEarliest = () => {
      if (this.inside) options.clock.hurry(options.accelerator);
    };
  }

  get paused(): boolean {
    return this.pausedFlag;
  }

  /** `stop` was called. */
  get ending(): boolean {
    return this.stopped;
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
    clock.runDue();
    if (this.pausedFlag || this.stopped) return;
    const before = accelerator.instructions;
    this.inside = true;
    const exit = accelerator.run(clock.slice(), clock.exact);
    this.inside = false;
    const done = accelerator.instructions - before;
    clock.ended(done);
    this.options.afterSlice();
    if (exit === 'shutdown') this.options.onShutdown();
    else if (exit === 'debug') this.options.onDebug?.();
    else if (exit === 'halt') {
      if (done > 0 && !accelerator.interruptsEnabled) this.options.onHalted?.();
      const from = clock.now();
      clock.idle((ms) => mailbox.wait(ms));
      this.haltedNs += clock.now() - from;
    }
  }
}
