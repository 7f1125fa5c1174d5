/**
 * Shifts and rotates (SDM volume 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD). `count` is the raw count; it is masked to five bits
 * here. Where the manual leaves OF undefined (counts above 1) it gets what the one-bit rule gives for the result.
 */
import { LAZY_AUX, LAZY_RES, getCF, setCFOF } from './flags';

export function shl8(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = (<u64>a) << count;
  const r = <u32>wide & 0xff;
  const cf = <u32>(wide >>> 8) & 1;
  store<i64>(LAZY_RES, <i64>(<i8>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((r >>> 7) << 30)));
  return r;
}
export function shr8(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const r = a >>> count;
  const cf = (a >>> (count - 1)) & 1;
  const over = ((r ^ (r << 1)) >>> 7) & 1;
  store<i64>(LAZY_RES, <i64>(<i8>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
  return r;
}
export function sar8(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = <i32>(<i8>a);
  const r = <u32>(wide >> count);
  const cf = <u32>(wide >> (count - 1)) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | (cf << 30)));
  return r & 0xff;
}
export function rol8(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 7;
  const r = ((a << count) | (a >>> (8 - count))) & 0xff;
  const cf = r & 1;
  setCFOF(cf, cf ^ (r >>> 7));
  return r;
}
export function ror8(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 7;
  const r = ((a >>> count) | (a << (8 - count))) & 0xff;
  setCFOF(r >>> 7, ((r ^ (r << 1)) >>> 7) & 1);
  return r;
}
export function rcl8(a: u32, count: u32): u32 {
  count = (count & 31) % 9;
  if (!count) return a;
  // CF joins as bit 8 of a 9-bit ring.
  const ring = (<u64>a) | ((<u64>getCF()) << 8);
  const turned = (ring << count) | (ring >>> (9 - count));
  const r = <u32>turned & 0xff;
  const cf = <u32>(turned >>> 8) & 1;
  setCFOF(cf, cf ^ (r >>> 7));
  return r;
}
export function rcr8(a: u32, count: u32): u32 {
  count = (count & 31) % 9;
  if (!count) return a;
  const ring = (<u64>a) | ((<u64>getCF()) << 8);
  const turned = (ring >>> count) | (ring << (9 - count));
  const r = <u32>turned & 0xff;
  setCFOF(<u32>(turned >>> 8) & 1, ((r ^ (r << 1)) >>> 7) & 1);
  return r;
}

export function shl16(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = (<u64>a) << count;
  const r = <u32>wide & 0xffff;
  const cf = <u32>(wide >>> 16) & 1;
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((r >>> 15) << 30)));
  return r;
}
export function shr16(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const r = a >>> count;
  const cf = (a >>> (count - 1)) & 1;
  const over = ((r ^ (r << 1)) >>> 15) & 1;
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
  return r;
}
export function sar16(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = <i32>(<i16>a);
  const r = <u32>(wide >> count);
  const cf = <u32>(wide >> (count - 1)) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | (cf << 30)));
  return r & 0xffff;
}
export function rol16(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 15;
  const r = ((a << count) | (a >>> (16 - count))) & 0xffff;
  const cf = r & 1;
  setCFOF(cf, cf ^ (r >>> 15));
  return r;
}
export function ror16(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 15;
  const r = ((a >>> count) | (a << (16 - count))) & 0xffff;
  setCFOF(r >>> 15, ((r ^ (r << 1)) >>> 15) & 1);
  return r;
}
export function rcl16(a: u32, count: u32): u32 {
  count = (count & 31) % 17;
  if (!count) return a;
  // CF joins as bit 16 of a 17-bit ring.
  const ring = (<u64>a) | ((<u64>getCF()) << 16);
  const turned = (ring << count) | (ring >>> (17 - count));
  const r = <u32>turned & 0xffff;
  const cf = <u32>(turned >>> 16) & 1;
  setCFOF(cf, cf ^ (r >>> 15));
  return r;
}
export function rcr16(a: u32, count: u32): u32 {
  count = (count & 31) % 17;
  if (!count) return a;
  const ring = (<u64>a) | ((<u64>getCF()) << 16);
  const turned = (ring >>> count) | (ring << (17 - count));
  const r = <u32>turned & 0xffff;
  setCFOF(<u32>(turned >>> 16) & 1, ((r ^ (r << 1)) >>> 15) & 1);
  return r;
}

export function shl32(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = (<u64>a) << count;
  const r = <u32>wide;
  const cf = <u32>(wide >>> 32) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((r >>> 31) << 30)));
  return r;
}
export function shr32(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const r = a >>> count;
  const cf = (a >>> (count - 1)) & 1;
  const over = ((r ^ (r << 1)) >>> 31) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
  return r;
}
export function sar32(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = <i32>(<i32>a);
  const r = <u32>(wide >> count);
  const cf = <u32>(wide >> (count - 1)) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | (cf << 30)));
  return r;
}
export function rol32(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 31;
  const r = rotl<u32>(a, count);
  const cf = r & 1;
  setCFOF(cf, cf ^ (r >>> 31));
  return r;
}
export function ror32(a: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  count &= 31;
  const r = rotr<u32>(a, count);
  setCFOF(r >>> 31, ((r ^ (r << 1)) >>> 31) & 1);
  return r;
}
export function rcl32(a: u32, count: u32): u32 {
  count = (count & 31);
  if (!count) return a;
  // CF joins as bit 32 of a 33-bit ring.
  const ring = (<u64>a) | ((<u64>getCF()) << 32);
  const turned = (ring << count) | (ring >>> (33 - count));
  const r = <u32>turned;
  const cf = <u32>(turned >>> 32) & 1;
  setCFOF(cf, cf ^ (r >>> 31));
  return r;
}
export function rcr32(a: u32, count: u32): u32 {
  count = (count & 31);
  if (!count) return a;
  const ring = (<u64>a) | ((<u64>getCF()) << 32);
  const turned = (ring >>> count) | (ring << (33 - count));
  const r = <u32>turned;
  setCFOF(<u32>(turned >>> 32) & 1, ((r ^ (r << 1)) >>> 31) & 1);
  return r;
}

export function shld32(a: u32, b: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const r = (a << count) | (b >>> (32 - count));
  const cf = (a >>> (32 - count)) & 1;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((r >>> 31) << 30)));
  return r;
}
export function shrd32(a: u32, b: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const r = (a >>> count) | (b << (32 - count));
  const cf = (a >>> (count - 1)) & 1;
  const over = (r ^ a) >>> 31;
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
  return r;
}
/** Counts above 16 are undefined; the operands then repeat (a:b:a). */
export function shld16(a: u32, b: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = ((<u64>a) << 32) | ((<u64>b) << 16) | <u64>a;
  const r = <u32>((wide << count) >>> 32) & 0xffff;
  const cf = <u32>((wide << count) >>> 48) & 1;
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((r >>> 15) << 30)));
  return r;
}
export function shrd16(a: u32, b: u32, count: u32): u32 {
  count &= 31;
  if (!count) return a;
  const wide = ((<u64>a) << 32) | ((<u64>b) << 16) | <u64>a;
  const r = <u32>(wide >>> count) & 0xffff;
  const cf = <u32>(wide >>> (count - 1)) & 1;
  const over = ((r ^ (r << 1)) >>> 15) & 1;
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, <u64>((cf << 31) | ((cf ^ over) << 30)));
  return r;
}
