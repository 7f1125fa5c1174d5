/**
 * Binary floating-point arithmetic on unpacked finite nonzero numbers (IEEE 754-2008), shared by the x87 (80-bit) and SSE (32 and 64-bit)
 * instructions. An operand is a sign, an exponent and a 64-bit significand with bit 63 set: (-1)^sign * sig/2^63 * 2^exp. Exact results
 * have 128 significand bits in R, the last of which is sticky; roundPack() brings them to a format.
 */
import { div128, mul64, shiftRightJam, W } from './wide';

/** Exception flags: the same bits in the x87 status word and in MXCSR (SDM volume 1, 8.1.3 and 10.2.3). */
export const FP_IE: u32 = 0x01;
export const FP_DE: u32 = 0x02;
export const FP_ZE: u32 = 0x04;
export const FP_OE: u32 = 0x08;
export const FP_UE: u32 = 0x10;
export const FP_PE: u32 = 0x20;

/** Rounding control, as in both control registers. */
export const RC_NEAREST: u32 = 0;
export const RC_DOWN: u32 = 1;
export const RC_UP: u32 = 2;
export const RC_ZERO: u32 = 3;

export const TOP_BIT: u64 = 0x8000000000000000;

/** Result of an operation: exact but for the sticky last bit. hi == 0 means an exact zero. */
export class R {
  static sign: u32 = 0;
  static exp: i32 = 0;
  static hi: u64 = 0;
  static lo: u64 = 0;
}

/** Flags gathered by the operations of one instruction, and whether the last rounding went away from zero (C1). */
export class FP {
  static flags: u32 = 0;
  static up: u32 = 0;
}

/** Rounded result: significand left-aligned (bit 63 = integer bit) and biased exponent field (0 for denormals and zero). */
export class Q {
  static sig: u64 = 0;
  static exp: i32 = 0;
}

export function addUnpacked(sa: u32, ea: i32, a: u64, sb: u32, eb: i32, b: u64): void {
  if (ea < eb || (ea == eb && a < b)) {
    const ts = sa;
    sa = sb;
    sb = ts;
    const te = ea;
    ea = eb;
    eb = te;
    const tg = a;
    a = b;
    b = tg;
  }
  const bh = shiftRightJam(b, 0, ea - eb);
  const bl = W.lo;
  R.sign = sa;
  if (sa == sb) {
    let hi = a + bh;
    let lo = bl;
    if (hi < a) {
      lo = (hi << 63) | (lo >> 1) | (lo & 1);
      hi = (hi >> 1) | TOP_BIT;
      ea++;
    }
    R.exp = ea;
    R.hi = hi;
    R.lo = lo;
    return;
  }
  const lo: u64 = 0 - bl;
  const hi = a - bh - <u64>(bl != 0);
  normalise(ea, hi, lo);
}

/** Sets R.exp, R.hi, R.lo from a 128-bit significand that may have leading zeros; leaves hi 0 for zero. */
export function normalise(exp: i32, hi: u64, lo: u64): void {
  if (hi == 0) {
    hi = lo;
    lo = 0;
    exp -= 64;
  }
  const n = <i32>clz<u64>(hi);
  if (n > 0 && n < 64) {
    hi = (hi << <u64>n) | (lo >> <u64>(64 - n));
    lo <<= <u64>n;
    exp -= n;
  }
  R.exp = exp;
  R.hi = hi;
  R.lo = lo;
}

export function mulUnpacked(ea: i32, a: u64, eb: i32, b: u64): void {
  const hi = mul64(a, b);
  const lo = W.lo;
  if (<i64>hi < 0) {
    R.exp = ea + eb + 1;
    R.hi = hi;
    R.lo = lo;
  } else {
    R.exp = ea + eb;
    R.hi = (hi << 1) | (lo >> 63);
    R.lo = lo << 1;
  }
}

/** Second word of a quotient or root: guard bit and sticky bit from a comparison with half. */
// @ts-ignore: decorator
@inline
function guard(zero: bool, aboveHalf: bool, half: bool): u64 {
  return zero ? 0 : aboveHalf ? <u64>0xc000000000000000 : half ? TOP_BIT : <u64>0x4000000000000000;
}

export function divUnpacked(ea: i32, a: u64, eb: i32, b: u64): void {
  let q: u64;
  if (a >= b) {
    q = div128(a >> 1, a << 63, b);
    R.exp = ea - eb;
  } else {
    q = div128(a, 0, b);
    R.exp = ea - eb - 1;
  }
  const r = W.lo;
  R.hi = q;
  R.lo = guard(r == 0, r > b - r, r == b - r);
}

