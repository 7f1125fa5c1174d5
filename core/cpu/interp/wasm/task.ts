/**
 * Hardware task switches through 16- and 32-bit task-state segments (SDM volume 3 chapter 8).
 *
 *   32-bit TSS: 0 link, 4 ESP0 SS0 .., 28 CR3, 32 EIP, 36 EFLAGS, 40 EAX ECX EDX EBX ESP EBP ESI EDI, 72 ES CS SS DS FS GS, 96 LDT,
 *               100 T flag, 102 I/O map base
 *   16-bit TSS: 0 link, 2 SP0 SS0 .., 14 IP, 16 FLAGS, 18 AX CX DX BX SP BP SI DI, 34 ES CS SS DS, 42 LDT
 *
 * Everything up to the commit is read, checked and probed in the old task. After it the new task's registers are in place, and faults in
 * its selectors are raised in the context of the new task, as the hardware does.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { DR6_BT, raiseDebug, SUPPRESS_RF_CLEAR, SUPPRESS_STEP, updateDebug } from './debug';
import { raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { linReadSys16, linReadSys32, linWriteSys16, linWriteSys32, linWriteSys8, probeReadSys, probeWriteSys } from './memsystem';
import { cr0, cr4, loadPdptes } from './paging';
import {
  ATTR_P,
  ATTR_S,
  attrDpl,
  cpl,
  descAt,
  descAttr,
  descBase,
  descHi,
  descLimit,
  descLo,
  fetchDescriptor,
  findDescriptor,
  isCode,
  isConforming,
  isNull,
  isWritableData,
  loadData,
  markAccessed,
  segAddress,
  segAttr,
  segBase,
  segLimit,
  segSelector,
  setCode,
  setCpl,
  setFromDescriptor,
  setNull,
  setSegment,
  setSegmentV86,
  updateMode,
} from './seg';
import { frameCommit, frameCurrent, framePush, frameReserve } from './stack';
import { gpr32, setGpr64 } from './state';
import {
  S_CR0,
  S_CR3,
  S_DR,
  S_GDTR_BASE,
  S_RIP,
  SEG_ATTR,
  SEG_CS,
  SEG_DS,
  SEG_ES,
  SEG_FS,
  SEG_GS,
  SEG_LDTR,
  SEG_SS,
  SEG_TR,
  VEC_GP,
  VEC_NP,
  VEC_SS,
  VEC_TS,
} from './stateoffsets';
import { CR0_PG, CR0_TS, CR4_PAE, FL_NT, FL_RF, FL_VM, SY_STEP_SUPPRESS } from './sysstate';
import { tlbFlushLocal } from './tlb';

export const TASK_JMP: u32 = 0;
export const TASK_CALL: u32 = 1;
export const TASK_IRET: u32 = 2;
/** Interrupt or exception through a task gate. */
export const TASK_INT: u32 = 3;

/** Bit 1 of a TSS descriptor type: busy. Bit 3: 32-bit. */
const BUSY: u32 = 2;
const WIDE: u32 = 8;

/** New register image between reading and commit: 8 general registers and 6 segment selectors. */
const newRegs: usize = memory.data(32);
const newSegs: usize = memory.data(24);

// @ts-ignore: decorator
@inline
function at(base: u64, offset: u32): u64 {
  return (base + offset) & 0xffffffff;
}

/** Least size of a TSS, bytes. */
function tssSize(wide: bool): u32 {
  return wide ? 104 : 44;
}

/** IRET with NT set: back to the task in the link field. */
export function taskReturn(): void {
  const link = linReadSys16(segBase(SEG_TR));
  if (link & 4) raiseFaultErr(VEC_TS, link & 0xfffc);
  switchTask(link, TASK_IRET, <u32>load<u64>(CPU_STATE_BASE + S_RIP) + iretLength, false, 0);
}

/** Length of the IRET being executed: what the outgoing task saves as EIP. Set by the caller of iret(). */
let iretLength: u32 = 1;
export function setIretLength(length: u32): void {
  iretLength = length;
}

/**
 * Switches to the task of TSS selector `selector`. `oldEip` is saved in the outgoing task. With `hasError`, `error` is pushed on the new
 * stack.
 */
