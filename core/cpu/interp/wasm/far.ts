/**
 * Far jumps, calls and returns, and IRET (SDM volume 2, JMP/CALL/RET/IRET; volume 3 sections 5.8 and 20.2). All checks, reads and probes
 * come first; registers change only when nothing can fault any more. `opsize`: 1 = 16, 2 = 32, 3 = 64 bits. Each function sets S_RIP.
 *
 * In long mode a code segment with L set is 64-bit: targets in it must be canonical and its limit does not count. Call gates are 16 bytes
 * long and lead to 64-bit code; there are no other gates and no task switches (SDM volume 3 sections 5.8.3.1 and 8.7).
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { SUPPRESS_RF_CLEAR } from './debug';
import { raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { innerSs, innerSsHi, innerSsLo, innerStack, innerStack64 } from './innerstack';
import {
  ATTR_DB,
  ATTR_L,
  ATTR_P,
  ATTR_S,
  attrDpl,
  checkCodeSize,
  checkCodeTarget,
  code64,
  cpl,
  descAttr,
  descHi,
  descLo,
  descUpper,
  dropInaccessible,
  fetchDescriptor,
  fetchUpper,
  iopl,
  isCode,
  isConforming,
  isNull,
  isWritableData,
  loadSegmentReal,
  longMode,
  markAccessed,
  paragraphMode,
  segLimit,
  segSelector,
  setCode,
  setFromDescriptor,
  setNullStack,
  setSegmentV86,
  updateAlignCheck,
  updateMode,
  v86Mode,
} from './seg';
import { frameCommit, frameCurrent, frameDrop, framePush, frameRead, frameReserve, setStackPointer } from './stack';
import { gpr64, setGpr64 } from './state';
import { S_NMI_BLOCKED, S_RIP, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS, VEC_GP, VEC_NP, VEC_SS } from './stateoffsets';
import { FL_AC, FL_IF, FL_IOPL, FL_NT, FL_RF, FL_VIF, FL_VIP, FL_VM, FL_ID, SY_STEP_SUPPRESS } from './sysstate';
import { switchTask, taskReturn, TASK_CALL, TASK_JMP } from './task';
import { asVif, checkTaskFlags, virtualFlags } from './v86extensions';

/** System descriptor types, SDM volume 3 table 3-2. */
export const TYPE_TSS16: u32 = 1;
export const TYPE_LDT: u32 = 2;
export const TYPE_TSS16_BUSY: u32 = 3;
export const TYPE_CALL16: u32 = 4;
export const TYPE_TASK_GATE: u32 = 5;
export const TYPE_TSS32: u32 = 9;
export const TYPE_TSS32_BUSY: u32 = 11;
/** In long mode: 64-bit. */
export const TYPE_CALL32: u32 = 12;

const ESP = 4;
/** CF PF AF ZF SF TF DF OF NT: what IRET loads at any privilege. */
const FL_IRET: u32 = 0x4dd5;

/** Parameters of a call gate on their way from the old stack to the new one. */
const params: usize = memory.data(256);

// @ts-ignore: decorator
@inline
function setRip(v: u64): void {
  store<u64>(CPU_STATE_BASE + S_RIP, v);
}
// @ts-ignore: decorator
@inline
function gp(selector: u32): void {
  raiseFaultErr(VEC_GP, selector & 0xfffc);
}
/** Bytes of an operand. */
// @ts-ignore: decorator
@inline
function width(opsize: i32): u32 {
  return (<u32>1) << opsize;
}
/** Instruction pointer cut to the operand size. */
// @ts-ignore: decorator
@inline
function cut(offset: u64, opsize: i32): u64 {
  return opsize == 1 ? offset & 0xffff : opsize == 2 ? offset & 0xffffffff : offset;
}

/** Checks a code descriptor just fetched as the target of a jump or call that does not change privilege. */
function checkDirect(selector: u32, attr: u32): void {
  const dpl = attrDpl(attr);
  checkCodeSize(selector, attr);
  if (isConforming(attr)) {
    if (dpl > cpl()) gp(selector);
  } else if ((selector & 3) > cpl() || dpl != cpl()) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
}

/** The gate or task found instead of a code segment: what kind may be used from here. */
function checkSystem(selector: u32, attr: u32): void {
  const dpl = attrDpl(attr);
  const type = attr & 15;
  const known = longMode()
    ? type == TYPE_CALL32
    : type == TYPE_TSS16 || type == TYPE_TSS32 || type == TYPE_TASK_GATE || type == TYPE_CALL16 || type == TYPE_CALL32;
  if (!known || dpl < cpl() || dpl < (selector & 3)) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
}

