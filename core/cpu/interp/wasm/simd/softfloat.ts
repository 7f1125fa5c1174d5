/**
 * Single and double precision in software, with SSE rules for NaNs, flags, DAZ and FTZ (SDM volume 1, 4.8, 10.2, 11.5). `p` is the number of
 * significand bits, 24 or 53, and stands for the format; values are bit patterns, singles in the low half.
 */
import {
  addUnpacked, divUnpacked, FP, FP_DE, FP_IE, FP_ZE, mulUnpacked, Q, R, RC_DOWN, roundPack, sqrtUnpacked, TOP_BIT,
} from '../fpu/unpacked';
import { M } from './mxcsr';

export const OP_ADD = 0;
export const OP_SUB = 1;
export const OP_MUL = 2;
export const OP_DIV = 3;

const K_ZERO = 0;
const K_FINITE = 1;
const K_INF = 2;
const K_NAN = 3;

// @ts-ignore: decorator
@inline
export function signBit(p: u32): u64 {
  return p == 24 ? 0x80000000 : TOP_BIT;
}
// @ts-ignore: decorator
@inline
export function infBits(p: u32): u64 {
  return p == 24 ? 0x7f800000 : 0x7ff0000000000000;
}
// @ts-ignore: decorator
@inline
export function quietBit(p: u32): u64 {
  return p == 24 ? 0x400000 : 0x8000000000000;
}
/** The default NaN. */
// @ts-ignore: decorator
@inline
export function indefinite(p: u32): u64 {
  return p == 24 ? 0xffc00000 : 0xfff8000000000000;
}
// @ts-ignore: decorator
@inline
function bias(p: u32): i32 {
  return p == 24 ? 127 : 1023;
}
// @ts-ignore: decorator
@inline
export function magnitude(v: u64, p: u32): u64 {
  return v & (signBit(p) - 1);
}
export function isNan(v: u64, p: u32): bool {
  return magnitude(v, p) > infBits(p);
}
export function isSnan(v: u64, p: u32): bool {
  return isNan(v, p) && !(v & quietBit(p));
}
export function isDenormal(v: u64, p: u32): bool {
  const m = magnitude(v, p);
  return m != 0 && m < (<u64>1) << <u64>(p - 1);
}
/** DAZ: a denormal becomes a zero of its sign. */
export function flushInput(v: u64, p: u32): u64 {
  return M.daz && isDenormal(v, p) ? v & signBit(p) : v;
}
function kind(v: u64, p: u32): i32 {
  const m = magnitude(v, p);
  if (m == 0) return K_ZERO;
  const inf = infBits(p);
  return m < inf ? K_FINITE : m == inf ? K_INF : K_NAN;
}
/** Left-aligned significand of a finite nonzero number, exponent by exponentOf. */
// @ts-ignore: decorator
@inline
export function significand(v: u64, p: u32): u64 {
  const m = magnitude(v, p);
  const f = m & (((<u64>1) << <u64>(p - 1)) - 1);
  if (f == m) return f << clz<u64>(f);
  return (f << <u64>(64 - p)) | TOP_BIT;
}
// @ts-ignore: decorator
@inline
export function exponentOf(v: u64, p: u32): i32 {
  const m = magnitude(v, p);
  const e = <i32>(m >> <u64>(p - 1));
  return (e == 0 ? 1 - (<i32>clz<u64>(m) - <i32>(64 - p)) : e) - bias(p);
}

/** Rounds R to the format. */
export function packResult(p: u32): u64 {
  const s: u64 = R.sign ? signBit(p) : 0;
  roundPack(R.sign, R.exp + bias(p), R.hi, R.lo, p, bias(p) * 2 + 1, M.rc, M.masks, 0, M.ftz);
  return s | (<u64>Q.exp << <u64>(p - 1)) | ((Q.sig & ~TOP_BIT) >> <u64>(64 - p));
}

/** First NaN operand, quiet; IE when one is signalling. */
export function propagate(a: u64, b: u64, p: u32): u64 {
  if (isSnan(a, p) || isSnan(b, p)) FP.flags |= FP_IE;
  return (isNan(a, p) ? a : b) | quietBit(p);
}
function invalid(p: u32): u64 {
  FP.flags |= FP_IE;
  return indefinite(p);
}

