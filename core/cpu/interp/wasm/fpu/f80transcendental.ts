/**
 * F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FPTAN, FPATAN (SDM volume 1, 8.3.7 to 8.3.10; volume 2 for the tables of special operands).
 * Series in 128-bit fixed point with relative error below 2^-100, rounded once: results are within half an ulp and a bit of the exact function. The argument of the
 * circular functions is reduced with the 66-bit pi of Intel processors, so that sin(pi) is what programs expect from an x87.
 */
import {
  classify80, deliver80, denormals80, exp80, F, inf80, invalid80, isDenormal80, K_FINITE, K_INF, K_NAN, K_ZERO, nan80, set80, sig80,
  zero80,
} from './f80';
import { unaryNan80 } from './f80convert';
import { divUnpacked, FP, FP_DE, FP_PE, FP_UE, FP_ZE, normalise, Q, R, TOP_BIT } from './unpacked';
import { ATAN_TABLE, COS_COEF, EXP_COEF, LN2_HI, LN2_LO, LOG2E_HI, LOG2E_LO, ODD_COEF, PI_4_HI, PI_4_LO, SIN_COEF } from './transtables';
import { divFraction128, mulHigh128, shiftRightJam, W } from './wide';

/** A positive number (hi:lo)/2^127 * 2^exp, normalised; or zero when hi is 0. */
class X {
  static exp: i32 = 0;
  static hi: u64 = 0;
  static lo: u64 = 0;
}
function setX(exp: i32, hi: u64, lo: u64): void {
  normalise(exp, hi, lo);
  X.exp = R.exp;
  X.hi = R.hi;
  X.lo = R.lo;
}

/** z*(c0 - z*(c1 - z*(c2 ...))) or, with `plus`, all signs positive. z and the result are 128-bit fractions; `n` coefficients. */
function horner(zh: u64, zl: u64, table: usize, n: i32, plus: bool): u64 {
  let h: u64 = 0;
  let l: u64 = 0;
  for (let i = n - 1; i >= 0; i--) {
    const c = table + (<usize>i << 4);
    const ch = load<u64>(c);
    const cl = load<u64>(c, 8);
    if (plus) {
      const s = cl + l;
      h = ch + h + <u64>(s < cl);
      l = s;
    } else {
      h = ch - h - <u64>(cl < l);
      l = cl - l;
    }
    h = mulHigh128(zh, zl, h, l);
    l = W.lo;
  }
  W.lo = l;
  return h;
}

/** X as a 128-bit fraction; needs X < 1. */
function xFraction(): u64 {
  return shiftRightJam(X.hi, X.lo, min<i32>(-1 - X.exp, 130));
}

/** X *= 1 - (th:tl), or 1 + (th:tl) with `plus`. */
function scaleX(th: u64, tl: u64, plus: bool): void {
  const ph = mulHigh128(X.hi, X.lo, th, tl);
  // A correction too small to be seen still says on which side of X the result is.
  const pl = W.lo | <u64>(!plus && (ph | W.lo) == 0);
  if (plus) {
    const lo = X.lo + pl;
    const c = <u64>(lo < pl);
    const sum = X.hi + ph;
    const hi = sum + c;
    if (sum < ph || hi < sum) setX(X.exp + 1, (hi >> 1) | TOP_BIT, (hi << 63) | (lo >> 1));
    else setX(X.exp, hi, lo);
  } else {
    setX(X.exp, X.hi - ph - <u64>(X.lo < pl), X.lo - pl);
  }
}

/** Delivers X with a sign; every use is an irrational number, so the result is inexact even if the bits kept look exact. */
function deliverX(sign: u32): void {
  R.sign = sign;
  R.exp = X.exp;
  R.hi = X.hi;
  R.lo = X.lo | 1;
  deliver80(64);
}

/** Delivers R, whose value is exact, as the processors do where they skip the series: inexact, and underflowing when denormal. */
function deliverAsInexact(): void {
  deliver80(64);
  FP.flags |= FP_PE;
  if (Q.exp == 0) FP.flags |= FP_UE;
}
function deliverOperand(sign: u32, exp: i32, sig: u64): void {
  R.sign = sign;
  R.exp = exp;
  R.hi = sig;
  R.lo = 0;
  deliverAsInexact();
}

