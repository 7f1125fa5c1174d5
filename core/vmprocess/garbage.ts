import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/**
 * Has V8 collect what this thread no longer uses. Modules that were evicted are such, and it takes their machine code out of the whole process; by itself
 * V8 would wait until the heap has grown, which on a thread that hardly allocates anything can take very long. Needs the flag that tuneWasm() sets; without
 * it nothing happens. Takes about ten milliseconds.
 */
export function collectGarbage(): void {
  collect ??= runInNewContext('typeof gc === "function" ? gc : () => {}') as () => void;
  collect();
}