export function sqrtUnpacked(ea: i32, a: u64): void {
  let nh: u64, nl: u64;
  if (ea & 1) {
    nh = a;
    nl = 0;
    R.exp = (ea - 1) >> 1;
  } else {
    nh = a >> 1;
    nl = a << 63;
    R.exp = ea >> 1;
  }
  // The double estimate is right to about 2^-52; one Newton step leaves an error of at most a unit or two.
  const est = sqrt<f64>(<f64>nh) * 4294967296.0;
  let q: u64 = est >= 18446744073709549568.0 ? ~(<u64>0) : <u64>est;
  let ph = mul64(q, q);
  let rl = nl - W.lo;
  let rh = nh - ph - <u64>(nl < W.lo);
  const corr = (<f64>(<i64>rh) * 18446744073709551616.0 + <f64>rl) / (2.0 * <f64>q);
  const step = <i64>corr;
  if (step > 0 && q + <u64>step < q) q = ~(<u64>0);
  else q += <u64>step;
  ph = mul64(q, q);
  rl = nl - W.lo;
  rh = nh - ph - <u64>(nl < W.lo);
  while (<i64>rh < 0) {
    q--;
    const add = (q << 1) | 1;
    rl += add;
    rh += <u64>(rl < add) + (q >> 63);
  }
  while (rh > q >> 63 || (rh == q >> 63 && rl > q << 1)) {
    const sub = (q << 1) | 1;
    rh -= (q >> 63) + <u64>(rl < sub);
    rl -= sub;
    q++;
  }
  R.sign = 0;
  R.hi = q;
  R.lo = guard((rh | rl) == 0, rh != 0 || rl > q, false);
}

/** Whether rounding (hi:lo) to p bits increments the magnitude. */
// @ts-ignore: decorator
@inline
function increments(hi: u64, lo: u64, mask: u64, p: u32, rc: u32, sign: u32): bool {
  if (rc == RC_NEAREST) {
    if (p == 64) return <i64>lo < 0 && ((lo << 1) | (hi & 1)) != 0;
    const halfBit = (mask >> 1) + 1;
    return (hi & halfBit) != 0 && ((hi & (mask >> 1)) | lo | (hi & (mask + 1))) != 0;
  }
  const inexact = ((hi & mask) | lo) != 0;
  return inexact && ((rc == RC_UP && sign == 0) || (rc == RC_DOWN && sign != 0));
}

/**
 * Rounds a nonzero magnitude (hi:lo normalised) with biased exponent `e` to `p` significand bits and exponent fields 1..maxExp-1.
 * `masks` has a FP_* bit for each masked exception. `wrap` is the exponent adjustment of unmasked overflow and underflow (24576 on the
 * x87 stack; SDM volume 1, 8.5.4 and 8.5.5), or 0 when no result is delivered then. `ftz` flushes tiny results to zero (MXCSR.FTZ).
 */
export function roundPack(sign: u32, e: i32, hi: u64, lo: u64, p: u32, maxExp: i32, rc: u32, masks: u32, wrap: i32, ftz: bool): void {
  const mask: u64 = p == 64 ? 0 : ~(<u64>0) >> <u64>p;
  let flags: u32 = 0;
  let inc = increments(hi, lo, mask, p, rc, sign);
  if (e < 1) {
    // Tininess is detected after rounding with an unbounded exponent range.
    const tiny = e < 0 || !(inc && (hi | mask) == ~(<u64>0));
    if (tiny) {
      if (!(masks & FP_UE)) {
        flags = FP_UE;
        if (wrap != 0) e += wrap;
        if (e < 1) {
          if (wrap != 0) {
            // Too small even for the adjusted range (FSCALE): zero.
            FP.flags |= FP_UE | FP_PE;
            FP.up = 0;
            Q.sig = 0;
            Q.exp = 0;
            return;
          }
          e = 1;
        }
      } else if (ftz) {
        FP.flags |= FP_UE | FP_PE;
        FP.up = 0;
        Q.sig = 0;
        Q.exp = 0;
        return;
      }
    }
    if (e < 1 && flags == 0) {
      hi = shiftRightJam(hi, lo, min<i32>(1 - e, 200));
      lo = W.lo;
      e = 0;
      inc = increments(hi, lo, mask, p, rc, sign);
      if (tiny && ((hi & mask) | lo) != 0) flags |= FP_UE;
    }
  }
  if (((hi & mask) | lo) != 0) flags |= FP_PE;
  hi &= ~mask;
  if (inc) {
    hi += mask + 1;
    if (hi == 0) {
      hi = TOP_BIT;
      e++;
    }
  }
  if (e == 0 && <i64>hi < 0) e = 1;
  FP.up = <u32>inc;
  if (e >= maxExp) {
    flags |= FP_OE;
    if (!(masks & FP_OE) && (wrap == 0 || e - wrap < maxExp)) {
      e -= wrap;
    } else {
      flags |= FP_PE;
      // Beyond even the adjusted range an unmasked overflow gives infinity.
      if (rc == RC_NEAREST || !(masks & FP_OE) || (rc == RC_UP && sign == 0) || (rc == RC_DOWN && sign != 0)) {
        e = maxExp;
        hi = TOP_BIT;
        FP.up = 1;
      } else {
        e = maxExp - 1;
        hi = ~mask;
        FP.up = 0;
      }
    }
  }
  FP.flags |= flags;
  Q.sig = hi;
  Q.exp = e;
}