/** Quadrant (0..3) found by reduce(); the remainder, within +-pi/4, is X with sign in Reduced.sign. */
class Reduced {
  static quadrant: u32 = 0;
  static sign: u32 = 0;
}

/** 66-bit pi/4 of Intel processors: 0.C90FDAA22168C234C hexadecimal (SDM volume 1, 8.3.8), as 128-bit fraction. */
const PI66_HI: u64 = 0xc90fdaa22168c234;
const PI66_LO: u64 = 0xc000000000000000;

/** |x| mod pi/2 for x = sig/2^63 * 2^exp, exp <= 62. */
function reduce(exp: i32, sig: u64): void {
  Reduced.quadrant = 0;
  Reduced.sign = 0;
  // pi/4 has exponent -1: 0.C90F... = 1.92.. * 2^-1. Nothing to do below it.
  if (exp < -1 || (exp == -1 && sig <= PI66_HI)) {
    setX(exp, sig, 0);
    return;
  }
  // Long division in units where pi/2 is PI66 with exponent 0; the dividend starts as its top bits and takes exp more doublings.
  let q: u32 = 0;
  let rh = sig;
  let rl: u64 = 0;
  if (exp == -1) {
    rh = sig >> 1;
    rl = sig << 63;
    exp = 0;
  }
  for (let i = exp; ; i--) {
    if (rh > PI66_HI || (rh == PI66_HI && rl >= PI66_LO)) {
      rh = rh - PI66_HI - <u64>(rl < PI66_LO);
      rl -= PI66_LO;
      q |= 1;
    }
    if (i == 0) break;
    // The remainder is below pi/2 < 2^128 / 2 only after a doubling check: keep the carried-out bit.
    const carry = rh >> 63;
    rh = (rh << 1) | (rl >> 63);
    rl <<= 1;
    q <<= 1;
    if (carry) {
      rh = rh - PI66_HI - <u64>(rl < PI66_LO);
      rl -= PI66_LO;
      q |= 1;
    }
  }
  // Nearest multiple: a remainder above pi/4 is pi/2 minus it on the other side. Compare 2r with PI66.
  const dh = (rh << 1) | (rl >> 63);
  if (rh >> 63 || dh > PI66_HI || (dh == PI66_HI && rl << 1 > PI66_LO)) {
    const lo = PI66_LO - rl;
    rh = PI66_HI - rh - <u64>(PI66_LO < rl);
    rl = lo;
    q++;
    Reduced.sign = 1;
  }
  Reduced.quadrant = q & 3;
  setX(0, rh, rl);
}

/** X = sin X for 0 <= X <= pi/4. */
function sinX(): void {
  const fh = xFraction();
  const fl = W.lo;
  const zh = mulHigh128(fh, fl, fh, fl);
  const zl = W.lo;
  const th = horner(zh, zl, SIN_COEF, 12, false);
  scaleX(th, W.lo, false);
}
/** X = cos X. */
function cosX(): void {
  const fh = xFraction();
  const fl = W.lo;
  const zh = mulHigh128(fh, fl, fh, fl);
  const zl = W.lo;
  const th = horner(zh, zl, COS_COEF, 13, false);
  const tl = W.lo;
  if ((th | tl) == 0) setX(-1, ~(<u64>0), ~(<u64>0));
  else setX(-1, 0 - th - <u64>(tl != 0), 0 - tl);
}

/** Below 2^-68 Intel processors deliver the argument itself (or 1), in every rounding mode. */
const TINY: i32 = -69;

/** Sine or cosine of a finite number with exponent below 63, into F. */
function circular(se: u32, sig: u64, cosine: bool): void {
  const exp = exp80(se, sig);
  if (exp <= TINY) {
    if (cosine) deliverOperand(0, 0, TOP_BIT);
    else deliverOperand(se >> 15, exp, sig80(sig));
    return;
  }
  reduce(exp, sig80(sig));
  const q = Reduced.quadrant + <u32>cosine;
  let sign = cosine ? 0 : se >> 15;
  if (X.hi == 0) {
    // An exact multiple of the 66-bit pi/2, which no 64-bit significand but zero reaches.
    zero80(sign);
    return;
  }
  if (q & 1) cosX();
  else {
    sign ^= Reduced.sign;
    sinX();
  }
  if (cosine ? ((Reduced.quadrant + 1) & 2) != 0 : (Reduced.quadrant & 2) != 0) sign ^= 1;
  // In the odd quadrant of the cosine, cos(q pi/2 + r) = -+ sin r.
  deliverX(sign);
}

