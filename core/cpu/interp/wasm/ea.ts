/** Effective offsets of memory operands (SDM volume 2, 2.1.5). The decoder turned every form into base + index << scale + disp. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { REC_ADDRESS64, REC_BASE, REC_DISP, REC_INDEX, REC_SCALE, REC_SEG, REC_SIZES } from './record';
import { MODE_64, Run } from './runstate';
import { S_GPR, S_SEG, SEG_BASE, SEG_FS, SEG_STRIDE } from './stateoffsets';

const GPR: usize = CPU_STATE_BASE + S_GPR;

/** 32-bit offset, wrapped to the address size. */
// @ts-ignore: decorator
@inline
export function recOff32(rec: usize): u32 {
  const off: u32 =
    load<u32>(GPR + <usize>load<u8>(rec, REC_BASE)) +
    (load<u32>(GPR + <usize>load<u8>(rec, REC_INDEX)) << load<u8>(rec, REC_SCALE)) +
    load<u32>(rec, REC_DISP);
  return load<u8>(rec, REC_SIZES) & 0x20 ? off : off & 0xffff;
}

/** The same for 32-bit addresses without an index. */
// @ts-ignore: decorator
@inline
export function baseOff(rec: usize): u32 {
  return load<u32>(GPR + <usize>load<u8>(rec, REC_BASE)) + load<u32>(rec, REC_DISP);
}

/** The same for 32-bit addresses. */
// @ts-ignore: decorator
@inline
export function indexOff(rec: usize): u32 {
  return (
    load<u32>(GPR + <usize>load<u8>(rec, REC_BASE)) +
    (load<u32>(GPR + <usize>load<u8>(rec, REC_INDEX)) << load<u8>(rec, REC_SCALE)) +
    load<u32>(rec, REC_DISP)
  );
}

/** Effective offset of the record's memory operand within its segment, masked to the address size. */
// @ts-ignore: decorator
@inline
export function recOff(rec: usize): u64 {
  return Run.mode == MODE_64 ? recOff64(rec) : <u64>recOff32(rec);
}

/** The same in 64-bit mode: 64- or 32-bit address size. */
export function recOff64(rec: usize): u64 {
  const off: u64 =
    load<u64>(GPR + <usize>load<u8>(rec, REC_BASE)) +
    (load<u64>(GPR + <usize>load<u8>(rec, REC_INDEX)) << load<u8>(rec, REC_SCALE)) +
    load<u64>(rec, REC_DISP);
  return (load<u8>(rec, REC_SIZES) & REC_ADDRESS64) == REC_ADDRESS64 ? off : <u64>(<u32>off);
}

/**
 * Offset of the second of the two parts, `by` bytes behind the first, in which processors access ten bytes: it wraps at 4 GiB with 32-bit addresses, in
 * 64-bit mode too.
 */
export function secondPart(rec: usize, off: u64, by: u32): u64 {
  return (load<u8>(rec, REC_SIZES) & REC_ADDRESS64) == REC_ADDRESS64 ? off + by : <u64>(<u32>off + by);
}

// @ts-ignore: decorator
@inline
export function recSeg(rec: usize): i32 {
  return <i32>load<u8>(rec, REC_SEG);
}

/** Linear address of the record's memory operand in 64-bit mode: only FS and GS have a base (SDM volume 3, 3.4.4). */
export function recLin(rec: usize): u64 {
  const off = recOff64(rec);
  const seg: usize = load<u8>(rec, REC_SEG);
  return seg >= <usize>SEG_FS ? off + load<u64>(CPU_STATE_BASE + S_SEG + seg * SEG_STRIDE, SEG_BASE) : off;
}

/** The same for 64-bit addresses without an index and without FS or GS. */
// @ts-ignore: decorator
@inline
export function baseLin(rec: usize): u64 {
  return load<u64>(GPR + <usize>load<u8>(rec, REC_BASE)) + load<u64>(rec, REC_DISP);
}

/** The same for 64-bit addresses without FS or GS. */
// @ts-ignore: decorator
@inline
export function indexLin(rec: usize): u64 {
  return (
    load<u64>(GPR + <usize>load<u8>(rec, REC_BASE)) +
    (load<u64>(GPR + <usize>load<u8>(rec, REC_INDEX)) << load<u8>(rec, REC_SCALE)) +
    load<u64>(rec, REC_DISP)
  );
}
