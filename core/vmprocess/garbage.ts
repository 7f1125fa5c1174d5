import { runInNewContext } from 'node:vm';

let collect: ((how?: object) => void) | undefined;

/**
 * Has V8 collect what this thread no longer uses. Modules that were evicted are such, and it takes their machine code out of the whole process; by itself
 * V8 would wait until the heap has grown, which on a thread that hardly allocates anything can take very long. Needs the flag that tuneWasm() sets; without
 * it nothing happens. Takes about ten milliseconds. `thorough`: also what V8 would keep for later, which takes several times as long.
 */
export function collectGarbage(thorough = false): void {
  collect ??= runInNewContext('typeof gc === "function" ? gc : () => {}') as (how?: object) => void;
  collect(thorough ? { type: 'major', flavor: 'last-resort' } : undefined);
}