/** True when |x| >= 2^63: the instruction sets C2 and leaves its operand (SDM volume 1, 8.3.8). */
export function outOfRange80(se: u32, sig: u64): bool {
  return classify80(se, sig) == K_FINITE && exp80(se, sig) >= 63;
}

function circularSpecial(k: i32, se: u32, sig: u64): void {
  if (k == K_INF) invalid80();
  else unaryNan80(k, se, sig);
}

export function sin80(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k == K_ZERO) {
    set80(se, sig);
    return;
  }
  if (k != K_FINITE) {
    circularSpecial(k, se, sig);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  circular(se, sig, false);
}
export function cos80(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k == K_ZERO) {
    set80(0x3fff, TOP_BIT);
    return;
  }
  if (k != K_FINITE) {
    circularSpecial(k, se, sig);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  circular(se, sig, true);
}

/** X = X / (exp, hi, lo), both normalised and nonzero. */
function divideX(exp: i32, hi: u64, lo: u64): void {
  let e = X.exp - exp;
  let nh = X.hi;
  let nl = X.lo;
  if (nh > hi || (nh == hi && nl >= lo)) {
    nl = (nh << 63) | (nl >> 1);
    nh >>= 1;
    e++;
  }
  const q = divFraction128(nh, nl, hi, lo);
  setX(e - 1, q, W.lo);
}

export function tan80(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k == K_ZERO) {
    set80(se, sig);
    return;
  }
  if (k != K_FINITE) {
    circularSpecial(k, se, sig);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  if (exp80(se, sig) <= TINY) {
    deliverOperand(se >> 15, exp80(se, sig), sig80(sig));
    return;
  }
  reduce(exp80(se, sig), sig80(sig));
  const e = X.exp;
  const h = X.hi;
  const l = X.lo;
  sinX();
  const sinExp = X.exp;
  const sinHi = X.hi;
  const sinLo = X.lo;
  setX(e, h, l);
  cosX();
  let sign = se >> 15 ^ Reduced.sign;
  if (Reduced.quadrant & 1) {
    // tan(pi/2 + r) = -cot r
    sign ^= 1;
    divideX(sinExp, sinHi, sinLo);
  } else {
    const cosExp = X.exp;
    const cosHi = X.hi;
    const cosLo = X.lo;
    setX(sinExp, sinHi, sinLo);
    divideX(cosExp, cosHi, cosLo);
  }
  deliverX(sign);
}

/** 2^x - 1 for |x| <= 1. Outside, where the manual leaves the result undefined, the operand stays. */
export function exp2m1(se: u32, sig: u64): void {
  const k = classify80(se, sig);
  if (k >= K_NAN) {
    unaryNan80(k, se, sig);
    return;
  }
  if (k == K_ZERO) {
    set80(se, sig);
    return;
  }
  const sign = se >> 15;
  if (k == K_INF) {
    if (sign) set80(0xbfff, TOP_BIT);
    else inf80(0);
    return;
  }
  if (isDenormal80(se, sig)) FP.flags |= FP_DE;
  const exp = exp80(se, sig);
  if (exp > 0 || (exp == 0 && sig80(sig) != TOP_BIT)) {
    set80(se, sig);
    return;
  }
  if (exp == 0) {
    if (sign) set80(0xbffe, TOP_BIT);
    else set80(0x3fff, TOP_BIT);
    return;
  }
  const ph = mulHigh128(sig80(sig), 0, LN2_HI, LN2_LO);
  setX(exp, ph, W.lo);
  const fh = xFraction();
  const fl = W.lo;
  const th = horner(fh, fl, EXP_COEF, 24, sign == 0);
  scaleX(th, W.lo, sign == 0);
  deliverX(sign);
}

/** X = log2((1 + s) / (1 - s)) = 2 log2(e) atanh s, for s = X <= 0.18. */
function log2Ratio(): void {
  const fh = xFraction();
  const fl = W.lo;
  const zh = mulHigh128(fh, fl, fh, fl);
  const zl = W.lo;
  const th = horner(zh, zl, ODD_COEF, 20, true);
  scaleX(th, W.lo, true);
  const ph = mulHigh128(X.hi, X.lo, LOG2E_HI, LOG2E_LO);
  setX(X.exp + 2, ph, W.lo);
}

