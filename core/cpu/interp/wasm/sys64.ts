/**
 * System instructions that came with 64-bit processors (SDM volume 2, by name): SWAPGS, RDFSBASE..WRGSBASE, RDTSCP, RDPID, XGETBV, XSETBV,
 * INVPCID, RDRAND, RDSEED, CLAC, STAC. Each one takes its operand out of a decoded record and leaves S_RIP to sysExec().
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { recOff, recSeg } from './ea';
import { raiseFault, raiseFaultErr } from './fault';
import { FEAT_AVX, FEAT_FSGSBASE, FEAT_INVPCID, FEAT_RDPID, FEAT_RDRAND, FEAT_RDSEED, FEAT_RDTSCP, FEAT_SMAP } from './features';
import { rawEflags, setEflags, setRawEflags } from './flags';
import { randomWord } from './imports';
import { memRead64 } from './memsegment';
import { isCanonical } from './slowaccess';
import { hasFeature } from './model';
import { timeStamp } from './timestamp';
import { cr4 } from './paging';
import { REC_MEM, REC_PFX_F3, REC_PREFIX, REC_REG, REC_RM, REC_SIZES } from './record';
import { code64, cpl, segBase, updateSegFlags, updateUserOpen } from './seg';
import { gpr32, gpr64, setGpr16, setGpr32, setGpr64 } from './state';
import { S_CR3, S_MSR_KERNEL_GS_BASE, S_MSR_TSC_AUX, S_SEG, S_XCR0, SEG_BASE, SEG_FS, SEG_GS, SEG_STRIDE, VEC_GP, VEC_UD } from './stateoffsets';
import { CR4_FSGSBASE, CR4_OSXSAVE, CR4_PCIDE, CR4_TSD, FL_AC } from './sysstate';
import { tlbFlushAll, tlbFlushLocal, tlbInvalidatePage } from './tlb';
import { tlbForgetPage, tlbForgetSpace, tlbForgetSpaces } from './tlbspaces';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const GS: usize = CPU_STATE_BASE + S_SEG + SEG_GS * SEG_STRIDE;

/** CF, PF, AF, ZF, SF, OF. */
const ARITHMETIC: u32 = 0x8d5;
const CARRY: u32 = 1;

/** XCR0 bits: x87 and SSE state; AVX state. */
const XCR0_X87: u64 = 1;
const XCR0_SSE: u64 = 2;
const XCR0_AVX: u64 = 4;

/** INVPCID types. */
const INVPCID_ADDRESS: u64 = 0;
const INVPCID_ALL_GLOBAL: u64 = 2;
const INVPCID_LAST: u64 = 3;

function ud(): void {
  raiseFault(VEC_UD);
}
function gp0(): void {
  raiseFaultErr(VEC_GP, 0);
}
// @ts-ignore: decorator
@inline
function wide(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 3;
}
// @ts-ignore: decorator
@inline
function inMemory(rec: usize): bool {
  return load<u8>(rec, REC_RM) == REC_MEM;
}

export function swapgs(): void {
  if (!code64()) ud();
  if (cpl() != 0) gp0();
  const base = load<u64>(GS, SEG_BASE);
  store<u64>(GS, load<u64>(CPU_STATE_BASE + S_MSR_KERNEL_GS_BASE), SEG_BASE);
  store<u64>(CPU_STATE_BASE + S_MSR_KERNEL_GS_BASE, base);
  updateSegFlags(SEG_GS);
}

export function rdtscp(): void {
  if (!hasFeature(FEAT_RDTSCP)) ud();
  if (cr4() & CR4_TSD && cpl() != 0) gp0();
  const now = timeStamp();
  setGpr32(RAX, <u32>now);
  setGpr32(RDX, <u32>(now >> 32));
  setGpr32(RCX, load<u32>(CPU_STATE_BASE + S_MSR_TSC_AUX));
}

export function xgetbv(): void {
  if (!(cr4() & CR4_OSXSAVE)) ud();
  if (gpr32(RCX)) gp0();
  const v = load<u64>(CPU_STATE_BASE + S_XCR0);
  setGpr32(RAX, <u32>v);
  setGpr32(RDX, <u32>(v >> 32));
}

