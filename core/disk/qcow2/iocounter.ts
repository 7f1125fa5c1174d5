/**
 * Which data reads and writes are under way, by epoch: a cluster that was freed may be used again only when everything that may still know its old
 * place has ended.
 */
export class IoCounter {
  private epoch = 0;
  private readonly active = new Map<number, number>();
  private waiting: (() => void)[] = [];

  /** The present epoch. */
  get now(): number {
    return this.epoch;
  }

  /** Begins an operation; give the result to `end`. */
  begin(): number {
    this.active.set(this.epoch, (this.active.get(this.epoch) ?? 0) + 1);
    return this.epoch;
  }

  end(epoch: number): void {
    const left = this.active.get(epoch)! - 1;
    if (left) this.active.set(epoch, left);
    else this.active.delete(epoch);
    if (!this.active.size) for (const wake of this.waiting.splice(0)) wake();
  }

  /** Operations from here on are of a new epoch. */
  advance(): void {
    this.epoch++;
  }

  /** True when no operation of `epoch` or before is under way. */
  over(epoch: number): boolean {
    for (const begun of this.active.keys()) if (begun <= epoch) return false;
    return true;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.active.size ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve();
  }
}