/** sqrt(2) as a significand. */
const SQRT2: u64 = 0xb504f333f9de6484;

/** X = |log2 m| for m = (hi:lo)/2^127 * 2^exp; returns its sign. X is zero when m is 1. */
function log2Number(exp: i32, hi: u64, lo: u64): u32 {
  // Bring the significand to sqrt(1/2)..sqrt(2), here as a number of 2 integer bits in units of 2^-126.
  let below: u32 = 0;
  if (hi >= SQRT2) {
    exp++;
    below = 1;
  }
  // Numerator |m - 1| and denominator m + 1, scaled so that one is 2^125.
  const shift: i32 = below ? 3 : 2;
  const mh = shiftRightJam(hi, lo, shift);
  const ml = W.lo;
  const one: u64 = 0x2000000000000000;
  let nh: u64, nl: u64;
  if (below) {
    nh = one - mh - <u64>(ml != 0);
    nl = 0 - ml;
  } else {
    nh = mh - one;
    nl = ml;
  }
  let sign = below;
  if ((nh | nl) != 0) {
    setX(0, nh, nl);
    const ne = X.exp;
    const nH = X.hi;
    const nL = X.lo;
    setX(0, mh + one, ml);
    const de = X.exp;
    const dH = X.hi;
    const dL = X.lo;
    X.exp = ne;
    X.hi = nH;
    X.lo = nL;
    divideX(de, dH, dL);
    log2Ratio();
  } else setX(0, 0, 0);
  if (exp == 0) return sign;
  // |exp| and the fraction of the logarithm, added as a 64.128-bit number.
  let fh: u64 = 0;
  let fl: u64 = 0;
  if (X.hi != 0) {
    fh = xFraction();
    fl = W.lo;
  }
  let ip = <u64>abs<i32>(exp);
  if (<u32>(exp < 0) != sign && (fh | fl) != 0) {
    ip--;
    fh = 0 - fh - <u64>(fl != 0);
    fl = 0 - fl;
  }
  sign = <u32>(exp < 0);
  if (ip == 0) {
    setX(-1, fh, fl);
    return sign;
  }
  const n = clz<u64>(ip);
  setX(63 - <i32>n, (ip << n) | (fh >> (64 - n)), (fh << n) | (fl >> (64 - n)));
  return sign;
}

/** Delivers y * X, where X is a logarithm with sign `sign`. */
function deliverProduct(ys: u32, yg: u64, sign: u32): void {
  const exp = exp80(ys, yg) + X.exp + 1;
  const ph = mulHigh128(X.hi, X.lo, sig80(yg), 0);
  setX(exp, ph, W.lo);
  deliverX(sign ^ (ys >> 15));
}

/** y * log2 x. */
export function ylog2x(xs: u32, xg: u64, ys: u32, yg: u64): void {
  const kx = classify80(xs, xg);
  const ky = classify80(ys, yg);
  if (kx >= K_NAN || ky >= K_NAN) {
    nan80(kx, xs, xg, ky, ys, yg);
    return;
  }
  const ysign = ys >> 15;
  if (kx != K_ZERO && xs & 0x8000) {
    invalid80();
    return;
  }
  if (kx == K_ZERO) {
    if (ky == K_ZERO) {
      invalid80();
      return;
    }
    if (ky == K_FINITE) FP.flags |= FP_ZE;
    inf80(ysign ^ 1);
    return;
  }
  if (kx == K_INF) {
    if (ky == K_ZERO) {
      invalid80();
      return;
    }
    denormals80(xs, xg, ys, yg);
    inf80(ysign);
    return;
  }
  const exp = exp80(xs, xg);
  const x = sig80(xg);
  const isOne = exp == 0 && x == TOP_BIT;
  if (ky == K_INF) {
    if (isOne) {
      invalid80();
      return;
    }
    denormals80(xs, xg, ys, yg);
    inf80(exp < 0 ? ysign ^ 1 : ysign);
    return;
  }
  denormals80(xs, xg, ys, yg);
  if (ky == K_ZERO) {
    zero80(isOne ? ysign : exp < 0 ? ysign ^ 1 : ysign);
    return;
  }
  if (isOne) {
    zero80(ysign);
    return;
  }
  const sign = log2Number(exp, x, 0);
  if (x == TOP_BIT) {
    // A power of two: the logarithm is an integer.
    const hi = mulHigh128(X.hi, X.lo, sig80(yg), 0);
    normalise(exp80(ys, yg) + X.exp + 1, hi, W.lo);
    // The processor reaches negative logarithms from below.
    if (sign) normalise(R.exp, R.hi - <u64>(R.lo == 0), R.lo - 1);
    R.sign = sign ^ ysign;
    if (sign) deliver80(64);
    else deliverAsInexact();
    return;
  }
  deliverProduct(ys, yg, sign);
}