export function switchTask(selector: u32, source: u32, oldEip: u32, hasError: bool, error: u32): void {
  const vector: u32 = source == TASK_IRET ? VEC_TS : VEC_GP;
  const code = selector & 0xfffc;
  if (isNull(selector) || selector & 4) raiseFaultErr(vector, code);
  fetchDescriptor(selector, vector);
  const lo = descLo;
  const hi = descHi;
  const entry = descAt;
  const attr = descAttr(hi);
  const wanted: u32 = source == TASK_IRET ? 3 : 1;
  if (attr & ATTR_S || (attr & 7) != wanted) raiseFaultErr(vector, code);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, code);
  const wide = (attr & WIDE) != 0;
  const base = descBase(lo, hi);
  const limit = descLimit(lo, hi);
  if (limit < tssSize(wide) - 1) raiseFaultErr(VEC_TS, code);

  // Probe everything that will be written, read everything that will be needed.
  const oldWide = (segAttr(SEG_TR) & WIDE) != 0;
  const oldBase = segBase(SEG_TR);
  const oldSelector = segSelector(SEG_TR);
  const oldEntry = (load<u64>(CPU_STATE_BASE + S_GDTR_BASE) + (oldSelector & 0xfff8)) & 0xffffffff;
  const nested = source == TASK_CALL || source == TASK_INT;
  const first: u32 = oldWide ? 32 : 14;
  probeWriteSys(at(oldBase, first), (oldWide ? <u32>96 : <u32>42) - first);
  probeWriteSys(at(entry, 4), 4);
  if (!nested) probeWriteSys(at(oldEntry, 4), 4);
  if (nested) probeWriteSys(base, 2);
  probeReadSys(base, wide ? 104 : 44);

  let newCr3: u32 = 0;
  let newEip: u32;
  let newFlags: u32;
  let newLdt: u32;
  let trap: u32 = 0;
  if (wide) {
    newCr3 = linReadSys32(at(base, 28));
    newEip = linReadSys32(at(base, 32));
    newFlags = linReadSys32(at(base, 36));
    for (let i: u32 = 0; i < 8; i++) store<u32>(newRegs + (i << 2), linReadSys32(at(base, 40 + (i << 2))));
    for (let i: u32 = 0; i < 6; i++) store<u32>(newSegs + (i << 2), linReadSys16(at(base, 72 + (i << 2))));
    newLdt = linReadSys16(at(base, 96));
    trap = linReadSys16(at(base, 100)) & 1;
  } else {
    newEip = linReadSys16(at(base, 14));
    newFlags = linReadSys16(at(base, 16));
    for (let i: u32 = 0; i < 8; i++) store<u32>(newRegs + (i << 2), linReadSys16(at(base, 18 + (i << 1))) | 0xffff0000);
    for (let i: u32 = 0; i < 4; i++) store<u32>(newSegs + (i << 2), linReadSys16(at(base, 34 + (i << 1))));
    store<u32>(newSegs, 0, 16);
    store<u32>(newSegs, 0, 20);
    newLdt = linReadSys16(at(base, 42));
  }
  const paged = wide && (cr0() & CR0_PG) != 0;
  if (paged && cr4() & CR4_PAE) loadPdptes(<u64>newCr3);

  // Commit: the outgoing task.
  let oldFlags = getEflags();
  if (source == TASK_IRET) oldFlags &= ~FL_NT;
  if (oldWide) {
    linWriteSys32(at(oldBase, 32), oldEip);
    linWriteSys32(at(oldBase, 36), oldFlags);
    for (let i = 0; i < 8; i++) linWriteSys32(at(oldBase, 40 + (i << 2)), gpr32(i));
    for (let i = 0; i < 6; i++) linWriteSys16(at(oldBase, 72 + (i << 2)), segSelector(i));
  } else {
    linWriteSys16(at(oldBase, 14), oldEip);
    linWriteSys16(at(oldBase, 16), oldFlags);
    for (let i = 0; i < 8; i++) linWriteSys16(at(oldBase, 18 + (i << 1)), gpr32(i));
    for (let i = 0; i < 4; i++) linWriteSys16(at(oldBase, 34 + (i << 1)), segSelector(i));
  }
  if (!nested) {
    const high = linReadSys32(at(oldEntry, 4));
    linWriteSys8(at(oldEntry, 5), (high >> 8) & 0xff & ~BUSY);
  }
  if (source != TASK_IRET) linWriteSys8(at(entry, 5), ((hi >> 8) & 0xff) | BUSY);
  if (nested) linWriteSys16(base, oldSelector);

  // Commit: the incoming task.
  setSegment(SEG_TR, selector, base, limit, attr | BUSY);
  store<u64>(CPU_STATE_BASE + S_CR0, cr0() | CR0_TS);
  if (paged) {
    store<u64>(CPU_STATE_BASE + S_CR3, <u64>newCr3);
    tlbFlushLocal();
  }
  if (nested) newFlags |= FL_NT;
  setEflags(newFlags, wide ? 0xffffffff : 0xffff);
  if (!wide) setEflags(0, FL_VM | FL_RF);
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_STEP | SUPPRESS_RF_CLEAR);
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>newEip);
  for (let i = 0; i < 8; i++) setGpr64(i, <u64>load<u32>(newRegs + (<usize>i << 2)));
  // Local breakpoint enables of DR7 end with the task.
  const dr7 = load<u64>(CPU_STATE_BASE + S_DR, 56);
  if (dr7 & 0x155) {
    store<u64>(CPU_STATE_BASE + S_DR, dr7 & ~(<u64>0x155), 56);
    updateDebug();
  }

  // Selectors first, unusable until their descriptors are found good.
  setNull(SEG_LDTR, newLdt);
  for (let i = 0; i < 6; i++) setNull(i, load<u32>(newSegs + (<usize>i << 2)));
  loadLdt(newLdt);
  if (newFlags & FL_VM && wide) {
    for (let i = 0; i < 6; i++) setSegmentV86(i, load<u32>(newSegs + (<usize>i << 2)));
    updateMode();
  } else {
    const cs = load<u32>(newSegs, 4);
    setCpl(cs & 3);
    loadStack(load<u32>(newSegs, 8), cs & 3);
    loadTaskSegment(SEG_ES);
    loadTaskSegment(SEG_DS);
    loadTaskSegment(SEG_FS);
    loadTaskSegment(SEG_GS);
    loadCodeSegment(cs);
  }
  if (newEip > segLimit(SEG_CS)) raiseFaultErr(VEC_GP, 0);
  if (hasError) {
    frameCurrent();
    const size: u32 = wide ? 4 : 2;
    frameReserve(1, size);
    framePush(error, size);
    frameCommit();
  }
  if (trap) raiseDebug(DR6_BT);
}

