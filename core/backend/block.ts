import type { Placement } from './placement.ts';

/**
 * The disk a storage device sees. Addresses and lengths are bytes. Calls may be answered in any order; `flush` resolves when
 * every write that was acknowledged before the call is on stable storage.
 * Failures reject with HypervueError ('no-space', 'io-error', ...); a device turns them into its own error status or pauses the VM.
 */
export interface BlockBackend {
  readonly info: BlockInfo;
  /** Fills `target` from byte `offset`. A range past the end is the caller's mistake and rejects with 'invalid-argument'. */
  read(offset: number, target: Uint8Array): Promise<void>;
  write(offset: number, source: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  /** The range is not needed any more; room it takes may be given back, and it reads as before or as zeros. */
  discard?(offset: number, length: number): Promise<void>;
  /** The range reads as zeros from now on. `unmap`: room it takes may be given back. */
  writeZeroes?(offset: number, length: number, unmap: boolean): Promise<void>;
  /** A disk of another size, a multiple of 512 bytes. What lies behind a new end is lost. */
  resize?(sizeBytes: number): Promise<void>;
  /** Brings what is in memory only to the file, without a promise to anybody: what a crash of this process loses is what changed since. */
  writeBack?(): Promise<void>;
  /**
   * Where the bytes around `offset` lie, as far as that is known without a wait. It holds until `onMove` is called for it; either all of the disk
   * that is in the file, or within one region (placement.ts).
   */
  place?(offset: number): Placement | undefined;
  /** Whoever uses `place` sets it. Called before bytes that were placed go elsewhere or may not be written any more; without a range: all of them. */
  onMove?: ((range?: { offset: number; length: number }) => void) | undefined;
  close(): Promise<void>;
}

export interface BlockInfo {
  /** Virtual size in bytes. May be up to 2^53. */
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** For messages and the hardware list: a path or a description. */
  readonly label: string;
}