export function softBinary(op: i32, a: u64, b: u64, p: u32): u64 {
  a = flushInput(a, p);
  b = flushInput(b, p);
  const ka = kind(a, p);
  const kb = kind(b, p);
  if (ka == K_NAN || kb == K_NAN) return propagate(a, b, p);
  if (op == OP_SUB) b ^= signBit(p);
  const sa = <u32>((a & signBit(p)) != 0);
  const sb = <u32>((b & signBit(p)) != 0);
  const inf = infBits(p);
  const sign: u64 = sa != sb ? signBit(p) : 0;
  const finite = ka == K_FINITE && kb == K_FINITE;
  if (ka == K_INF || kb == K_INF || (op == OP_DIV && ka == K_ZERO && kb == K_ZERO)) {
    let r: u64;
    if (op <= OP_SUB) {
      if (ka == kb && sa != sb) return invalid(p);
      r = ka == K_INF ? a : b;
    } else if (op == OP_MUL) {
      if (ka == K_ZERO || kb == K_ZERO) return invalid(p);
      r = inf | sign;
    } else {
      if (ka == kb) return invalid(p);
      r = ka == K_INF ? inf | sign : sign;
    }
    if (isDenormal(a, p) || isDenormal(b, p)) FP.flags |= FP_DE;
    return r;
  }
  if (op == OP_DIV && kb == K_ZERO) {
    // It hides a denormal dividend.
    FP.flags |= FP_ZE;
    return inf | sign;
  }
  if (isDenormal(a, p) || isDenormal(b, p)) FP.flags |= FP_DE;
  if (op <= OP_SUB) {
    if (finite) {
      addUnpacked(sa, exponentOf(a, p), significand(a, p), sb, exponentOf(b, p), significand(b, p));
      if (R.hi == 0) return M.rc == RC_DOWN ? signBit(p) : 0;
      return packResult(p);
    }
    if (ka == kb) return sa == sb ? a : M.rc == RC_DOWN ? signBit(p) : 0;
    const v = ka == K_ZERO ? b : a;
    return isDenormal(v, p) ? repack(v, p) : v;
  }
  if (!finite) return sign;
  if (op == OP_MUL) mulUnpacked(exponentOf(a, p), significand(a, p), exponentOf(b, p), significand(b, p));
  else divUnpacked(exponentOf(a, p), significand(a, p), exponentOf(b, p), significand(b, p));
  R.sign = sa ^ sb;
  return packResult(p);
}

/** A denormal result that is exact still underflows when that is unmasked or flushed. */
export function repack(v: u64, p: u32): u64 {
  R.sign = <u32>((v & signBit(p)) != 0);
  R.exp = exponentOf(v, p);
  R.hi = significand(v, p);
  R.lo = 0;
  return packResult(p);
}

export function softSqrt(a: u64, p: u32): u64 {
  a = flushInput(a, p);
  const k = kind(a, p);
  if (k == K_NAN) return propagate(a, a, p);
  if (k == K_ZERO) return a;
  if (a & signBit(p)) return invalid(p);
  if (k == K_INF) return a;
  if (isDenormal(a, p)) FP.flags |= FP_DE;
  sqrtUnpacked(exponentOf(a, p), significand(a, p));
  return packResult(p);
}

/** Single to double. */
export function widen(v: u64): u64 {
  v = flushInput(v, 24);
  const k = kind(v, 24);
  const s = (v & 0x80000000) << 32;
  if (k == K_ZERO) return s;
  if (k == K_NAN) {
    if (isSnan(v, 24)) FP.flags |= FP_IE;
    return s | 0x7ff8000000000000 | ((v & 0x7fffff) << 29);
  }
  if (k == K_INF) return s | 0x7ff0000000000000;
  if (isDenormal(v, 24)) FP.flags |= FP_DE;
  return s | (<u64>(exponentOf(v, 24) + 1023) << 52) | ((significand(v, 24) & ~TOP_BIT) >> 11);
}

/** Double to single. */
export function narrow(v: u64): u64 {
  v = flushInput(v, 53);
  const k = kind(v, 53);
  const s = (v >> 32) & 0x80000000;
  if (k == K_ZERO) return s;
  if (k == K_NAN) {
    if (isSnan(v, 53)) FP.flags |= FP_IE;
    return s | 0x7fc00000 | ((v >> 29) & 0x7fffff);
  }
  if (k == K_INF) return s | 0x7f800000;
  if (isDenormal(v, 53)) FP.flags |= FP_DE;
  R.sign = <u32>(s != 0);
  R.exp = exponentOf(v, 53);
  R.hi = significand(v, 53);
  R.lo = 0;
  return packResult(24);
}

export function fromInteger(v: i64, p: u32): u64 {
  if (v == 0) return 0;
  const m: u64 = v < 0 ? 0 - <u64>v : <u64>v;
  const n = clz<u64>(m);
  R.sign = <u32>(v < 0);
  R.exp = 63 - <i32>n;
  R.hi = m << n;
  R.lo = 0;
  return packResult(p);
}
