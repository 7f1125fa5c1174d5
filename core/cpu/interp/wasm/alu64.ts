/** Two-operand arithmetic of 64 bits with lazy flags: alu.ts for u64. Bit 3 of the carry vector is the one at bit 3 of the operands. */
import { LAZY_AUX, LAZY_RES } from './flags';

// @ts-ignore: decorator
@inline
function lazy(r: u64, vec: u64): void {
  store<u64>(LAZY_RES, r);
  store<u64>(LAZY_AUX, ((vec >>> 32) & 0xc000_0000) | (vec & 8));
}
/** The same for INC and DEC, which keep CF: OF and AF come from the vector. */
// @ts-ignore: decorator
@inline
function lazyKeepCarry(r: u64, vec: u64): void {
  const top = <u32>(vec >>> 32) & 0xc000_0000;
  const aux = top ^ (((load<u32>(LAZY_AUX) ^ top) >>> 31) * 0xc000_0000);
  store<u64>(LAZY_RES, r);
  store<u64>(LAZY_AUX, <u64>(aux | (<u32>vec & 8)));
}

// @ts-ignore: decorator
@inline
export function add64(a: u64, b: u64): u64 {
  const r = a + b;
  lazy(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function adc64(a: u64, b: u64): u64 {
  const r = a + b + <u64>(load<u32>(LAZY_AUX) >>> 31);
  lazy(r, (a & b) | ((a | b) & ~r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sub64(a: u64, b: u64): u64 {
  const r = a - b;
  lazy(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function sbb64(a: u64, b: u64): u64 {
  const r = a - b - <u64>(load<u32>(LAZY_AUX) >>> 31);
  lazy(r, (~a & b) | (~(a ^ b) & r));
  return r;
}
// @ts-ignore: decorator
@inline
export function logic64(r: u64): u64 {
  store<u64>(LAZY_RES, r);
  store<u64>(LAZY_AUX, 0);
  return r;
}
// @ts-ignore: decorator
@inline
export function and64(a: u64, b: u64): u64 {
  return logic64(a & b);
}
// @ts-ignore: decorator
@inline
export function or64(a: u64, b: u64): u64 {
  return logic64(a | b);
}
// @ts-ignore: decorator
@inline
export function xor64(a: u64, b: u64): u64 {
  return logic64(a ^ b);
}
// @ts-ignore: decorator
@inline
export function inc64(a: u64): u64 {
  const r = a + 1;
  lazyKeepCarry(r, a & ~r);
  return r;
}
// @ts-ignore: decorator
@inline
export function dec64(a: u64): u64 {
  const r = a - 1;
  lazyKeepCarry(r, ~a & r);
  return r;
}
// @ts-ignore: decorator
@inline
export function neg64(a: u64): u64 {
  return sub64(0, a);
}
