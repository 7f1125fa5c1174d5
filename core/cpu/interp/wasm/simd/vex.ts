/**
 * Operands of VEX-encoded vector instructions (SDM volume 1, 14.1; volume 2, 2.3): three operands, 128 or 256 bits. A register slot holds
 * the XMM half at +0 and the upper half of YMM at +16; a 128-bit result clears the upper half. Memory operands need no alignment.
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { memLinear, memProbeW, memRead16, memRead32, memRead64, memReadV, memWriteV } from '../memsegment';
import { behind } from '../slowaccess';
import { REC_PFX_L, REC_PFX_W, REC_PREFIX, REC_VVVV } from '../record';
import { S_CR0, S_CR4, S_EFLAGS, S_XCR0 } from '../stateoffsets';
import { FL_VM } from '../sysstate';
import { isMem, needFeature, regXmm, rmXmm, SCRATCH, undefinedOp, xmmPtr } from './operand';
import { FEAT_AVX2 } from '../features';
import { VOUT } from './floatlanes';

const CR0_PE: u32 = 1;
const CR0_TS: u32 = 8;
const CR4_OSXSAVE: u32 = 0x40000;
/** SSE and AVX state. */
const XCR0_AVX: u32 = 6;

/** 32-byte copy of a memory operand. */
const SOURCE: usize = SCRATCH + 128;

/** #UD unless AVX is switched on and the processor in protected mode (SDM volume 2, table 2-20 on; volume 1, 14.1.1). True: CR0.TS makes #NM of what is an instruction. */
// @ts-ignore: decorator
@inline
export function checkAvx(): bool {
  const cr0 = load<u32>(CPU_STATE_BASE + S_CR0);
  if (
    !(cr0 & CR0_PE) ||
    load<u32>(CPU_STATE_BASE + S_EFLAGS) & FL_VM ||
    !(load<u32>(CPU_STATE_BASE + S_CR4) & CR4_OSXSAVE) ||
    (load<u32>(CPU_STATE_BASE + S_XCR0) & XCR0_AVX) != XCR0_AVX
  )
    undefinedOp();
  return (cr0 & CR0_TS) != 0;
}

/** VEX.L: the operation is 256 bits wide. */
// @ts-ignore: decorator
@inline
export function vexWide(rec: usize): bool {
  return (load<u8>(rec, REC_PREFIX) & REC_PFX_L) != 0;
}
// @ts-ignore: decorator
@inline
export function vexW(rec: usize): bool {
  return (load<u8>(rec, REC_PREFIX) & REC_PFX_W) != 0;
}
/** Bytes of the operation. */
// @ts-ignore: decorator
@inline
export function vexBytes(rec: usize): usize {
  return vexWide(rec) ? 32 : 16;
}
/** Register of VEX.vvvv. */
// @ts-ignore: decorator
@inline
export function vvvvXmm(rec: usize): usize {
  return xmmPtr(load<u8>(rec, REC_VVVV));
}
/** VEX.vvvv must be 1111b. */
export function noVvvv(rec: usize): void {
  if (load<u8>(rec, REC_VVVV)) undefinedOp();
}
export function needMem(rec: usize): void {
  if (!isMem(rec)) undefinedOp();
}
export function needReg(rec: usize): void {
  if (isMem(rec)) undefinedOp();
}
/** 128-bit form only. */
export function needNarrow(rec: usize): void {
  if (vexWide(rec)) undefinedOp();
}
/** 256-bit form only. */
export function needWide(rec: usize): void {
  if (!vexWide(rec)) undefinedOp();
}
/** The 256-bit form came with AVX2. */
export function wideIsAvx2(rec: usize): void {
  if (vexWide(rec)) needFeature(FEAT_AVX2);
}

/** Source of 16 or 32 bytes: the register, or a copy of memory. */
export function vexSource(rec: usize, bytes: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  const seg = recSeg(rec);
  const off = recOff(rec);
  // The segment's limit comes before the page fault of either half.
  if (bytes == 32) memLinear(seg, off, 32, false);
  v128.store(SOURCE, memReadV(seg, off));
  if (bytes == 32) v128.store(SOURCE, memReadV(seg, behind(off, 16)), 16);
  return SOURCE;
}
/** Source of 2, 4 or 8 bytes. */
export function vexScalar(rec: usize, bytes: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  const seg = recSeg(rec);
  const off = recOff(rec);
  store<u64>(SOURCE, bytes == 8 ? memRead64(seg, off) : bytes == 4 ? <u64>memRead32(seg, off) : <u64>memRead16(seg, off));
  return SOURCE;
}

/** Writes both halves of the register at `d`. */
// @ts-ignore: decorator
@inline
export function setVector(d: usize, low: v128, high: v128): void {
  v128.store(d, low);
  v128.store(d, high, 16);
}
// @ts-ignore: decorator
@inline
export function setLow(d: usize, low: v128): void {
  v128.store(d, low);
  v128.store(d, i64x2.splat(0), 16);
}
/** VOUT, 16 or 32 bytes of it, to the register of modrm.reg. */
export function setFromOut(rec: usize, bytes: usize): void {
  setVector(regXmm(rec), v128.load(VOUT), bytes == 32 ? v128.load(VOUT, 16) : i64x2.splat(0));
}

/** Stores 16 or 32 bytes from `s`, or none of them. */
export function vexStore(rec: usize, s: usize, bytes: usize): void {
  const seg = recSeg(rec);
  const off = recOff(rec);
  if (bytes == 32) {
    if ((<u32>memLinear(seg, off, 32, true) & 0xfff) > 0xfe0) memProbeW(seg, off, 32);
    memWriteV(seg, off, v128.load(s));
    memWriteV(seg, behind(off, 16), v128.load(s, 16));
  } else memWriteV(seg, off, v128.load(s));
}
