import { BLOCK_NO_MEDIUM, type BlockDevice, type BlockDone, type BlockStatus } from '../backend/asyncblock.ts';
import type { BlockInfo } from '../backend/block.ts';
import type { InstructionClock } from './instructionclock.ts';

/** What a request takes: a fixed time and one for each byte, nanoseconds. About a cheap solid-state disk. */
const REQUEST_NS = 50_000;
const BYTE_NS = 2;

/**
 * A drive whose requests end at a time reckoned from their size instead of when the host is done. When the host is not done by then, the whole
 * machine waits for it: no guest can see how long that took.
 */
export class TimedDrive implements BlockDevice {
  private readonly drive: BlockDevice;
  private readonly clock: InstructionClock;
  private readonly waitForHost: () => boolean;
  /** Requests without an answer. */
  pending = 0;

  /** `waitForHost` blocks until something was heard from the host, and is false when the machine is to stop. */
  constructor(drive: BlockDevice, clock: InstructionClock, waitForHost: () => boolean) {
    this.drive = drive;
    this.clock = clock;
    this.waitForHost = waitForHost;
  }

  get info(): BlockInfo | undefined {
    return this.drive.info;
  }

  read(offset: number, targets: readonly Uint8Array[], done: BlockDone): void {
    this.request(bytesOf(targets), done, (answered) => this.drive.read(offset, targets, answered));
  }

  write(offset: number, sources: readonly Uint8Array[], done: BlockDone, fua = false): void {
    this.request(bytesOf(sources), done, (answered) => this.drive.write(offset, sources, answered, fua));
  }

  flush(done: BlockDone): void {
    this.request(0, done, (answered) => this.drive.flush(answered));
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.request(0, done, (answered) => this.drive.discard(offset, length, answered));
  }

  writeZeroes(offset: number, length: number, unmap: boolean, done: BlockDone): void {
    this.request(0, done, (answered) => this.drive.writeZeroes(offset, length, unmap, answered));
  }

  onMediaChange(listener: () => void): void {
    this.drive.onMediaChange(listener);
  }

  onResize(listener: () => void): void {
    this.drive.onResize(listener);
  }

  private request(bytes: number, done: BlockDone, start: (answered: BlockDone) => void): void {
    let status: BlockStatus | undefined;
    this.pending++;
    if (this.drive.info)
      start((answer) => {
        status = answer;
      });
    else status = BLOCK_NO_MEDIUM;
    this.clock.after(REQUEST_NS + bytes * BYTE_NS, () => {
      while (status === undefined) if (!this.waitForHost()) return;
      this.pending--;
      done(status);
    });
  }
}

function bytesOf(views: readonly Uint8Array[]): number {
  return views.reduce((sum, view) => sum + view.length, 0);
}
