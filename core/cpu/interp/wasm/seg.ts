/**
 * Segment registers: descriptor fetch, loads with their checks, the caches derived from them, and the mode words (CPL, code size, stack
 * size). SDM volume 3 chapters 3 and 5.
 *
 * Real mode changes only selector and base, and marks the segment as read-write data; limit and the D and G bits stay, which is what
 * makes "unreal" mode work.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { getEflags, rawEflags } from './flags';
import { raiseFaultErr } from './fault';
import { SF_BIG, SF_DOWN, SF_FLAT_R, SF_FLAT_W, SF_READ, SF_WRITE } from './memsegment';
import { linReadSys32, linWriteSys8 } from './memsystem';
import { isCanonical } from './slowaccess';
import {
  S_CODE_MODE,
  S_CPL,
  S_CR0,
  S_CR4,
  S_EFER,
  S_GDTR_BASE,
  S_GDTR_LIMIT,
  S_SEG,
  S_STACK32,
  SEG_ATTR,
  SEG_BASE,
  SEG_CS,
  SEG_ES,
  SEG_FLAGS,
  SEG_FS,
  SEG_GS,
  SEG_LDTR,
  SEG_LIMIT,
  SEG_REACH,
  SEG_SELECTOR,
  SEG_SS,
  SEG_TOP,
  VEC_GP,
  VEC_NP,
  VEC_SS,
} from './stateoffsets';
import { CR0_AM, CR0_PE, CR4_SMAP, EFER_LMA, FL_AC, FL_VM, SY_ALIGN_CHECK, SY_LINEAR_MASK, SY_TLB_CUR, SY_USER_OPEN } from './sysstate';
import { TLB_SUP, TLB_USER, tlbFlushAll } from './tlb';
import { tlbCloseUser, tlbOpenUser } from './tlbopened';

/** Attribute bits (descriptor bits 40..47 in 0..7, 52..55 in 12..15). */
export const ATTR_ACCESSED: u32 = 1;
/** Data: writable. Code: readable. */
export const ATTR_RW: u32 = 2;
/** Data: expand-down. Code: conforming. */
export const ATTR_DC: u32 = 4;
export const ATTR_CODE: u32 = 8;
export const ATTR_S: u32 = 0x10;
export const ATTR_P: u32 = 0x80;
/** Code: 64-bit, while long mode is active. */
export const ATTR_L: u32 = 0x2000;
export const ATTR_DB: u32 = 0x4000;
export const ATTR_G: u32 = 0x8000;
/** Present read-write accessed data, DPL 0 and 3. */
const ATTR_REAL: u32 = 0x93;
const ATTR_V86: u32 = 0xf3;

/** Linear address, and the two halves, of the descriptor last fetched. */
export let descAt: u64 = 0;
export let descLo: u32 = 0;
export let descHi: u32 = 0;
/** Bits 63..32 of the base or offset of a 16-byte system descriptor, after fetchUpper(). */
export let descUpper: u32 = 0;

