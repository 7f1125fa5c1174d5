/**
 * Fused multiply-add (SDM volume 1, 14.5): x * y + z rounded once. The product of two significands is exact in 128 bits, the sum of that and
 * the addend exact but for a sticky last bit, which is all that rounding to 24 or 53 bits looks at.
 */
import { FP, FP_DE, FP_IE, mulUnpacked, normalise, R, RC_DOWN, TOP_BIT } from '../fpu/unpacked';
import { shiftRightJam, W } from '../fpu/wide';
import { M } from './mxcsr';
import {
  exponentOf, flushInput, indefinite, infBits, isDenormal, isNan, isSnan, magnitude, packResult, quietBit, repack, signBit, significand,
} from './softfloat';

/** R = R + (-1)^sign * sig * 2^exp, both significands with their top bit set. */
function addToResult(sign: u32, exp: i32, sig: u64): void {
  let eh = R.exp;
  let ah = R.hi;
  let al = R.lo;
  let sa = R.sign;
  let bh = sig;
  let bl: u64 = 0;
  if (exp > eh || (exp == eh && (sig > ah || (sig == ah && al == 0)))) {
    // The addend is the larger one.
    const d = exp - eh;
    bh = shiftRightJam(ah, al, d);
    bl = W.lo;
    ah = sig;
    al = 0;
    eh = exp;
    const t = sa;
    sa = sign;
    sign = t;
  } else {
    bh = shiftRightJam(sig, 0, eh - exp);
    bl = W.lo;
  }
  R.sign = sa;
  if (sa == sign) {
    let lo = al + bl;
    const carry = <u64>(lo < al);
    let hi = ah + bh;
    let over = hi < ah;
    hi += carry;
    if (carry && hi == 0) over = true;
    if (over) {
      lo = (hi << 63) | (lo >> 1) | (lo & 1);
      hi = (hi >> 1) | TOP_BIT;
      eh++;
    }
    R.exp = eh;
    R.hi = hi;
    R.lo = lo;
    return;
  }
  const lo = al - bl;
  normalise(eh, ah - bh - <u64>(al < bl), lo);
}

/** x * y + z in `p` significand bits, the product and the addend negated as asked. NaNs keep their sign. */
export function fusedMultiplyAdd(x: u64, y: u64, z: u64, p: u32, negateProduct: bool, negateAddend: bool): u64 {
  x = flushInput(x, p);
  y = flushInput(y, p);
  z = flushInput(z, p);
  const inf = infBits(p);
  const top = signBit(p);
  const mx = magnitude(x, p);
  const my = magnitude(y, p);
  const mz = magnitude(z, p);
  if (mx > inf || my > inf || mz > inf) {
    if (isSnan(x, p) || isSnan(y, p) || isSnan(z, p)) FP.flags |= FP_IE;
    // Zero times infinity is invalid unless a NaN comes from elsewhere.
    return (isNan(x, p) ? x : isNan(y, p) ? y : z) | quietBit(p);
  }
  const productSign = ((x ^ y) & top) ^ (negateProduct ? top : 0);
  const addendSign = (z & top) ^ (negateAddend ? top : 0);
  if (mx == inf || my == inf) {
    if (mx == 0 || my == 0 || (mz == inf && addendSign != productSign)) {
      FP.flags |= FP_IE;
      return indefinite(p);
    }
    noteDenormal(x, y, z, p);
    return inf | productSign;
  }
  noteDenormal(x, y, z, p);
  if (mz == inf) return inf | addendSign;
  if (mx == 0 || my == 0) {
    if (mz == 0) return productSign == addendSign ? productSign : M.rc == RC_DOWN ? top : 0;
    const r = mz | addendSign;
    return isDenormal(r, p) ? repack(r, p) : r;
  }
  mulUnpacked(exponentOf(x, p), significand(x, p), exponentOf(y, p), significand(y, p));
  R.sign = <u32>(productSign != 0);
  if (mz != 0) {
    addToResult(<u32>(addendSign != 0), exponentOf(z, p), significand(z, p));
    if (R.hi == 0) return M.rc == RC_DOWN ? top : 0;
  }
  return packResult(p);
}

function noteDenormal(x: u64, y: u64, z: u64, p: u32): void {
  if (isDenormal(x, p) || isDenormal(y, p) || isDenormal(z, p)) FP.flags |= FP_DE;
}
