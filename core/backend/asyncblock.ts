import type { BlockInfo } from './block.ts';

/**
 * What a storage device on the machine thread holds. Requests carry lists of views on shared memory, which the disk I/O thread reads or fills until it has
 * answered, even when the device was reset meanwhile: a device hands out a buffer of its own that it then leaves alone, never guest RAM. `done` is called
 * later, always on the machine thread, never from inside the request. Several requests may be under way; they are answered in any order, and two that
 * overlap in time have no order on the disk either.
 * `status` is 0 for success, else BLOCK_*.
 */
export interface BlockDevice {
  /** Undefined when the drive has no medium. */
  readonly info: BlockInfo | undefined;
  /** Fills `targets` in order from byte `offset`. Each is a view on a SharedArrayBuffer. */
  read(offset: number, targets: readonly Uint8Array[], done: BlockDone): void;
  /** `fua`: answered only once the data is on stable storage. */
  write(offset: number, sources: readonly Uint8Array[], done: BlockDone, fua?: boolean): void;
  flush(done: BlockDone): void;
  /** The guest does not need the range any more. What it reads from then on is old data or zeros. */
  discard(offset: number, length: number, done: BlockDone): void;
  /** The range reads as zeros from then on. `unmap`: the host may give its room back. */
  writeZeroes(offset: number, length: number, unmap: boolean, done: BlockDone): void;
  /**
   * Moves bytes between the disk and runs {offset, length, …} of the machine's shared memory before it returns, where that takes no wait: `write` from
   * memory, else into it. False: not now, the request is to be made the other way; memory to be filled may then hold anything.
   */
  moveNow?(write: boolean, offset: number, runs: readonly number[]): boolean;
  /** Called when the medium is inserted, replaced or removed while running. */
  onMediaChange(listener: () => void): void;
  /** Called when the medium has become larger; `info` has the new size. */
  onResize(listener: () => void): void;
}

export type BlockDone = (status: BlockStatus) => void;
export type BlockStatus = 0 | 1 | 2 | 3;
export const BLOCK_OK = 0;
export const BLOCK_IO_ERROR = 1;
export const BLOCK_NO_MEDIUM = 2;
export const BLOCK_READ_ONLY = 3;