// @ts-ignore: decorator
@inline
export function segAddress(seg: i32): usize {
  return CPU_STATE_BASE + S_SEG + (<usize>seg << 5);
}
// @ts-ignore: decorator
@inline
export function segSelector(seg: i32): u32 {
  return load<u16>(segAddress(seg), SEG_SELECTOR);
}
// @ts-ignore: decorator
@inline
export function segBase(seg: i32): u64 {
  return load<u64>(segAddress(seg), SEG_BASE);
}
// @ts-ignore: decorator
@inline
export function segLimit(seg: i32): u32 {
  return load<u32>(segAddress(seg), SEG_LIMIT);
}
// @ts-ignore: decorator
@inline
export function segAttr(seg: i32): u32 {
  return load<u32>(segAddress(seg), SEG_ATTR);
}
// @ts-ignore: decorator
@inline
export function cpl(): u32 {
  return load<u32>(CPU_STATE_BASE + S_CPL);
}
// @ts-ignore: decorator
@inline
export function protectedMode(): bool {
  return (load<u64>(CPU_STATE_BASE + S_CR0) & CR0_PE) != 0;
}
// @ts-ignore: decorator
@inline
export function v86Mode(): bool {
  return (rawEflags() & FL_VM) != 0;
}
/** EFER.LMA: 64-bit or compatibility mode. */
// @ts-ignore: decorator
@inline
export function longMode(): bool {
  return (load<u64>(CPU_STATE_BASE + S_EFER) & EFER_LMA) != 0;
}
/** 64-bit mode. */
// @ts-ignore: decorator
@inline
export function code64(): bool {
  return load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2;
}
// @ts-ignore: decorator
@inline
export function linearMask(): u64 {
  return load<u64>(CPU_STATE_BASE + SY_LINEAR_MASK);
}
/** Real or virtual-8086 mode: selectors are paragraph numbers. */
// @ts-ignore: decorator
@inline
export function paragraphMode(): bool {
  return !protectedMode() || v86Mode();
}

// ---- Descriptor fields ---------------------------------------------------------------------------------------------------------------

// @ts-ignore: decorator
@inline
export function descBase(lo: u32, hi: u32): u64 {
  return <u64>((lo >> 16) | ((hi & 0xff) << 16) | (hi & 0xff000000));
}
/** Byte-granular. */
// @ts-ignore: decorator
@inline
export function descLimit(lo: u32, hi: u32): u32 {
  const limit = (lo & 0xffff) | (hi & 0xf0000);
  return hi & 0x800000 ? (limit << 12) | 0xfff : limit;
}
// @ts-ignore: decorator
@inline
export function descAttr(hi: u32): u32 {
  return (hi >> 8) & 0xf0ff;
}
// @ts-ignore: decorator
@inline
export function attrDpl(attr: u32): u32 {
  return (attr >> 5) & 3;
}
// @ts-ignore: decorator
@inline
export function isNull(selector: u32): bool {
  return !(selector & 0xfffc);
}
// @ts-ignore: decorator
@inline
export function isCode(attr: u32): bool {
  return (attr & (ATTR_S | ATTR_CODE)) == (ATTR_S | ATTR_CODE);
}
// @ts-ignore: decorator
@inline
export function isConforming(attr: u32): bool {
  return (attr & (ATTR_S | ATTR_CODE | ATTR_DC)) == (ATTR_S | ATTR_CODE | ATTR_DC);
}
// @ts-ignore: decorator
@inline
export function isWritableData(attr: u32): bool {
  return (attr & (ATTR_S | ATTR_CODE | ATTR_RW)) == (ATTR_S | ATTR_RW);
}

/** Finds the descriptor of `selector` in the GDT or LDT without faulting on the table limit: false when outside. May raise #PF. */
export function findDescriptor(selector: u32): bool {
  let base: u64;
  let limit: u32;
  if (selector & 4) {
    if (!(segAttr(SEG_LDTR) & ATTR_P)) return false;
    base = segBase(SEG_LDTR);
    limit = segLimit(SEG_LDTR);
  } else {
    base = load<u64>(CPU_STATE_BASE + S_GDTR_BASE);
    limit = load<u32>(CPU_STATE_BASE + S_GDTR_LIMIT);
  }
  if ((selector | 7) > limit) return false;
  descAt = (base + (selector & 0xfff8)) & linearMask();
  descLo = linReadSys32(descAt);
  descHi = linReadSys32((descAt + 4) & linearMask());
  return true;
}

/**
 * Long mode: the second half of the 16-byte system descriptor just found. False when it lies outside the table or its type field is not
 * zero (SDM volume 3 section 3.5.2).
 */
export function findUpper(selector: u32): bool {
  const limit = selector & 4 ? segLimit(SEG_LDTR) : load<u32>(CPU_STATE_BASE + S_GDTR_LIMIT);
  if ((selector & 0xfff8) + 15 > limit) return false;
  descUpper = linReadSys32(descAt + 8);
  return !(linReadSys32(descAt + 12) & 0x1f00);
}

