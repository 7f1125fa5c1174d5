import { performance } from 'node:perf_hooks';
import type { DriveLimits } from '../contract/drives.ts';
import { TokenBucket } from '../util/tokenbucket.ts';

const DEFAULT_BURST_SECONDS = 1;

interface Waiting {
  bytes: number;
  go: () => void;
}

/** Holds requests of one drive back so that it stays inside its limits, in the order in which they came. */
export class DriveThrottle {
  private requests: TokenBucket | undefined;
  private bytes: TokenBucket | undefined;
  private readonly queue: Waiting[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(limits: DriveLimits) {
    this.setLimits(limits);
  }

  /** Other limits from now on, also for what waits. */
  setLimits({ iops, bytesPerSecond, burstSeconds = DEFAULT_BURST_SECONDS }: DriveLimits): void {
    const now = performance.now();
    this.requests = iops === undefined ? undefined : new TokenBucket(iops, burstSeconds, now);
    this.bytes = bytesPerSecond === undefined ? undefined : new TokenBucket(bytesPerSecond, burstSeconds, now);
    this.release();
  }

  get limited(): boolean {
    return this.requests !== undefined || this.bytes !== undefined;
  }

  /** Undefined when the request may start now, else a promise for that. */
  admit(bytes: number): Promise<void> | undefined {
    if (!this.requests && !this.bytes) return undefined;
    if (this.queue.length === 0 && this.delay() === 0) {
      this.take(bytes);
      return undefined;
    }
    return new Promise((go) => {
      this.queue.push({ bytes, go });
      this.release();
    });
  }

  /** Lets everything through at once: the machine ends. */
  end(): void {
    this.setLimits({});
  }

  private release(): void {
    clearTimeout(this.timer);
    while (this.queue.length) {
      const delay = this.delay();
      if (delay > 0) {
        this.timer = setTimeout(() => this.release(), delay);
        return;
      }
      const { bytes, go } = this.queue.shift()!;
      this.take(bytes);
      go();
    }
  }

  private delay(): number {
    const now = performance.now();
    return Math.max(this.requests?.wait(now) ?? 0, this.bytes?.wait(now) ?? 0);
  }

  private take(bytes: number): void {
    const now = performance.now();
    this.requests?.take(1, now);
    if (bytes > 0) this.bytes?.take(bytes, now);
  }
}
