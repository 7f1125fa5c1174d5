/**
 * malloc_trim(3) of the GNU C library through koffi. That library keeps what was freed between blocks that are still in use; V8's optimising compiler,
 * which takes hundreds of megabytes for a moment, leaves much of that. On other systems, and where the library can't be loaded, nothing happens.
 */
import { createRequire } from 'node:module';

let trim: ((pad: number) => number) | undefined;

function load(): (pad: number) => number {
  if (process.platform !== 'linux') return () => 0;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return koffi.load('libc.so.6').func('int malloc_trim(size_t pad)') as unknown as (pad: number) => number;
  } catch {
    // Another C library.
    return () => 0;
  }
}

/** Gives the system every whole page of the process's heap that nothing is in. Takes some milliseconds, for which other threads may wait in malloc. */
export function trimHeap(): void {
  trim ??= load();
  trim(0);
}
