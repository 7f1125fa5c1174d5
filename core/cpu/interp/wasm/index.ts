/**
 * Entry points of the interpreter module, called by core/cpu/interp/interpreter.ts. A fault leaves any of them by the host's throw; the
 * host then calls deliverFault() until that returns, and goes on with run().
 */
import { CPU_STATE_BASE, MAILBOX_BASE } from '../../../memory/layout';
import { attention, enter, settleFault } from './branch';
import { enter64, setPageRip } from './branch64';
import { clearCache, codePagesDropped, dropCodePage } from './codecache';
import { ignoresResume } from './resumeflag';
import { debugAfter, debugBefore } from './debug';
import { currentMode } from './codemode';
import { decodeStep } from './decode';
import { F_IF, F_RF, F_TF, getEflags, rawEflags, setEflags } from './flags';
import { exec } from './generated/dispatch';
import { exec64 } from './generated/dispatch64';
import { jitCollect } from './imports';
import { heat, SAMPLE } from './jitheat';
import { clearLinks } from './jitlinks';
import { clearMap } from './jitmap';
import { SJ_CUT, SJ_EXACT, SJ_LEFT, SJ_PIECE, SJ_READY } from './jitoffsets';
import { deliverExternal, deliverFault as deliverPending } from './interrupt';
import { hostArm, hostBreak, hostHoldsInterrupts, hostStopped, hostTakeReplay } from './hostdebug';
import { EXACT_SLACK, MODE_64, Run } from './runstate';
import {
  EXIT_BUDGET, EXIT_DEBUG, EXIT_HALT, HD_ACTIVE, HD_END, SEG_BASE, SEG_CS, SEG_STRIDE, S_EXIT, S_EXIT_REASON, S_HALTED, S_ICOUNT, S_INTR, S_INT_SHADOW, S_NMI_BLOCKED,
  S_NMI_PENDING, S_RIP, S_SEG, S_ZERO, STAT_REGION_FAULTS,
} from './stateoffsets';
import { SY_DEBUG_ACTIVE } from './sysstate';
import { distrustTime } from './timestamp';
import { tlbFlushAll, tlbInit } from './tlb';

export { jitX87Arith, jitX87Integer, jitX87Narrow, jitX87Widen } from './fpu/x87jit';
export { cpuReset, refreshState } from './reset';
export { hostDebugChanged, hostForget, hostStep } from './hostdebug';
export { jitReached } from './codecache';
export { codePagesDropped, getEflags, setEflags };
export {
  jitCondition, jitDecode, jitExec, jitFlags, jitInstall, jitMissed, jitPageBeside, jitRead, jitReadW, jitSettle, jitUninstall, jitWatchPage, jitWrite, jitWriteV,
} from './jit';
export { jitPopFlags, jitPushFlags, jitSegment, jitUserAccess } from './jitregisters';
export { jitLeave, jitSystem } from './jitsystem';
export { jitTimeStamp } from './timestamp';

const S: usize = CPU_STATE_BASE;

/** S_EXIT bits: the host wants run() to return, or has changed INTR or NMI. */
const EXIT_RETURN: u32 = 1;
const EXIT_LOOK: u32 = 2;

/** Instructions retired, exact also inside a bus callback. */
export function instructionCount(): f64 {
  if (Run.region) return <f64>(Run.countEnd - <u64>(<i64>load<i32>(S, SJ_LEFT)));
  let count = Run.countEnd - <u64>(<i64>Run.countdown);
  if (Run.rec) count += <u64>((Run.rec - Run.start) >> 5);
  return <f64>count;
}

/**
 * Runs `budget` instructions; gives EXIT_*. Not `exact`: a few more, up to the end of a run of records. `exact`: the last EXACT_SLACK of them are
 * executed one by one, so that it never runs more; fewer when it was asked to return.
 */
export function run(budget: i32, exact: bool): i32 {
  Run.rec = 0;
  Run.step = false;
  Run.tail = false;
  Run.region = false;
  Run.inside = false;
  Run.slack = exact ? EXACT_SLACK : 0;
  distrustTime();
  store<u32>(S, exact ? 1 : 0, SJ_EXACT);
  Run.later = budget - Run.slack;
  // What the last run left of its piece: one that faults or is interrupted all the time is sampled like any other.
  if (Run.countdown > 0) Run.untilSample += Run.countdown;
  Run.countdown = 0;
  Run.countEnd = load<u64>(S, S_ICOUNT);
  takePiece();
  const reason = loop();
  store<u64>(S, <u64>(<i64>Run.countEnd - <i64>Run.countdown), S_ICOUNT);
  return reason;
}

/** The next piece, with a look at what is hot when the last one ended where the next look was due. */
function takePiece(): void {
  const due = Run.untilSample <= 0;
  nextPiece();
  if (load<u32>(S, SJ_READY)) jitCollect();
  if (due && load<u32>(S, SJ_PIECE)) heat(SAMPLE);
}

