/**
 * Control flow of 64-bit mode: branch.ts with 64-bit instruction pointers. CS has no base and no limit there; a branch target must be canonical.
 * Addresses of instructions count from the state word S_PAGE_RIP.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { attention, countBefore, target } from './branch';
import { codeGeneration } from './codecache';
import { raiseFaultErr } from './fault';
import { HANDLER_STALE } from './generated/tables';
import { isMapped } from './jitmap';
import { linRead64 } from './mem';
import { isCanonical } from './slowaccess';
import { REC_ADDRESS64, REC_DISP, REC_HANDLER, REC_IMM, REC_LENGTH, REC_NEXT, REC_SIZES } from './record';
import { Run } from './runstate';
import { gpr32, gpr64, setGpr32, setGpr64 } from './state';
import { S_PAGE_RIP, S_RIP, VEC_GP } from './stateoffsets';

const RECORD_SHIFT = 5;
const RCX = 1;
const RSP = 4;

// @ts-ignore: decorator
@inline
export function pageRip(): u64 {
  return load<u64>(CPU_STATE_BASE + S_PAGE_RIP);
}
/** Says where the page lies that is going to be executed. */
// @ts-ignore: decorator
@inline
export function setPageRip(rip: u64): void {
  store<u64>(CPU_STATE_BASE + S_PAGE_RIP, rip);
}
// @ts-ignore: decorator
@inline
export function setRip64(rip: u64): void {
  store<u64>(CPU_STATE_BASE + S_RIP, rip);
}
/** RIP after the instruction. */
// @ts-ignore: decorator
@inline
export function nextRip(rec: usize): u64 {
  return pageRip() + <u64>load<u16>(rec, REC_NEXT);
}
/** RIP of the instruction itself. */
// @ts-ignore: decorator
@inline
export function thisRip(rec: usize): u64 {
  return pageRip() + <u64>load<u16>(rec, REC_NEXT) - <u64>load<u8>(rec, REC_LENGTH);
}

/** Before an instruction that writes S_RIP itself: begin() of branch.ts. */
// @ts-ignore: decorator
@inline
export function begin64(rec: usize): void {
  setRip64(thisRip(rec));
  countBefore(rec);
  Run.rec = 0;
  Run.begun = rec;
}

/** Back to run() in the middle of a repeated instruction, which is to be executed again. */
export function stay64(rec: usize): void {
  setRip64(thisRip(rec));
  countBefore(rec);
  Run.rec = 0;
}

/** Back to run() at a record that is no instruction. */
export function resume64(rec: usize): void {
  stay64(rec);
}

/** HANDLER_CONTINUE: the next instruction's record is elsewhere. */
export function follow64(rec: usize): usize {
  const link: usize = load<u32>(rec, REC_DISP);
  countBefore(rec);
  if (link != 0 && Run.countdown > 0) {
    Run.start = link;
    return link;
  }
  const rip = thisRip(rec);
  setRip64(rip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  return enterFrom(rec, rip);
}

/** Enters the code at `rip` and links `rec` to it when it is in the same page. */
function enterFrom(rec: usize, rip: u64): usize {
  const page = pageRip();
  const generation = codeGeneration();
  const live = load<u16>(rec, REC_HANDLER) != HANDLER_STALE;
  const next = enter64(rip);
  if (next && !isMapped(next) && live && page == pageRip() && generation == codeGeneration()) store<u32>(rec, <u32>next, REC_DISP);
  return next;
}

/** #GP(0) for a branch target that is no address. */
// @ts-ignore: decorator
@inline
export function checkTarget64(rip: u64): void {
  if (!isCanonical(rip)) raiseFaultErr(VEC_GP, 0);
}

/** The same for the target of a direct branch, before the branch changes anything. A linked one was checked. */
// @ts-ignore: decorator
@inline
export function checkJump64(rec: usize): void {
  if (!load<u32>(rec, REC_DISP)) checkTarget64(nextRip(rec) + load<u64>(rec, REC_IMM));
}

/** Takes the direct branch `rec`. */
// @ts-ignore: decorator
@inline
export function jump64(rec: usize): usize {
  const link: usize = load<u32>(rec, REC_DISP);
  const left = Run.countdown - <i32>((rec - Run.start) >> RECORD_SHIFT) - 1;
  if (link != 0 && left > 0 && attention() == 0) {
    Run.countdown = left;
    Run.start = link;
    return link;
  }
  return jumpSlow(rec);
}

function jumpSlow(rec: usize): usize {
  const rip = nextRip(rec) + load<u64>(rec, REC_IMM);
  checkTarget64(rip);
  countBefore(rec);
  Run.countdown--;
  setRip64(rip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  return enterFrom(rec, rip);
}

/** Takes an indirect branch. */
export function jumpTo64(rec: usize, rip: u64): usize {
  checkTarget64(rip);
  countBefore(rec);
  Run.countdown--;
  setRip64(rip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  return enter64(rip);
}

/** First record of the code at `rip` = S_RIP, 0 when it must be stepped through: enter() of branch.ts. */
export function enter64(rip: u64): usize {
  const rec = target(rip);
  setPageRip(rip & ~(<u64>0xfff));
  Run.start = rec;
  return rec;
}

/** Near return; `drop` bytes of arguments go with it. */
// @ts-ignore: decorator
@inline
export function ret64(rec: usize, drop: u32): usize {
  const rsp = gpr64(RSP);
  const rip = linRead64(rsp);
  checkTarget64(rip);
  setGpr64(RSP, rsp + 8 + <u64>drop);
  return jumpTo64(rec, rip);
}

// @ts-ignore: decorator
@inline
function wideCount(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & REC_ADDRESS64) == REC_ADDRESS64;
}
/** RCX or ECX by the address size. */
// @ts-ignore: decorator
@inline
export function loopCount64(rec: usize): u64 {
  return wideCount(rec) ? gpr64(RCX) : <u64>gpr32(RCX);
}

/** LOOP: counts RCX or ECX down; true while it is not zero. The target is checked first, so that a #GP leaves the count alone. */
export function countLoop64(rec: usize): bool {
  const left = loopCount64(rec) - 1;
  if (wideCount(rec)) {
    if (left) checkJump64(rec);
    setGpr64(RCX, left);
    return left != 0;
  }
  if (<u32>left) checkJump64(rec);
  setGpr32(RCX, <u32>left);
  return <u32>left != 0;
}
