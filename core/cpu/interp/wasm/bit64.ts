/** Bit tests of 64-bit mode, POPCNT of 64 bits, CMPXCHG8B and CMPXCHG16B there (SDM volume 2). */
import { BIT_TEST, BIT_RESET, BIT_SET, popcount } from './bit';
import { recLin, recOff64 } from './ea';
import { raiseFault, raiseFaultErr } from './fault';
import { FEAT_CX16 } from './features';
import { F_ZF, setCF, setEflags } from './flags';
import { linRead16, linRead32, linRead64, linReadW16, linReadW32, linReadW64, linWrite16, linWrite32, linWrite64, tlbTable } from './mem';
import { probeWrite } from './slowaccess';
import { hasFeature } from './model';
import { REC_ADDRESS64, REC_SIZES } from './record';
import { gpr32, gpr64, setGpr32, setGpr64 } from './state';
import { VEC_GP, VEC_UD } from './stateoffsets';

// @ts-ignore: decorator
@inline
function apply(kind: i32, v: u64, mask: u64): u64 {
  return kind == BIT_SET ? v | mask : kind == BIT_RESET ? v & ~mask : v ^ mask;
}

// @ts-ignore: decorator
@inline
export function bitReg64(kind: i32, v: u64, bit: u32): u64 {
  bit &= 63;
  setCF(<u32>(v >>> bit) & 1);
  return kind == BIT_TEST ? v : apply(kind, v, (<u64>1) << bit);
}

/** Address of the operand `bytes` beyond the one that modrm names, within the address size. */
function reached(rec: usize, bytes: i64): u64 {
  if (!bytes) return recLin(rec);
  const off = recOff64(rec);
  const moved = off + <u64>bytes;
  const wrapped = (load<u8>(rec, REC_SIZES) & REC_ADDRESS64) == REC_ADDRESS64 ? moved : <u64>(<u32>moved);
  return recLin(rec) - off + wrapped;
}

/** `bit` is signed and may reach beyond the operand; `reach` says that it does (a register bit offset). */
export function bitLong64(kind: i32, rec: usize, bit: i64, reach: bool): void {
  const lin = reached(rec, reach ? (bit >> 6) << 3 : 0);
  const at = <u32>bit & 63;
  if (kind == BIT_TEST) {
    setCF(<u32>(linRead64(lin) >>> at) & 1);
    return;
  }
  const v = linReadW64(lin);
  linWrite64(lin, apply(kind, v, (<u64>1) << at));
  setCF(<u32>(v >>> at) & 1);
}
export function bitLong32(kind: i32, rec: usize, bit: i64, reach: bool): void {
  const lin = reached(rec, reach ? (bit >> 5) << 2 : 0);
  const at = <u32>bit & 31;
  if (kind == BIT_TEST) {
    setCF((linRead32(lin) >>> at) & 1);
    return;
  }
  const v = linReadW32(lin);
  linWrite32(lin, <u32>apply(kind, v, (<u64>1) << at));
  setCF((v >>> at) & 1);
}
export function bitLong16(kind: i32, rec: usize, bit: i64, reach: bool): void {
  const lin = reached(rec, reach ? (bit >> 4) << 1 : 0);
  const at = <u32>bit & 15;
  if (kind == BIT_TEST) {
    setCF((linRead16(lin) >>> at) & 1);
    return;
  }
  const v = linReadW16(lin);
  linWrite16(lin, <u32>apply(kind, v, (<u64>1) << at));
  setCF((v >>> at) & 1);
}

// @ts-ignore: decorator
@inline
export function popcount64(v: u64): u64 {
  // The flags are those of a source that is zero or not.
  popcount(<u32>(v != 0));
  return popcnt<u64>(v);
}

/** CMPXCHG8B m64: the destination is written in both cases. */
export function cmpxchg8bLong(rec: usize): void {
  const lin = recLin(rec);
  const old = linReadW64(lin);
  const equal = old == ((<u64>gpr32(2) << 32) | <u64>gpr32(0));
  linWrite64(lin, equal ? (<u64>gpr32(1) << 32) | <u64>gpr32(3) : old);
  if (!equal) {
    setGpr32(0, <u32>old);
    setGpr32(2, <u32>(old >>> 32));
  }
  setEflags(equal ? F_ZF : 0, F_ZF);
}

/** CMPXCHG16B m128: the operand must be aligned, so it lies in one page. */
export function cmpxchg16b(rec: usize): void {
  if (!hasFeature(FEAT_CX16)) raiseFault(VEC_UD);
  const lin = recLin(rec);
  if (lin & 15) raiseFaultErr(VEC_GP, 0);
  probeWrite(tlbTable(), lin, 16);
  const low = linReadW64(lin);
  const high = linReadW64(lin + 8);
  const equal = low == gpr64(0) && high == gpr64(2);
  linWrite64(lin, equal ? gpr64(3) : low);
  linWrite64(lin + 8, equal ? gpr64(1) : high);
  if (!equal) {
    setGpr64(0, low);
    setGpr64(2, high);
  }
  setEflags(equal ? F_ZF : 0, F_ZF);
}