/** The same, raising #GP(selector). */
export function fetchUpper(selector: u32): void {
  if (!findUpper(selector)) raiseFaultErr(VEC_GP, selector & 0xfffc);
}

/** Base of the LDT or TSS descriptor just fetched; in long mode after fetchUpper(). */
export function systemBase(): u64 {
  const low = descBase(descLo, descHi);
  return longMode() ? low | (<u64>descUpper << 32) : low;
}

/** #GP(selector) when a code descriptor claims to be both 64-bit and 32-bit, in long mode. */
export function checkCodeSize(selector: u32, attr: u32): void {
  if (longMode() && (attr & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB)) raiseFaultErr(VEC_GP, selector & 0xfffc);
}

/** #GP(0) unless code can go on at `rip` in the code segment of these descriptor halves: within its limit, or canonical if it is 64-bit. */
export function checkCodeTarget(lo: u32, hi: u32, rip: u64): void {
  const long = longMode() && (descAttr(hi) & ATTR_L) != 0;
  if (long ? !isCanonical(rip) : rip > descLimit(lo, hi)) raiseFaultErr(VEC_GP, 0);
}

/** The same, raising `vector` with the selector as error code when it lies outside the table. */
export function fetchDescriptor(selector: u32, vector: u32): void {
  if (!findDescriptor(selector)) raiseFaultErr(vector, selector & 0xfffc);
}

/** Sets the accessed bit of the descriptor last fetched, in memory and in descHi. */
export function markAccessed(): void {
  if (descHi & 0x100) return;
  descHi |= 0x100;
  linWriteSys8((descAt + 5) & linearMask(), (descHi >> 8) & 0xff);
}

// ---- Caches ----------------------------------------------------------------------------------------------------------------------------

/** Derives SEG_FLAGS and SEG_TOP of one segment from base, limit and attributes. */
export function updateSegFlags(seg: i32): void {
  const s = segAddress(seg);
  const attr = load<u32>(s, SEG_ATTR);
  let flags: u32 = 0;
  if (code64()) {
    // 64-bit mode: no segment is checked, and only FS and GS have bases.
    flags = SF_READ | SF_WRITE;
    const plain = seg < SEG_FS || load<u64>(s, SEG_BASE) == 0;
    if (plain && !load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) flags |= SF_FLAT_R | SF_FLAT_W;
  } else if ((attr & (ATTR_P | ATTR_S)) == (ATTR_P | ATTR_S)) {
    if (attr & ATTR_CODE) {
      if (attr & ATTR_RW) flags = SF_READ;
    } else {
      flags = attr & ATTR_RW ? SF_READ | SF_WRITE : SF_READ;
      if (attr & ATTR_DC) flags |= SF_DOWN;
    }
    if (attr & ATTR_DB) flags |= SF_BIG;
    if (!(flags & SF_DOWN) && !load<u64>(s, SEG_BASE) && load<u32>(s, SEG_LIMIT) == 0xffffffff && !load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) {
      if (flags & SF_READ) flags |= SF_FLAT_R;
      if (flags & SF_WRITE) flags |= SF_FLAT_W;
    }
  }
  store<u32>(s, flags, SEG_FLAGS);
  const limit = load<u32>(s, SEG_LIMIT);
  const open = (flags & (SF_READ | SF_WRITE | SF_DOWN)) == (SF_READ | SF_WRITE) && limit >= <u32>(SEG_REACH - 1) && !load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK);
  store<u32>(s, open ? limit - <u32>(SEG_REACH - 2) : 0, SEG_TOP);
}

function updateAllSegFlags(): void {
  for (let seg = SEG_ES; seg <= SEG_GS; seg++) updateSegFlags(seg);
}

