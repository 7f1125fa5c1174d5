import { readSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Longer requests are left to the thread pool. */
const MOST_BYTES = 1 << 20;
/** A request that took longer had to wait for a disk. */
const SLOW_MS = 2;
/** After such a one everything goes through the thread pool for this long. */
const REST_MS = 200;
/** What all quick requests together may take of one turn of the event loop. */
const TURN_MS = 4;

let spentMs = 0;
let turnWatched = false;

function spend(ms: number): void {
  spentMs += ms;
  if (turnWatched) return;
  turnWatched = true;
  setImmediate(() => {
    turnWatched = false;
    spentMs = 0;
  });
}

/**
 * Reads and writes on the calling thread as long as the system answers from its cache: a few microseconds, where the way over the thread pool and back takes two changes
 * of threads, which on a busy computer are milliseconds. Once a request had to wait for a disk, the thread pool takes over for a while; and no turn of the event loop
 * is held up by more than a few milliseconds.
 */
export class QuickIo {
  private readonly fd: number;
  private restUntil = 0;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Bytes read, fewer than asked for at the end of the file; undefined when it is to be done the other way. Throws as readSync does. */
  read(offset: number, target: Uint8Array): number | undefined {
    return this.run(target.length, () => readSync(this.fd, target, 0, target.length, offset));
  }

  write(offset: number, source: Uint8Array): number | undefined {
    return this.run(source.length, () => writeSync(this.fd, source, 0, source.length, offset));
  }

  private run(bytes: number, call: () => number): number | undefined {
    const begun = performance.now();
    if (bytes > MOST_BYTES || spentMs >= TURN_MS || begun < this.restUntil) return undefined;
    try {
      return call();
    } finally {
      const ms = performance.now() - begun;
      spend(ms);
      if (ms > SLOW_MS) this.restUntil = begun + ms + REST_MS;
    }
  }
}
