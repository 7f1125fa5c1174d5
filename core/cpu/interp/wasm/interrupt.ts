/**
 * Delivery of exceptions and interrupts: real-mode vector table, protected-mode gates, from virtual-8086 mode, through task gates. Long mode
 * is in interrupt64.ts.
 * SDM volume 3 chapter 6 and section 20.3; volume 2, INT n.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { debugDelivered, mergePending, SUPPRESS_STEP } from './debug';
import { raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { acknowledgeInterrupt } from './imports';
import { innerSs, innerSsHi, innerSsLo, innerStack } from './innerstack';
import { deliverLong } from './interrupt64';
import { linReadSys16, linReadSys32 } from './memsystem';
import {
  ATTR_P,
  attrDpl,
  cpl,
  descAttr,
  descHi,
  descLimit,
  descLo,
  fetchDescriptor,
  isCode,
  isConforming,
  isNull,
  loadSegmentReal,
  longMode,
  markAccessed,
  protectedMode,
  segLimit,
  segSelector,
  setCode,
  setFromDescriptor,
  setNull,
  updateAlignCheck,
  updateMode,
  v86Mode,
} from './seg';
import { frameCommit, frameCurrent, framePush, frameReserve } from './stack';
import { gpr32 } from './state';
import {
  EXIT_SHUTDOWN,
  S_CR2,
  S_EXIT,
  S_EXIT_REASON,
  S_FAULT_ERROR,
  S_FAULT_HAS_ERROR,
  S_FAULT_VECTOR,
  S_HALTED,
  S_IDTR_BASE,
  S_IDTR_LIMIT,
  S_INT_SHADOW,
  S_INTR,
  S_NMI_BLOCKED,
  S_NMI_PENDING,
  S_RIP,
  SEG_CS,
  SEG_DS,
  SEG_ES,
  SEG_FS,
  SEG_GS,
  SEG_SS,
  VEC_BP,
  VEC_DB,
  VEC_DE,
  VEC_DF,
  VEC_GP,
  VEC_NMI,
  VEC_NP,
  VEC_OF,
  VEC_PF,
  VEC_TS,
} from './stateoffsets';
import {
  DELIVER_INTERRUPT,
  FL_AC,
  FL_IF,
  FL_NT,
  FL_RF,
  FL_TF,
  FL_VM,
  S_FAULT_CR2,
  SY_DB_PENDING,
  SY_DELIVER,
  SY_DELIVER_EXT,
  SY_STEP_SUPPRESS,
} from './sysstate';
import { switchTask, TASK_INT } from './task';
import { softInterruptV86 } from './v86extensions';

const ESP = 4;

/** Gate types, SDM volume 3 table 3-2. */
const GATE_TASK: u32 = 5;
const GATE_INT16: u32 = 6;
const GATE_TRAP16: u32 = 7;
const GATE_INT32: u32 = 14;
const GATE_TRAP32: u32 = 15;

/** Exception classes for double faults, SDM volume 3 table 6-5. */
function isContributory(vector: u32): bool {
  return vector == VEC_DE || (vector >= <u32>VEC_TS && vector <= <u32>VEC_GP);
}

// @ts-ignore: decorator
@inline
function beginDelivery(event: u32, ext: u32): void {
  store<u32>(CPU_STATE_BASE + SY_DELIVER, event);
  store<u32>(CPU_STATE_BASE + SY_DELIVER_EXT, ext);
}
// @ts-ignore: decorator
@inline
function endDelivery(): void {
  store<u32>(CPU_STATE_BASE + SY_DELIVER, 0);
  store<u32>(CPU_STATE_BASE + S_INT_SHADOW, 0);
  store<u32>(CPU_STATE_BASE + S_HALTED, 0);
}

/**
 * Delivers the exception in S_FAULT_*, which the host calls after every raise(). A further exception raised by the delivery itself comes
 * back here through raise() and is combined with the first as table 6-5 says; the third one shuts the processor down.
 */