/** Offset in the call gate just fetched. */
function gateOffset(selector: u32, type: u32): u64 {
  if (type == TYPE_CALL16) return descLo & 0xffff;
  const low = <u64>((descLo & 0xffff) | (descHi & 0xffff0000));
  if (!longMode()) return low;
  fetchUpper(selector);
  return low | (<u64>descUpper << 32);
}

/** Fetches the code segment that a call gate names; `jump`: without a change of privilege. Gives its attributes. */
function fetchGateCode(target: u32, jump: bool): u32 {
  if (isNull(target)) gp(0);
  fetchDescriptor(target, VEC_GP);
  const code = descAttr(descHi);
  if (!isCode(code) || attrDpl(code) > cpl()) gp(target);
  if (jump && !isConforming(code) && attrDpl(code) != cpl()) gp(target);
  if (longMode() && (code & (ATTR_L | ATTR_DB)) != ATTR_L) gp(target);
  if (!(code & ATTR_P)) raiseFaultErr(VEC_NP, target & 0xfffc);
  return code;
}

export function farJump(selector: u32, offset: u64, opsize: i32, nextRip: u64): void {
  selector &= 0xffff;
  const rip = cut(offset, opsize);
  if (paragraphMode()) {
    if (rip > segLimit(SEG_CS)) gp(0);
    loadSegmentReal(SEG_CS, selector);
    setRip(rip);
    return;
  }
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if (attr & ATTR_S) {
    if (!isCode(attr)) gp(selector);
    checkDirect(selector, attr);
    checkCodeTarget(descLo, descHi, rip);
    markAccessed();
    setCode(selector, descLo, descHi, cpl());
    setRip(rip);
    return;
  }
  checkSystem(selector, attr);
  const type = attr & 15;
  const target = descLo >> 16;
  if (toTask(selector, target, type, TASK_JMP, nextRip)) return;
  const gateRip = gateOffset(selector, type);
  fetchGateCode(target, true);
  checkCodeTarget(descLo, descHi, gateRip);
  markAccessed();
  setCode(target, descLo, descHi, cpl());
  setRip(gateRip);
}

/** Switches to the task of a TSS at `selector`, or of a task gate that names `target`; false when the descriptor is neither. */
function toTask(selector: u32, target: u32, type: u32, how: u32, nextRip: u64): bool {
  const gate = type == TYPE_TASK_GATE;
  if (!gate && type != TYPE_TSS16 && type != TYPE_TSS32) return false;
  switchTask(gate ? target : selector, how, <u32>nextRip, false, 0);
  return true;
}

export function farCall(selector: u32, offset: u64, opsize: i32, nextRip: u64): void {
  selector &= 0xffff;
  const rip = cut(offset, opsize);
  const size = width(opsize);
  if (paragraphMode()) {
    frameCurrent();
    frameReserve(2, size);
    if (rip > segLimit(SEG_CS)) gp(0);
    framePush(segSelector(SEG_CS), size);
    framePush(nextRip, size);
    frameCommit();
    loadSegmentReal(SEG_CS, selector);
    setRip(rip);
    return;
  }
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if (attr & ATTR_S) {
    if (!isCode(attr)) gp(selector);
    checkDirect(selector, attr);
    callSameLevel(selector, rip, size, nextRip);
    return;
  }
  checkSystem(selector, attr);
  const type = attr & 15;
  const target = descLo >> 16;
  if (toTask(selector, target, type, TASK_CALL, nextRip)) return;
  const gateSize: u32 = longMode() ? 8 : type == TYPE_CALL32 ? 4 : 2;
  const count = descHi & 31;
  const gateRip = gateOffset(selector, type);
  const code = fetchGateCode(target, false);
  if (isConforming(code) || attrDpl(code) == cpl()) callSameLevel(target, gateRip, gateSize, nextRip);
  else if (longMode()) callInner64(target, gateRip, nextRip);
  else callInner(target, gateRip, gateSize, count, nextRip);
}

/** The code descriptor was fetched and checked. */
function callSameLevel(selector: u32, rip: u64, size: u32, nextRip: u64): void {
  const lo = descLo;
  frameCurrent();
  frameReserve(2, size);
  checkCodeTarget(lo, descHi, rip);
  markAccessed();
  framePush(segSelector(SEG_CS), size);
  framePush(nextRip, size);
  frameCommit();
  setCode(selector, lo, descHi, cpl());
  setRip(rip);
}

