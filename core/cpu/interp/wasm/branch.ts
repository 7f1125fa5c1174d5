/**
 * Control flow of the run loop. A run of records ends in one of three ways: a taken branch to another record (the functions here return
 * it), a return to run() with S_RIP exact (they return 0), or a fault.
 *
 * A direct branch whose target lies in the same page keeps a link to the target's record in REC_DISP (branches have no displacement).
 */
import { CPU_STATE_BASE, MAILBOX_BASE } from '../../../memory/layout';
import { codeGeneration, recordAt, slotFor, slotToDecode, targetAt, targetKey } from './codecache';
import { decodeRun } from './decode';
import { raiseFaultErr } from './fault';
import { HANDLER_JIT, HANDLER_STALE } from './generated/tables';
import { hostBreakPage } from './hostdebug';
import { settleRegion } from './jit';
import { arrived } from './jitheat';
import { isMapped, mappedRegion } from './jitmap';
import { linRead32, tlbTable } from './mem';
import { codeHost, codeTranslate } from './memcode';
import { memRead16, memRead32 } from './memsegment';
import { REC_DISP, REC_ENTERED, REC_FELL, REC_HANDLER, REC_IMM, REC_LENGTH, REC_NEXT, REC_SIZES } from './record';
import { stay64 } from './branch64';
import { MODE_64, Run } from './runstate';
import { gpr32, setGpr32 } from './state';
import { HD_ACTIVE, HD_BREAK_COUNT, SEG_BASE, SEG_CS, SEG_LIMIT, SEG_SS, SEG_STRIDE, S_EXIT, S_GPR, S_RIP, S_SEG, S_STACK32, VEC_GP } from './stateoffsets';
import { TLB_USER } from './tlb';

const CS: usize = CPU_STATE_BASE + S_SEG + SEG_CS * SEG_STRIDE;
/** Byte address of MB_EXIT_REQUEST (core/memory/mailbox.ts). */
const EXIT_REQUEST: usize = MAILBOX_BASE + 4;
const RECORD_SHIFT = 5;

// @ts-ignore: decorator
@inline
export function setRip(eip: u32): void {
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>eip);
}

/** EIP after the instruction. */
// @ts-ignore: decorator
@inline
export function nextEip(rec: usize): u32 {
  return Run.pageEip + <u32>load<u16>(rec, REC_NEXT);
}

/** EIP of the instruction itself. */
// @ts-ignore: decorator
@inline
export function thisEip(rec: usize): u32 {
  return Run.pageEip + <u32>load<u16>(rec, REC_NEXT) - <u32>load<u8>(rec, REC_LENGTH);
}

/** Something besides the next instruction wants attention. */
// @ts-ignore: decorator
@inline
export function attention(): u32 {
  return load<u32>(CPU_STATE_BASE + S_EXIT) | load<u32>(EXIT_REQUEST);
}

/** Counts the instructions from Run.start up to, not including, `rec`. */
// @ts-ignore: decorator
@inline
export function countBefore(rec: usize): void {
  Run.countdown -= <i32>((rec - Run.start) >> RECORD_SHIFT);
}

/**
 * Before an instruction that writes S_RIP itself (far transfers, interrupts, system instructions): from here on S_RIP is exact, so that a
 * fault in the middle of a task switch finds what the switch put there.
 */
export function begin(rec: usize): void {
  setRip(thisEip(rec));
  countBefore(rec);
  Run.rec = 0;
}

/** Its completion, back to run(). */
// @ts-ignore: decorator
@inline
export function finish(): void {
  Run.countdown--;
  Run.begun = 0;
}

/** Back to run() in the middle of a repeated instruction, which is to be executed again. */
export function stay(rec: usize): void {
  const eip = thisEip(rec);
  countBefore(rec);
  setRip(eip);
  Run.rec = 0;
}

/** Back to run() at a record that is no instruction: the end of a page, a dropped record, the end of a step. */
export function resume(rec: usize): void {
  stay(rec);
}

