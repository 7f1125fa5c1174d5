/**
 * preadv2(2) and pwritev(2) on pieces of a machine's shared memory, through koffi: Node's own calls copy nothing either, but want a view for each piece, and take ten
 * times as long for a page. Where the library can't be had there is none, and callers go on without.
 */
import { createRequire } from 'node:module';

/** preadv2: rather returns less, or fails, than waits for the disk. */
const RWF_NOWAIT = 8;
/** Most pieces of one call (IOV_MAX). */
const MAX_PIECES = 1024;
/** An iovec: u64 address, u64 length. */
const VECTOR_WORDS = 4;
const WORD = 2 ** 32;

type Call = (fd: number, vector: number, count: number, offset: number) => number | bigint;

interface Library {
  read(fd: number, vector: number, count: number, offset: number, flags: number): number | bigint;
  write: Call;
  address(bytes: ArrayBufferLike | Uint32Array): number;
}

let library: Library | undefined | null;

function load(): Library | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const libc = koffi.load('libc.so.6');
    return {
      read: libc.func('int64_t preadv2(int fd, intptr_t vector, int count, int64_t offset, int flags)') as unknown as Library['read'],
      write: libc.func('int64_t pwritev(int fd, intptr_t vector, int count, int64_t offset)') as unknown as Call,
      address: (bytes) => Number(koffi.address(bytes)),
    };
  } catch {
    return null;
  }
}

/** Reads and writes one piece after the other with a single system call. One thread's own. */
export class VectorIo {
  private readonly library: Library;
  private readonly base: number;
  private readonly memory: WebAssembly.Memory;
  private readonly table = new Uint32Array(MAX_PIECES * VECTOR_WORDS);
  private readonly tableAddress: number;
  private pieces = 0;

  private constructor(found: Library, memory: WebAssembly.Memory) {
    this.library = found;
    this.memory = memory;
    this.base = found.address(memory.buffer);
    this.tableAddress = found.address(this.table);
  }

  /** Undefined where the system has no such calls. A shared memory stays where it is for good. */
  static open(memory: WebAssembly.Memory): VectorIo | undefined {
    library ??= load();
    return library && memory.buffer instanceof SharedArrayBuffer ? new VectorIo(library, memory) : undefined;
  }

  /** Starts a new list of pieces. */
  clear(): void {
    this.pieces = 0;
  }

  /** Adds a piece. False when it does not lie in the memory, or there are too many. */
  add(offset: number, length: number): boolean {
    if (this.pieces === MAX_PIECES || !(offset >= 0 && length > 0 && offset + length <= this.memory.buffer.byteLength)) return false;
    const address = this.base + offset;
    const at = this.pieces++ * VECTOR_WORDS;
    this.table[at] = address % WORD;
    this.table[at + 1] = Math.floor(address / WORD);
    this.table[at + 2] = length;
    return true;
  }

  /** Bytes read into the pieces from byte `at` of the file: what the system has in memory, -1 when it has nothing. */
  readCached(fd: number, at: number): number {
    return Number(this.library.read(fd, this.tableAddress, this.pieces, at, RWF_NOWAIT));
  }

  /** Bytes written from the pieces, -1 for none. */
  write(fd: number, at: number): number {
    return Number(this.library.write(fd, this.tableAddress, this.pieces, at));
  }
}
