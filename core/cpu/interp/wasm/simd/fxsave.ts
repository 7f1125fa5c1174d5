/** FXSAVE and FXRSTOR, and the x87 and XMM parts of their image, which XSAVE shares (SDM volume 1, 10.5.1; volume 2, tables 3-44 to 3-46). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { raiseFault, raiseFaultErr } from '../fault';
import { fpuInit, getCw, getSw, getTw, loadCw, phys, setSw, setTw, ST_BASE, updateSummary } from '../fpu/x87stack';
import { memLinear, memProbeR, memProbeW, memRead16, memRead32, memRead64, memReadV, memWrite32, memWrite64, memWriteV } from '../memsegment';
import { S_CODE_MODE, S_CR0, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP, S_MXCSR, VEC_GP, VEC_NM } from '../stateoffsets';
import { MXCSR_MASK } from './mxcsr';
import { xmmPtr } from './operand';

const S: usize = CPU_STATE_BASE;
const CR0_EM_TS: u32 = 12;
/** Offsets in the 512-byte image. */
const FX_MXCSR = 24;
const FX_ST = 32;
const FX_XMM = 160;
export const FX_SIZE = 512;

/** Vector registers in the image: 8 outside 64-bit mode. */
export function vectorCount(): u32 {
  return load<u32>(S + S_CODE_MODE) == 2 ? 16 : 8;
}

/** x87 part: bytes 0..23 and 32..159. `wide` (REX.W): 64-bit pointers in place of offset and selector. */
export function saveX87(seg: i32, off: u64, wide: bool): void {
  const tw = getTw();
  let abridged: u32 = 0;
  for (let p: u32 = 0; p < 8; p++) if (((tw >> (p << 1)) & 3) != 3) abridged |= 1 << p;
  memWrite32(seg, off, getCw() | (getSw() << 16));
  memWrite32(seg, off + 4, abridged | ((<u32>load<u16>(S + S_FPU_FOP) & 0x7ff) << 16));
  memWrite32(seg, off + 8, load<u32>(S + S_FPU_FIP));
  memWrite32(seg, off + 12, wide ? load<u32>(S + S_FPU_FIP, 4) : <u32>load<u16>(S + S_FPU_FCS));
  memWrite32(seg, off + 16, load<u32>(S + S_FPU_FDP));
  memWrite32(seg, off + 20, wide ? load<u32>(S + S_FPU_FDP, 4) : <u32>load<u16>(S + S_FPU_FDS));
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    memWrite64(seg, off + FX_ST + (i << 4), load<u64>(at));
    memWrite64(seg, off + FX_ST + (i << 4) + 8, <u64>load<u16>(at, 8));
  }
}
export function restoreX87(seg: i32, off: u64, wide: bool): void {
  loadCw(memRead16(seg, off));
  setSw(memRead16(seg, off + 2));
  const abridged = memRead16(seg, off + 4);
  let tw: u32 = 0;
  for (let p: u32 = 0; p < 8; p++) if (!(abridged & (1 << p))) tw |= 3 << (p << 1);
  setTw(tw);
  store<u16>(S + S_FPU_FOP, <u16>(memRead16(seg, off + 6) & 0x7ff));
  if (wide) {
    store<u64>(S + S_FPU_FIP, memRead64(seg, off + 8));
    store<u16>(S + S_FPU_FCS, 0);
    store<u64>(S + S_FPU_FDP, memRead64(seg, off + 16));
    store<u16>(S + S_FPU_FDS, 0);
  } else {
    store<u64>(S + S_FPU_FIP, <u64>memRead32(seg, off + 8));
    store<u16>(S + S_FPU_FCS, <u16>memRead16(seg, off + 12));
    store<u64>(S + S_FPU_FDP, <u64>memRead32(seg, off + 16));
    store<u16>(S + S_FPU_FDS, <u16>memRead16(seg, off + 20));
  }
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    store<u64>(at, memRead64(seg, off + FX_ST + (i << 4)));
    store<u16>(at, <u16>memRead16(seg, off + FX_ST + (i << 4) + 8), 8);
  }
  updateSummary();
}
/** Initial configuration of the x87 state. */
export function clearX87(): void {
  fpuInit();
  memory.fill(ST_BASE, 0, 128);
  updateSummary();
}

export function saveMxcsr(seg: i32, off: u64): void {
  memWrite32(seg, off + FX_MXCSR, load<u32>(S + S_MXCSR));
  memWrite32(seg, off + FX_MXCSR + 4, MXCSR_MASK);
}
/** MXCSR of the image; #GP(0) when it has reserved bits. */
export function imageMxcsr(seg: i32, off: u64): u32 {
  const v = memRead32(seg, off + FX_MXCSR);
  if (v & ~MXCSR_MASK) raiseFaultErr(VEC_GP, 0);
  return v;
}

export function saveXmm(seg: i32, off: u64): void {
  const n = vectorCount();
  for (let i: u32 = 0; i < n; i++) memWriteV(seg, off + FX_XMM + (i << 4), v128.load(xmmPtr(i)));
}
export function restoreXmm(seg: i32, off: u64): void {
  const n = vectorCount();
  for (let i: u32 = 0; i < n; i++) v128.store(xmmPtr(i), memReadV(seg, off + FX_XMM + (i << 4)));
}

/** #NM, then #GP(0) unless aligned, then what an access to `size` bytes raises. */
export function checkArea(seg: i32, off: u64, size: u32, align: u32, disabled: u32, write: bool): void {
  if (load<u32>(S + S_CR0) & disabled) raiseFault(VEC_NM);
  if (<u32>memLinear(seg, off, size, write) & (align - 1)) raiseFaultErr(VEC_GP, 0);
  if (write) memProbeW(seg, off, size);
  else memProbeR(seg, off, size);
}

export function fxsave(seg: i32, off: u64, wide: bool): void {
  checkArea(seg, off, FX_SIZE, 16, CR0_EM_TS, true);
  saveX87(seg, off, wide);
  saveMxcsr(seg, off);
  saveXmm(seg, off);
}

export function fxrstor(seg: i32, off: u64, wide: bool): void {
  checkArea(seg, off, FX_SIZE, 16, CR0_EM_TS, false);
  const mxcsr = imageMxcsr(seg, off);
  restoreX87(seg, off, wide);
  store<u32>(S + S_MXCSR, mxcsr);
  restoreXmm(seg, off);
}
