/** Many operations at a time, or one exclusive one that waits for them and holds new ones up. */
export class Gate {
  private inside = 0;
  private closed = false;
  private readonly waiting: (() => void)[] = [];
  private readonly exclusives: (() => void)[] = [];

  async enter(): Promise<void> {
    while (this.closed || this.exclusives.length) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.inside++;
  }

  /** Somebody wants to be alone inside, or is. */
  get held(): boolean {
    return this.closed || this.exclusives.length > 0;
  }

  leave(): void {
    this.inside--;
    this.next();
  }

  async exclusive<T>(section: () => Promise<T>): Promise<T> {
    if (this.closed || this.inside || this.exclusives.length) await new Promise<void>((resolve) => this.exclusives.push(resolve));
    else this.closed = true;
    try {
      return await section();
    } finally {
      this.closed = false;
      this.next();
    }
  }

  private next(): void {
    if (this.closed || this.inside) return;
    const first = this.exclusives.shift();
    if (first) {
      this.closed = true;
      first();
    } else for (const wake of this.waiting.splice(0)) wake();
  }
}