function callInner(selector: u32, rip: u64, size: u32, count: u32, nextRip: u64): void {
  const level = attrDpl(descAttr(descHi));
  const lo = descLo;
  checkCodeTarget(lo, descHi, rip);
  markAccessed();
  const hi = descHi;
  frameCurrent();
  for (let i: u32 = 0; i < count; i++) store<u64>(params + (i << 3), frameRead(i * size, size));
  innerStack(level);
  frameReserve(4 + count, size);
  framePush(segSelector(SEG_SS), size);
  framePush(gpr64(ESP), size);
  for (let i: i32 = count - 1; i >= 0; i--) framePush(load<u64>(params + (<usize>i << 3)), size);
  framePush(segSelector(SEG_CS), size);
  framePush(nextRip, size);
  setCode(selector, lo, hi, level);
  setFromDescriptor(SEG_SS, innerSs, innerSsLo, innerSsHi);
  frameCommit();
  setRip(rip);
}

/** Through a 64-bit call gate to an inner level: no parameters are copied, SS becomes null. */
function callInner64(selector: u32, rip: u64, nextRip: u64): void {
  const level = attrDpl(descAttr(descHi));
  const lo = descLo;
  checkCodeTarget(lo, descHi, rip);
  markAccessed();
  const hi = descHi;
  innerStack64(level, 0, false);
  frameReserve(4, 8);
  framePush(segSelector(SEG_SS), 8);
  framePush(gpr64(ESP), 8);
  framePush(segSelector(SEG_CS), 8);
  framePush(nextRip, 8);
  setCode(selector, lo, hi, level);
  setNullStack(level);
  frameCommit();
  setRip(rip);
}

/** Common to RETF and IRET: fetches and checks the code segment to return to. Leaves its descriptor in descLo/descHi. */
function checkReturnCode(selector: u32): void {
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  const rpl = selector & 3;
  if (!isCode(attr) || rpl < cpl()) gp(selector);
  checkCodeSize(selector, attr);
  if (isConforming(attr) ? attrDpl(attr) > rpl : attrDpl(attr) != rpl) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
}

/**
 * Fetches and checks the stack segment of a return that loads one. `code`: attributes of the code segment returned to. False when it is
 * null, which 64-bit code inside the system may have.
 */
function checkReturnStack(selector: u32, level: u32, code: u32): bool {
  if (isNull(selector)) {
    if (longMode() && code & ATTR_L && level != 3 && (selector & 3) == level) return false;
    gp(0);
  }
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if ((selector & 3) != level || !isWritableData(attr) || attrDpl(attr) != level) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, selector & 0xfffc);
  markAccessed();
  return true;
}

/** Loads CS:RIP from the halves and SS from what checkReturnStack() found; `sp` is the stack pointer to go on with. */
function commitReturn(cs: u32, lo: u32, hi: u32, ss: u32, found: bool, sp: u64): void {
  const level = cs & 3;
  const outer = level != cpl();
  setCode(cs, lo, hi, level);
  if (found) setFromDescriptor(SEG_SS, ss, descLo, descHi);
  else setNullStack(level);
  setStackPointer(sp);
  if (outer) dropAll();
}

function dropAll(): void {
  dropInaccessible(SEG_ES);
  dropInaccessible(SEG_DS);
  dropInaccessible(SEG_FS);
  dropInaccessible(SEG_GS);
}

/** RETF imm: `imm` bytes of parameters are released after the return address. */
export function farRet(opsize: i32, imm: u32): void {
  const size = width(opsize);
  frameCurrent();
  const rip = frameRead(0, size);
  const selector = <u32>frameRead(size, size) & 0xffff;
  if (paragraphMode()) {
    if (rip > segLimit(SEG_CS)) gp(0);
    frameDrop(2 * size + imm);
    frameCommit();
    loadSegmentReal(SEG_CS, selector);
    setRip(rip);
    return;
  }
  checkReturnCode(selector);
  const level = selector & 3;
  if (level == cpl()) {
    checkCodeTarget(descLo, descHi, rip);
    markAccessed();
    frameDrop(2 * size + imm);
    frameCommit();
    setCode(selector, descLo, descHi, level);
    setRip(rip);
    return;
  }
  const sp = frameRead(2 * size + imm, size);
  const ss = <u32>frameRead(3 * size + imm, size) & 0xffff;
  checkCodeTarget(descLo, descHi, rip);
  markAccessed();
  const lo = descLo;
  const hi = descHi;
  const found = checkReturnStack(ss, level, descAttr(hi));
  commitReturn(selector, lo, hi, ss, found, sp + imm);
  setRip(rip);
}

