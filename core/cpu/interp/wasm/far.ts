/**
 * Far jumps, calls and returns, and IRET (SDM volume 2, JMP/CALL/RET/IRET; volume 3 sections 5.8 and 20.2). All checks, reads and probes
 * come first; registers change only when nothing can fault any more. `opsize`: 1 = 16, 2 = 32 bits. Each function sets S_RIP.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { SUPPRESS_RF_CLEAR } from './debug';
import { raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { innerSs, innerSsHi, innerSsLo, innerStack } from './innerstack';
import {
  ATTR_P,
  ATTR_S,
  attrDpl,
  cpl,
  descAttr,
  descHi,
  descLimit,
  descLo,
  dropInaccessible,
  fetchDescriptor,
  iopl,
  isCode,
  isConforming,
  isNull,
  isWritableData,
  loadSegmentReal,
  markAccessed,
  paragraphMode,
  segLimit,
  segSelector,
  setCode,
  setFromDescriptor,
  setSegmentV86,
  updateAlignCheck,
  updateMode,
  v86Mode,
} from './seg';
import { frameCommit, frameCurrent, frameDrop, framePush, frameRead, frameReserve, setStackPointer } from './stack';
import { gpr32, setGpr64 } from './state';
import { S_NMI_BLOCKED, S_RIP, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS, VEC_GP, VEC_NP, VEC_SS } from './stateoffsets';
import { FL_AC, FL_IF, FL_IOPL, FL_NT, FL_RF, FL_VIF, FL_VIP, FL_VM, FL_ID, SY_STEP_SUPPRESS } from './sysstate';
import { switchTask, taskReturn, TASK_CALL, TASK_JMP } from './task';

/** System descriptor types, SDM volume 3 table 3-2. */
export const TYPE_TSS16: u32 = 1;
export const TYPE_LDT: u32 = 2;
export const TYPE_TSS16_BUSY: u32 = 3;
export const TYPE_CALL16: u32 = 4;
export const TYPE_TASK_GATE: u32 = 5;
export const TYPE_TSS32: u32 = 9;
export const TYPE_TSS32_BUSY: u32 = 11;
export const TYPE_CALL32: u32 = 12;

const ESP = 4;
/** CF PF AF ZF SF TF DF OF NT: what IRET loads at any privilege. */
const FL_IRET: u32 = 0x4dd5;

/** Parameters of a call gate on their way from the old stack to the new one. */
const params: usize = memory.data(128);

// @ts-ignore: decorator
@inline
function setRip(v: u32): void {
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>v);
}
// @ts-ignore: decorator
@inline
function gp(selector: u32): void {
  raiseFaultErr(VEC_GP, selector & 0xfffc);
}
// @ts-ignore: decorator
@inline
function width(opsize: i32): u32 {
  return opsize == 1 ? 2 : 4;
}

/** Checks a code descriptor just fetched as the target of a jump or call that does not change privilege. */
function checkDirect(selector: u32, attr: u32): void {
  const dpl = attrDpl(attr);
  if (isConforming(attr)) {
    if (dpl > cpl()) gp(selector);
  } else if ((selector & 3) > cpl() || dpl != cpl()) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
}

export function farJump(selector: u32, offset: u64, opsize: i32, nextRip: u64): void {
  selector &= 0xffff;
  const eip: u32 = opsize == 1 ? <u32>offset & 0xffff : <u32>offset;
  if (paragraphMode()) {
    if (eip > segLimit(SEG_CS)) gp(0);
    loadSegmentReal(SEG_CS, selector);
    setRip(eip);
    return;
  }
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if (attr & ATTR_S) {
    if (!isCode(attr)) gp(selector);
    checkDirect(selector, attr);
    if (eip > descLimit(descLo, descHi)) gp(0);
    markAccessed();
    setCode(selector, descLo, descHi, cpl());
    setRip(eip);
    return;
  }
  const dpl = attrDpl(attr);
  const type = attr & 15;
  const known =
    type == TYPE_TSS16 || type == TYPE_TSS32 || type == TYPE_TASK_GATE || type == TYPE_CALL16 || type == TYPE_CALL32;
  if (!known || dpl < cpl() || dpl < (selector & 3)) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
  if (type == TYPE_TSS16 || type == TYPE_TSS32) {
    switchTask(selector, TASK_JMP, <u32>nextRip, false, 0);
    return;
  }
  const target = descLo >> 16;
  if (type == TYPE_TASK_GATE) {
    switchTask(target, TASK_JMP, <u32>nextRip, false, 0);
    return;
  }
  const gateEip = type == TYPE_CALL32 ? (descLo & 0xffff) | (descHi & 0xffff0000) : descLo & 0xffff;
  if (isNull(target)) gp(0);
  fetchDescriptor(target, VEC_GP);
  const code = descAttr(descHi);
  if (!isCode(code)) gp(target);
  if (isConforming(code) ? attrDpl(code) > cpl() : attrDpl(code) != cpl()) gp(target);
  if (!(code & ATTR_P)) raiseFaultErr(VEC_NP, target & 0xfffc);
  if (gateEip > descLimit(descLo, descHi)) gp(0);
  markAccessed();
  setCode(target, descLo, descHi, cpl());
  setRip(gateEip);
}

