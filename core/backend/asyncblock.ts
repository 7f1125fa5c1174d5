import type { BlockInfo } from './block.ts';

/**
 * What a storage device on the machine thread holds. Requests carry lists of views on shared memory, which the disk I/O thread reads or fills until it has
 * answered, even when the device was reset meanwhile: a device hands out a buffer of its own that it then leaves alone, never guest RAM. `done` is called
 * later, always on the machine thread, never from inside the request.
 * `status` is 0 for success, else BLOCK_*.
 */
export interface BlockDevice {
  /** Undefined when the drive has no medium. */
  readonly info: BlockInfo | undefined;
  /** Fills `targets` in order from byte `offset`. Each is a view on a SharedArrayBuffer. */
  read(offset: number, targets: readonly Uint8Array[], done: BlockDone): void;
  write(offset: number, sources: readonly Uint8Array[], done: BlockDone): void;
  flush(done: BlockDone): void;
  /** Called when the medium is inserted, replaced or removed while running. */
  onMediaChange(listener: () => void): void;
}

export type BlockDone = (status: BlockStatus) => void;
export type BlockStatus = 0 | 1 | 2 | 3;
export const BLOCK_OK = 0;
export const BLOCK_IO_ERROR = 1;
export const BLOCK_NO_MEDIUM = 2;
export const BLOCK_READ_ONLY = 3;
