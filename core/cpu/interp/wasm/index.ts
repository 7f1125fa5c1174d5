/**
 * Entry points of the interpreter module, called by core/cpu/interp/interpreter.ts. A fault leaves any of them by the host's throw; the
 * host then calls deliverFault() until that returns, and goes on with run().
 */
import { CPU_STATE_BASE, MAILBOX_BASE } from '../../../memory/layout';
import { attention, enter, settleFault } from './branch';
import { clearCache, codeGeneration, dropCodePage } from './codecache';
import { debugAfter, debugBefore } from './debug';
import { decodeStep } from './decode';
import { F_IF, F_RF, F_TF, getEflags, rawEflags, setEflags } from './flags';
import { exec } from './generated/dispatch';
import { deliverExternal, deliverFault as deliverPending } from './interrupt';
import { hostArm, hostBreak, hostHoldsInterrupts, hostStopped, hostTakeReplay } from './hostdebug';
import { SF_FLAT_R, SF_FLAT_W } from './mem';
import { MODE_32, MODE_FLAT, Run } from './runstate';
import {
  EXIT_BUDGET, EXIT_DEBUG, EXIT_HALT, HD_ACTIVE, HD_END, SEG_BASE, SEG_CS, SEG_DS, SEG_ES, SEG_FLAGS, SEG_SS, SEG_STRIDE, S_CODE_MODE, S_EXIT, S_EXIT_REASON, S_HALTED, S_ICOUNT, S_INTR, S_INT_SHADOW, S_NMI_BLOCKED,
  S_NMI_PENDING, S_RIP, S_SEG, S_STACK32, S_ZERO,
} from './stateoffsets';
import { SY_DEBUG_ACTIVE } from './sysstate';
import { tlbFlushAll, tlbInit } from './tlb';

export { cpuReset, refreshState } from './reset';
export { hostDebugChanged, hostForget, hostStep } from './hostdebug';
export { codeGeneration, getEflags, setEflags };

const S: usize = CPU_STATE_BASE;

/** S_EXIT bits: the host wants run() to return, or has changed INTR or NMI. */
const EXIT_RETURN: u32 = 1;

/** Instructions retired, exact also inside a bus callback. */
export function instructionCount(): f64 {
  let count = Run.countEnd - <u64>(<i64>Run.countdown);
  if (Run.rec) count += <u64>((Run.rec - Run.start) >> 5);
  return <f64>count;
}

/** Runs about `budget` instructions; gives EXIT_*. */
export function run(budget: i32): i32 {
  Run.rec = 0;
  Run.step = false;
  Run.countdown = budget;
  Run.countEnd = load<u64>(S, S_ICOUNT) + <u64>(<i64>budget);
  const reason = loop();
  store<u64>(S, <u64>(<i64>Run.countEnd - <i64>Run.countdown), S_ICOUNT);
  return reason;
}

function loop(): i32 {
  while (true) {
    if (attention()) {
      const exit = load<u32>(S, S_EXIT);
      store<u32>(S, 0, S_EXIT);
      if (exit & EXIT_RETURN || load<u32>(MAILBOX_BASE, 4)) {
        const reason = load<i32>(S, S_EXIT_REASON);
        store<i32>(S, EXIT_BUDGET, S_EXIT_REASON);
        return reason;
      }
    }
    const debugged = load<u32>(S, HD_ACTIVE);
    if (debugged && hostStopped()) return EXIT_DEBUG;
    // STI and MOV SS hold interrupts for the one instruction that follows.
    const shadow = load<u32>(S, S_INT_SHADOW);
    if (
      !shadow &&
      ((load<u32>(S, S_NMI_PENDING) && !load<u32>(S, S_NMI_BLOCKED)) || (load<u32>(S, S_INTR) && rawEflags() & F_IF)) &&
      !(debugged && hostHoldsInterrupts() && !load<u32>(S, S_HALTED))
    ) {
      if (debugged) hostArm();
      deliverExternal();
      // Its stack may be watched, or it ends a step out of HLT.
      if (debugged) continue;
    }
    if (load<u32>(S, S_HALTED)) {
      store<u32>(S, 0, S_INT_SHADOW);
      if (shadow) continue;
      return EXIT_HALT;
    }
    if (Run.countdown <= 0) return EXIT_BUDGET;
    Run.mode = currentMode();
    let alone: u32 = 0;
    if (debugged) {
      if (hostBreak(linearPc())) return EXIT_DEBUG;
      alone = hostArm();
    }
    if (alone | shadow | load<u32>(S, SY_DEBUG_ACTIVE) | (rawEflags() & (F_TF | F_RF))) {
      store<u32>(S, 0, S_INT_SHADOW);
      stepDebug();
      continue;
    }
    const rec = enter(<u32>load<u64>(S, S_RIP));
    if (!rec) {
      step();
      continue;
    }
    const before = Run.countdown;
    exec(rec);
    // Nothing ran: the instruction crosses into the next page.
    if (Run.countdown == before) step();
  }
}

/** Run.mode for the state as it is. Only system instructions and far transfers change it, and those come back to loop(). */
// @ts-ignore: decorator
@inline
function currentMode(): u32 {
  const code = load<u32>(S, S_CODE_MODE) & MODE_32;
  const flags =
    load<u32>(S, S_SEG + SEG_DS * SEG_STRIDE + SEG_FLAGS) &
    load<u32>(S, S_SEG + SEG_ES * SEG_STRIDE + SEG_FLAGS) &
    load<u32>(S, S_SEG + SEG_SS * SEG_STRIDE + SEG_FLAGS);
  const flat = code != 0 && load<u32>(S, S_STACK32) != 0 && (flags & (SF_FLAT_R | SF_FLAT_W)) == (SF_FLAT_R | SF_FLAT_W);
  return code | (flat ? MODE_FLAT : 0);
}

/** Linear address of the next instruction. */
function linearPc(): u64 {
  return (load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE) + load<u64>(S, S_RIP)) & 0xffff_ffff;
}

/** One instruction, fetched byte by byte. */
function step(): void {
  const eip = <u32>load<u64>(S, S_RIP);
  const rec = decodeStep(eip, <u32>load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE) + eip);
  Run.pageEip = eip;
  Run.start = rec;
  Run.step = true;
  exec(rec);
  Run.step = false;
}

/** One instruction with the checks of debug registers and single step around it. */
function stepDebug(): void {
  const tf = rawEflags() & F_TF;
  if (!tf && !load<u32>(S, SY_DEBUG_ACTIVE) && !(rawEflags() & F_RF)) {
    step();
    return;
  }
  debugBefore(linearPc());
  step();
  debugAfter(tf);
}

/** After a throw of raise(): delivers the pending exception. */
export function deliverFault(): void {
  Run.step = false;
  settleFault();
  store<u64>(S, <u64>(<i64>Run.countEnd - <i64>Run.countdown), S_ICOUNT);
  if (hostTakeReplay()) return;
  deliverPending();
}

/** Instructions left of the budget of the last run(): what to go on with after deliverFault(). */
export function remaining(): i32 {
  return Run.countdown;
}

/** First use of the memory by this module. */
export function initialise(): void {
  store<u64>(S, 0, S_ZERO);
  memory.fill(S + HD_ACTIVE, 0, HD_END - HD_ACTIVE);
  tlbInit();
  clearCache();
}

/** The physical map or the A20 gate changed. */
export function flushTlb(): void {
  tlbFlushAll();
}

/** Somebody other than the CPU wrote the page at this byte offset of the memory. */
export function dropCode(offset: u32): void {
  dropCodePage(offset);
}