/** Recomputes whether the system may reach users' pages although SMAP is on. */
export function updateUserOpen(): void {
  const open: u32 = load<u64>(CPU_STATE_BASE + S_CR4) & CR4_SMAP && rawEflags() & FL_AC && cpl() < 3 ? 1 : 0;
  if (open == load<u32>(CPU_STATE_BASE + SY_USER_OPEN)) return;
  store<u32>(CPU_STATE_BASE + SY_USER_OPEN, open);
  if (open) tlbOpenUser();
  else tlbCloseUser();
}

/** Recomputes whether data accesses are checked for alignment, and what SMAP forbids. Call after CR0.AM, EFLAGS.AC or CPL changed. */
export function updateAlignCheck(): void {
  updateUserOpen();
  const on: u32 = cpl() == 3 && rawEflags() & FL_AC && load<u64>(CPU_STATE_BASE + S_CR0) & CR0_AM ? 1 : 0;
  if (on != load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) {
    store<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK, on);
    updateAllSegFlags();
    // 64-bit mode checks what misses the TLB (slowaccess.ts).
    if (on && longMode()) tlbFlushAll();
  }
}

export function setCpl(level: u32): void {
  store<u32>(CPU_STATE_BASE + S_CPL, level);
  store<u32>(CPU_STATE_BASE + SY_TLB_CUR, <u32>(level == 3 ? TLB_USER : TLB_SUP));
  updateAlignCheck();
}

/** Recomputes code size, stack size and CPL after CR0.PE, EFLAGS.VM, CS or SS changed. */
export function updateMode(): void {
  if (!protectedMode()) setCpl(0);
  else if (v86Mode()) setCpl(3);
  else updateAlignCheck();
  updateSizes();
}

// @ts-ignore: decorator
@inline
function updateSizes(): void {
  setCodeMode(segAttr(SEG_CS));
  store<u32>(CPU_STATE_BASE + S_STACK32, segAttr(SEG_SS) & ATTR_DB ? 1 : 0);
}

/** S_CODE_MODE for a code segment with these attributes. Segment caches mean something else in 64-bit mode. */
function setCodeMode(attr: u32): void {
  const mode: u32 = longMode() && attr & ATTR_L ? 2 : attr & ATTR_DB ? 1 : 0;
  const before = load<u32>(CPU_STATE_BASE + S_CODE_MODE);
  store<u32>(CPU_STATE_BASE + S_CODE_MODE, mode);
  if ((mode ^ before) & 2) updateAllSegFlags();
}

/** After EFER.LMA changed. */
export function updateLongMode(): void {
  store<u64>(CPU_STATE_BASE + SY_LINEAR_MASK, longMode() ? ~(<u64>0) : 0xffffffff);
  updateSizes();
}

/** After all architectural fields were replaced: CPL is SS.DPL in protected mode, 0 in real and 3 in virtual-8086 mode. */
export function rebuildMode(): void {
  store<u64>(CPU_STATE_BASE + SY_LINEAR_MASK, longMode() ? ~(<u64>0) : 0xffffffff);
  setCpl(!protectedMode() ? 0 : v86Mode() ? 3 : attrDpl(segAttr(SEG_SS)));
  updateSizes();
  updateAllSegFlags();
}

// ---- Setting registers ---------------------------------------------------------------------------------------------------------------

export function setSegment(seg: i32, selector: u32, base: u64, limit: u32, attr: u32): void {
  const s = segAddress(seg);
  store<u64>(s, base, SEG_BASE);
  store<u32>(s, limit, SEG_LIMIT);
  store<u32>(s, attr, SEG_ATTR);
  store<u16>(s, <u16>selector, SEG_SELECTOR);
  if (seg <= SEG_GS) {
    updateSegFlags(seg);
    if (seg == SEG_CS) setCodeMode(attr);
    else if (seg == SEG_SS) store<u32>(CPU_STATE_BASE + S_STACK32, attr & ATTR_DB ? 1 : 0);
  }
}

/** From the given descriptor halves. */
export function setFromDescriptor(seg: i32, selector: u32, lo: u32, hi: u32): void {
  setSegment(seg, selector, descBase(lo, hi), descLimit(lo, hi), descAttr(hi));
}

