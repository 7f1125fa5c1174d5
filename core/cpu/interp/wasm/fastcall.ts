/**
 * Fast system calls: SYSCALL and SYSRET (SDM volume 2), SYSENTER and SYSEXIT (volume 3 section 5.8.7). Segments are set to constants, no
 * descriptor is read. As on Intel processors SYSCALL and SYSRET exist in 64-bit mode only.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { stepByNewFlags } from './debug';
import { raiseFault, raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { SF_BIG, SF_FLAT_R, SF_FLAT_W, SF_READ, SF_WRITE } from './memsegment';
import { isCanonical } from './slowaccess';
import { cr0 } from './paging';
import { code64, cpl, longMode, segAddress, setCpl, setSegment, updateMode } from './seg';
import { gpr64, setGpr64 } from './state';
import {
  S_CODE_MODE, S_EFER, S_MSR_FMASK, S_MSR_LSTAR, S_MSR_STAR, S_MSR_SYSENTER_CS, S_MSR_SYSENTER_EIP, S_MSR_SYSENTER_ESP, S_RIP, S_STACK32, SEG_ATTR, SEG_BASE,
  SEG_CS, SEG_FLAGS, SEG_LIMIT, SEG_SELECTOR, SEG_SS, VEC_GP, VEC_UD,
} from './stateoffsets';
import { CR0_PE, EFER_SCE, FL_IF, FL_RF, FL_VM, SY_ALIGN_CHECK } from './sysstate';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;
/** Flat, present, accessed, granular; code execute-read and 32- or 64-bit, data read-write and big. */
const ATTR_CODE32: u32 = 0xc09b;
const ATTR_CODE64: u32 = 0xa09b;
const ATTR_DATA: u32 = 0xc093;
const DPL3: u32 = 0x60;
/** What updateSegFlags() of seg.ts makes of these. */
const FLAGS_64: u32 = SF_READ | SF_WRITE | SF_FLAT_R | SF_FLAT_W;
const FLAGS_CODE32: u32 = SF_READ | SF_BIG | SF_FLAT_R;
const FLAGS_DATA32: u32 = FLAGS_64 | SF_BIG;

/** RFLAGS bits that SYSRET loads from R11. */
const SYSRET_FLAGS: u32 = 0x3c7fd7;

function flatSegments(cs: u32, codeAttr: u32, ss: u32, dpl: u32): void {
  if (codeAttr == ATTR_CODE64 && code64() && !load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) {
    stay(SEG_CS, cs, ATTR_CODE64 | dpl, FLAGS_64);
    stay(SEG_SS, ss, ATTR_DATA | dpl, FLAGS_64);
    store<u32>(CPU_STATE_BASE + S_STACK32, 1);
    return;
  }
  if (codeAttr == ATTR_CODE32 && load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 1 && !load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) {
    stay(SEG_CS, cs, ATTR_CODE32 | dpl, FLAGS_CODE32);
    stay(SEG_SS, ss, ATTR_DATA | dpl, FLAGS_DATA32);
    store<u32>(CPU_STATE_BASE + S_STACK32, 1);
    return;
  }
  setSegment(SEG_CS, cs, 0, 0xffffffff, codeAttr | dpl);
  setSegment(SEG_SS, ss, 0, 0xffffffff, ATTR_DATA | dpl);
}

/** setSegment() where the size of the code stays, so that nothing but the registers themselves changes. */
// @ts-ignore: decorator
@inline
function stay(seg: i32, selector: u32, attr: u32, flags: u32): void {
  const s = segAddress(seg);
  store<u64>(s, 0, SEG_BASE);
  store<u32>(s, 0xffffffff, SEG_LIMIT);
  store<u32>(s, attr, SEG_ATTR);
  store<u16>(s, <u16>selector, SEG_SELECTOR);
  store<u32>(s, flags, SEG_FLAGS);
}

// @ts-ignore: decorator
@inline
function setRip(v: u64): void {
  store<u64>(CPU_STATE_BASE + S_RIP, v);
}

function needSyscall(): void {
  if (!code64() || !(load<u64>(CPU_STATE_BASE + S_EFER) & EFER_SCE)) raiseFault(VEC_UD);
}

export function syscall(nextRip: u64): void {
  needSyscall();
  const cs = <u32>(load<u64>(CPU_STATE_BASE + S_MSR_STAR) >> 32) & 0xfffc;
  const flags = getEflags();
  setGpr64(RCX, nextRip);
  setGpr64(R11, flags & ~FL_RF);
  setEflags(0, <u32>load<u64>(CPU_STATE_BASE + S_MSR_FMASK) | FL_RF);
  flatSegments(cs, ATTR_CODE64, cs + 8, 0);
  setCpl(0);
  setRip(load<u64>(CPU_STATE_BASE + S_MSR_LSTAR));
  stepByNewFlags();
}

/** `wide`: to 64-bit code, else to compatibility mode. */
export function sysret(wide: bool): void {
  needSyscall();
  if (cpl() != 0) raiseFaultErr(VEC_GP, 0);
  const rip = gpr64(RCX);
  if (wide && !isCanonical(rip)) raiseFaultErr(VEC_GP, 0);
  const star = <u32>(load<u64>(CPU_STATE_BASE + S_MSR_STAR) >> 48) & 0xffff;
  setEflags(<u32>gpr64(R11) & SYSRET_FLAGS, SYSRET_FLAGS | FL_RF | FL_VM);
  if (wide) flatSegments((star + 16) | 3, ATTR_CODE64, (star + 8) | 3, DPL3);
  else flatSegments(star | 3, ATTR_CODE32, (star + 8) | 3, DPL3);
  setCpl(3);
  setRip(wide ? rip : rip & 0xffffffff);
  stepByNewFlags();
}

export function sysenter(): void {
  const cs = load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_CS) & 0xfffc;
  if (!(cr0() & CR0_PE) || !cs) raiseFaultErr(VEC_GP, 0);
  setEflags(0, FL_VM | FL_IF | FL_RF);
  flatSegments(cs, longMode() ? ATTR_CODE64 : ATTR_CODE32, cs + 8, 0);
  setCpl(0);
  updateMode();
  const rsp = load<u64>(CPU_STATE_BASE + S_MSR_SYSENTER_ESP);
  const rip = load<u64>(CPU_STATE_BASE + S_MSR_SYSENTER_EIP);
  setGpr64(RSP, longMode() ? rsp : rsp & 0xffffffff);
  setRip(longMode() ? rip : rip & 0xffffffff);
}

/** `wide`: to 64-bit code. */
export function sysexit(wide: bool): void {
  const cs = load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_CS) & 0xfffc;
  if (!(cr0() & CR0_PE) || cpl() != 0 || !cs) raiseFaultErr(VEC_GP, 0);
  const rip = gpr64(RDX);
  const rsp = gpr64(RCX);
  if (wide && (!isCanonical(rip) || !isCanonical(rsp))) raiseFaultErr(VEC_GP, 0);
  if (wide) flatSegments((cs + 32) | 3, ATTR_CODE64, (cs + 40) | 3, DPL3);
  else flatSegments((cs + 16) | 3, ATTR_CODE32, (cs + 24) | 3, DPL3);
  setCpl(3);
  updateMode();
  setRip(wide ? rip : rip & 0xffffffff);
  setGpr64(RSP, wide ? rsp : rsp & 0xffffffff);
}