/** y * log2(x + 1). */
export function ylog2xp1(xs: u32, xg: u64, ys: u32, yg: u64): void {
  const kx = classify80(xs, xg);
  const ky = classify80(ys, yg);
  if (kx >= K_NAN || ky >= K_NAN) {
    nan80(kx, xs, xg, ky, ys, yg);
    return;
  }
  const xsign = xs >> 15;
  const sign = xsign ^ (ys >> 15);
  if (kx == K_INF) {
    if (xsign || ky == K_ZERO) {
      invalid80();
      return;
    }
    denormals80(xs, xg, ys, yg);
    inf80(sign);
    return;
  }
  if (kx == K_ZERO) {
    if (ky == K_INF) {
      invalid80();
      return;
    }
    denormals80(xs, xg, ys, yg);
    zero80(sign);
    return;
  }
  const exp = exp80(xs, xg);
  const x = sig80(xg);
  if (xsign && exp >= 0) {
    // log2 of zero or less; the manual leaves it undefined.
    invalid80();
    return;
  }
  denormals80(xs, xg, ys, yg);
  if (ky == K_INF) {
    inf80(sign);
    return;
  }
  if (ky == K_ZERO) {
    zero80(sign);
    return;
  }
  if (exp < -2) {
    // s = x / (2 + x), with 2 + x in units of 2^-126
    const h = shiftRightJam(x, 0, min<i32>(1 - exp, 130));
    const l = W.lo;
    if (xsign) setX(1, TOP_BIT - h - <u64>(l != 0), 0 - l);
    else setX(1, TOP_BIT + h, l);
    const de = X.exp;
    const dh = X.hi;
    const dl = X.lo;
    setX(exp, x, 0);
    divideX(de, dh, dl);
    log2Ratio();
    deliverProduct(ys, yg, xsign);
    return;
  }
  // 1 + x exactly in 128 bits: |x| >= 1/4 reaches down to 2^-65.
  let logSign: u32;
  if (exp >= 0) {
    const h = exp > 126 ? <u64>0 : shiftRightJam(TOP_BIT, 0, exp);
    const l = exp > 126 ? <u64>0 : W.lo;
    const sum = x + h;
    if (sum < x) logSign = log2Number(exp + 1, (sum >> 1) | TOP_BIT, (sum << 63) | (l >> 1));
    else logSign = log2Number(exp, sum, l);
  } else {
    const h = shiftRightJam(x, 0, -exp);
    const l = W.lo;
    if (xsign) {
      normalise(0, TOP_BIT - h - <u64>(l != 0), 0 - l);
      logSign = log2Number(R.exp, R.hi, R.lo);
    } else logSign = log2Number(0, TOP_BIT + h, l);
  }
  deliverProduct(ys, yg, logSign);
}

/** Delivers pi * num / 4 for num 1..4. */
function deliverPi(sign: u32, quarters: i32): void {
  if (quarters == 3) {
    const half = shiftRightJam(PI_4_HI, PI_4_LO, 1);
    const hl = W.lo;
    const lo = PI_4_LO + hl;
    const sum = PI_4_HI + half + <u64>(lo < hl);
    setX(1, (sum >> 1) | (<u64>(sum < half) << 63), (sum << 63) | (lo >> 1));
  } else setX(quarters == 1 ? -1 : quarters == 2 ? 0 : 1, PI_4_HI, PI_4_LO);
  deliverX(sign);
}

