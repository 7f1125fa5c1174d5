/**
 * XSAVE, XSAVEOPT and XRSTOR in the standard format (SDM volume 1, chapter 13): the FXSAVE image, a 64-byte header and, from byte 576, the upper
 * halves of the YMM registers.
 *
 *   header  +0 XSTATE_BV: components that are not in their initial configuration   +8 XCOMP_BV, 0 in this format
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { raiseFault, raiseFaultErr } from '../fault';
import { FEAT_XSAVEOPT } from '../features';
import { getCw, getSw, getTw, ST_BASE } from '../fpu/x87stack';
import { memRead64, memReadV, memWrite64, memWriteV } from '../memsegment';
import { hasFeature } from '../model';
import {
  S_CR4, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP, S_GPR, S_MXCSR, S_XCR0, VEC_GP, VEC_UD,
} from '../stateoffsets';
import {
  checkArea, clearX87, FX_SIZE, imageMxcsr, restoreX87, restoreXmm, saveMxcsr, saveX87, saveXmm, vectorCount,
} from './fxsave';
import { xmmPtr } from './operand';

const S: usize = CPU_STATE_BASE;
const CR0_TS: u32 = 8;
const CR4_OSXSAVE: u32 = 0x40000;

/** State components. */
const X87: u64 = 1;
const SSE: u64 = 2;
const AVX: u64 = 4;

const HEADER_SIZE: u32 = 64;
const AVX_OFFSET: u32 = FX_SIZE + HEADER_SIZE;
const AVX_SIZE: u32 = 256;
const ALIGNMENT: u32 = 64;

/** #UD without CR4.OSXSAVE; gives the requested-feature bitmap: XCR0 & EDX:EAX. */
function requested(): u64 {
  if (!(load<u32>(S + S_CR4) & CR4_OSXSAVE)) raiseFault(VEC_UD);
  return load<u64>(S + S_XCR0) & (<u64>load<u32>(S + S_GPR) | (<u64>load<u32>(S + S_GPR + 16) << 32));
}

/** Any of the 16 bytes at +`half` of the vector registers is set. */
function vectorsInUse(half: usize): bool {
  let all = i64x2.splat(0);
  for (let i: u32 = 0; i < 16; i++) all = v128.or(all, v128.load(xmmPtr(i) + half));
  return v128.any_true(all);
}
function x87InUse(): bool {
  if (getCw() != 0x37f || getSw() != 0 || getTw() != 0xffff) return true;
  if (load<u64>(S + S_FPU_FIP) | load<u64>(S + S_FPU_FDP)) return true;
  if (load<u16>(S + S_FPU_FOP) | load<u16>(S + S_FPU_FCS) | load<u16>(S + S_FPU_FDS)) return true;
  for (let i: usize = 0; i < 128; i += 16) if (load<u64>(ST_BASE + i) || load<u16>(ST_BASE + i, 8)) return true;
  return false;
}
/** XINUSE: components not in their initial configuration. */
function inUse(): u64 {
  return (x87InUse() ? X87 : 0) | (vectorsInUse(0) ? SSE : 0) | (vectorsInUse(16) ? AVX : 0);
}

/** XSAVE, or with `optimised` XSAVEOPT, which leaves out components in their initial configuration. */
export function xsave(seg: i32, off: u64, wide: bool, optimised: bool): void {
  if (optimised && !hasFeature(FEAT_XSAVEOPT)) raiseFault(VEC_UD);
  const bitmap = requested();
  checkArea(seg, off, bitmap & AVX ? AVX_OFFSET + AVX_SIZE : AVX_OFFSET, ALIGNMENT, CR0_TS, true);
  const used = inUse();
  const write = optimised ? bitmap & used : bitmap;
  const old = memRead64(seg, off + FX_SIZE);
  if (write & X87) saveX87(seg, off, wide);
  if (bitmap & (SSE | AVX)) saveMxcsr(seg, off);
  if (write & SSE) saveXmm(seg, off);
  if (write & AVX) {
    const n = vectorCount();
    for (let i: u32 = 0; i < n; i++) memWriteV(seg, off + AVX_OFFSET + (i << 4), v128.load(xmmPtr(i), 16));
  }
  memWrite64(seg, off + FX_SIZE, (old & ~bitmap) | (used & bitmap));
}

export function xrstor(seg: i32, off: u64, wide: bool): void {
  const bitmap = requested();
  checkArea(seg, off, bitmap & AVX ? AVX_OFFSET + AVX_SIZE : AVX_OFFSET, ALIGNMENT, CR0_TS, false);
  const present = memRead64(seg, off + FX_SIZE);
  // Bit 63 of XCOMP_BV would ask for the compacted format, which CPUID does not announce.
  if (present & ~load<u64>(S + S_XCR0) || memRead64(seg, off + FX_SIZE + 8) | memRead64(seg, off + FX_SIZE + 16)) raiseFaultErr(VEC_GP, 0);
  if (bitmap & (SSE | AVX)) store<u32>(S + S_MXCSR, imageMxcsr(seg, off));
  if (bitmap & X87) {
    if (present & X87) restoreX87(seg, off, wide);
    else clearX87();
  }
  const n = vectorCount();
  if (bitmap & SSE) {
    if (present & SSE) restoreXmm(seg, off);
    else for (let i: u32 = 0; i < n; i++) v128.store(xmmPtr(i), i64x2.splat(0));
  }
  if (bitmap & AVX)
    for (let i: u32 = 0; i < n; i++) v128.store(xmmPtr(i), present & AVX ? memReadV(seg, off + AVX_OFFSET + (i << 4)) : i64x2.splat(0), 16);
}
