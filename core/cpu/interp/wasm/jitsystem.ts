/**
 * System instructions inside compiled regions (core/cpu/jit/system.ts): executed by the interpreter, after which the region goes on, or control
 * finds its next region, unless the run loop has something to look at that it only looks at between instructions.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { attention } from './branch';
import { currentMode } from './codemode';
import { F_IF, F_RF, F_TF, rawEflags } from './flags';
import { runRecord } from './jitrecord';
import { Run } from './runstate';
import { S_EXIT, S_HALTED, S_INTR, S_INT_SHADOW, S_NMI_BLOCKED, S_NMI_PENDING, S_RIP } from './stateoffsets';
import { SY_DEBUG_ACTIVE, SY_TLB_CUR, SY_TLB_GEN } from './sysstate';

const S: usize = CPU_STATE_BASE;
/** S_EXIT: look at things at the next opportunity. */
const EXIT_LOOK: u32 = 2;

/** The run loop must have its turn before the next instruction: an interrupt is due or held back, a trap, another code mode. */
function loopDue(mode: u32): bool {
  return (
    (load<u32>(S, S_INT_SHADOW) | load<u32>(S, S_HALTED) | load<u32>(S, SY_DEBUG_ACTIVE) | (rawEflags() & (F_TF | F_RF))) != 0 ||
    (load<u32>(S, S_INTR) != 0 && (rawEflags() & F_IF) != 0) ||
    (load<u32>(S, S_NMI_PENDING) != 0 && !load<u32>(S, S_NMI_BLOCKED)) ||
    currentMode() != mode
  );
}

/** Executes the one record at `rec` (made by jitDecode), of the page at `page`. 0: the region may go on behind it; otherwise it must be left for S_RIP. */
export function jitSystem(rec: usize, left: i32, page: u64): i32 {
  const mode = Run.mode;
  const dropped = Run.regionsDropped;
  const generation = load<u32>(S, SY_TLB_GEN);
  const table = load<u32>(S, SY_TLB_CUR);
  const next = runRecord(rec, left, page);
  if (loopDue(mode)) {
    store<u32>(S, load<u32>(S, S_EXIT) | EXIT_LOOK, S_EXIT);
    return 1;
  }
  return (
    <i32>(load<u64>(S, S_RIP) != next) |
    <i32>(attention() | (dropped ^ Run.regionsDropped) | (generation ^ load<u32>(S, SY_TLB_GEN)) | (table ^ load<u32>(S, SY_TLB_CUR)))
  );
}
