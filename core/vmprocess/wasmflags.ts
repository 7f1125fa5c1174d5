import { setFlagsFromString } from 'node:v8';

/**
 * V8 starts WebAssembly functions in its baseline compiler and optimises those that used up a budget, in the background. Regions are hot before they are
 * made, so the budget may be small (default 13,000,000); see docs/decisions/007.
 */
const TIERING_BUDGET = 200_000;

/** Sets V8's flags for a process that runs compiled regions; any thread of it may call it. */
export function tuneWasm(): void {
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  // Slow paths of memory accesses are marked unlikely; engines that do not know the marks ignore them.
  setFlagsFromString('--experimental-wasm-branch-hinting');
}
