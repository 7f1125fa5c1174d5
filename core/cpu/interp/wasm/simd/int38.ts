/**
 * Packed integer arithmetic of the 0F 38 map: SSSE3, SSE4.1 and SSE4.2 (SDM volume 2), on one 128-bit vector. AVX2 applies the same
 * functions to both halves of a register. `op` is the opcode byte.
 */

/** PSHUFB: a selector with bit 7 set gives zero; otherwise its low four bits count. */
// @ts-ignore: decorator
@inline
export function shuffleBytes(a: v128, b: v128): v128 {
  return i8x16.swizzle(a, v128.and(b, i8x16.splat(<i8>0x8f)));
}

// @ts-ignore: decorator
@inline
function evenWords(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
// @ts-ignore: decorator
@inline
function oddWords(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}
// @ts-ignore: decorator
@inline
function evenDwords(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 0, 2, 4, 6);
}
// @ts-ignore: decorator
@inline
function oddDwords(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 1, 3, 5, 7);
}

/** PMADDUBSW: unsigned bytes of `a` times signed bytes of `b`, neighbours added with saturation. */
function mulAddUnsignedSigned(a: v128, b: v128): v128 {
  const low = i16x8.mul(i16x8.extend_low_i8x16_u(a), i16x8.extend_low_i8x16_s(b));
  const high = i16x8.mul(i16x8.extend_high_i8x16_u(a), i16x8.extend_high_i8x16_s(b));
  return i16x8.add_sat_s(evenWords(low, high), oddWords(low, high));
}

/** PMULHRSW: -1 * -1 stays 8000h, where the host's instruction saturates. */
function mulHighRound(a: v128, b: v128): v128 {
  const least = i16x8.splat(<i16>0x8000);
  return v128.xor(i16x8.q15mulr_sat_s(a, b), v128.and(i16x8.eq(a, least), i16x8.eq(b, least)));
}

/** PSIGNx: `m` is b < 0, `z` is b == 0. */
// @ts-ignore: decorator
@inline
function signed(negated: v128, a: v128, m: v128, z: v128): v128 {
  return v128.andnot(v128.bitselect(negated, a, m), z);
}

/** PHMINPOSUW: smallest word and its index, the rest zero. */
function minimumPosition(a: v128): v128 {
  let least: u32 = 0x10000;
  let index: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) {
    const w = <u32>i16x8.extract_lane_u(a, 0);
    if (w < least) {
      least = w;
      index = i;
    }
    a = i16x8.shuffle(a, a, 1, 2, 3, 4, 5, 6, 7, 0);
  }
  return i32x4.replace_lane(i64x2.splat(0), 0, least | (index << 16));
}

/** Two-operand instructions: 00..0B, 28, 29, 2B, 37..3F, 40. */
export function binary38(op: u32, a: v128, b: v128): v128 {
  switch (op) {
    case 0x00:
      return shuffleBytes(a, b);
    case 0x01:
      return i16x8.add(evenWords(a, b), oddWords(a, b));
    case 0x02:
      return i32x4.add(evenDwords(a, b), oddDwords(a, b));
    case 0x03:
      return i16x8.add_sat_s(evenWords(a, b), oddWords(a, b));
    case 0x04:
      return mulAddUnsignedSigned(a, b);
    case 0x05:
      return i16x8.sub(evenWords(a, b), oddWords(a, b));
    case 0x06:
      return i32x4.sub(evenDwords(a, b), oddDwords(a, b));
    case 0x07:
      return i16x8.sub_sat_s(evenWords(a, b), oddWords(a, b));
    case 0x08:
      return signed(i8x16.neg(a), a, i8x16.shr_s(b, 7), i8x16.eq(b, i64x2.splat(0)));
    case 0x09:
      return signed(i16x8.neg(a), a, i16x8.shr_s(b, 15), i16x8.eq(b, i64x2.splat(0)));
    case 0x0a:
      return signed(i32x4.neg(a), a, i32x4.shr_s(b, 31), i32x4.eq(b, i64x2.splat(0)));
    case 0x0b:
      return mulHighRound(a, b);
    case 0x28:
      return i64x2.extmul_low_i32x4_s(evenDwords(a, a), evenDwords(b, b));
    case 0x29:
      return i64x2.eq(a, b);
    case 0x2b:
      return i16x8.narrow_i32x4_u(a, b);
    case 0x37:
      return i64x2.gt_s(a, b);
    case 0x38:
      return i8x16.min_s(a, b);
    case 0x39:
      return i32x4.min_s(a, b);
    case 0x3a:
      return i16x8.min_u(a, b);
    case 0x3b:
      return i32x4.min_u(a, b);
    case 0x3c:
      return i8x16.max_s(a, b);
    case 0x3d:
      return i32x4.max_s(a, b);
    case 0x3e:
      return i16x8.max_u(a, b);
    case 0x3f:
      return i32x4.max_u(a, b);
    default:
      return i32x4.mul(a, b);
  }
}

/** One-operand instructions: PABSx (1C..1E), PHMINPOSUW (41). */
export function unary38(op: u32, a: v128): v128 {
  switch (op) {
    case 0x1c:
      return i8x16.abs(a);
    case 0x1d:
      return i16x8.abs(a);
    case 0x1e:
      return i32x4.abs(a);
    default:
      return minimumPosition(a);
  }
}

/** Bytes that PMOVSX and PMOVZX (20..25, 30..35) take for a 128-bit result. */
export function extendBytes(op: u32): usize {
  const kind = op & 7;
  return kind == 2 ? 2 : kind == 1 || kind == 4 ? 4 : 8;
}

/** PMOVSX and PMOVZX of the low bytes of `a`. */
export function extend38(op: u32, a: v128): v128 {
  switch (op) {
    case 0x20:
      return i16x8.extend_low_i8x16_s(a);
    case 0x21:
      return i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(a));
    case 0x22:
      return i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(a)));
    case 0x23:
      return i32x4.extend_low_i16x8_s(a);
    case 0x24:
      return i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(a));
    case 0x25:
      return i64x2.extend_low_i32x4_s(a);
    case 0x30:
      return i16x8.extend_low_i8x16_u(a);
    case 0x31:
      return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(a));
    case 0x32:
      return i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(a)));
    case 0x33:
      return i32x4.extend_low_i16x8_u(a);
    case 0x34:
      return i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(a));
    default:
      return i64x2.extend_low_i32x4_u(a);
  }
}
