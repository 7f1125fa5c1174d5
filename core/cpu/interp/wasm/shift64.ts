/**
 * Shifts and rotates of 64 bits (SDM volume 2): shift.ts for u64. Counts are masked to six bits. Where the manual leaves OF undefined (counts
 * above 1) it gets what the one-bit rule gives for the result.
 */
import { getCF, LAZY_AUX, LAZY_RES, setCFOF } from './flags';

/** Flags of a shift: CF as given, OF as given, the others from the result. */
// @ts-ignore: decorator
@inline
function lazy(r: u64, cf: u32, over: u32): void {
  store<u64>(LAZY_RES, r);
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
}
/** The two top bits differ. */
// @ts-ignore: decorator
@inline
function topBits(r: u64): u32 {
  return <u32>((r ^ (r << 1)) >>> 63);
}

export function shl64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = a << count;
  const cf = <u32>(a >>> (64 - count)) & 1;
  lazy(r, cf, cf ^ <u32>(r >>> 63));
  return r;
}
export function shr64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = a >>> count;
  lazy(r, <u32>(a >>> (count - 1)) & 1, topBits(r));
  return r;
}
export function sar64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = <u64>(<i64>a >> count);
  lazy(r, <u32>(<i64>a >> (count - 1)) & 1, 0);
  return r;
}
export function rol64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = rotl<u64>(a, count);
  const cf = <u32>r & 1;
  setCFOF(cf, cf ^ <u32>(r >>> 63));
  return r;
}
export function ror64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = rotr<u64>(a, count);
  setCFOF(<u32>(r >>> 63), topBits(r));
  return r;
}
/** CF is bit 64 of a 65-bit ring. */
export function rcl64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const carry = <u64>getCF();
  // Bits that leave the top come back at the bottom behind the old CF.
  const r = (a << count) | (carry << (count - 1)) | (count > 1 ? a >>> (65 - count) : 0);
  const cf = <u32>(a >>> (64 - count)) & 1;
  setCFOF(cf, cf ^ <u32>(r >>> 63));
  return r;
}
export function rcr64(a: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const carry = <u64>getCF();
  const r = (a >>> count) | (carry << (64 - count)) | (count > 1 ? a << (65 - count) : 0);
  setCFOF(<u32>(a >>> (count - 1)) & 1, topBits(r));
  return r;
}
export function shld64(a: u64, b: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = (a << count) | (b >>> (64 - count));
  const cf = <u32>(a >>> (64 - count)) & 1;
  lazy(r, cf, cf ^ <u32>(r >>> 63));
  return r;
}
export function shrd64(a: u64, b: u64, count: u32): u64 {
  count &= 63;
  if (!count) return a;
  const r = (a >>> count) | (b << (64 - count));
  lazy(r, <u32>(a >>> (count - 1)) & 1, <u32>((r ^ a) >>> 63));
  return r;
}