export function farCall(selector: u32, offset: u64, opsize: i32, nextRip: u64): void {
  selector &= 0xffff;
  const eip: u32 = opsize == 1 ? <u32>offset & 0xffff : <u32>offset;
  const size = width(opsize);
  if (paragraphMode()) {
    frameCurrent();
    frameReserve(2, size);
    if (eip > segLimit(SEG_CS)) gp(0);
    framePush(segSelector(SEG_CS), size);
    framePush(<u32>nextRip, size);
    frameCommit();
    loadSegmentReal(SEG_CS, selector);
    setRip(eip);
    return;
  }
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if (attr & ATTR_S) {
    if (!isCode(attr)) gp(selector);
    checkDirect(selector, attr);
    callSameLevel(selector, eip, size, nextRip);
    return;
  }
  const dpl = attrDpl(attr);
  const type = attr & 15;
  const known =
    type == TYPE_TSS16 || type == TYPE_TSS32 || type == TYPE_TASK_GATE || type == TYPE_CALL16 || type == TYPE_CALL32;
  if (!known || dpl < cpl() || dpl < (selector & 3)) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
  if (type == TYPE_TSS16 || type == TYPE_TSS32) {
    switchTask(selector, TASK_CALL, <u32>nextRip, false, 0);
    return;
  }
  const target = descLo >> 16;
  if (type == TYPE_TASK_GATE) {
    switchTask(target, TASK_CALL, <u32>nextRip, false, 0);
    return;
  }
  const gateSize: u32 = type == TYPE_CALL32 ? 4 : 2;
  const gateEip = type == TYPE_CALL32 ? (descLo & 0xffff) | (descHi & 0xffff0000) : descLo & 0xffff;
  const count = descHi & 31;
  if (isNull(target)) gp(0);
  fetchDescriptor(target, VEC_GP);
  const code = descAttr(descHi);
  if (!isCode(code) || attrDpl(code) > cpl()) gp(target);
  if (!(code & ATTR_P)) raiseFaultErr(VEC_NP, target & 0xfffc);
  if (isConforming(code) || attrDpl(code) == cpl()) callSameLevel(target, gateEip, gateSize, nextRip);
  else callInner(target, gateEip, gateSize, count, nextRip);
}

/** The code descriptor was fetched and checked. */
function callSameLevel(selector: u32, eip: u32, size: u32, nextRip: u64): void {
  const lo = descLo;
  frameCurrent();
  frameReserve(2, size);
  if (eip > descLimit(lo, descHi)) gp(0);
  markAccessed();
  framePush(segSelector(SEG_CS), size);
  framePush(<u32>nextRip, size);
  frameCommit();
  setCode(selector, lo, descHi, cpl());
  setRip(eip);
}

function callInner(selector: u32, eip: u32, size: u32, count: u32, nextRip: u64): void {
  const level = attrDpl(descAttr(descHi));
  const lo = descLo;
  if (eip > descLimit(lo, descHi)) gp(0);
  markAccessed();
  const hi = descHi;
  frameCurrent();
  for (let i: u32 = 0; i < count; i++) store<u32>(params + (i << 2), frameRead(i * size, size));
  innerStack(level);
  frameReserve(4 + count, size);
  framePush(segSelector(SEG_SS), size);
  framePush(gpr32(ESP), size);
  for (let i: i32 = count - 1; i >= 0; i--) framePush(load<u32>(params + (<usize>i << 2)), size);
  framePush(segSelector(SEG_CS), size);
  framePush(<u32>nextRip, size);
  setCode(selector, lo, hi, level);
  setFromDescriptor(SEG_SS, innerSs, innerSsLo, innerSsHi);
  frameCommit();
  setRip(eip);
}

/** Common to RETF and IRET: fetches and checks the code segment to return to. Leaves its descriptor in descLo/descHi. */
function checkReturnCode(selector: u32): void {
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  const rpl = selector & 3;
  if (!isCode(attr) || rpl < cpl()) gp(selector);
  if (isConforming(attr) ? attrDpl(attr) > rpl : attrDpl(attr) != rpl) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, selector & 0xfffc);
}

