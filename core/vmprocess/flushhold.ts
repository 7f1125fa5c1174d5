/** Longest that one flush waits, ms: guests know slow disks, and give one half a minute. */
const MOST_MS = 500;

/**
 * Lets guests' flushes wait a little while somebody in the same process writes much to the host's disk: each has the disk stand still until all that it was given is
 * on the medium, and then both take several times as long. A flush that has waited does the same as ever, and is answered when it is done.
 */
export class FlushHold {
  private held: Promise<void> | undefined;

  /** Until the function that it gives is called. One at a time. */
  begin(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.held = promise;
    return () => {
      if (this.held === promise) this.held = undefined;
      resolve();
    };
  }

  /** Before a flush. */
  async wait(): Promise<void> {
    if (!this.held) return;
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, MOST_MS);
    });
    await Promise.race([this.held, enough]);
    clearTimeout(timer);
  }
}