export function iret(opsize: i32): void {
  const size = width(opsize);
  if (paragraphMode()) {
    iretParagraph(size);
    return;
  }
  if (getEflags() & FL_NT) {
    if (longMode()) gp(0);
    taskReturn();
    store<u32>(CPU_STATE_BASE + S_NMI_BLOCKED, 0);
    return;
  }
  frameCurrent();
  const rip = frameRead(0, size);
  const selector = <u32>frameRead(size, size) & 0xffff;
  const flags = <u32>frameRead(2 * size, size);
  if (size == 4 && flags & FL_VM && cpl() == 0 && !longMode()) {
    iretToV86(<u32>rip, selector, flags);
    return;
  }
  checkReturnCode(selector);
  const level = selector & 3;
  let mask = FL_IRET;
  if (size != 2) mask |= FL_RF | FL_AC | FL_ID;
  if (cpl() <= iopl()) mask |= FL_IF;
  if (cpl() == 0) mask |= size != 2 ? FL_IOPL | FL_VIF | FL_VIP : FL_IOPL;
  // 64-bit mode always pops SS:RSP.
  if (level == cpl() && !code64()) {
    checkCodeTarget(descLo, descHi, rip);
    markAccessed();
    frameDrop(3 * size);
    frameCommit();
    setCode(selector, descLo, descHi, level);
  } else {
    const sp = frameRead(3 * size, size);
    const ss = <u32>frameRead(4 * size, size) & 0xffff;
    checkCodeTarget(descLo, descHi, rip);
    markAccessed();
    const lo = descLo;
    const hi = descHi;
    const found = checkReturnStack(ss, level, descAttr(hi));
    commitReturn(selector, lo, hi, ss, found, sp);
  }
  finishIret(rip, flags, mask);
}

function finishIret(rip: u64, flags: u32, mask: u32): void {
  setEflags(flags, mask);
  if (mask & FL_AC) updateAlignCheck();
  if (flags & mask & FL_RF) store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_RF_CLEAR);
  store<u32>(CPU_STATE_BASE + S_NMI_BLOCKED, 0);
  setRip(rip);
}

/** Real mode, and virtual-8086 mode where IOPL must be 3. */
function iretParagraph(size: u32): void {
  const v86 = v86Mode();
  const virtual = virtualFlags(size);
  frameCurrent();
  const eip = frameRead(0, size);
  const selector = <u32>frameRead(size, size) & 0xffff;
  const flags = <u32>frameRead(2 * size, size);
  if (eip > segLimit(SEG_CS)) gp(0);
  if (virtual) checkTaskFlags(flags);
  frameDrop(3 * size);
  frameCommit();
  loadSegmentReal(SEG_CS, selector);
  let mask = FL_IRET | (virtual ? FL_VIF : FL_IF);
  if (!v86) mask |= FL_IOPL;
  if (size == 4) mask |= FL_RF | FL_AC | FL_ID;
  finishIret(eip, virtual ? asVif(flags) : flags, mask);
}

/** IRETD at CPL 0 with VM set in the image: SDM volume 2, IRET, RETURN-TO-VIRTUAL-8086-MODE. */
function iretToV86(eip: u32, cs: u32, flags: u32): void {
  const esp = <u32>frameRead(12, 4);
  const ss = <u32>frameRead(16, 4);
  const es = <u32>frameRead(20, 4);
  const ds = <u32>frameRead(24, 4);
  const fs = <u32>frameRead(28, 4);
  const gs = <u32>frameRead(32, 4);
  if (eip > 0xffff) gp(0);
  setGpr64(ESP, <u64>esp);
  setSegmentV86(SEG_CS, cs & 0xffff);
  setSegmentV86(SEG_SS, ss & 0xffff);
  setSegmentV86(SEG_ES, es & 0xffff);
  setSegmentV86(SEG_DS, ds & 0xffff);
  setSegmentV86(SEG_FS, fs & 0xffff);
  setSegmentV86(SEG_GS, gs & 0xffff);
  finishIret(eip, flags, FL_IRET | FL_IF | FL_IOPL | FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID);
  updateMode();
}
