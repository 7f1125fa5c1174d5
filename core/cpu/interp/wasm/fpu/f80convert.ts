/** Conversions between 80-bit extended, single, double and integers, and rounding to an integral value. */
import {
  classify80, Ctl, deliver80, exp80, indefinite80, invalid80, isDenormal80, K_FINITE, K_INF, K_NAN, K_UNSUPPORTED, K_ZERO, QUIET,
  quieten80, set80, sig80,
} from './f80';
import { FP, FP_DE, FP_IE, FP_PE, Q, R, RC_DOWN, RC_NEAREST, RC_UP, roundPack, TOP_BIT } from './unpacked';

const BIAS: i32 = 16383;

/** Set by the widening conversions: the source was denormal. */
export class Source {
  static denormal: bool = false;
}

/**
 * Single or double (fraction of `fracBits` bits below an exponent with maximum `maxExp`) to extended: exact, raises nothing. NaNs stay as they
 * are, so that the arithmetic that follows sees a signalling one.
 */
export function fromFloat(bits: u64, fracBits: u32, maxExp: u32): void {
  const frac = bits & (((<u64>1) << <u64>fracBits) - 1);
  const e = <u32>(bits >> <u64>fracBits) & maxExp;
  const s = <u32>(bits >> <u64>(fracBits == 52 ? 63 : 31)) << 15;
  const shifted = frac << <u64>(63 - fracBits);
  const bias = <i32>(maxExp >> 1);
  Source.denormal = false;
  if (e == maxExp) {
    if (shifted == 0) set80(s | 0x7fff, TOP_BIT);
    else set80(s | 0x7fff, shifted | TOP_BIT);
    return;
  }
  if (e == 0) {
    if (frac == 0) {
      set80(s, 0);
      return;
    }
    Source.denormal = true;
    const n = <i32>clz<u64>(shifted);
    set80(s | <u32>(1 - n - bias + BIAS), shifted << <u64>n);
    return;
  }
  set80(s | (e - <u32>bias + <u32>BIAS), shifted | TOP_BIT);
}
export function fromF32(bits: u32): void {
  fromFloat(<u64>bits, 23, 0xff);
}
export function fromF64(bits: u64): void {
  fromFloat(bits, 52, 0x7ff);
}

/** Extended to single (p = 24) or double (p = 53); a denormal source raises no DE. With an unmasked OE or UE the result must not be used. */
export function toFloat(se: u32, sig: u64, p: u32): u64 {
  const maxExp: i32 = p == 24 ? 0xff : 0x7ff;
  const fracBits = p - 1;
  const s = <u64>(se >> 15) << <u64>(p == 24 ? 31 : 63);
  const k = classify80(se, sig);
  const top = <u64>maxExp << <u64>fracBits;
  if (k == K_FINITE) {
    roundPack(se >> 15, exp80(se, sig) + (maxExp >> 1), sig80(sig), 0, p, maxExp, Ctl.rc, Ctl.masks, 0, false);
    return s | (<u64>Q.exp << <u64>fracBits) | ((Q.sig & ~TOP_BIT) >> <u64>(64 - p));
  }
  if (k == K_ZERO) return s;
  if (k == K_INF) return s | top;
  if (k == K_UNSUPPORTED) {
    FP.flags |= FP_IE;
    return ((<u64>1) << <u64>(p == 24 ? 31 : 63)) | top | ((<u64>1) << <u64>(fracBits - 1));
  }
  if (!(sig & QUIET)) FP.flags |= FP_IE;
  return s | top | (((sig | QUIET) & ~TOP_BIT) >> <u64>(64 - p));
}

export function fromInt(v: i64): void {
  if (v == 0) {
    set80(0, 0);
    return;
  }
  const m: u64 = v < 0 ? 0 - <u64>v : <u64>v;
  const n = clz<u64>(m);
  set80((v < 0 ? 0x8000 : 0) | (BIAS + 63 - <u32>n), m << n);
}

/** Set when integer magnitude rounding was inexact; the magnitude is the return value. Needs exp <= 63. */
export class IntRound {
  static inexact: bool = false;
  static up: u32 = 0;
  static overflow: bool = false;
}

/** Rounds sig/2^63 * 2^exp (exp <= 63) to an integer by rc. */
export function roundMagnitude(sign: u32, exp: i32, sig: u64, rc: u32): u64 {
  let ip: u64 = 0;
  let frac: u64;
  if (exp >= 63) {
    ip = sig;
    frac = 0;
  } else if (exp >= 0) {
    ip = sig >> <u64>(63 - exp);
    frac = sig << <u64>(exp + 1);
  } else if (exp == -1) frac = sig;
  else frac = 1;
  IntRound.inexact = frac != 0;
  IntRound.overflow = false;
  let inc: bool;
  if (rc == RC_NEAREST) inc = <i64>frac < 0 && ((frac << 1) | (ip & 1)) != 0;
  else inc = frac != 0 && ((rc == RC_UP && sign == 0) || (rc == RC_DOWN && sign != 0));
  IntRound.up = <u32>inc;
  if (inc) {
    ip++;
    if (ip == 0) IntRound.overflow = true;
  }
  return ip;
}

/** Extended to a signed integer of `size` bits (16, 32, 64); integer indefinite and IE when it does not fit. */
export function toInt(se: u32, sig: u64, size: u32, rc: u32): i64 {
  const k = classify80(se, sig);
  const limit = (<u64>1) << <u64>(size - 1);
  if (k == K_ZERO) return 0;
  if (k == K_FINITE) {
    const e = exp80(se, sig);
    const sign = se >> 15;
    if (e <= 63) {
      const m = roundMagnitude(sign, e, sig80(sig), rc);
      if (!IntRound.overflow && m < limit + <u64>sign) {
        if (IntRound.inexact) {
          FP.flags |= FP_PE;
          FP.up = IntRound.up;
        }
        return sign ? 0 - <i64>m : <i64>m;
      }
    }
  }
  FP.flags |= FP_IE;
  return 0 - <i64>limit;
}

/** FRNDINT. */
export function roundInt80(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k >= K_NAN) {
    if (k == K_NAN) quieten80(se, sig);
    else invalid80();
    return;
  }
  if (k != K_FINITE) {
    set80(se, sig);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  const e = exp80(se, sig);
  if (e >= 63) {
    set80(se, sig);
    return;
  }
  const m = roundMagnitude(se >> 15, e, sig80(sig), Ctl.rc);
  if (IntRound.inexact) {
    FP.flags |= FP_PE;
    FP.up = IntRound.up;
  }
  if (m == 0) {
    set80(se & 0x8000, 0);
    return;
  }
  const n = clz<u64>(m);
  set80((se & 0x8000) | (BIAS + 63 - <u32>n), m << n);
}

/** Delivers an exact finite value with full precision (it may still be tiny, hence the rounding step). */
export function deliverExact(sign: u32, exp: i32, sig: u64): void {
  R.sign = sign;
  R.exp = exp;
  R.hi = sig;
  R.lo = 0;
  deliver80(64);
}

/** The operand is a NaN or unsupported: quiet NaN or indefinite. */
export function unaryNan80(k: i32, se: u32, sig: u64): void {
  if (k == K_NAN) quieten80(se, sig);
  else {
    FP.flags |= FP_IE;
    indefinite80();
  }
}