export function xsetbv(): void {
  if (!(cr4() & CR4_OSXSAVE)) ud();
  const v = <u64>gpr32(RAX) | (<u64>gpr32(RDX) << 32);
  const known = XCR0_X87 | XCR0_SSE | (hasFeature(FEAT_AVX) ? XCR0_AVX : 0);
  if (cpl() != 0 || gpr32(RCX) || v & ~known || !(v & XCR0_X87) || (v & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX) gp0();
  store<u64>(CPU_STATE_BASE + S_XCR0, v);
}

/** F3 0F AE /0../3 with a register: RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE; `op` is modrm.reg. */
export function segmentBase(rec: usize, op: u32): void {
  if (!code64() || !hasFeature(FEAT_FSGSBASE) || !(cr4() & CR4_FSGSBASE) || inMemory(rec)) ud();
  const seg: i32 = op & 1 ? SEG_GS : SEG_FS;
  const reg: i32 = load<u8>(rec, REC_RM);
  if (op < 2) {
    const base = segBase(seg);
    setGpr64(reg, wide(rec) ? base : base & 0xffffffff);
    return;
  }
  const base = wide(rec) ? gpr64(reg) : <u64>gpr32(reg);
  if (!isCanonical(base)) gp0();
  store<u64>(CPU_STATE_BASE + S_SEG + (<usize>seg << 5), base, SEG_BASE);
  updateSegFlags(seg);
}

/** 0F C7 /6 and /7 with a register: RDRAND and RDSEED; F3 /7 is RDPID. */
export function random(rec: usize, op: u32): void {
  if (inMemory(rec)) ud();
  const reg: i32 = load<u8>(rec, REC_RM);
  if (op == 7 && load<u8>(rec, REC_PREFIX) & REC_PFX_F3) {
    if (!hasFeature(FEAT_RDPID)) ud();
    setGpr32(reg, load<u32>(CPU_STATE_BASE + S_MSR_TSC_AUX));
    return;
  }
  if (!hasFeature(op == 6 ? FEAT_RDRAND : FEAT_RDSEED)) ud();
  const low = randomWord();
  if (wide(rec)) setGpr64(reg, <u64>low | (<u64>randomWord() << 32));
  else if ((load<u8>(rec, REC_SIZES) & 3) == 1) setGpr16(reg, low & 0xffff);
  else setGpr32(reg, low);
  // There always is a number.
  setEflags(CARRY, ARITHMETIC);
}

/** 66 0F 38 82: register type, 16-byte descriptor of PCID and address in memory. */
export function invpcid(rec: usize): void {
  if (!hasFeature(FEAT_INVPCID) || !inMemory(rec)) ud();
  if (cpl() != 0) gp0();
  const reg: i32 = load<u8>(rec, REC_REG);
  const type = code64() ? gpr64(reg) : <u64>gpr32(reg);
  const pcid = memRead64(recSeg(rec), recOff(rec));
  const address = memRead64(recSeg(rec), recOff(rec) + 8);
  // Bits 63..12 of the descriptor are reserved for every type.
  if (type > INVPCID_LAST || pcid >> 12) gp0();
  if (type < INVPCID_ALL_GLOBAL && pcid && !(cr4() & CR4_PCIDE)) gp0();
  if (type == INVPCID_ADDRESS && !isCanonical(address)) gp0();
  if (type == INVPCID_ALL_GLOBAL) tlbFlushAll();
  else if (type == INVPCID_LAST) {
    tlbFlushLocal();
    tlbForgetSpaces();
  } else if (cr4() & CR4_PCIDE && pcid != (load<u64>(CPU_STATE_BASE + S_CR3) & 0xfff)) {
    if (type == INVPCID_ADDRESS) tlbForgetPage(<u32>pcid, address);
    else tlbForgetSpace(<u32>pcid);
  } else if (type == INVPCID_ADDRESS) tlbInvalidatePage(address);
  else tlbFlushLocal();
}

/** CLAC and STAC, at CPL 0: EFLAGS.AC. */
export function setAccess(on: bool): void {
  if (!hasFeature(FEAT_SMAP) || cpl() != 0) ud();
  const flags = rawEflags();
  const next = on ? flags | FL_AC : flags & ~FL_AC;
  if (next == flags) return;
  setRawEflags(next);
  updateUserOpen();
}