function loadLdt(selector: u32): void {
  const code = selector & 0xfffc;
  if (isNull(selector)) return;
  if (selector & 4 || !findDescriptor(selector)) raiseFaultErr(VEC_TS, code);
  const attr = descAttr(descHi);
  if ((attr & (ATTR_S | 15)) != 2 || !(attr & ATTR_P)) raiseFaultErr(VEC_TS, code);
  setFromDescriptor(SEG_LDTR, selector, descLo, descHi);
}

function loadStack(selector: u32, level: u32): void {
  const code = selector & 0xfffc;
  if (isNull(selector)) raiseFaultErr(VEC_TS, code);
  fetchDescriptor(selector, VEC_TS);
  const attr = descAttr(descHi);
  if (!isWritableData(attr)) raiseFaultErr(VEC_TS, code);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, code);
  if (attrDpl(attr) != level || (selector & 3) != level) raiseFaultErr(VEC_TS, code);
  markAccessed();
  setFromDescriptor(SEG_SS, selector, descLo, descHi);
}

function loadTaskSegment(seg: i32): void {
  loadData(seg, segSelector(seg), VEC_TS, cpl());
}

function loadCodeSegment(selector: u32): void {
  const code = selector & 0xfffc;
  const level = selector & 3;
  if (isNull(selector)) raiseFaultErr(VEC_TS, code);
  fetchDescriptor(selector, VEC_TS);
  const attr = descAttr(descHi);
  if (!isCode(attr)) raiseFaultErr(VEC_TS, code);
  if (isConforming(attr) ? attrDpl(attr) > level : attrDpl(attr) != level) raiseFaultErr(VEC_TS, code);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, code);
  markAccessed();
  setCode(selector, descLo, descHi, level);
}

/** Busy bit of the cached TR, after LTR. */
export function markTaskRegisterBusy(): void {
  const s = segAddress(SEG_TR);
  store<u32>(s, load<u32>(s, SEG_ATTR) | BUSY, SEG_ATTR);
}
