import type { Timer } from '../util/clock.ts';
import { type InstructionClock, LATENCY_NS } from './instructionclock.ts';

/** An input and the machine time at which it was applied, nanoseconds. */
export interface TimedInput<T> {
  at: number;
  input: T;
}

/** Added to the times of inputs, so that no device has a timer at just that time: their order would depend on who armed first. */
const FRACTION = 0.25;

/**
 * Input from outside on its way into a machine that counts instructions for time: applied at an exact instruction, which is noted, so that a
 * second run can do the same at the same instruction.
 */
export class InputSchedule<T> {
  /** Called with each input as it is applied. */
  onApplied: ((timed: TimedInput<T>) => void) | undefined;
  private readonly clock: InstructionClock;
  private readonly apply: (input: T) => void;
  private readonly timer: Timer;
  private readonly queue: TimedInput<T>[] = [];
  private replaying = false;

  constructor(clock: InstructionClock, apply: (input: T) => void) {
    this.clock = clock;
    this.apply = apply;
    this.timer = clock.createTimer(() => this.run());
  }

  /** Something arrived, between slices. Ignored while a recording is replayed. */
  submit(input: T): void {
    if (!this.replaying) this.push({ at: Math.floor(this.clock.now()) + LATENCY_NS + FRACTION, input });
  }

  /** Applies the inputs of a recording, in order, and none that arrives. Before the machine starts. */
  replay(inputs: readonly TimedInput<T>[]): void {
    this.replaying = true;
    for (const input of inputs) this.push(input);
  }

  /** Something is on its way into the machine. */
  get pending(): boolean {
    return !this.replaying && this.queue.length > 0;
  }

  private push(timed: TimedInput<T>): void {
    this.queue.push(timed);
    if (this.queue.length === 1) this.timer.arm(timed.at);
  }

  private run(): void {
    const now = this.clock.now();
    while (this.queue.length && this.queue[0]!.at <= now) {
      const timed = this.queue.shift()!;
      this.apply(timed.input);
      this.onApplied?.(timed);
    }
    if (this.queue.length) this.timer.arm(this.queue[0]!.at);
  }
}
