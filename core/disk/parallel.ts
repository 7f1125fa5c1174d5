/** Some jobs at a time: reads and writes of a copy overlap, memory stays bounded. */
export class Parallel {
  private readonly depth: number;
  private readonly running = new Set<Promise<void>>();
  private failed: { error: unknown } | undefined;

  constructor(depth: number) {
    this.depth = depth;
  }

  /** Starts the job as soon as fewer than `depth` run. Throws what an earlier job failed with. */
  async add(job: () => Promise<void>): Promise<void> {
    while (this.running.size >= this.depth) await Promise.race(this.running);
    if (this.failed) throw this.failed.error;
    const promise: Promise<void> = job()
      .catch((error: unknown) => {
        this.failed ??= { error };
      })
      .then(() => {
        this.running.delete(promise);
      });
    this.running.add(promise);
  }

  /** Resolves when no job runs any more, whatever became of them. */
  async idle(): Promise<void> {
    await Promise.all(this.running);
  }

  /** Waits for all jobs and throws what the first one that failed failed with. */
  async finish(): Promise<void> {
    await this.idle();
    if (this.failed) throw this.failed.error;
  }
}
