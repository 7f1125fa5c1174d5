import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';

/**
 * V8 starts WebAssembly functions in its baseline compiler and optimises those that used up a budget, in the background. Regions are hot before they are
 * made, so the budget may be small (default 13,000,000); see docs/decisions/007.
 */
const TIERING_BUDGET = 200_000;

/** Calls until V8 makes a wrapper for one import; the most that the flag takes. */
const NEVER = 2 ** 31 - 1;

let tuned = false;
const modules = new Map<string, Promise<WebAssembly.Module>>();

/**
 * The interpreter's module from a file, compiled once in a process; threads share its code. It is to be loaded before tuneWasm() is called: V8 then compiles
 * each of its functions when it is first called, which saves a machine thirty megabytes, because a guest needs few of them.
 */
export function loadInterpreter(file: string): Promise<WebAssembly.Module> {
  let module = modules.get(file);
  if (!module) {
    module = readFile(file).then((bytes) => new WebAssembly.Module(new Uint8Array(bytes)));
    modules.set(file, module);
    module.catch(() => modules.delete(file));
  }
  return module;
}

/**
 * Sets V8's flags for a process that runs compiled regions. They are those of the whole process, and V8 reads them while it compiles: a change that another
 * thread sees half done can end the process. So they are set once, and before there are other threads.
 */
export function tuneWasm(): void {
  if (tuned) return;
  tuned = true;
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  // No wrapper of its own for an import that is called often. V8 keeps these in one cache for all threads and, when it takes one out, looks for its page in a
  // register where that may be missing: "Check failed: jit_page.has_value()" in TierUpWasmToJSWrapper, which ends the process (nodejs/node issue 64500 is of
  // its kind).
  setFlagsFromString(`--wasm-wrapper-tiering-budget=${NEVER}`);
  // Slow paths of memory accesses are marked unlikely; engines that do not know the marks ignore them.
  setFlagsFromString('--experimental-wasm-branch-hinting');
  // Which functions are to be optimised at once is said in the modules (cpu/jit/regionmodule.ts).
  setFlagsFromString('--experimental-wasm-compilation-hints');
  // What the compile thread makes is about to run: the machine's thread must not compile it at its first call.
  setFlagsFromString('--no-wasm-lazy-compilation');
  // For collectGarbage().
  setFlagsFromString('--expose-gc');
}