/** atan of n/d for n <= d, both (sig, exp); X = angle. */
function atanRatio(ne: i32, n: u64, de: i32, d: u64): void {
  const gap = de - ne;
  let k: u64 = 0;
  if (gap <= 6) {
    const q = <f64>n / <f64>d / <f64>(1 << gap);
    k = <u64>(q * 16.0 + 0.5);
  }
  let negative = false;
  if (k == 0) {
    setX(ne, n, 0);
    divideX(de, d, 0);
  } else {
    // t = (16 n - k d) / (16 d + k n), exactly, in units with 8 spare bits
    const nh = shiftRightJam(n, 0, 8 + gap);
    const nl = W.lo;
    const dh = d >> 8;
    const dl = d << 56;
    const n16h = (nh << 4) | (nl >> 60);
    const n16l = nl << 4;
    const kdl = dl * k;
    const kdh = dh * k + ((dl >> 32) * k >> 32);
    let th: u64, tl: u64;
    if (n16h > kdh || (n16h == kdh && n16l >= kdl)) {
      th = n16h - kdh - <u64>(n16l < kdl);
      tl = n16l - kdl;
    } else {
      negative = true;
      th = kdh - n16h - <u64>(kdl < n16l);
      tl = kdl - n16l;
    }
    const d16h = (dh << 4) | (dl >> 60);
    const d16l = dl << 4;
    // k * (nh:nl); nl has ones only in its top 32 bits.
    const knl = nl * k;
    const knh = nh * k + ((nl >> 32) * k >> 32);
    const sl = d16l + knl;
    const sh = d16h + knh + <u64>(sl < knl);
    if ((th | tl) == 0) setX(0, 0, 0);
    else {
      setX(0, sh, sl);
      const se = X.exp;
      const dH = X.hi;
      const dL = X.lo;
      setX(0, th, tl);
      divideX(se, dH, dL);
    }
  }
  if (X.hi != 0) {
    const fh = xFraction();
    const fl = W.lo;
    const zh = mulHigh128(fh, fl, fh, fl);
    const zl = W.lo;
    const p = horner(zh, zl, ODD_COEF, 11, false);
    scaleX(p, W.lo, false);
  }
  if (k != 0) {
    let fh: u64 = 0;
    let fl: u64 = 0;
    if (X.hi != 0) {
      fh = xFraction();
      fl = W.lo;
    }
    const c = ATAN_TABLE + (<usize>k << 4);
    const ch = load<u64>(c);
    const cl = load<u64>(c, 8);
    if (negative) setX(-1, ch - fh - <u64>(cl < fl), cl - fl);
    else {
      const lo = cl + fl;
      setX(-1, ch + fh + <u64>(lo < cl), lo);
    }
  }
}

/** atan2(y, x): the angle of the point (x, y), -pi..pi. */
export function atan80(ys: u32, yg: u64, xs: u32, xg: u64): void {
  const ky = classify80(ys, yg);
  const kx = classify80(xs, xg);
  if (kx >= K_NAN || ky >= K_NAN) {
    nan80(ky, ys, yg, kx, xs, xg);
    return;
  }
  const sign = ys >> 15;
  const left = xs >> 15;
  denormals80(ys, yg, xs, xg);
  if (ky == K_INF) {
    deliverPi(sign, kx == K_INF ? (left ? 3 : 1) : 2);
    return;
  }
  if (kx == K_INF || ky == K_ZERO) {
    if (left) deliverPi(sign, 4);
    else zero80(sign);
    return;
  }
  if (kx == K_ZERO) {
    deliverPi(sign, 2);
    return;
  }
  const ey = exp80(ys, yg);
  const y = sig80(yg);
  const ex = exp80(xs, xg);
  const x = sig80(xg);
  if (!left && ey - ex <= TINY) {
    divUnpacked(ey, y, ex, x);
    R.sign = sign;
    deliverAsInexact();
    return;
  }
  const swap = ey > ex || (ey == ex && y > x);
  if (swap) atanRatio(ex, x, ey, y);
  else atanRatio(ey, y, ex, x);
  if (swap || left) {
    // pi/2 - a, pi/2 + a, or pi - a, as 2.126-bit numbers
    let fh = shiftRightJam(X.hi, X.lo, min<i32>(1 - X.exp, 130));
    let fl = W.lo;
    const ph = swap ? PI_4_HI >> 1 : PI_4_HI;
    const pl = swap ? (PI_4_HI << 63) | (PI_4_LO >> 1) : PI_4_LO;
    if (swap && left) {
      const lo = pl + fl;
      setX(1, ph + fh + <u64>(lo < fl), lo);
    } else setX(1, ph - fh - <u64>(pl < fl), pl - fl);
  }
  deliverX(sign);
}
