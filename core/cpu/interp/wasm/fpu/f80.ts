/**
 * 80-bit extended arithmetic with x87 rules (SDM volume 1, chapters 4 and 8): add, subtract, multiply, divide, square root.
 *
 *   F.se   bit 15 sign, bits 14..0 biased exponent        F.sig   64-bit significand, explicit integer bit
 *
 * Flags go to FP.flags, C1 to FP.up. The caller decides what an unmasked exception means for the destination.
 */
import { addUnpacked, divUnpacked, FP, FP_DE, FP_IE, FP_ZE, mulUnpacked, Q, R, RC_DOWN, roundPack, sqrtUnpacked, TOP_BIT } from './unpacked';

/** An 80-bit result. */
export class F {
  static se: u32 = 0;
  static sig: u64 = 0;
}

/** Rounding set-up of the current instruction, from the control word. */
export class Ctl {
  static rc: u32 = 0;
  /** Significand bits by precision control: 24, 53 or 64. */
  static bits: u32 = 64;
  /** FP_* bits of masked exceptions. */
  static masks: u32 = 0x3f;
}

export const QUIET: u64 = 0x4000000000000000;
/** Exponent adjustment of unmasked overflow and underflow. */
export const WRAP: i32 = 24576;
const BIAS: i32 = 16383;

/** Operand classes. */
export const K_ZERO = 0;
export const K_FINITE = 1;
export const K_INF = 2;
export const K_NAN = 3;
/** Unnormal, pseudo-NaN or pseudo-infinity: invalid on the 387 and later. */
export const K_UNSUPPORTED = 4;

export function classify80(se: u32, sig: u64): i32 {
  const e = se & 0x7fff;
  if (e - 1 < 0x7ffe) return <i64>sig < 0 ? K_FINITE : K_UNSUPPORTED;
  if (e == 0) return sig == 0 ? K_ZERO : K_FINITE;
  if (<i64>sig >= 0) return K_UNSUPPORTED;
  return sig << 1 == 0 ? K_INF : K_NAN;
}
// @ts-ignore: decorator
@inline
export function isDenormal80(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0 && sig != 0;
}
export function isSnan80(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0x7fff && <i64>sig < 0 && sig << 1 != 0 && !(sig & QUIET);
}

/** Unbiased exponent of a finite nonzero number once its significand is normalised. */
// @ts-ignore: decorator
@inline
export function exp80(se: u32, sig: u64): i32 {
  const e = <i32>(se & 0x7fff);
  return (e == 0 ? 1 - <i32>clz<u64>(sig) : e) - BIAS;
}
// @ts-ignore: decorator
@inline
export function sig80(sig: u64): u64 {
  return sig << clz<u64>(sig);
}

// @ts-ignore: decorator
@inline
export function set80(se: u32, sig: u64): void {
  F.se = se;
  F.sig = sig;
}
/** Real indefinite: the default NaN. */
export function indefinite80(): void {
  set80(0xffff, 0xc000000000000000);
}
export function invalid80(): void {
  FP.flags |= FP_IE;
  indefinite80();
}
export function inf80(sign: u32): void {
  set80((sign << 15) | 0x7fff, TOP_BIT);
}
export function zero80(sign: u32): void {
  set80(sign << 15, 0);
}

/** Rounds R to `bits` and delivers it. */
export function deliver80(bits: u32): void {
  roundPack(R.sign, R.exp + BIAS, R.hi, R.lo, bits, 0x7fff, Ctl.rc, Ctl.masks, WRAP, false);
  set80((R.sign << 15) | <u32>Q.exp, Q.sig);
}

/** One NaN operand: quietened. */
export function quieten80(se: u32, sig: u64): void {
  if (!(sig & QUIET)) FP.flags |= FP_IE;
  set80(se, sig | QUIET);
}

/** At least one operand is a NaN or unsupported (SDM volume 1, table 4-7). */
export function nan80(ka: i32, as: u32, ag: u64, kb: i32, bs: u32, bg: u64): void {
  if (ka == K_UNSUPPORTED || kb == K_UNSUPPORTED) {
    invalid80();
    return;
  }
  if (kb != K_NAN) {
    quieten80(as, ag);
    return;
  }
  if (ka != K_NAN) {
    quieten80(bs, bg);
    return;
  }
  const aq = (ag & QUIET) != 0;
  const bq = (bg & QUIET) != 0;
  if (!aq || !bq) FP.flags |= FP_IE;
  let first: bool;
  if (aq != bq) first = aq;
  else if (ag != bg) first = ag > bg;
  else first = !(as & 0x8000);
  set80(first ? as : bs, (first ? ag : bg) | QUIET);
}

