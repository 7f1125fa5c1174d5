import { type Accelerator, END_AFTER_MIN } from '../cpu/accelerator.ts';
import type { Timer } from '../util/clock.ts';
import { type Deferred, MachineClock } from './machineclock.ts';

/** Guest time an instruction takes: the processor pretends 100 million of them a second. */
export const NS_PER_INSTRUCTION = 10;
/** Date that a machine with this clock starts at, unless it is told another: 2026-01-01 UTC. */
export const INSTRUCTION_CLOCK_START_MS = Date.UTC(2026, 0, 1);
/** Slices end at multiples of this at the latest, so that output goes out. */
const SLICE_NS = 2_000_000;
/** Least time between what guest code does and what comes of it outside of the device, nanoseconds. */
export const LATENCY_NS = END_AFTER_MIN * NS_PER_INSTRUCTION;

export interface InstructionClockOptions {
  /** Wall time at machine time 0, epoch milliseconds. */
  startMs: number;
  /** Monotonic nanoseconds of the host: a halted guest does not get ahead of it. Absent: idle time passes at once. */
  host?: () => number;
}

/**
 * Machine time from the instruction counter, jumping forward to the next timer when the guest halts: nothing of it depends on the host, so two
 * runs of the same machine with the same input are the same, instruction by instruction.
 *
 * What keeps it so: slices end exactly at the instruction where a timer is due. What a device does in the middle of a slice reaches the
 * processor (INTR, NMI, resets) and arms timers END_AFTER_MIN instructions later, which is exact for every accelerator. Disk requests take a
 * time that is reckoned from their size; the machine waits when the host is not ready by then (TimedDrive). Input from outside is applied by
 * a timer too (InputSchedule), so that it can be recorded and applied again at the same instruction.
 */
export class InstructionClock extends MachineClock {
  readonly exact = true;
  private readonly position: { base: number; inside: boolean; count: () => number };
  private readonly host: (() => number) | undefined;
  /** Host time at which machine time 0 would have been had the guest kept up with it. */
  private hostStart = 0;
  private pausedAt: number | undefined;

  constructor(options: InstructionClockOptions) {
    const position = { base: 0, inside: false, count: () => 0 };
    const now = () => position.base + position.count() * NS_PER_INSTRUCTION;
    super(now, () => options.startMs + now() / 1e6);
    this.position = position;
    this.host = options.host;
    this.hostStart = this.host?.() ?? 0;
  }

  /** The processor whose instructions count. */
  attach(accelerator: Accelerator): void {
    const now = this.now();
    this.position.count = () => accelerator.instructions;
    this.position.base += now - this.now();
  }

  pause(): void {
    this.pausedAt ??= this.host?.();
  }

  resume(): void {
    if (this.pausedAt === undefined) return;
    this.hostStart += this.host!() - this.pausedAt;
    this.pausedAt = undefined;
  }

  restore(now: number): void {
    this.position.base += now - this.now();
    if (this.host) this.hostStart = (this.pausedAt ?? this.host()) - now;
  }

  slice(): number {
    this.position.inside = true;
    const now = this.now();
    // The grid does not depend on where slices were cut before.
    const grid = (Math.floor(now / SLICE_NS) + 1) * SLICE_NS;
    return instructions(Math.min(grid, this.nextDeadline() ?? grid) - now);
  }

  ended(): void {
    this.position.inside = false;
  }

  hurry(accelerator: Accelerator): void {
    if (this.position.inside) accelerator.endAfter(instructions(this.nextDeadline()! - this.now()));
  }

  deviceCalled(): void {}

  idle(wait: (ms: number | undefined) => void): void {
    const next = this.nextDeadline();
    if (next === undefined) {
      wait(undefined);
      return;
    }
    if (this.host) {
      const early = next - (this.host() - this.hostStart);
      if (early > 0) {
        wait(early / 1e6);
        // Woken before its time: something arrived, which is applied first.
        if (next > this.host() - this.hostStart) return;
      }
    }
    this.position.base += Math.max(0, Math.ceil(next) - this.now());
  }

  deferred(action: () => void): Deferred {
    const timer = this.createTimer(action);
    return {
      request: () => {
        if (!this.position.inside) action();
        else if (timer.deadline === undefined) timer.arm(0);
      },
      cancel: () => timer.disarm(),
      get pending() {
        return timer.deadline !== undefined;
      },
    };
  }

  /** A timer for one thing; disposes of itself. */
  after(ns: number, action: () => void): void {
    const timer: Timer = this.createTimer(() => {
      timer.dispose();
      action();
    });
    timer.arm(this.now() + ns);
  }

  protected override soonest(): number {
    return this.position.inside ? this.now() + LATENCY_NS : 0;
  }
}

/** Instructions until `ns` nanoseconds have passed, at least one. */
function instructions(ns: number): number {
  return Math.max(1, Math.ceil(ns / NS_PER_INSTRUCTION));
}
