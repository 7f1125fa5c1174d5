/** Fields of the state block by their place in the shared memory, under the names that the sources have for them. */
import * as jit from '../interp/wasm/jitoffsets.ts';
import * as state from '../interp/wasm/stateoffsets.ts';
import { CPU_STATE_BASE, CPU_STATE_SIZE, JIT_LINKS_BASE, JIT_LINKS_SIZE, MAILBOX_BASE } from '../../memory/layout.ts';

const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const REGISTERS = 16;

function collect(): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, offset] of Object.entries({ ...state, ...jit }))
    if (/^(S|SJ|SY|HD|STAT)_/.test(name) && typeof offset === 'number') names.set(offset, name);
  for (let n = 0; n < REGISTERS; n++) {
    names.set(state.S_GPR + n * 8, n < WORDS.length ? `r${WORDS[n]}` : `r${n}`);
    names.set(state.S_XMM + n * state.XMM_STRIDE, `xmm${n}`);
  }
  return names;
}

const NAMES = collect();

/** Undefined for what is no field of the state. */
export function stateName(address: number): string | undefined {
  if (address >= CPU_STATE_BASE && address < CPU_STATE_BASE + CPU_STATE_SIZE) return NAMES.get(address - CPU_STATE_BASE);
  if (address === MAILBOX_BASE + 4) return 'exit request';
  if (address >= JIT_LINKS_BASE && address < JIT_LINKS_BASE + JIT_LINKS_SIZE) return `links+0x${(address - JIT_LINKS_BASE).toString(16)}`;
  return undefined;
}
