/**
 * A second way to a file that is also read and written by way of the system's cache: around it (open(2), O_DIRECT), in whole blocks that go straight between memory and disk. Much
 * that is written or read once is quicker so, as the system needs no memory for it and copies nothing. Systems keep both ways coherent when they don't touch
 * the same blocks at the same time.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pageAligned } from '../util/pagealigned.ts';

/** What places in the file and in memory, and lengths, are multiples of. No disk has larger blocks. */
export const AROUND_BLOCK = 4096;

/** Memory that begins at a page. */
export function alignedMemory(bytes: number): Buffer {
  return Buffer.from(pageAligned(bytes).buffer, 0, bytes);
}

/** What is left of the pieces after their first `done` bytes. */
export function piecesAfter(pieces: readonly Uint8Array[], done: number): readonly Uint8Array[] {
  if (done === 0) return pieces;
  let skip = done;
  return pieces.flatMap((piece) => {
    const from = Math.min(skip, piece.length);
    skip -= from;
    return from < piece.length ? [piece.subarray(from)] : [];
  });
}

export class AroundCache {
  private readonly handle: FileHandle;
  /** The system has refused once. */
  private refused = false;

  private constructor(handle: FileHandle) {
    this.handle = handle;
  }

  /** Undefined where the system or the file system has no such thing. */
  static async open(file: string, access: 'read' | 'write'): Promise<AroundCache | undefined> {
    if (!constants.O_DIRECT) return undefined;
    const flags = constants.O_DIRECT | (access === 'read' ? constants.O_RDONLY : constants.O_WRONLY);
    return open(file, flags).then(
      (handle) => new AroundCache(handle),
      () => undefined,
    );
  }

  /** Bytes that were written: 0 when the system does not take them so. Rejects with the system's error. */
  async write(pieces: readonly Uint8Array[], at: number): Promise<number> {
    return this.attempt(async () => (await this.handle.writev(pieces as Uint8Array[], at)).bytesWritten);
  }

  /** As `write`; 0 also at the end of the file. */
  async read(pieces: readonly Uint8Array[], at: number): Promise<number> {
    return this.attempt(async () => (await this.handle.readv(pieces as Uint8Array[], at)).bytesRead);
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  private async attempt(work: () => Promise<number>): Promise<number> {
    if (this.refused) return 0;
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      this.refused = true;
      return 0;
    }
  }
}
