import type { Disposable } from './disposable.ts';

/** Machine time, nanoseconds since the machine was created. Stops while the machine is paused. */
export interface Clock {
  /** Nanoseconds; a double holds whole nanoseconds exactly for 104 days. */
  now(): number;
  /** Milliseconds since the Unix epoch as the guest's real-time clock should see it. */
  wallTime(): number;
  /** A timer owned by one device; created disarmed. */
  createTimer(callback: (now: number) => void): Timer;
}

export interface Timer extends Disposable {
  /** Fires once at `deadline` (same scale as Clock.now); replaces an earlier deadline. */
  arm(deadline: number): void;
  disarm(): void;
  readonly deadline: number | undefined;
}

/** The Clock of a machine thread: the run loop moves time forward and calls `runDue`. */
export class TimerQueue implements Clock {
  /** Called when a timer becomes the earliest: a run loop inside guest code should come back sooner. */
  onNewEarliest: (() => void) | undefined;
  private readonly armed: QueueTimer[] = [];
  private readonly source: () => number;
  private readonly wall: () => number;

  /** `source` gives machine nanoseconds, `wall` gives epoch milliseconds. */
  constructor(source: () => number, wall: () => number) {
    this.source = source;
    this.wall = wall;
  }

  now(): number {
    return this.source();
  }

  wallTime(): number {
    return this.wall();
  }

  createTimer(callback: (now: number) => void): Timer {
    return new QueueTimer(
      this.armed,
      callback,
      () => this.onNewEarliest?.(),
      () => this.soonest(),
    );
  }

  /** No timer fires before this: nanoseconds on the scale of `now`. */
  protected soonest(): number {
    return 0;
  }

  /** Earliest deadline, or undefined when nothing is armed. */
  nextDeadline(): number | undefined {
    return this.armed[0]?.deadline;
  }

  /** No timer fires any more until it is armed again. */
  disarmAll(): void {
    for (const timer of this.armed.slice()) timer.disarm();
  }

  /** Calls every timer whose deadline has passed, earliest first. Returns how many fired. */
  runDue(now = this.now()): number {
    let fired = 0;
    for (let timer = this.armed[0]; timer && timer.deadline! <= now; timer = this.armed[0]) {
      timer.disarm();
      timer.callback(now);
      // A periodic timer with a tiny period must not starve the guest.
      if (++fired >= 1000) break;
    }
    return fired;
  }
}

class QueueTimer implements Timer {
  deadline: number | undefined;
  readonly callback: (now: number) => void;
  private readonly queue: QueueTimer[];
  private readonly becameEarliest: () => void;
  private readonly soonest: () => number;

  constructor(queue: QueueTimer[], callback: (now: number) => void, becameEarliest: () => void, soonest: () => number) {
    this.queue = queue;
    this.callback = callback;
    this.becameEarliest = becameEarliest;
    this.soonest = soonest;
  }

  arm(wanted: number): void {
    this.disarm();
    const deadline = Math.max(wanted, this.soonest());
    this.deadline = deadline;
    let index = this.queue.length;
    while (index > 0 && this.queue[index - 1]!.deadline! > deadline) index--;
    this.queue.splice(index, 0, this);
    if (index === 0) this.becameEarliest();
  }

  disarm(): void {
    if (this.deadline === undefined) return;
    const index = this.queue.indexOf(this);
    if (index >= 0) this.queue.splice(index, 1);
    this.deadline = undefined;
  }

  dispose(): void {
    this.disarm();
  }
}

/** A clock that moves only when a test says so. */
export class ManualClock extends TimerQueue {
  private time: { now: number };

  constructor(epochMs = Date.UTC(2024, 0, 1)) {
    const time = { now: 0 };
    super(
      () => time.now,
      () => epochMs + time.now / 1e6,
    );
    this.time = time;
  }

  /** Moves `ns` forward, firing each due timer at its own deadline. */
  advance(ns: number): void {
    const end = this.time.now + ns;
    for (let next = this.nextDeadline(); next !== undefined && next <= end; next = this.nextDeadline()) {
      this.time.now = Math.max(this.time.now, next);
      this.runDue(this.time.now);
    }
    this.time.now = end;
  }
}
