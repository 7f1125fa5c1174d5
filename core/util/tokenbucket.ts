/**
 * A rate with bursts: tokens come in at `rate` a second up to `rate * burstSeconds`. Whoever comes while there are any may take more than there are; the next one then
 * waits until the debt is paid. So no single request is too large to ever go through.
 */
export class TokenBucket {
  private readonly rate: number;
  private readonly most: number;
  private tokens: number;
  private filledAt: number;

  /** `now`: milliseconds of any clock that goes on evenly. */
  constructor(rate: number, burstSeconds: number, now: number) {
    this.rate = rate;
    this.most = Math.max(1, rate * burstSeconds);
    this.tokens = this.most;
    this.filledAt = now;
  }

  /** Milliseconds until somebody may take; 0 for now. */
  wait(now: number): number {
    this.fill(now);
    return this.tokens > 0 ? 0 : Math.ceil(((1 - this.tokens) / this.rate) * 1000);
  }

  take(tokens: number, now: number): void {
    this.fill(now);
    this.tokens -= tokens;
  }

  private fill(now: number): void {
    this.tokens = Math.min(this.most, this.tokens + (Math.max(0, now - this.filledAt) / 1000) * this.rate);
    this.filledAt = now;
  }
}
