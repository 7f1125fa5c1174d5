import { TimerQueue } from '../util/clock.ts';

/**
 * Machine time from the host's monotonic clock: starts at 0 with the machine, stands still while it is paused. Wall time follows the host, so
 * a guest that reads its RTC after a pause sees the right time.
 */
export class HostMachineClock extends TimerQueue {
  private readonly state: { offset: number; pausedAt: number | undefined };
  private readonly host: () => number;

  /** `host` gives monotonic nanoseconds, `wall` epoch milliseconds. */
  constructor(host: () => number, wall: () => number) {
    const state = { offset: host(), pausedAt: undefined as number | undefined };
    super(() => Math.floor((state.pausedAt ?? host()) - state.offset), wall);
    this.state = state;
    this.host = host;
  }

  pause(): void {
    this.state.pausedAt ??= this.host();
  }

  resume(): void {
    if (this.state.pausedAt === undefined) return;
    this.state.offset += this.host() - this.state.pausedAt;
    this.state.pausedAt = undefined;
  }
}
