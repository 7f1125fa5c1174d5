/**
 * Two-operand arithmetic with lazy flags (SDM volume 2, the instructions' "Flags Affected"). Operands are zero-extended; results are
 * too, except that callers store only the low 8 or 16 bits. The carry vector of a + b = r has bit i set when bit i produced a carry:
 * (a & b) | ((a | b) & ~r); that of a - b = r is (~a & b) | (~(a ^ b) & r).
 */
import { LAZY_AUX, LAZY_RES } from './flags';

// @ts-ignore: decorator
@inline
function lazy8(r: u32, vec: u32): void {
  store<i64>(LAZY_RES, <i64>(<i8>r));
  store<u64>(LAZY_AUX, <u64>((vec << 24) | (vec & 8)));
}
// @ts-ignore: decorator
@inline
function lazy16(r: u32, vec: u32): void {
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, <u64>((vec << 16) | (vec & 8)));
}
// @ts-ignore: decorator
@inline
function lazy32(r: u32, vec: u32): void {
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, <u64>vec);
}
/** Keeps CF, takes OF and AF from the vector whose top bit is bit `top`. */
// @ts-ignore: decorator
@inline
function keepCarry(vec: u32): u32 {
  return vec ^ (((load<u32>(LAZY_AUX) ^ vec) >>> 31) * 0xc000_0000);
}

// @ts-ignore: decorator
@inline
export function add8(a: u32, b: u32): u32 {
  const r = a + b;
  lazy8(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function adc8(a: u32, b: u32): u32 {
  const r = a + b + (load<u32>(LAZY_AUX) >>> 31);
  lazy8(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sub8(a: u32, b: u32): u32 {
  const r = a - b;
  lazy8(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sbb8(a: u32, b: u32): u32 {
  const r = a - b - (load<u32>(LAZY_AUX) >>> 31);
  lazy8(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function logic8(r: u32): u32 {
  store<i64>(LAZY_RES, <i64>(<i8>r));
  store<u64>(LAZY_AUX, 0);
  return r;
}
// @ts-ignore: decorator
@inline
export function and8(a: u32, b: u32): u32 {
  return logic8(a & b);
}
// @ts-ignore: decorator
@inline
export function or8(a: u32, b: u32): u32 {
  return logic8(a | b);
}
// @ts-ignore: decorator
@inline
export function xor8(a: u32, b: u32): u32 {
  return logic8(a ^ b);
}
// @ts-ignore: decorator
@inline
export function inc8(a: u32): u32 {
  const r = a + 1;
  const vec = a & ~r;
  store<u64>(LAZY_AUX, <u64>((keepCarry(vec << 24) & 0xc000_0000) | (vec & 8)));
  store<i64>(LAZY_RES, <i64>(<i8>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function dec8(a: u32): u32 {
  const r = a - 1;
  const vec = ~a & r;
  store<u64>(LAZY_AUX, <u64>((keepCarry(vec << 24) & 0xc000_0000) | (vec & 8)));
  store<i64>(LAZY_RES, <i64>(<i8>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function neg8(a: u32): u32 {
  return sub8(0, a);
}

// @ts-ignore: decorator
@inline
export function add16(a: u32, b: u32): u32 {
  const r = a + b;
  lazy16(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function adc16(a: u32, b: u32): u32 {
  const r = a + b + (load<u32>(LAZY_AUX) >>> 31);
  lazy16(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sub16(a: u32, b: u32): u32 {
  const r = a - b;
  lazy16(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sbb16(a: u32, b: u32): u32 {
  const r = a - b - (load<u32>(LAZY_AUX) >>> 31);
  lazy16(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function logic16(r: u32): u32 {
  store<i64>(LAZY_RES, <i64>(<i16>r));
  store<u64>(LAZY_AUX, 0);
  return r;
}
// @ts-ignore: decorator
@inline
export function and16(a: u32, b: u32): u32 {
  return logic16(a & b);
}
// @ts-ignore: decorator
@inline
export function or16(a: u32, b: u32): u32 {
  return logic16(a | b);
}
// @ts-ignore: decorator
@inline
export function xor16(a: u32, b: u32): u32 {
  return logic16(a ^ b);
}
// @ts-ignore: decorator
@inline
export function inc16(a: u32): u32 {
  const r = a + 1;
  const vec = a & ~r;
  store<u64>(LAZY_AUX, <u64>((keepCarry(vec << 16) & 0xc000_0000) | (vec & 8)));
  store<i64>(LAZY_RES, <i64>(<i16>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function dec16(a: u32): u32 {
  const r = a - 1;
  const vec = ~a & r;
  store<u64>(LAZY_AUX, <u64>((keepCarry(vec << 16) & 0xc000_0000) | (vec & 8)));
  store<i64>(LAZY_RES, <i64>(<i16>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function neg16(a: u32): u32 {
  return sub16(0, a);
}

// @ts-ignore: decorator
@inline
export function add32(a: u32, b: u32): u32 {
  const r = a + b;
  lazy32(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function adc32(a: u32, b: u32): u32 {
  const r = a + b + (load<u32>(LAZY_AUX) >>> 31);
  lazy32(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sub32(a: u32, b: u32): u32 {
  const r = a - b;
  lazy32(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sbb32(a: u32, b: u32): u32 {
  const r = a - b - (load<u32>(LAZY_AUX) >>> 31);
  lazy32(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function logic32(r: u32): u32 {
  store<i64>(LAZY_RES, <i64>(<i32>r));
  store<u64>(LAZY_AUX, 0);
  return r;
}
// @ts-ignore: decorator
@inline
export function and32(a: u32, b: u32): u32 {
  return logic32(a & b);
}
// @ts-ignore: decorator
@inline
export function or32(a: u32, b: u32): u32 {
  return logic32(a | b);
}
// @ts-ignore: decorator
@inline
export function xor32(a: u32, b: u32): u32 {
  return logic32(a ^ b);
}
// @ts-ignore: decorator
@inline
export function inc32(a: u32): u32 {
  const r = a + 1;
  const vec = a & ~r;
  store<u64>(LAZY_AUX, <u64>(keepCarry(vec)));
  store<i64>(LAZY_RES, <i64>(<i32>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function dec32(a: u32): u32 {
  const r = a - 1;
  const vec = ~a & r;
  store<u64>(LAZY_AUX, <u64>(keepCarry(vec)));
  store<i64>(LAZY_RES, <i64>(<i32>r));
  return r;
}
// @ts-ignore: decorator
@inline
export function neg32(a: u32): u32 {
  return sub32(0, a);
}