export function deliverFault(): void {
  let vector = load<u32>(CPU_STATE_BASE + S_FAULT_VECTOR);
  let hasError = load<u32>(CPU_STATE_BASE + S_FAULT_HAS_ERROR) != 0;
  let error = load<u32>(CPU_STATE_BASE + S_FAULT_ERROR);
  const during = load<u32>(CPU_STATE_BASE + SY_DELIVER);
  // The instruction will be executed again and meet its data breakpoints again.
  store<u32>(CPU_STATE_BASE + SY_DB_PENDING, 0);
  if (vector == VEC_PF) store<u64>(CPU_STATE_BASE + S_CR2, load<u64>(CPU_STATE_BASE + S_FAULT_CR2));
  if (during != 0 && !(during & DELIVER_INTERRUPT)) {
    const first = during - 1;
    const second = isContributory(vector);
    if (first == VEC_DF && (second || vector == VEC_PF)) {
      shutdown();
      return;
    }
    if ((isContributory(first) && second) || (first == VEC_PF && (second || vector == VEC_PF))) {
      vector = VEC_DF;
      hasError = true;
      error = 0;
    }
  }
  if (vector == VEC_DB) {
    debugDelivered();
    // HLT was stepped: a debug exception ends it (SDM volume 2, HLT).
    store<u32>(CPU_STATE_BASE + S_HALTED, 0);
  }
  beginDelivery(vector + 1, 1);
  // Faults save RF set, so that an instruction breakpoint does not strike again on return; #DB leaves that to its handler.
  const rf: u32 = vector == VEC_DB ? 0 : FL_RF;
  deliver(vector, load<u64>(CPU_STATE_BASE + S_RIP), hasError, error, false, rf);
  endDelivery();
}

function shutdown(): void {
  endDelivery();
  store<u32>(CPU_STATE_BASE + S_EXIT_REASON, EXIT_SHUTDOWN);
  store<u32>(CPU_STATE_BASE + S_EXIT, 1);
}

/** INT n. */
export function softInterrupt(vector: u32, nextRip: u64): void {
  if (protectedMode() && v86Mode() && softInterruptV86(vector, nextRip)) return;
  trap(vector, nextRip);
}

export function int3(nextRip: u64): void {
  trap(VEC_BP, nextRip);
}

/** INTO with OF set; the caller has tested it. */
export function into(nextRip: u64): void {
  trap(VEC_OF, nextRip);
}

/** ICEBP (F1): a #DB trap that no gate DPL stops. */
export function icebp(nextRip: u64): void {
  mergePending();
  debugDelivered();
  beginDelivery(VEC_DB + 1 + DELIVER_INTERRUPT, 1);
  deliver(VEC_DB, nextRip, false, 0, false, 0);
  endDelivery();
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_STEP);
}

/** Interrupt raised by an instruction: gate DPL counts, EXT is 0, the return address is the next instruction. */
function trap(vector: u32, nextRip: u64): void {
  beginDelivery(vector + 1 + DELIVER_INTERRUPT, 0);
  deliver(vector, nextRip, false, 0, true, 0);
  endDelivery();
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_STEP);
}

/**
 * Between instructions: a latched NMI that is not blocked, else the interrupt the controller offers when IF is set. The caller has checked
 * the interrupt shadow.
 */
export function deliverExternal(): void {
  let vector: u32;
  if (load<u32>(CPU_STATE_BASE + S_NMI_PENDING) && !load<u32>(CPU_STATE_BASE + S_NMI_BLOCKED)) {
    store<u32>(CPU_STATE_BASE + S_NMI_PENDING, 0);
    store<u32>(CPU_STATE_BASE + S_NMI_BLOCKED, 1);
    vector = VEC_NMI;
  } else {
    if (!load<u32>(CPU_STATE_BASE + S_INTR) || !(getEflags() & FL_IF)) return;
    const acknowledged = acknowledgeInterrupt();
    if (acknowledged < 0) return;
    vector = acknowledged;
  }
  beginDelivery(vector + 1 + DELIVER_INTERRUPT, 1);
  store<u32>(CPU_STATE_BASE + S_HALTED, 0);
  deliver(vector, load<u64>(CPU_STATE_BASE + S_RIP), false, 0, false, 0);
  endDelivery();
}

/** `soft`: the gate's DPL is checked against CPL. `rf`: RF bit to set in the saved flags. */
function deliver(vector: u32, returnRip: u64, hasError: bool, error: u32, soft: bool, rf: u32): void {
  if (longMode()) deliverLong(vector, returnRip, hasError, error, soft, rf);
  else if (protectedMode()) deliverProtected(vector, <u32>returnRip, hasError, error, soft, rf);
  else deliverReal(vector, <u32>returnRip);
}