/** Instruction boundary after a fault: S_RIP gets the address of the faulting instruction. */
export function settleFault(): void {
  settleRegion();
  if (!Run.rec) return;
  if (Run.mode == MODE_64) stay64(Run.rec);
  else stay(Run.rec);
}

/** HANDLER_CONTINUE: the next instruction's record is elsewhere. */
export function follow(rec: usize): usize {
  const link: usize = load<u32>(rec, REC_DISP);
  countBefore(rec);
  if (link != 0 && Run.countdown > 0) {
    Run.start = link;
    return link;
  }
  const eip = thisEip(rec);
  setRip(eip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  const page = Run.pageEip;
  const generation = codeGeneration();
  const live = load<u16>(rec, REC_HANDLER) != HANDLER_STALE;
  const next = enter(eip);
  if (next && !isMapped(next) && live && page == Run.pageEip && generation == codeGeneration()) store<u32>(rec, <u32>next, REC_DISP);
  return next;
}

/** Target of the direct branch `rec`. */
// @ts-ignore: decorator
@inline
function branchTarget(rec: usize): u32 {
  const eip = nextEip(rec) + load<u32>(rec, REC_IMM);
  return load<u8>(rec, REC_SIZES) & 2 ? eip : eip & 0xffff;
}

/** #GP(0) when EIP would leave the code segment. */
// @ts-ignore: decorator
@inline
export function checkTarget(eip: u32): void {
  if (eip > load<u32>(CS, SEG_LIMIT)) raiseFaultErr(VEC_GP, 0);
}

/** The same for the target of a direct branch, before the branch changes anything. */
// @ts-ignore: decorator
@inline
export function checkJump(rec: usize): void {
  checkTarget(branchTarget(rec));
}

/** The conditional branch `rec` is not taken. */
// @ts-ignore: decorator
@inline
export function fell(rec: usize): void {
  store<u8>(rec, 1, REC_FELL);
}

/** Takes the direct branch `rec`. */
// @ts-ignore: decorator
@inline
export function jump(rec: usize): usize {
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
  const unmasked = nextEip(rec) + load<u32>(rec, REC_IMM);
  const eip = branchTarget(rec);
  checkTarget(eip);
  countBefore(rec);
  Run.countdown--;
  setRip(eip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  const page = Run.pageEip;
  const generation = codeGeneration();
  const live = load<u16>(rec, REC_HANDLER) != HANDLER_STALE;
  const next = enter(eip);
  if (next && !isMapped(next) && live && eip == unmasked && page == Run.pageEip && generation == codeGeneration()) store<u32>(rec, <u32>next, REC_DISP);
  return next;
}

/** Takes an indirect branch. */
export function jumpTo(rec: usize, eip: u32): usize {
  checkTarget(eip);
  countBefore(rec);
  Run.countdown--;
  setRip(eip);
  Run.rec = 0;
  if (Run.step || Run.countdown <= 0 || attention()) return 0;
  return enter(eip);
}

/**
 * First record of the code at `eip` = S_RIP, 0 when it must be stepped through (not plain memory, or the code segment ends in its page).
 * Raises #PF of the instruction fetch. Run.rec is 0 before and after, until the switch sets it.
 */
export function enter(eip: u32): usize {
  const lin = <u32>load<u64>(CS, SEG_BASE) + eip;
  const offset = lin & 0xfff;
  if (<u64>eip + (0xfff - offset) > load<u32>(CS, SEG_LIMIT)) return 0;
  const rec = target(<u64>lin);
  Run.pageEip = eip - offset;
  Run.start = rec;
  return rec;
}

/** Record of the code at linear address `lin`, 0 when it must be stepped through. */
// @ts-ignore: decorator
@inline
export function target(lin: u64): usize {
  const host = codeHost(lin);
  const entry = targetAt(host);
  if (host != 0 && load<u64>(entry) == targetKey() && load<u32>(entry, 8) == host && !load<u32>(CPU_STATE_BASE + HD_BREAK_COUNT)) {
    const rec: usize = load<u32>(entry, 12);
    if (load<u16>(rec, REC_HANDLER) != HANDLER_JIT) arrived(host, lin);
    return rec;
  }
  return find(lin);
}

function find(lin: u64): usize {
  // Stepped through, so that no breakpoint of the host is passed over.
  if (load<u32>(CPU_STATE_BASE + HD_BREAK_COUNT) && hostBreakPage(lin)) return 0;
  const host = codeTranslate(lin);
  if (!host) return 0;
  const rec = recordFor(host);
  // The key is taken now: making room may have dropped pages.
  const entry = targetAt(host);
  store<u64>(entry, targetKey());
  store<u32>(entry, host, 8);
  store<u32>(entry, <u32>rec, 12);
  return rec;
}

/** Record of the code at byte `host` of the memory: its compiled region, or what is decoded now or was before. */
function recordFor(host: u32): usize {
  // While the host debugs, everything is interpreted.
  let rec: usize = load<u32>(CPU_STATE_BASE + HD_ACTIVE) ? 0 : mappedRegion(host, Run.mode, tlbTable() == TLB_USER ? 1 : 0);
  if (rec) return rec;
  const slot = slotFor(host, Run.mode);
  rec = recordAt(slot, host & 0xfff);
  if (!rec) rec = decodeRun(slotToDecode(slot, host, Run.mode), host);
  store<u8>(rec, load<u8>(rec, REC_SIZES) | REC_ENTERED, REC_SIZES);
  return rec;
}

/** Near return; `drop` bytes of arguments go with it. */
// @ts-ignore: decorator
@inline
export function ret32(rec: usize, drop: u32): usize {
  const esp = gpr32(4);
  const mask: u32 = load<u32>(CPU_STATE_BASE + S_STACK32) ? 0xffff_ffff : 0xffff;
  const eip = memRead32(SEG_SS, <u64>(esp & mask));
  checkTarget(eip);
  setGpr32(4, (esp & ~mask) | ((esp + 4 + drop) & mask));
  return jumpTo(rec, eip);
}
/** Near return in flat mode. */
// @ts-ignore: decorator
@inline
export function retFlat(rec: usize, drop: u32): usize {
  const esp = gpr32(4);
  const eip = linRead32(<u64>esp);
  checkTarget(eip);
  setGpr32(4, esp + 4 + drop);
  return jumpTo(rec, eip);
}
// @ts-ignore: decorator
@inline
export function ret16(rec: usize, drop: u32): usize {
  const esp = gpr32(4);
  const mask: u32 = load<u32>(CPU_STATE_BASE + S_STACK32) ? 0xffff_ffff : 0xffff;
  const eip = memRead16(SEG_SS, <u64>(esp & mask));
  checkTarget(eip);
  setGpr32(4, (esp & ~mask) | ((esp + 2 + drop) & mask));
  return jumpTo(rec, eip);
}

const ECX: usize = CPU_STATE_BASE + S_GPR + 8;

/** (E)CX by the address size. */
// @ts-ignore: decorator
@inline
export function loopCount(rec: usize): u32 {
  return load<u8>(rec, REC_SIZES) & 0x20 ? load<u32>(ECX) : <u32>load<u16>(ECX);
}

/** LOOP: counts (E)CX down; true while it is not zero. The target is checked first, so that a #GP leaves the count alone. */
export function countLoop(rec: usize): bool {
  const left = loopCount(rec) - 1;
  if (load<u8>(rec, REC_SIZES) & 0x20) {
    if (left) checkJump(rec);
    setGpr32(1, left);
    return left != 0;
  }
  if (left & 0xffff) checkJump(rec);
  store<u16>(ECX, <u16>left);
  return (left & 0xffff) != 0;
}
