import {
  BLOCK_IO_ERROR,
  BLOCK_NO_MEDIUM,
  BLOCK_OK,
  BLOCK_READ_ONLY,
  type BlockDevice,
  type BlockDone,
  type BlockStatus,
} from '../../backend/asyncblock.ts';
import type { BlockInfo } from '../../backend/block.ts';

/** A disk in a buffer. Requests wait in a queue until the test calls `run`, so nothing is ever answered from inside a request. */
export class FakeBlockDevice implements BlockDevice {
  info: BlockInfo | undefined;
  data: Uint8Array;
  /** Makes every request fail with this status. */
  failWith: BlockStatus = BLOCK_OK;
  flushes = 0;
  readonly discarded: [offset: number, length: number][] = [];
  readonly zeroed: [offset: number, length: number, unmap: boolean][] = [];
  private queue: (() => void)[] = [];
  private readonly resizeListeners: (() => void)[] = [];
  private readonly listeners: (() => void)[] = [];

  constructor(data: Uint8Array | undefined, readOnly = false) {
    this.data = data ?? new Uint8Array();
    this.info = data ? { sizeBytes: data.length, readOnly, label: 'fake' } : undefined;
  }

  read(offset: number, targets: readonly Uint8Array[], done: BlockDone): void {
    this.enqueue(done, () => {
      let at = offset;
      for (const target of targets) {
        if (at + target.length > this.data.length) return BLOCK_IO_ERROR;
        target.set(this.data.subarray(at, at + target.length));
        at += target.length;
      }
      return BLOCK_OK;
    });
  }

  write(offset: number, sources: readonly Uint8Array[], done: BlockDone, fua = false): void {
    this.enqueue(done, () => {
      if (fua) this.flushes++;
      if (this.info?.readOnly) return BLOCK_READ_ONLY;
      let at = offset;
      for (const source of sources) {
        if (at + source.length > this.data.length) return BLOCK_IO_ERROR;
        this.data.set(source, at);
        at += source.length;
      }
      return BLOCK_OK;
    });
  }

  flush(done: BlockDone): void {
    this.enqueue(done, () => {
      this.flushes++;
      return BLOCK_OK;
    });
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.enqueue(done, () => {
      if (this.info?.readOnly) return BLOCK_READ_ONLY;
      this.discarded.push([offset, length]);
      this.data.fill(0, offset, offset + length);
      return BLOCK_OK;
    });
  }

  writeZeroes(offset: number, length: number, unmap: boolean, done: BlockDone): void {
    this.enqueue(done, () => {
      if (this.info?.readOnly) return BLOCK_READ_ONLY;
      this.zeroed.push([offset, length, unmap]);
      this.data.fill(0, offset, offset + length);
      return BLOCK_OK;
    });
  }

  /** A larger medium, with what it had. */
  grow(sizeBytes: number): void {
    const data = new Uint8Array(sizeBytes);
    data.set(this.data);
    this.data = data;
    if (this.info) this.info = { ...this.info, sizeBytes };
    for (const listener of this.resizeListeners) listener();
  }

  onResize(listener: () => void): void {
    this.resizeListeners.push(listener);
  }

  onMediaChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  get pending(): number {
    return this.queue.length;
  }

  /** Answers what waits, including requests made by the answers. */
  run(): void {
    for (let job = this.queue.shift(); job; job = this.queue.shift()) job();
  }

  /** Puts in another medium, or takes it out. */
  change(data: Uint8Array | undefined, readOnly = false): void {
    this.data = data ?? new Uint8Array();
    this.info = data ? { sizeBytes: data.length, readOnly, label: 'fake' } : undefined;
    for (const listener of this.listeners) listener();
  }

  private enqueue(done: BlockDone, action: () => BlockStatus): void {
    this.queue.push(() => done(this.failWith !== BLOCK_OK ? this.failWith : this.info ? action() : BLOCK_NO_MEDIUM));
  }
}
