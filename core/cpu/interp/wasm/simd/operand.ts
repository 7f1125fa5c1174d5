/**
 * Register and memory operands of MMX and SSE instructions, and the checks every one of them starts with (SDM volume 3, tables 12-1 and 13-1).
 * Sources are given as an address to load from: the register itself, or a scratch copy of the guest's memory.
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { raiseFault, raiseFaultErr } from '../fault';
import { checkPending, enterMmx, ST_BASE } from '../fpu/x87stack';
import { memRead32, memRead64, memReadV, segAddress } from '../memsegment';
import { hasFeature } from '../model';
import { REC_IMM, REC_MEM, REC_PFX_66, REC_PFX_F2, REC_PFX_F3, REC_PREFIX, REC_REG, REC_RM, REC_SIZES } from '../record';
import { S_CR0, S_CR4, S_GPR, S_SCRATCH_FPU, S_XMM, VEC_GP, VEC_NM, VEC_UD } from '../stateoffsets';

const CR0_EM: u32 = 4;
const CR0_TS: u32 = 8;
const CR4_OSFXSR: u32 = 0x200;

/**
 * Work space in the state block: +0 16-byte copy of a memory operand, +16 48 bytes of one instruction, +64 block of AES, +128 32-byte copy of
 * a memory operand, +160 32 bytes of results (VOUT), +256 96 bytes of SSE4.1.
 */
export const SCRATCH: usize = CPU_STATE_BASE + S_SCRATCH_FPU;

/** Mandatory prefix classes; F3 and F2 win over 66 (SDM volume 2, 2.1.2). */
export const P_NONE = 0;
export const P_66 = 1;
export const P_F3 = 2;
export const P_F2 = 3;
// @ts-ignore: decorator
@inline
export function prefixClass(rec: usize): i32 {
  const p: u32 = load<u8>(rec, REC_PREFIX);
  return p & REC_PFX_F3 ? P_F3 : p & REC_PFX_F2 ? P_F2 : p & REC_PFX_66 ? P_66 : P_NONE;
}

export function undefinedOp(): void {
  raiseFault(VEC_UD);
}

/** #UD unless the processor model has feature FEAT_* number `n`. */
// @ts-ignore: decorator
@inline
export function needFeature(n: i32): void {
  if (!hasFeature(n)) undefinedOp();
}

/** REX.W or VEX.W asks for a 64-bit general register. */
// @ts-ignore: decorator
@inline
export function wideOperand(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 3;
}

// @ts-ignore: decorator
@inline
export function checkSse(): void {
  const cr0 = load<u32>(CPU_STATE_BASE + S_CR0);
  if (cr0 & CR0_EM || !(load<u32>(CPU_STATE_BASE + S_CR4) & CR4_OSFXSR)) raiseFault(VEC_UD);
  if (cr0 & CR0_TS) raiseFault(VEC_NM);
}
/** An instruction with MMX registers: pending x87 exceptions come first. */
// @ts-ignore: decorator
@inline
export function checkMmx(): void {
  const cr0 = load<u32>(CPU_STATE_BASE + S_CR0);
  if (cr0 & CR0_EM) raiseFault(VEC_UD);
  if (cr0 & CR0_TS) raiseFault(VEC_NM);
  checkPending();
}
/** Converting or moving between MMX and XMM registers. */
export function checkSseMmx(): void {
  checkSse();
  checkPending();
}

// @ts-ignore: decorator
@inline
export function isMem(rec: usize): bool {
  return load<u8>(rec, REC_RM) == REC_MEM;
}
// @ts-ignore: decorator
@inline
export function imm8(rec: usize): u32 {
  return load<u8>(rec, REC_IMM);
}
// @ts-ignore: decorator
@inline
export function xmmPtr(r: u32): usize {
  return CPU_STATE_BASE + S_XMM + (<usize>r << 5);
}
/** The XMM register of modrm.reg. */
// @ts-ignore: decorator
@inline
export function regXmm(rec: usize): usize {
  return xmmPtr(load<u8>(rec, REC_REG));
}
// @ts-ignore: decorator
@inline
export function rmXmm(rec: usize): usize {
  return xmmPtr(load<u8>(rec, REC_RM));
}
// @ts-ignore: decorator
@inline
export function regMm(rec: usize): usize {
  return ST_BASE + (<usize>(load<u8>(rec, REC_REG) & 7) << 4);
}
// @ts-ignore: decorator
@inline
export function rmMm(rec: usize): usize {
  return ST_BASE + (<usize>(load<u8>(rec, REC_RM) & 7) << 4);
}
// @ts-ignore: decorator
@inline
export function rmGpr(rec: usize): usize {
  return CPU_STATE_BASE + S_GPR + (<usize>load<u8>(rec, REC_RM) << 3);
}
// @ts-ignore: decorator
@inline
export function regGpr(rec: usize): usize {
  return CPU_STATE_BASE + S_GPR + (<usize>load<u8>(rec, REC_REG) << 3);
}

/** #GP(0) unless the operand is aligned by its linear address; that comes before limits. `bytes`: a power of two. */
export function checkAligned(seg: i32, off: u64, bytes: u32): void {
  if (<u32>segAddress(seg, off) & (bytes - 1)) raiseFaultErr(VEC_GP, 0);
}

/** 128-bit source: XMM register or aligned memory. */
export function src128(rec: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  const seg = recSeg(rec);
  const off = recOff(rec);
  checkAligned(seg, off, 16);
  v128.store(SCRATCH, memReadV(seg, off));
  return SCRATCH;
}
/** Low 64 bits of an XMM register, or 64 bits of memory. */
export function src64(rec: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  store<u64>(SCRATCH, memRead64(recSeg(rec), recOff(rec)));
  return SCRATCH;
}
export function src32(rec: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  store<u32>(SCRATCH, memRead32(recSeg(rec), recOff(rec)));
  return SCRATCH;
}
/** REX.W: the register or memory operand of MOVD is a quadword. */
export function wide64(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 3;
}
/** 64-bit source: MMX register or memory. */
export function srcMm(rec: usize): usize {
  if (!isMem(rec)) return rmMm(rec);
  store<u64>(SCRATCH, memRead64(recSeg(rec), recOff(rec)));
  return SCRATCH;
}

/** Writes an MMX register: x87 state becomes that of MMX mode, exponent and sign all ones (SDM volume 1, 9.5). */
export function setMm(at: usize, v: u64): void {
  enterMmx();
  store<u64>(at, v);
  store<u16>(at, 0xffff, 8);
}
