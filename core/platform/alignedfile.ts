/**
 * A host file that goes around the system's cache (open(2), O_DIRECT). The system moves whole blocks only, between places of the file and of memory that are multiples of a
 * block; everything else goes through blocks of a WebAssembly.Memory, which begins at a page. What changes part of a block reads it first, and nothing else is
 * written meanwhile.
 */
import type { RandomAccessFile } from '../backend/file.ts';
import { Gate } from '../disk/gate.ts';
import { HypervueError } from '../util/errors.ts';
import { pageAligned } from '../util/pagealigned.ts';
import { say } from '../util/say.ts';
import { fileError, NodeFile } from './nodefile.ts';

/** Blocks that are tried: what disks have, and what systems have where they say no more. */
const BLOCKS = [512, 4096];
/** Bytes moved at once, and how many such pieces there are for all files. */
const PIECE = 512 << 10;
const PIECES = 16;

/** Aligned memory for all files of this process. */
class Pieces {
  private readonly memory = pageAligned(PIECE * PIECES);
  private readonly free: Uint8Array[] = Array.from({ length: PIECES }, (_, i) => this.memory.subarray(i * PIECE, (i + 1) * PIECE));
  private readonly waiting: ((piece: Uint8Array) => void)[] = [];

  async with<T>(use: (piece: Uint8Array) => Promise<T>): Promise<T> {
    const piece = this.free.pop() ?? (await new Promise<Uint8Array>((resolve) => this.waiting.push(resolve)));
    try {
      return await use(piece);
    } finally {
      const next = this.waiting.shift();
      if (next) next(piece);
      else this.free.push(piece);
    }
  }
}

let pieces: Pieces | undefined;

export class AlignedFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly: boolean;
  readonly device: boolean;
  private readonly file: NodeFile;
  private readonly block: number;
  private readonly pieces: Pieces;
  /** Many writes of whole blocks, or one of a part. */
  private readonly gate = new Gate();

  private constructor(file: NodeFile, block: number, memory: Pieces) {
    this.file = file;
    this.path = file.path;
    this.readOnly = file.readOnly;
    this.device = file.device;
    this.block = block;
    this.pieces = memory;
  }

  /** Rejects as NodeFile.open, and with 'unsupported' where the file system or the system has no such thing. */
  static async open(path: string, readOnly: boolean): Promise<AlignedFile> {
    let file: NodeFile;
    try {
      file = await NodeFile.open(path, readOnly, { around: true });
    } catch (error) {
      if (error instanceof HypervueError && error.context.code === 'EINVAL') throw notThere(path, error);
      throw error;
    }
    pieces ??= new Pieces();
    const memory = pieces;
    try {
      // From its second block on, also in memory: a file system may say no to what is no multiple of its own.
      for (const block of BLOCKS)
        if (await memory.with((piece) => works(file, block, piece.subarray(block, 2 * block)))) return new AlignedFile(file, block, memory);
      throw notThere(path);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  size(): Promise<number> {
    return this.file.size();
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const at = offset + done;
      const skip = at % this.block;
      const wanted = Math.min(PIECE - skip, target.length - done);
      const got = await this.pieces.with(async (piece) => {
        const read = await this.file.read(at - skip, piece.subarray(0, this.up(skip + wanted)));
        const useful = Math.max(0, Math.min(read - skip, wanted));
        target.set(piece.subarray(skip, skip + useful), done);
        return useful;
      });
      done += got;
      if (got < wanted) break;
    }
    return done;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    for (let done = 0; done < source.length; ) {
      const at = offset + done;
      const left = source.length - done;
      const skip = at % this.block;
      const whole = skip === 0 ? Math.min(PIECE, left - (left % this.block)) : 0;
      const size = whole || Math.min(this.block - skip, left);
      const bytes = source.subarray(done, done + size);
      if (whole) {
        await this.gate.enter();
        try {
          await this.writeBlocks(at, bytes);
        } finally {
          this.gate.leave();
        }
      } else await this.gate.exclusive(() => this.writePart(at, skip, bytes));
      done += size;
    }
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  truncate(bytes: number): Promise<void> {
    return this.file.truncate(bytes);
  }

  discard(offset: number, length: number): Promise<void> {
    return this.gate.exclusive(() => this.file.discard(offset, length));
  }

  holeAt(offset: number, end: number): { hole: boolean; length: number } | undefined {
    return this.file.holeAt(offset, end);
  }

  punch(offset: number, length: number): Promise<boolean> {
    return this.gate.exclusive(() => this.file.punch(offset, length));
  }

  allocate(offset: number, length: number): Promise<void> {
    return this.file.allocate(offset, length);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private writeBlocks(at: number, bytes: Uint8Array): Promise<void> {
    return this.pieces.with((piece) => {
      piece.set(bytes);
      return this.file.write(at, piece.subarray(0, bytes.length));
    });
  }

  /** Part of one block. The file does not become longer than what is written. */
  private writePart(at: number, skip: number, bytes: Uint8Array): Promise<void> {
    return this.pieces.with(async (piece) => {
      const block = piece.subarray(0, this.block);
      const got = await this.file.read(at - skip, block);
      block.fill(0, got);
      block.set(bytes, skip);
      await this.file.write(at - skip, block);
      const end = Math.max(got, skip + bytes.length);
      if (end < this.block) await this.file.truncate(at - skip + end);
    });
  }

  private up(bytes: number): number {
    return Math.ceil(bytes / this.block) * this.block;
  }
}

async function works(file: NodeFile, block: number, memory: Uint8Array): Promise<boolean> {
  try {
    await file.read(block, memory);
    return true;
  } catch (error) {
    if (fileError(error, file.path, 'read').context.code === 'EINVAL') return false;
    throw error;
  }
}

function notThere(path: string, cause?: unknown): HypervueError {
  return new HypervueError('unsupported', say('noDirectAccess', { path }), { path, operation: 'open' }, say('fixNoDirectAccess'), cause);
}