/** SDM volume 3 section 20.1.4. */
function deliverReal(vector: u32, returnEip: u32): void {
  if (vector * 4 + 3 > load<u32>(CPU_STATE_BASE + S_IDTR_LIMIT)) raiseFaultErr(VEC_GP, 0);
  const entry = (load<u64>(CPU_STATE_BASE + S_IDTR_BASE) + vector * 4) & 0xffffffff;
  const ip = linReadSys16(entry);
  const cs = linReadSys16((entry + 2) & 0xffffffff);
  if (ip > segLimit(SEG_CS)) raiseFaultErr(VEC_GP, 0);
  frameCurrent();
  frameReserve(3, 2);
  framePush(getEflags(), 2);
  framePush(segSelector(SEG_CS), 2);
  framePush(returnEip, 2);
  frameCommit();
  setEflags(0, FL_IF | FL_TF | FL_AC | FL_RF);
  loadSegmentReal(SEG_CS, cs);
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>ip);
}

function deliverProtected(vector: u32, returnEip: u32, hasError: bool, error: u32, soft: bool, rf: u32): void {
  const idtError = (vector << 3) | 2;
  if (vector * 8 + 7 > load<u32>(CPU_STATE_BASE + S_IDTR_LIMIT)) raiseFaultErr(VEC_GP, idtError);
  const entry = (load<u64>(CPU_STATE_BASE + S_IDTR_BASE) + vector * 8) & 0xffffffff;
  const lo = linReadSys32(entry);
  const hi = linReadSys32((entry + 4) & 0xffffffff);
  const gate = descAttr(hi);
  const type = gate & 31;
  if (type != GATE_TASK && type != GATE_INT16 && type != GATE_TRAP16 && type != GATE_INT32 && type != GATE_TRAP32)
    raiseFaultErr(VEC_GP, idtError);
  if (soft && attrDpl(gate) < cpl()) raiseFaultErr(VEC_GP, idtError);
  if (!(gate & ATTR_P)) raiseFaultErr(VEC_NP, idtError);
  const selector = lo >> 16;
  if (type == GATE_TASK) {
    if (rf) setEflags(rf, FL_RF);
    switchTask(selector, TASK_INT, returnEip, hasError, error);
    return;
  }

  const size: u32 = type & 8 ? 4 : 2;
  const eip = size == 4 ? (lo & 0xffff) | (hi & 0xffff0000) : lo & 0xffff;
  if (isNull(selector)) raiseFaultErr(VEC_GP, 0);
  fetchDescriptor(selector, VEC_GP);
  const code = descAttr(descHi);
  const codeError = selector & 0xfffc;
  const dpl = attrDpl(code);
  if (!isCode(code) || dpl > cpl()) raiseFaultErr(VEC_GP, codeError);
  if (!(code & ATTR_P)) raiseFaultErr(VEC_NP, codeError);
  if (eip > descLimit(descLo, descHi)) raiseFaultErr(VEC_GP, 0);
  const inner = !isConforming(code) && dpl < cpl();
  const v86 = v86Mode();
  if (v86 && (!inner || dpl != 0)) raiseFaultErr(VEC_GP, codeError);
  markAccessed();
  const codeLo = descLo;
  const codeHi = descHi;
  const flags = getEflags();
  const extra: u32 = hasError ? 1 : 0;

  if (inner) {
    innerStack(dpl);
    frameReserve((v86 ? 9 : 5) + extra, size);
    if (v86) {
      framePush(segSelector(SEG_GS), size);
      framePush(segSelector(SEG_FS), size);
      framePush(segSelector(SEG_DS), size);
      framePush(segSelector(SEG_ES), size);
    }
    framePush(segSelector(SEG_SS), size);
    framePush(gpr32(ESP), size);
  } else {
    frameCurrent();
    frameReserve(3 + extra, size);
  }
  framePush(flags | rf, size);
  framePush(segSelector(SEG_CS), size);
  framePush(returnEip, size);
  if (hasError) framePush(error, size);

  // Commit.
  setEflags(0, type & 1 ? FL_TF | FL_VM | FL_RF | FL_NT : FL_TF | FL_VM | FL_RF | FL_NT | FL_IF);
  if (inner) {
    setCode(selector, codeLo, codeHi, dpl);
    setFromDescriptor(SEG_SS, innerSs, innerSsLo, innerSsHi);
    if (v86) {
      setNull(SEG_GS, 0);
      setNull(SEG_FS, 0);
      setNull(SEG_DS, 0);
      setNull(SEG_ES, 0);
      updateMode();
    }
  } else setCode(selector, codeLo, codeHi, cpl());
  frameCommit();
  if (flags & FL_AC) updateAlignCheck();
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>eip);
}
