/** Guest memory accesses by segment and offset, after the segment checks (SDM volume 3 section 5.3). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { linRead16, linRead32, linRead64, linRead8, linReadV, linReadW16, linReadW32, linReadW64, linReadW8, linWrite16, linWrite32, linWrite64, linWrite8, linWriteV, tlbTable } from './mem';
import { alignmentFault, probeRead, probeWrite } from './slowaccess';
import { S_CODE_MODE, S_SEG, SEG_BASE, SEG_FLAGS, SEG_FS, SEG_LIMIT, SEG_SS, VEC_AC, VEC_GP, VEC_SS } from './stateoffsets';
import { SY_ALIGN_CHECK } from './sysstate';

/** SEG_FLAGS bits, derived by segFlags() in seg.ts. */
export const SF_READ: u32 = 1;
export const SF_WRITE: u32 = 2;
export const SF_DOWN: u32 = 4;
export const SF_BIG: u32 = 8;
/** Base 0, limit 4 GiB, and readable / writable: the offset is the linear address and there is nothing to check. */
export const SF_FLAT_R: u32 = 16;
export const SF_FLAT_W: u32 = 32;

/** #SS(0) for the stack segment, #GP(0) for the others. */
export function segFault(seg: i32): void {
  raiseFaultErr(seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

/** Linear address of `off`, unchecked. */
export function segAddress(seg: i32, off: u64): u64 {
  const base = load<u64>(CPU_STATE_BASE + S_SEG + (<usize>seg << 5), SEG_BASE);
  if (load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2) return seg >= SEG_FS ? base + off : off;
  return (base + off) & 0xffffffff;
}

/** Checks an access of `size` bytes at `off` and gives its linear address. */
export function segLinear(seg: i32, offset: u64, size: u32, need: u32): u64 {
  const s: usize = CPU_STATE_BASE + S_SEG + (<usize>seg << 5);
  const flags = load<u32>(s, SEG_FLAGS);
  if (load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2) {
    // 64-bit mode: no limits, and bases for FS and GS only.
    const linear = seg >= SEG_FS ? load<u64>(s, SEG_BASE) + offset : offset;
    if (load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK) && size <= 8 && linear & (size - 1)) alignmentFault(linear);
    return linear;
  }
  const off = offset & 0xffffffff;
  const limit = load<u32>(s, SEG_LIMIT);
  const last = off + size - 1;
  if (!(flags & need)) segFault(seg);
  if (flags & SF_DOWN) {
    const top: u64 = flags & SF_BIG ? 0xffffffff : 0xffff;
    if (off <= limit || last > top) segFault(seg);
  } else if (last > limit && limit != 0xffffffff) segFault(seg);
  const lin = (load<u64>(s, SEG_BASE) + off) & 0xffffffff;
  if (load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK) && size <= 8 && lin & (size - 1)) raiseFaultErr(VEC_AC, 0);
  return lin;
}

// @ts-ignore: decorator
@inline
function segRead(seg: i32, off: u64, size: u32): u64 {
  return load<u32>(CPU_STATE_BASE + S_SEG + (<usize>seg << 5), SEG_FLAGS) & SF_FLAT_R ? off : segLinear(seg, off, size, SF_READ);
}
// @ts-ignore: decorator
@inline
function segWrite(seg: i32, off: u64, size: u32): u64 {
  return load<u32>(CPU_STATE_BASE + S_SEG + (<usize>seg << 5), SEG_FLAGS) & SF_FLAT_W ? off : segLinear(seg, off, size, SF_WRITE);
}

// @ts-ignore: decorator
@inline
export function memRead8(seg: i32, off: u64): u32 {
  return linRead8(segRead(seg, off, 1));
}
// @ts-ignore: decorator
@inline
export function memRead16(seg: i32, off: u64): u32 {
  return linRead16(segRead(seg, off, 2));
}
// @ts-ignore: decorator
@inline
export function memRead32(seg: i32, off: u64): u32 {
  return linRead32(segRead(seg, off, 4));
}
// @ts-ignore: decorator
@inline
export function memRead64(seg: i32, off: u64): u64 {
  return linRead64(segRead(seg, off, 8));
}
// @ts-ignore: decorator
@inline
export function memReadV(seg: i32, off: u64): v128 {
  return linReadV(segRead(seg, off, 16));
}
// @ts-ignore: decorator
@inline
export function memWrite8(seg: i32, off: u64, v: u32): void {
  linWrite8(segWrite(seg, off, 1), v);
}
// @ts-ignore: decorator
@inline
export function memWrite16(seg: i32, off: u64, v: u32): void {
  linWrite16(segWrite(seg, off, 2), v);
}
// @ts-ignore: decorator
@inline
export function memWrite32(seg: i32, off: u64, v: u32): void {
  linWrite32(segWrite(seg, off, 4), v);
}
// @ts-ignore: decorator
@inline
export function memWrite64(seg: i32, off: u64, v: u64): void {
  linWrite64(segWrite(seg, off, 8), v);
}
// @ts-ignore: decorator
@inline
export function memWriteV(seg: i32, off: u64, v: v128): void {
  linWriteV(segWrite(seg, off, 16), v);
}
// @ts-ignore: decorator
@inline
export function memReadW8(seg: i32, off: u64): u32 {
  return linReadW8(segWrite(seg, off, 1));
}
// @ts-ignore: decorator
@inline
export function memReadW16(seg: i32, off: u64): u32 {
  return linReadW16(segWrite(seg, off, 2));
}
// @ts-ignore: decorator
@inline
export function memReadW32(seg: i32, off: u64): u32 {
  return linReadW32(segWrite(seg, off, 4));
}
// @ts-ignore: decorator
@inline
export function memReadW64(seg: i32, off: u64): u64 {
  return linReadW64(segWrite(seg, off, 8));
}

/** Raises what a write of `size` bytes would raise, before anything is changed. */
export function memProbeW(seg: i32, off: u64, size: u32): void {
  probeWrite(tlbTable(), segWrite(seg, off, size), size);
}
/** Raises what a read of `size` bytes would raise. */
export function memProbeR(seg: i32, off: u64, size: u32): void {
  probeRead(tlbTable(), segRead(seg, off, size), size);
}

/** Linear address of a checked data access, for block operations and for tests of the 16-byte alignment rule. */
export function memLinear(seg: i32, off: u64, size: u32, write: bool): u64 {
  return write ? segWrite(seg, off, size) : segRead(seg, off, size);
}
