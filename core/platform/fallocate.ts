/**
 * fallocate(2), lseek(2), preadv2(2) and sync_file_range(2) through koffi: Node has no call for holes in files, for where they are, for putting room aside, for reading what needs
 * no wait, or for writing out without one. On other systems than Linux, and where the library can't be loaded, there is none, and callers go on without.
 */
import { createRequire } from 'node:module';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ENOSPC = 28;
const ENXIO = 6;
const EAGAIN = 11;
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** preadv2: fails with EAGAIN rather than wait for the disk. */
const RWF_NOWAIT = 8;
/** sync_file_range: begins to write what is not yet being written. */
const SYNC_FILE_RANGE_WRITE = 2;
/** Bytes that are read without a wait at once. */
export const CACHED_READ_BYTES = 64 << 10;

type Fallocate = {
  (fd: number, mode: number, offset: number, length: number): number;
  async(fd: number, mode: number, offset: number, length: number, done: (error: Error | null, result: number) => void): void;
};

interface WriteOut {
  async(fd: number, offset: number, length: number, flags: number, done: (error: Error | null, result: number) => void): void;
}

interface Library {
  call: Fallocate;
  writeOut: WriteOut;
  seek(fd: number, offset: number, whence: number): number | bigint;
  readNow: ((fd: number, vector: Uint8Array, count: number, offset: number, flags: number) => number | bigint) | undefined;
  /** Where it reads to, and the vector that says so. */
  landing: Buffer;
  vector: BigUint64Array;
  errno(): number;
}

let library: Library | undefined | null;

function load(): Library | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const libc = koffi.load('libc.so.6');
    const call = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)') as unknown as Fallocate;
    const writeOut = libc.func('int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)') as unknown as WriteOut;
    const seek = libc.func('int64_t lseek64(int fd, int64_t offset, int whence)') as unknown as Library['seek'];
    let readNow: Library['readNow'];
    try {
      readNow = libc.func(
        'int64_t preadv2(int fd, const uint8_t *vector, int count, int64_t offset, int flags)',
      ) as unknown as Library['readNow'];
    } catch {
      // A library without it.
    }
    const landing = Buffer.allocUnsafeSlow(CACHED_READ_BYTES);
    const vector = new BigUint64Array([BigInt(koffi.address(landing)), 0n]);
    return { call, writeOut, seek, readNow, landing, vector, errno: () => koffi.errno() };
  } catch {
    return null;
  }
}

/** Makes a hole of the range: it reads as zeros and takes no room. False where that can't be done; then nothing has changed. */
export function punchHole(fd: number, offset: number, length: number): boolean {
  library ??= load();
  return library !== null && library.call(fd, PUNCH_HOLE | KEEP_SIZE, offset, length) === 0;
}

/** The same for what may take the device long: off this thread. */
export function punchHoleAside(fd: number, offset: number, length: number): Promise<boolean> {
  library ??= load();
  const { call } = library ?? {};
  if (!call) return Promise.resolve(false);
  return new Promise((resolve) =>
    call.async(fd, PUNCH_HOLE | KEEP_SIZE, offset, length, (error, result) => resolve(error === null && result === 0)),
  );
}

/** Bytes of an open file or device; undefined where that can't be said. */
export function endOf(fd: number): number | undefined {
  library ??= load();
  const end = library === null ? -1 : Number(library.seek(fd, 0, SEEK_END));
  return end < 0 ? undefined : end;
}

/** Whether the file has a hole at `offset`, and how far that goes, at most up to `end`. Undefined where that can't be said. */
export function holeAt(fd: number, offset: number, end: number): { hole: boolean; length: number } | undefined {
  library ??= load();
  if (library === null) return undefined;
  const data = Number(library.seek(fd, offset, SEEK_DATA));
  // No data up to the end of the file.
  if (data < 0) return library.errno() === ENXIO ? { hole: true, length: end - offset } : undefined;
  if (data > offset) return { hole: true, length: Math.min(data, end) - offset };
  const hole = Number(library.seek(fd, offset, SEEK_HOLE));
  return hole > offset ? { hole: false, length: Math.min(hole, end) - offset } : undefined;
}

/**
 * Fills `target` (at most CACHED_READ_BYTES) when the system has all of it in memory. False: it has not, or the file ends. Undefined: this system or
 * file system never can. A read by way of a thread costs several times as much.
 */
export function readCached(fd: number, offset: number, target: Uint8Array): boolean | undefined {
  library ??= load();
  if (!library?.readNow) return undefined;
  const { landing, vector } = library;
  vector[1] = BigInt(target.length);
  const got = Number(library.readNow(fd, new Uint8Array(vector.buffer), 1, offset, RWF_NOWAIT));
  if (got < 0 && library.errno() !== EAGAIN) return undefined;
  if (got !== target.length) return false;
  target.set(landing.subarray(0, got));
  return true;
}

/**
 * The system begins to write what the file has in its cache to the disk; resolves when all of it is under way. It says nothing of when it is there: that
 * is still for a sync, which then has less to wait for.
 */
export function beginWriteOut(fd: number): Promise<void> {
  library ??= load();
  const { writeOut } = library ?? {};
  if (!writeOut) return Promise.resolve();
  // A length of 0 goes up to the end. What can't be written fails in the sync.
  return new Promise((resolve) => writeOut.async(fd, 0, 0, SYNC_FILE_RANGE_WRITE, () => resolve()));
}

/** Puts room aside. 'no-room' when the file system is full, 'unsupported' where it can't. */
export function allocateRoom(fd: number, offset: number, length: number): 'ok' | 'no-room' | 'unsupported' {
  library ??= load();
  if (library === null) return 'unsupported';
  if (library.call(fd, 0, offset, length) === 0) return 'ok';
  return library.errno() === ENOSPC ? 'no-room' : 'unsupported';
}
