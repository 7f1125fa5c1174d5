/** MUL, IMUL, DIV, IDIV of 64 bits (SDM volume 2): products and dividends are RDX:RAX. Flags as in muldiv.ts. */
import { raiseFault } from './fault';
import { LAZY_AUX, LAZY_RES } from './flags';
import { gpr64, setGpr64 } from './state';
import { VEC_DE } from './stateoffsets';

// @ts-ignore: decorator
@inline
export function productFlags64(low: u64, significant: bool): void {
  // Bit 8 keeps ZF clear and leaves SF and PF alone.
  store<u64>(LAZY_RES, low ? low : 0x100);
  store<u64>(LAZY_AUX, <u64>((<u32>significant) << 31));
}

/** Upper half of the unsigned product. */
export function mulHigh(a: u64, b: u64): u64 {
  const a0 = a & 0xffff_ffff;
  const a1 = a >>> 32;
  const b0 = b & 0xffff_ffff;
  const b1 = b >>> 32;
  const low = a0 * b0;
  const mid = a1 * b0 + (low >>> 32);
  const mid2 = a0 * b1 + (mid & 0xffff_ffff);
  return a1 * b1 + (mid >>> 32) + (mid2 >>> 32);
}

/** Upper half of the signed product: a negative factor counts 2^64 too much of the other. */
// @ts-ignore: decorator
@inline
function mulHighSigned(a: u64, b: u64): u64 {
  return mulHigh(a, b) - (<u64>(<i64>a >> 63) & b) - (<u64>(<i64>b >> 63) & a);
}

export function mul64(v: u64): void {
  const a = gpr64(0);
  const low = a * v;
  const high = mulHigh(a, v);
  setGpr64(0, low);
  setGpr64(2, high);
  productFlags64(low, high != 0);
}
export function imul64(v: u64): void {
  const a = gpr64(0);
  const low = a * v;
  const high = mulHighSigned(a, v);
  setGpr64(0, low);
  setGpr64(2, high);
  productFlags64(low, high != <u64>(<i64>low >> 63));
}
/** Two- and three-operand forms: the truncated product. */
export function imulTrunc64(a: u64, b: u64): u64 {
  const low = a * b;
  // Factors of 32 bits are the common case and cannot overflow.
  const small = a == <u64>(<i64>(<i32>a)) && b == <u64>(<i64>(<i32>b));
  productFlags64(low, !small && mulHighSigned(a, b) != <u64>(<i64>low >> 63));
  return low;
}

let remainder: u64 = 0;

/** (high:low) / v for high < v; the remainder is left in `remainder`. Schoolbook division with 32-bit digits (Knuth 4.3.1, algorithm D). */
function divWide(high: u64, low: u64, v: u64): u64 {
  if (high == 0) {
    remainder = low % v;
    return low / v;
  }
  const s = clz<u64>(v);
  const d = v << s;
  const d1 = d >>> 32;
  const d0 = d & 0xffff_ffff;
  // The shift by 64 - s needs care for s = 0.
  let n = s ? (high << s) | (low >>> (64 - s)) : high;
  const rest = low << s;
  const q1 = digit(n, rest >>> 32, d, d1, d0);
  n = ((n << 32) | (rest >>> 32)) - q1 * d;
  const q0 = digit(n, rest & 0xffff_ffff, d, d1, d0);
  remainder = (((n << 32) | (rest & 0xffff_ffff)) - q0 * d) >>> s;
  return (q1 << 32) | q0;
}

/** One digit of the quotient of n:next by d = d1:d0. */
// @ts-ignore: decorator
@inline
function digit(n: u64, next: u64, d: u64, d1: u64, d0: u64): u64 {
  let q = n / d1;
  let r = n - q * d1;
  while (q > 0xffff_ffff || q * d0 > ((r << 32) | next)) {
    q--;
    r += d1;
    if (r > 0xffff_ffff) break;
  }
  return q;
}

export function div64(v: u64): void {
  const high = gpr64(2);
  if (high >= v) raiseFault(VEC_DE);
  const q = divWide(high, gpr64(0), v);
  setGpr64(0, q);
  setGpr64(2, remainder);
}
export function idiv64(v: u64): void {
  let high = gpr64(2);
  let low = gpr64(0);
  const negative = <i64>high < 0;
  const negativeResult = negative != <i64>v < 0;
  if (negative) {
    high = ~high + <u64>(low == 0);
    low = -low;
  }
  const divisor = <i64>v < 0 ? -v : v;
  if (high >= divisor) raiseFault(VEC_DE);
  const q = divWide(high, low, divisor);
  // -2^63 is the only quotient of 64 magnitude bits.
  if (q > (negativeResult ? 0x8000_0000_0000_0000 : 0x7fff_ffff_ffff_ffff)) raiseFault(VEC_DE);
  setGpr64(0, negativeResult ? -q : q);
  setGpr64(2, negative ? -remainder : remainder);
}
