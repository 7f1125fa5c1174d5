/** FPREM, FPREM1, FSCALE, FXTRACT and comparisons on 80-bit numbers (SDM volume 2). */
import {
  classify80, denormals80, exp80, F, inf80, invalid80, isDenormal80, isSnan80, K_FINITE, K_INF, K_NAN, K_UNSUPPORTED, K_ZERO, nan80,
  set80, sig80, zero80,
} from './f80';
import { deliverExact, unaryNan80 } from './f80convert';
import { FP, FP_DE, FP_IE, FP_ZE } from './unpacked';
import { div128, W } from './wide';

/** Relations: C3 C2 C0 of FCOM as bits 6, 2, 0, which are also ZF PF CF of FCOMI. */
export const CMP_GREATER: u32 = 0;
export const CMP_LESS: u32 = 1;
export const CMP_EQUAL: u32 = 0x40;
export const CMP_UNORDERED: u32 = 0x45;

/** `quiet`: only signalling NaNs are invalid (FUCOM). */
export function compare80(as: u32, ag: u64, bs: u32, bg: u64, quiet: bool): u32 {
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  if (ka >= K_NAN || kb >= K_NAN) {
    if (!quiet || ka == K_UNSUPPORTED || kb == K_UNSUPPORTED || isSnan80(as, ag) || isSnan80(bs, bg)) FP.flags |= FP_IE;
    return CMP_UNORDERED;
  }
  denormals80(as, ag, bs, bg);
  if (ka == K_ZERO && kb == K_ZERO) return CMP_EQUAL;
  const sa = as >> 15;
  if (ka == K_ZERO) return bs >> 15 ? CMP_GREATER : CMP_LESS;
  if (kb == K_ZERO) return sa ? CMP_LESS : CMP_GREATER;
  if (sa != bs >> 15) return sa ? CMP_LESS : CMP_GREATER;
  const ea: i32 = ka == K_INF ? 0x10000 : exp80(as, ag);
  const eb: i32 = kb == K_INF ? 0x10000 : exp80(bs, bg);
  const na = sig80(ag);
  const nb = sig80(bg);
  if (ea == eb && na == nb) return CMP_EQUAL;
  const less = ea < eb || (ea == eb && na < nb);
  return less != (sa != 0) ? CMP_LESS : CMP_GREATER;
}

/** Outcome of a remainder step besides F: low quotient bits, and whether the reduction is incomplete (C2). */
export class Rem {
  static quotient: u32 = 0;
  static partial: bool = false;
}

/** Partial remainder; `nearest` is FPREM1 (IEEE), otherwise FPREM (truncating). */
export function rem80(as: u32, ag: u64, bs: u32, bg: u64, nearest: bool): void {
  Rem.quotient = 0;
  Rem.partial = false;
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  if (ka >= K_NAN || kb >= K_NAN) {
    nan80(ka, as, ag, kb, bs, bg);
    return;
  }
  if (ka == K_INF || kb == K_ZERO) {
    invalid80();
    return;
  }
  denormals80(as, ag, bs, bg);
  if (ka == K_ZERO) {
    set80(as, ag);
    return;
  }
  const ea = exp80(as, ag);
  const a = sig80(ag);
  if (kb == K_INF) {
    // The dividend itself, which is no underflow; a pseudo-denormal gets its proper exponent.
    set80(<i64>ag < 0 && (as & 0x7fff) == 0 ? as | 1 : as, ag);
    return;
  }
  const eb = exp80(bs, bg);
  const b = sig80(bg);
  let d = ea - eb;
  let sign = as >> 15;
  if (d < 0) {
    // |a| < |b|: only FPREM1 can still subtract, when |a| > |b| / 2.
    if (nearest && d == -1 && a > b) {
      Rem.quotient = 1;
      // |b| - |a| in units of a's last place: 2b - a, less than a.
      deliverNormalised(sign ^ 1, ea, b - (a - b));
      return;
    }
    deliverExact(sign, ea, a);
    return;
  }
  if (d >= 64) {
    // Intel processors reduce the exponent difference by 32..63 bits at a time.
    const n = (d & 31) | 32;
    Rem.partial = true;
    const r = reduce(a, b, n);
    if (r == 0) zero80(sign);
    else deliverNormalised(sign, eb + d - n, r);
    return;
  }
  let r = reduce(a, b, d);
  let q = W.lo;
  if (nearest && (r > b - r || (r == b - r && q & 1))) {
    r = b - r;
    sign ^= 1;
    q++;
  }
  Rem.quotient = <u32>q & 7;
  if (r == 0) zero80(as >> 15);
  else deliverNormalised(sign, eb, r);
}

/** a * 2^n mod b for normalised a and b, n in 0..63; low 64 quotient bits in W.lo. */
function reduce(a: u64, b: u64, n: i32): u64 {
  let q: u64 = 0;
  if (a >= b) {
    a -= b;
    q = 1;
  }
  if (n == 0) {
    W.lo = q;
    return a;
  }
  const low = div128(a >> <u64>(64 - n), a << <u64>n, b);
  const r = W.lo;
  W.lo = low + (q << <u64>n);
  return r;
}

function deliverNormalised(sign: u32, exp: i32, sig: u64): void {
  const n = clz<u64>(sig);
  deliverExact(sign, exp - <i32>n, sig << n);
}

/** a * 2^trunc(b). */
export function scale80(as: u32, ag: u64, bs: u32, bg: u64): void {
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  if (ka >= K_NAN || kb >= K_NAN) {
    nan80(ka, as, ag, kb, bs, bg);
    return;
  }
  const down = bs >> 15 != 0;
  if (kb == K_INF) {
    if (down ? ka == K_INF : ka == K_ZERO) {
      invalid80();
      return;
    }
    denormals80(as, ag, bs, bg);
    if (ka == K_FINITE) {
      if (down) zero80(as >> 15);
      else inf80(as >> 15);
    } else set80(as, ag);
    return;
  }
  denormals80(as, ag, bs, bg);
  if (ka != K_FINITE) {
    set80(as, ag);
    return;
  }
  let n: i32 = 0;
  if (kb == K_FINITE) {
    const eb = exp80(bs, bg);
    if (eb > 16) n = 0x20000;
    else if (eb >= 0) n = <i32>(sig80(bg) >> <u64>(63 - eb));
    if (down) n = -n;
  }
  deliverExact(as >> 15, exp80(as, ag) + n, sig80(ag));
}

/** Exponent part of FXTRACT; the significand part goes to Xtract. */
export class Xtract {
  static se: u32 = 0;
  static sig: u64 = 0;
}
export function extract80(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k >= K_NAN) {
    unaryNan80(k, se, sig);
    Xtract.se = F.se;
    Xtract.sig = F.sig;
    return;
  }
  Xtract.se = se;
  Xtract.sig = sig;
  if (k == K_INF) {
    inf80(0);
    return;
  }
  if (k == K_ZERO) {
    FP.flags |= FP_ZE;
    inf80(1);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  Xtract.se = (se & 0x8000) | 0x3fff;
  Xtract.sig = sig80(sig);
  const e = exp80(se, sig);
  if (e == 0) {
    zero80(0);
    return;
  }
  const m = <u64>abs<i32>(e);
  const n = clz<u64>(m);
  set80((e < 0 ? 0x8000 : 0) | (16383 + 63 - <u32>n), m << n);
}