/** Unusable: any access faults. */
export function setNull(seg: i32, selector: u32): void {
  setSegment(seg, selector, 0, 0, 0);
}

/** SS null with RPL `level`: what 64-bit mode loads on its way in. The DPL keeps the privilege level. */
export function setNullStack(level: u32): void {
  setSegment(SEG_SS, level, 0, 0, level << 5);
}

/** CS from descriptor halves, with RPL and CPL `level`. */
export function setCode(selector: u32, lo: u32, hi: u32, level: u32): void {
  setFromDescriptor(SEG_CS, (selector & 0xfffc) | level, lo, hi);
  if (level != cpl()) setCpl(level);
}

/** Paragraph load in real or virtual-8086 mode: never faults. */
export function loadSegmentReal(seg: i32, selector: u32): void {
  if (v86Mode()) {
    setSegmentV86(seg, selector);
    return;
  }
  const attr = segAttr(seg);
  const usable = (attr & ATTR_P) != 0;
  setSegment(seg, selector, <u64>(selector << 4), usable ? segLimit(seg) : 0xffff, usable ? (attr & 0xf000) | ATTR_REAL : ATTR_REAL);
}

export function setSegmentV86(seg: i32, selector: u32): void {
  setSegment(seg, selector, <u64>(selector << 4), 0xffff, ATTR_V86);
}

/**
 * Loads ES, SS, DS, FS or GS as MOV and POP do, in whatever mode. Faults: #GP(0), #GP(selector), #NP(selector), #SS(selector), #PF.
 */
export function loadSegment(seg: i32, selector: u32): void {
  selector &= 0xffff;
  if (paragraphMode()) {
    loadSegmentReal(seg, selector);
    return;
  }
  loadData(seg, selector, VEC_GP, cpl());
}

/**
 * Protected-mode load of a data or stack segment at privilege `level`; failed checks raise `vector` (#GP, or #TS in a task switch).
 */
export function loadData(seg: i32, selector: u32, vector: u32, level: u32): void {
  const error = selector & 0xfffc;
  if (isNull(selector)) {
    if (seg == SEG_SS) {
      // 64-bit mode takes a null SS inside the system (SDM volume 3 section 5.4.1.1).
      if (!code64() || level == 3 || (selector & 3) != level) raiseFaultErr(vector, 0);
      setNullStack(level);
      return;
    }
    setNull(seg, selector);
    return;
  }
  fetchDescriptor(selector, vector);
  const attr = descAttr(descHi);
  const rpl = selector & 3;
  if (seg == SEG_SS) {
    if (rpl != level || !isWritableData(attr) || attrDpl(attr) != level) raiseFaultErr(vector, error);
    if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, error);
  } else {
    if (!(attr & ATTR_S) || (attr & (ATTR_CODE | ATTR_RW)) == ATTR_CODE) raiseFaultErr(vector, error);
    if (!isConforming(attr) && (rpl > attrDpl(attr) || level > attrDpl(attr))) raiseFaultErr(vector, error);
    if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, error);
  }
  markAccessed();
  setFromDescriptor(seg, selector, descLo, descHi);
}

/**
 * After a return to an outer level: data segments that the new CPL may not use become null. SDM volume 2, RET. The base stays, as processors have it:
 * FS and GS of 64-bit code go on from there.
 */
export function dropInaccessible(seg: i32): void {
  const attr = segAttr(seg);
  if (attr & ATTR_P && !isConforming(attr) && attrDpl(attr) < cpl()) setSegment(seg, 0, segBase(seg), 0, 0);
}

/** Current EFLAGS.IOPL. */
// @ts-ignore: decorator
@inline
export function iopl(): u32 {
  return (rawEflags() >> 12) & 3;
}

/** EFLAGS as other parts need it. */
// @ts-ignore: decorator
@inline
export function eflags(): u32 {
  return getEflags();
}