/** Fetches and checks the stack segment of an outer return. */
function checkReturnStack(selector: u32, level: u32): void {
  if (isNull(selector)) gp(0);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if ((selector & 3) != level || !isWritableData(attr) || attrDpl(attr) != level) gp(selector);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, selector & 0xfffc);
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
  const eip = frameRead(0, size);
  const selector = frameRead(size, size) & 0xffff;
  if (paragraphMode()) {
    if (eip > segLimit(SEG_CS)) gp(0);
    frameDrop(2 * size + imm);
    frameCommit();
    loadSegmentReal(SEG_CS, selector);
    setRip(eip);
    return;
  }
  checkReturnCode(selector);
  const level = selector & 3;
  if (level == cpl()) {
    if (eip > descLimit(descLo, descHi)) gp(0);
    markAccessed();
    frameDrop(2 * size + imm);
    frameCommit();
    setCode(selector, descLo, descHi, level);
    setRip(eip);
    return;
  }
  const sp = frameRead(2 * size + imm, size);
  const ss = frameRead(3 * size + imm, size) & 0xffff;
  if (eip > descLimit(descLo, descHi)) gp(0);
  markAccessed();
  const lo = descLo;
  const hi = descHi;
  checkReturnStack(ss, level);
  markAccessed();
  setCode(selector, lo, hi, level);
  setFromDescriptor(SEG_SS, ss, descLo, descHi);
  setStackPointer(sp + imm);
  dropAll();
  setRip(eip);
}

export function iret(opsize: i32): void {
  const size = width(opsize);
  if (paragraphMode()) {
    iretParagraph(size);
    return;
  }
  if (getEflags() & FL_NT) {
    taskReturn();
    store<u32>(CPU_STATE_BASE + S_NMI_BLOCKED, 0);
    return;
  }
  frameCurrent();
  const eip = frameRead(0, size);
  const selector = frameRead(size, size) & 0xffff;
  const flags = frameRead(2 * size, size);
  if (size == 4 && flags & FL_VM && cpl() == 0) {
    iretToV86(eip, selector, flags);
    return;
  }
  checkReturnCode(selector);
  const level = selector & 3;
  let mask = FL_IRET;
  if (size == 4) mask |= FL_RF | FL_AC | FL_ID;
  if (cpl() <= iopl()) mask |= FL_IF;
  if (cpl() == 0) mask |= size == 4 ? FL_IOPL | FL_VIF | FL_VIP : FL_IOPL;
  const limit = descLimit(descLo, descHi);
  if (level == cpl()) {
    if (eip > limit) gp(0);
    markAccessed();
    frameDrop(3 * size);
    frameCommit();
    setCode(selector, descLo, descHi, level);
  } else {
    const sp = frameRead(3 * size, size);
    const ss = frameRead(4 * size, size) & 0xffff;
    if (eip > limit) gp(0);
    markAccessed();
    const lo = descLo;
    const hi = descHi;
    checkReturnStack(ss, level);
    markAccessed();
    setCode(selector, lo, hi, level);
    setFromDescriptor(SEG_SS, ss, descLo, descHi);
    setStackPointer(sp);
    dropAll();
  }
  finishIret(eip, flags, mask);
}

function finishIret(eip: u32, flags: u32, mask: u32): void {
  setEflags(flags, mask);
  if (mask & FL_AC) updateAlignCheck();
  if (flags & mask & FL_RF) store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_RF_CLEAR);
  store<u32>(CPU_STATE_BASE + S_NMI_BLOCKED, 0);
  setRip(eip);
}

/** Real mode, and virtual-8086 mode where IOPL must be 3. */
function iretParagraph(size: u32): void {
  const v86 = v86Mode();
  if (v86 && iopl() < 3) gp(0);
  frameCurrent();
  const eip = frameRead(0, size);
  const selector = frameRead(size, size) & 0xffff;
  const flags = frameRead(2 * size, size);
  if (eip > segLimit(SEG_CS)) gp(0);
  frameDrop(3 * size);
  frameCommit();
  loadSegmentReal(SEG_CS, selector);
  let mask = FL_IRET | FL_IF;
  if (!v86) mask |= FL_IOPL;
  if (size == 4) mask |= FL_RF | FL_AC | FL_ID;
  finishIret(eip, flags, mask);
}

/** IRETD at CPL 0 with VM set in the image: SDM volume 2, IRET, RETURN-TO-VIRTUAL-8086-MODE. */
function iretToV86(eip: u32, cs: u32, flags: u32): void {
  const esp = frameRead(12, 4);
  const ss = frameRead(16, 4);
  const es = frameRead(20, 4);
  const ds = frameRead(24, 4);
  const fs = frameRead(28, 4);
  const gs = frameRead(32, 4);
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