/** Raises DE if either operand is denormal or pseudo-denormal. */
// @ts-ignore: decorator
@inline
export function denormals80(as: u32, ag: u64, bs: u32, bg: u64): void {
  if (isDenormal80(as, ag) || isDenormal80(bs, bg)) FP.flags |= FP_DE;
}

/** a + b, or a - b with flip 0x8000. */
export function add80(as: u32, ag: u64, bs: u32, bg: u64, flip: u32): void {
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  if (ka == K_FINITE && kb == K_FINITE) {
    denormals80(as, ag, bs, bg);
    bs ^= flip;
    addUnpacked(as >> 15, exp80(as, ag), sig80(ag), bs >> 15, exp80(bs, bg), sig80(bg));
    if (R.hi == 0) zero80(<u32>(Ctl.rc == RC_DOWN));
    else deliver80(Ctl.bits);
    return;
  }
  if (ka >= K_NAN || kb >= K_NAN) {
    nan80(ka, as, ag, kb, bs, bg);
    return;
  }
  bs ^= flip;
  if (ka == K_INF) {
    if (kb == K_INF && (as ^ bs) & 0x8000) {
      invalid80();
      return;
    }
    denormals80(as, ag, bs, bg);
    set80(as, ag);
    return;
  }
  denormals80(as, ag, bs, bg);
  if (kb == K_INF) {
    set80(bs, bg);
    return;
  }
  if (ka == K_ZERO && kb == K_ZERO) {
    const sa = as >> 15;
    zero80(sa == bs >> 15 ? sa : <u32>(Ctl.rc == RC_DOWN));
    return;
  }
  // Zero plus finite is exact at 64 bits, but precision control and unmasked underflow still apply.
  const s = ka == K_ZERO ? bs : as;
  const g = ka == K_ZERO ? bg : ag;
  R.sign = s >> 15;
  R.exp = exp80(s, g);
  R.hi = sig80(g);
  R.lo = 0;
  deliver80(Ctl.bits);
}

export function mul80(as: u32, ag: u64, bs: u32, bg: u64): void {
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  const sign = (as ^ bs) >> 15;
  if (ka == K_FINITE && kb == K_FINITE) {
    denormals80(as, ag, bs, bg);
    mulUnpacked(exp80(as, ag), sig80(ag), exp80(bs, bg), sig80(bg));
    R.sign = sign;
    deliver80(Ctl.bits);
    return;
  }
  if (ka >= K_NAN || kb >= K_NAN) {
    nan80(ka, as, ag, kb, bs, bg);
    return;
  }
  if (ka == K_INF || kb == K_INF) {
    if (ka == K_ZERO || kb == K_ZERO) {
      invalid80();
      return;
    }
    denormals80(as, ag, bs, bg);
    inf80(sign);
    return;
  }
  denormals80(as, ag, bs, bg);
  zero80(sign);
}

export function div80(as: u32, ag: u64, bs: u32, bg: u64): void {
  const ka = classify80(as, ag);
  const kb = classify80(bs, bg);
  const sign = (as ^ bs) >> 15;
  if (ka == K_FINITE && kb == K_FINITE) {
    denormals80(as, ag, bs, bg);
    divUnpacked(exp80(as, ag), sig80(ag), exp80(bs, bg), sig80(bg));
    R.sign = sign;
    deliver80(Ctl.bits);
    return;
  }
  if (ka >= K_NAN || kb >= K_NAN) {
    nan80(ka, as, ag, kb, bs, bg);
    return;
  }
  if (ka == kb) {
    // 0/0 and inf/inf
    invalid80();
    return;
  }
  if (ka == K_FINITE && kb == K_ZERO) {
    // Division by zero hides a denormal dividend.
    FP.flags |= FP_ZE;
    inf80(sign);
    return;
  }
  denormals80(as, ag, bs, bg);
  if (ka == K_INF) inf80(sign);
  else zero80(sign);
}

export function sqrt80(as: u32, ag: u64): void {
  const ka = classify80(as, ag);
  if (ka >= K_NAN) {
    if (ka == K_NAN) quieten80(as, ag);
    else invalid80();
    return;
  }
  if (ka == K_ZERO) {
    set80(as, ag);
    return;
  }
  if (as & 0x8000) {
    invalid80();
    return;
  }
  if (ka == K_INF) {
    set80(as, ag);
    return;
  }
  if (isDenormal80(as, ag)) FP.flags |= FP_DE;
  sqrtUnpacked(exp80(as, ag), sig80(ag));
  deliver80(Ctl.bits);
}
