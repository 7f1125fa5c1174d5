/** Bit scans, bit tests (SDM volume 2, BSF BSR BT BTC BTR BTS), BSWAP, CMPXCHG8B. */
import { recOff32, recSeg } from './ea';
import { F_ZF, LAZY_AUX, LAZY_RES, setCF, setEflags } from './flags';
import { memRead16, memRead32, memReadW16, memReadW32, memReadW64, memWrite16, memWrite32, memWrite64 } from './memsegment';
import { REC_SIZES } from './record';
import { gpr32, setGpr32 } from './state';

/** BT, BTS, BTR, BTC as modrm.reg of 0F BA minus 4. */
export const BIT_TEST = 0;
export const BIT_SET = 1;
export const BIT_RESET = 2;
export const BIT_COMPLEMENT = 3;

// @ts-ignore: decorator
@inline
function apply(kind: i32, v: u32, mask: u32): u32 {
  return kind == BIT_SET ? v | mask : kind == BIT_RESET ? v & ~mask : v ^ mask;
}

// @ts-ignore: decorator
@inline
export function bitReg(kind: i32, v: u32, bit: u32, size: u32): u32 {
  bit &= size - 1;
  setCF((v >>> bit) & 1);
  return kind == BIT_TEST ? v : apply(kind, v, 1 << bit);
}

/** `bit` is signed and may reach beyond the operand; `reach` says that it does (a register bit offset). */
export function bitMem32(kind: i32, rec: usize, bit: i32, reach: bool): void {
  let off = recOff32(rec);
  if (reach) off = wrapOff(rec, off + <u32>((bit >> 5) << 2));
  bit &= 31;
  if (kind == BIT_TEST) {
    setCF((memRead32(recSeg(rec), <u64>off) >>> bit) & 1);
    return;
  }
  const v = memReadW32(recSeg(rec), <u64>off);
  memWrite32(recSeg(rec), <u64>off, apply(kind, v, 1 << bit));
  setCF((v >>> bit) & 1);
}
export function bitMem16(kind: i32, rec: usize, bit: i32, reach: bool): void {
  let off = recOff32(rec);
  if (reach) off = wrapOff(rec, off + <u32>((bit >> 4) << 1));
  bit &= 15;
  if (kind == BIT_TEST) {
    setCF((memRead16(recSeg(rec), <u64>off) >>> bit) & 1);
    return;
  }
  const v = memReadW16(recSeg(rec), <u64>off);
  memWrite16(recSeg(rec), <u64>off, apply(kind, v, 1 << bit));
  setCF((v >>> bit) & 1);
}

function wrapOff(rec: usize, off: u32): u32 {
  return load<u8>(rec, REC_SIZES) & 0x20 ? off : off & 0xffff;
}

/** Flags of a scan that found `index`: ZF clear whatever the index; bit 8 of RES keeps it nonzero without touching parity. */
// @ts-ignore: decorator
@inline
export function scanFlags(index: u32): u32 {
  store<i64>(LAZY_RES, <i64>(index | 0x100));
  store<u64>(LAZY_AUX, 0);
  return index;
}
/** A scan of zero sets ZF; the destination stays. */
// @ts-ignore: decorator
@inline
export function scanZero(): void {
  store<i64>(LAZY_RES, 0);
  store<u64>(LAZY_AUX, 0);
}

/** POPCNT: ZF says that the source was 0, the other flags are clear. */
// @ts-ignore: decorator
@inline
export function popcount(v: u32): u32 {
  store<i64>(LAZY_RES, v ? 0x100 : 0);
  // A zero result has even parity: FIX clears PF (flags.ts). A result of 100h has it too.
  store<u64>(LAZY_AUX, <u64>1 << 32);
  return popcnt<u32>(v);
}

/** CMPXCHG8B m64: the destination is written in both cases. */
export function cmpxchg8b(rec: usize): void {
  const seg = recSeg(rec);
  const off = <u64>recOff32(rec);
  const old = memReadW64(seg, off);
  const equal = old == ((<u64>gpr32(2) << 32) | <u64>gpr32(0));
  memWrite64(seg, off, equal ? (<u64>gpr32(1) << 32) | <u64>gpr32(3) : old);
  if (!equal) {
    setGpr32(0, <u32>old);
    setGpr32(2, <u32>(old >>> 32));
  }
  setEflags(equal ? F_ZF : 0, F_ZF);
}
