/** 128-bit unsigned helpers on pairs of u64. A second result word is left in W.lo. */
export class W {
  static lo: u64 = 0;
}

/** a * b: returns bits 127..64, leaves bits 63..0 in W.lo. */
export function mul64(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff;
  const a1 = a >> 32;
  const b0 = b & 0xffffffff;
  const b1 = b >> 32;
  const p00 = a0 * b0;
  const p01 = a0 * b1;
  const p10 = a1 * b0;
  const mid = (p00 >> 32) + (p01 & 0xffffffff) + (p10 & 0xffffffff);
  W.lo = (p00 & 0xffffffff) | (mid << 32);
  return a1 * b1 + (p01 >> 32) + (p10 >> 32) + (mid >> 32);
}

/** (hi:lo) / d for d with bit 63 set and hi < d: returns the quotient, leaves the remainder in W.lo. Knuth 4.3.1 D in base 2^32. */
export function div128(hi: u64, lo: u64, d: u64): u64 {
  const d1 = d >> 32;
  const d0 = d & 0xffffffff;
  let q1 = hi / d1;
  let r = hi - q1 * d1;
  while (q1 >> 32 != 0 || q1 * d0 > ((r << 32) | (lo >> 32))) {
    q1--;
    r += d1;
    if (r >> 32 != 0) break;
  }
  const mid = ((hi << 32) | (lo >> 32)) - q1 * d;
  let q0 = mid / d1;
  r = mid - q0 * d1;
  while (q0 >> 32 != 0 || q0 * d0 > ((r << 32) | (lo & 0xffffffff))) {
    q0--;
    r += d1;
    if (r >> 32 != 0) break;
  }
  W.lo = ((mid << 32) | (lo & 0xffffffff)) - q0 * d;
  return (q1 << 32) | q0;
}

/** High word of (hi:lo) >> n, low word in W.lo; shifted-out ones are jammed into bit 0. n >= 0. */
export function shiftRightJam(hi: u64, lo: u64, n: i32): u64 {
  if (n == 0) {
    W.lo = lo;
    return hi;
  }
  if (n < 64) {
    W.lo = (hi << <u64>(64 - n)) | (lo >> <u64>n) | <u64>(lo << <u64>(64 - n) != 0);
    return hi >> <u64>n;
  }
  if (n == 64) W.lo = hi | <u64>(lo != 0);
  else if (n < 128) W.lo = (hi >> <u64>(n - 64)) | <u64>(((hi << <u64>(128 - n)) | lo) != 0);
  else W.lo = <u64>((hi | lo) != 0);
  return 0;
}

/** Bits 255..128 of the product of two 128-bit numbers, low word in W.lo; at most 2 units too small. */
export function mulHigh128(ah: u64, al: u64, bh: u64, bl: u64): u64 {
  const h1 = mul64(ah, bl);
  const l1 = W.lo;
  const h2 = mul64(al, bh);
  const c = <u64>(l1 + W.lo < l1);
  let hi = mul64(ah, bh);
  let lo = W.lo;
  lo += h1;
  if (lo < h1) hi++;
  lo += h2;
  if (lo < h2) hi++;
  lo += c;
  if (lo < c) hi++;
  W.lo = lo;
  return hi;
}

/** (nh:nl) / (dh:dl) as a 128-bit fraction, for a divisor with bit 127 set and a smaller dividend; a few units of the last place inexact. */
export function divFraction128(nh: u64, nl: u64, dh: u64, dl: u64): u64 {
  let q1: u64 = nh >= dh ? ~(<u64>0) : div128(nh, nl, dh);
  // Remainder nh:nl:0 - q1 * (dh:dl), 192 bits, corrected until it is not negative.
  const ph = mul64(q1, dl);
  const pl = W.lo;
  let r2 = mul64(q1, dh);
  let r1 = W.lo + ph;
  if (r1 < ph) r2++;
  let r0: u64 = 0 - pl;
  const borrow0 = <u64>(pl != 0);
  let t = nl - r1;
  const borrow1 = <u64>(nl < r1) + <u64>(t < borrow0);
  r1 = t - borrow0;
  r2 = nh - r2 - borrow1;
  while (<i64>r2 < 0) {
    q1--;
    r0 += dl;
    const c0 = <u64>(r0 < dl);
    t = r1 + dh;
    const c1 = <u64>(t < dh);
    r1 = t + c0;
    r2 += c1 + <u64>(r1 < c0);
  }
  const q0: u64 = r2 != 0 || r1 >= dh ? ~(<u64>0) : div128(r1, r0, dh);
  W.lo = q0;
  return q1;
}
