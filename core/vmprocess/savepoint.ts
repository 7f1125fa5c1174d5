import type { Timer } from '../util/clock.ts';
import type { MachineClock } from '../machine/machineclock.ts';

/** How long a guest that is in the middle of a disk command may run on before it is looked at again, and how often, by the kind of clock. */
const HOST_RETRY = { ns: 1_000_000, times: 300 };
/** How many looks a running guest gets to come to such a moment by itself, before it is made to stand until its disks have answered. */
const PATIENT_LOOKS = 200;
const COUNTED_RETRY = { ns: 20_000, times: 50_000 };

export interface SavePointOptions {
  clock: MachineClock;
  /** Machine time is made of instructions: disk requests end by timers, so the guest has to run for them. */
  counted: boolean;
  loop: { readonly paused: boolean; pause(): void; resume(): void };
  /** No disk owes an answer. */
  idle(): boolean;
  /** Machine.settled. */
  settled(): boolean;
  /** Makes the run loop look again instead of sleeping. */
  ring(): void;
}

/**
 * Brings the machine to a moment at which its state can be saved: between two instructions, no disk request under way, no drive in the middle of a
 * command. The guest stands then, until somebody resumes it. One that never gets there, or was paused in the middle of a command, is taken as it is:
 * its drive reports an error after a restore, and drivers repeat such commands.
 */
export class SavePoint {
  private readonly options: SavePointOptions;
  private readonly retry: { ns: number; times: number };
  private readonly timer: Timer;
  private waiting: ((settled: boolean) => void)[] = [];
  private wasPaused = false;
  private looking = false;
  private tries = 0;
  /** Looks left at a guest that runs. */
  private patience = 0;

  constructor(options: SavePointOptions) {
    this.options = options;
    this.retry = options.counted ? COUNTED_RETRY : HOST_RETRY;
    this.timer = options.clock.createTimer(() => (this.patience > 0 ? this.look() : this.stand()));
  }

  /** `reached` is called, once, when the machine stands at such a moment. */
  request(reached: (settled: boolean) => void): void {
    this.waiting.push(reached);
    if (this.waiting.length > 1) return;
    const { clock, loop, counted } = this.options;
    this.wasPaused = loop.paused;
    this.tries = 0;
    // Where a slice is cut for a message may lie within an instruction; at a timer it never does.
    if (counted && !loop.paused) this.timer.arm(clock.now() + this.retry.ns);
    else if (loop.paused) this.stand();
    else {
      this.patience = PATIENT_LOOKS;
      this.look();
    }
  }

  /** Waits for an answer of a disk while the guest runs: a flush can take the host longer than anything else here. */
  private lookPatiently(): void {
    const { idle, settled, loop } = this.options;
    if (--this.patience > 0 && !loop.paused && !(idle() && settled())) return;
    this.patience = 0;
    this.timer.disarm();
    this.stand();
  }

  /** The run loop calls this between slices and before it sleeps. */
  look(): void {
    if (this.patience > 0) {
      this.lookPatiently();
      // A guest that halts is looked at all the same.
      if (this.patience > 0 && this.timer.deadline === undefined) this.timer.arm(this.options.clock.now() + this.retry.ns);
      return;
    }
    if (!this.looking) return;
    const { options, retry } = this;
    const last = this.wasPaused || this.tries >= retry.times;
    const idle = options.idle();
    if (!idle && !options.counted) return;
    const settled = idle && options.settled();
    if (!settled && !last) {
      this.looking = false;
      this.tries++;
      this.timer.arm(options.clock.now() + retry.ns);
      options.loop.resume();
      options.ring();
      return;
    }
    this.looking = false;
    for (const reached of this.waiting.splice(0)) reached(settled);
  }

  private stand(): void {
    this.looking = true;
    this.options.loop.pause();
    this.options.ring();
  }
}
