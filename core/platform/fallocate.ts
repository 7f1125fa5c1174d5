/**
 * fallocate(2) through koffi: Node has no call for holes in files or for putting room aside. On other systems than Linux, and where the library can't
 * be loaded, there is none, and callers go on without.
 */
import { createRequire } from 'node:module';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ENOSPC = 28;

type Fallocate = {
  (fd: number, mode: number, offset: number, length: number): number;
  async(fd: number, mode: number, offset: number, length: number, done: (error: Error | null, result: number) => void): void;
};

interface Library {
  call: Fallocate;
  errno(): number;
}

let library: Library | undefined | null;

function load(): Library | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const call = koffi.load('libc.so.6').func('int fallocate(int fd, int mode, int64_t offset, int64_t length)') as unknown as Fallocate;
    return { call, errno: () => koffi.errno() };
  } catch {
    return null;
  }
}

/** Makes a hole of the range: it reads as zeros and takes no room. False where that can't be done; then nothing has changed. */
export function punchHole(fd: number, offset: number, length: number): boolean {
  library ??= load();
  return library !== null && library.call(fd, PUNCH_HOLE | KEEP_SIZE, offset, length) === 0;
}

/** Puts room aside. 'no-room' when the file system is full, 'unsupported' where it can't. */
export function allocateRoom(fd: number, offset: number, length: number): 'ok' | 'no-room' | 'unsupported' {
  library ??= load();
  if (library === null) return 'unsupported';
  if (library.call(fd, 0, offset, length) === 0) return 'ok';
  return library.errno() === ENOSPC ? 'no-room' : 'unsupported';
}
