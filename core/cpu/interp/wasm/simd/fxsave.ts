/** Group 0F AE: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, fences, CLFLUSH (SDM volume 1, 10.5; volume 2). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { raiseFault, raiseFaultErr } from '../fault';
import { getCw, getSw, getTw, loadCw, phys, setSw, setTw, ST_BASE, updateSummary } from '../fpu/x87stack';
import { memLinear, memProbeR, memProbeW, memRead16, memRead32, memRead64, memReadV, memWrite32, memWrite64, memWriteV } from '../mem';
import { REC_MODRM, REC_PREFIX } from '../record';
import { S_CODE_MODE, S_CR0, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP, S_MXCSR, VEC_GP, VEC_NM } from '../stateoffsets';
import { MXCSR_MASK } from './mxcsr';
import { checkSse, isMem, undefinedOp, xmmPtr } from './operand';

const S: usize = CPU_STATE_BASE;
const CR0_EM_TS: u32 = 12;
/** Offsets in the 512-byte image. */
const FX_ST = 32;
const FX_XMM = 160;
const FX_SIZE = 512;

/** XMM registers in the image: 8 outside 64-bit mode. */
function xmmCount(): u32 {
  return load<u32>(S + S_CODE_MODE) == 2 ? 16 : 8;
}

function checkImage(seg: i32, off: u64, write: bool): void {
  if (load<u32>(S + S_CR0) & CR0_EM_TS) raiseFault(VEC_NM);
  if (<u32>memLinear(seg, off, FX_SIZE, write) & 15) raiseFaultErr(VEC_GP, 0);
  if (write) memProbeW(seg, off, FX_SIZE);
  else memProbeR(seg, off, FX_SIZE);
}

function fxsave(seg: i32, off: u64): void {
  checkImage(seg, off, true);
  const tw = getTw();
  let abridged: u32 = 0;
  for (let p: u32 = 0; p < 8; p++) if (((tw >> (p << 1)) & 3) != 3) abridged |= 1 << p;
  memWrite32(seg, off, getCw() | (getSw() << 16));
  memWrite32(seg, off + 4, abridged | ((<u32>load<u16>(S + S_FPU_FOP) & 0x7ff) << 16));
  memWrite32(seg, off + 8, load<u32>(S + S_FPU_FIP));
  memWrite32(seg, off + 12, load<u16>(S + S_FPU_FCS));
  memWrite32(seg, off + 16, load<u32>(S + S_FPU_FDP));
  memWrite32(seg, off + 20, load<u16>(S + S_FPU_FDS));
  memWrite32(seg, off + 24, load<u32>(S + S_MXCSR));
  memWrite32(seg, off + 28, MXCSR_MASK);
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    memWrite64(seg, off + FX_ST + (i << 4), load<u64>(at));
    memWrite64(seg, off + FX_ST + (i << 4) + 8, <u64>load<u16>(at, 8));
  }
  const n = xmmCount();
  for (let i: u32 = 0; i < n; i++) memWriteV(seg, off + FX_XMM + (i << 4), v128.load(xmmPtr(i)));
}

function fxrstor(seg: i32, off: u64): void {
  checkImage(seg, off, false);
  const mxcsr = memRead32(seg, off + 24);
  if (mxcsr & ~MXCSR_MASK) raiseFaultErr(VEC_GP, 0);
  loadCw(memRead16(seg, off));
  setSw(memRead16(seg, off + 2));
  const abridged = memRead16(seg, off + 4);
  let tw: u32 = 0;
  for (let p: u32 = 0; p < 8; p++) if (!(abridged & (1 << p))) tw |= 3 << (p << 1);
  setTw(tw);
  store<u16>(S + S_FPU_FOP, <u16>(memRead16(seg, off + 6) & 0x7ff));
  store<u64>(S + S_FPU_FIP, <u64>memRead32(seg, off + 8));
  store<u16>(S + S_FPU_FCS, <u16>memRead16(seg, off + 12));
  store<u64>(S + S_FPU_FDP, <u64>memRead32(seg, off + 16));
  store<u16>(S + S_FPU_FDS, <u16>memRead16(seg, off + 20));
  store<u32>(S + S_MXCSR, mxcsr);
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    store<u64>(at, memRead64(seg, off + FX_ST + (i << 4)));
    store<u16>(at, <u16>memRead16(seg, off + FX_ST + (i << 4) + 8), 8);
  }
  const n = xmmCount();
  for (let i: u32 = 0; i < n; i++) v128.store(xmmPtr(i), memReadV(seg, off + FX_XMM + (i << 4)));
  updateSummary();
}

export function group15(rec: usize): void {
  const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
  if (load<u8>(rec, REC_PREFIX) & 7) undefinedOp();
  if (!isMem(rec)) {
    // LFENCE, MFENCE, SFENCE: memory is always in order here.
    if (reg < 5) undefinedOp();
    return;
  }
  const seg = recSeg(rec);
  const off = recOff(rec);
  switch (reg) {
    case 0:
      fxsave(seg, off);
      return;
    case 1:
      fxrstor(seg, off);
      return;
    case 2: {
      checkSse();
      const v = memRead32(seg, off);
      if (v & ~MXCSR_MASK) raiseFaultErr(VEC_GP, 0);
      store<u32>(S + S_MXCSR, v);
      return;
    }
    case 3:
      checkSse();
      memWrite32(seg, off, load<u32>(S + S_MXCSR));
      return;
    case 7:
      memProbeR(seg, off, 1);
      return;
    default:
      undefinedOp();
  }
}
