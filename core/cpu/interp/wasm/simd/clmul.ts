/** PCLMULQDQ: carry-less product of two quadwords (SDM volume 2). */

/** `select` bit 0 picks the quadword of `a`, bit 4 that of `b`. */
export function carrylessMultiply(a: v128, b: v128, select: u32): v128 {
  const x: u64 = select & 1 ? i64x2.extract_lane(a, 1) : i64x2.extract_lane(a, 0);
  let y: u64 = select & 16 ? i64x2.extract_lane(b, 1) : i64x2.extract_lane(b, 0);
  let low: u64 = 0;
  let high: u64 = 0;
  for (; y != 0; y &= y - 1) {
    const n = ctz<u64>(y);
    low ^= x << n;
    // Two shifts: a shift by 64 would be one by 0.
    high ^= (x >> 1) >> (63 - n);
  }
  return i64x2.replace_lane(i64x2.splat(low), 1, high);
}