/** Moves the next piece of the budget to `countdown`: all of it, or, with a recompiler, no more than up to its next look at what is hot. */
function nextPiece(): void {
  const most = load<i32>(S, SJ_PIECE);
  if (Run.untilSample <= 0 || Run.untilSample > most) Run.untilSample = most;
  const piece = most && Run.later > Run.untilSample ? Run.untilSample : Run.later;
  Run.untilSample -= piece;
  Run.later -= piece;
  Run.countdown += piece;
  Run.countEnd += <u64>(<i64>piece);
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
    while (Run.countdown <= 0 && Run.later > 0) takePiece();
    if (Run.countdown <= 0) {
      if (!Run.slack) return EXIT_BUDGET;
      // The instructions kept back.
      Run.countdown += Run.slack;
      Run.countEnd += <u64>(<i64>Run.slack);
      Run.slack = 0;
      Run.tail = true;
      if (Run.countdown <= 0) return EXIT_BUDGET;
    }
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
    Run.mode = currentMode();
    let alone: u32 = 0;
    if (debugged) {
      if (hostBreak(linearPc())) return EXIT_DEBUG;
      alone = hostArm();
    }
    if (alone | shadow | load<u32>(S, SY_DEBUG_ACTIVE) | (rawEflags() & F_TF)) {
      store<u32>(S, 0, S_INT_SHADOW);
      // What is held back comes right after, also inside a repeated instruction.
      if (load<u32>(S, S_INTR) | load<u32>(S, S_NMI_PENDING)) store<u32>(S, load<u32>(S, S_EXIT) | EXIT_LOOK, S_EXIT);
      stepDebug();
      continue;
    }
    if (Run.tail) {
      stepDebug();
      continue;
    }
    const long = Run.mode == MODE_64;
    const rec = long ? enter64(load<u64>(S, S_RIP)) : enter(<u32>load<u64>(S, S_RIP));
    if (!rec || (rawEflags() & F_RF && !ignoresResume(rec))) {
      stepDebug();
      continue;
    }
    if (rawEflags() & F_RF) setEflags(0, F_RF);
    const before = Run.countdown;
    if (long) exec64(rec);
    else exec(rec);
    if (Run.faulted) {
      Run.faulted = false;
      count(STAT_REGION_FAULTS);
      faultTaken();
      deliverPending();
      continue;
    }
    if (Run.mustStep) {
      // A region went as far as it can.
      Run.mustStep = false;
      if (Run.countdown > 0) step();
      continue;
    }
    // Nothing ran: the instruction crosses into the next page.
    if (Run.countdown == before) step();
  }
}

/** Linear address of the next instruction. */
function linearPc(): u64 {
  if (Run.mode == MODE_64) return load<u64>(S, S_RIP);
  return (load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE) + load<u64>(S, S_RIP)) & 0xffff_ffff;
}

/** One instruction, fetched byte by byte. */
function step(): void {
  const rip = load<u64>(S, S_RIP);
  if (Run.mode == MODE_64) {
    const rec = decodeStep(rip, rip);
    setPageRip(rip);
    Run.start = rec;
    Run.step = true;
    exec64(rec);
  } else {
    const rec = decodeStep(<u64>(<u32>rip), <u64>(<u32>(load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE) + rip)));
    Run.pageEip = <u32>rip;
    Run.start = rec;
    Run.step = true;
    exec(rec);
  }
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
  Run.begun = 0;
  const replay = hostTakeReplay();
  if (!replay) faultTaken();
  store<u64>(S, <u64>(<i64>Run.countEnd - <i64>Run.countdown), S_ICOUNT);
  if (replay) return;
  deliverPending();
}

/** A guest that does nothing but fault must not stop its clock. */
function faultTaken(): void {
  if (remaining() > 0) Run.countdown--;
}

// @ts-ignore: decorator
@inline
function count(statistic: usize): void {
  store<u64>(S + statistic, load<u64>(S + statistic) + 1);
}

/** Instructions left of the budget of the last run(): what to go on with after deliverFault(). */
export function remaining(): i32 {
  return Run.countdown + Run.later + Run.slack;
}

/** From inside a bus callback of an exact run: it ends `count` instructions after the one being executed, or where it would have ended before that. */
export function endAfter(count: i32): void {
  const wanted = <u64>instructionCount() + <u64>(<i64>count);
  const end = Run.countEnd + <u64>(<i64>Run.later) + <u64>(<i64>Run.slack);
  if (wanted >= end) return;
  let less = <i32>(end - wanted);
  const later = min(less, max(0, Run.later));
  Run.later -= later;
  less -= later;
  Run.countEnd -= <u64>(<i64>less);
  if (Run.region) {
    store<i32>(S, load<i32>(S, SJ_LEFT) - less, SJ_LEFT);
    store<i32>(S, load<i32>(S, SJ_CUT) + less, SJ_CUT);
  } else Run.countdown -= less;
}

/** First use of the memory by this module. */
export function initialise(): void {
  store<u64>(S, 0, S_ZERO);
  memory.fill(S + HD_ACTIVE, 0, HD_END - HD_ACTIVE);
  tlbInit();
  clearLinks();
  clearMap();
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
