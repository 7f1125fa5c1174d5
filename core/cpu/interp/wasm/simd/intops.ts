/**
 * Packed integer arithmetic (SDM volume 2), one function for both register files: an MMX operand is the low half of a vector whose high half
 * is zero. `op` is the second opcode byte.
 */

/** Shift count of PSLL, PSRL, PSRA by register: all 64 low bits count. */
// @ts-ignore: decorator
@inline
function count(b: v128): u32 {
  const n = <u64>i64x2.extract_lane(b, 0);
  return n > 255 ? 255 : <u32>n;
}

// @ts-ignore: decorator
@inline
function zeroV(): v128 {
  return i64x2.splat(0);
}

/** D1..D3, E1, E2, F1..F3: shifts by `n` bits. */
export function shiftPacked(op: u32, a: v128, n: u32): v128 {
  switch (op) {
    case 0xd1:
      return n > 15 ? zeroV() : i16x8.shr_u(a, n);
    case 0xd2:
      return n > 31 ? zeroV() : i32x4.shr_u(a, n);
    case 0xd3:
      return n > 63 ? zeroV() : i64x2.shr_u(a, n);
    case 0xe1:
      return i16x8.shr_s(a, min<u32>(n, 15));
    case 0xe2:
      return i32x4.shr_s(a, min<u32>(n, 31));
    case 0xf1:
      return n > 15 ? zeroV() : i16x8.shl(a, n);
    case 0xf2:
      return n > 31 ? zeroV() : i32x4.shl(a, n);
    default:
      return n > 63 ? zeroV() : i64x2.shl(a, n);
  }
}

function mulHighSigned(a: v128, b: v128): v128 {
  return i8x16.shuffle(
    i32x4.extmul_low_i16x8_s(a, b), i32x4.extmul_high_i16x8_s(a, b),
    2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31,
  );
}
function mulHighUnsigned(a: v128, b: v128): v128 {
  return i8x16.shuffle(
    i32x4.extmul_low_i16x8_u(a, b), i32x4.extmul_high_i16x8_u(a, b),
    2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31,
  );
}
/** PSADBW: sums of absolute differences of each 8 bytes. */
function sumAbsolute(a: v128, b: v128): v128 {
  const d = i8x16.sub(i8x16.max_u(a, b), i8x16.min_u(a, b));
  const w = i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(d));
  return v128.and(i64x2.add(w, i64x2.shr_u(w, 32)), i64x2.splat(0xffff));
}
/** PMULUDQ: products of dwords 0 and 2. */
function mulEvenUnsigned(a: v128, b: v128): v128 {
  return i64x2.extmul_low_i32x4_u(
    i32x4.shuffle(a, a, 0, 2, 0, 2),
    i32x4.shuffle(b, b, 0, 2, 0, 2),
  );
}

/** Operations that treat both halves alike; every other opcode of the integer map is handled in mmx.ts and sseint.ts. */
export function packedOp(op: u32, a: v128, b: v128): v128 {
  switch (op) {
    case 0x60:
      return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    case 0x61:
      return i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    case 0x62:
      return i32x4.shuffle(a, b, 0, 4, 1, 5);
    case 0x64:
      return i8x16.gt_s(a, b);
    case 0x65:
      return i16x8.gt_s(a, b);
    case 0x66:
      return i32x4.gt_s(a, b);
    case 0x74:
      return i8x16.eq(a, b);
    case 0x75:
      return i16x8.eq(a, b);
    case 0x76:
      return i32x4.eq(a, b);
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xe1:
    case 0xe2:
    case 0xf1:
    case 0xf2:
    case 0xf3:
      return shiftPacked(op, a, count(b));
    case 0xd4:
      return i64x2.add(a, b);
    case 0xd5:
      return i16x8.mul(a, b);
    case 0xd8:
      return i8x16.sub_sat_u(a, b);
    case 0xd9:
      return i16x8.sub_sat_u(a, b);
    case 0xda:
      return i8x16.min_u(a, b);
    case 0xdb:
      return v128.and(a, b);
    case 0xdc:
      return i8x16.add_sat_u(a, b);
    case 0xdd:
      return i16x8.add_sat_u(a, b);
    case 0xde:
      return i8x16.max_u(a, b);
    case 0xdf:
      return v128.andnot(b, a);
    case 0xe0:
      return i8x16.avgr_u(a, b);
    case 0xe3:
      return i16x8.avgr_u(a, b);
    case 0xe4:
      return mulHighUnsigned(a, b);
    case 0xe5:
      return mulHighSigned(a, b);
    case 0xe8:
      return i8x16.sub_sat_s(a, b);
    case 0xe9:
      return i16x8.sub_sat_s(a, b);
    case 0xea:
      return i16x8.min_s(a, b);
    case 0xeb:
      return v128.or(a, b);
    case 0xec:
      return i8x16.add_sat_s(a, b);
    case 0xed:
      return i16x8.add_sat_s(a, b);
    case 0xee:
      return i16x8.max_s(a, b);
    case 0xef:
      return v128.xor(a, b);
    case 0xf4:
      return mulEvenUnsigned(a, b);
    case 0xf5:
      return i32x4.dot_i16x8_s(a, b);
    case 0xf6:
      return sumAbsolute(a, b);
    case 0xf8:
      return i8x16.sub(a, b);
    case 0xf9:
      return i16x8.sub(a, b);
    case 0xfa:
      return i32x4.sub(a, b);
    case 0xfb:
      return i64x2.sub(a, b);
    case 0xfc:
      return i8x16.add(a, b);
    case 0xfd:
      return i16x8.add(a, b);
    default:
      return i32x4.add(a, b);
  }
}

/** PACKSSWB, PACKUSWB, PACKSSDW. */
export function pack(op: u32, a: v128, b: v128): v128 {
  if (op == 0x63) return i8x16.narrow_i16x8_s(a, b);
  if (op == 0x67) return i8x16.narrow_i16x8_u(a, b);
  return i16x8.narrow_i32x4_s(a, b);
}

/** PUNPCKHBW, PUNPCKHWD, PUNPCKHDQ of XMM registers. */
export function unpackHigh(op: u32, a: v128, b: v128): v128 {
  if (op == 0x68) return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  if (op == 0x69) return i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  return i32x4.shuffle(a, b, 2, 6, 3, 7);
}

/** Opcode of the register-count shift that a group 71, 72 or 73 shift by immediate performs, or 0. */
export function groupShift(op: u32, reg: u32): u32 {
  if (reg == 2) return op == 0x71 ? 0xd1 : op == 0x72 ? 0xd2 : 0xd3;
  if (reg == 4 && op != 0x73) return op == 0x71 ? 0xe1 : 0xe2;
  if (reg == 6) return op == 0x71 ? 0xf1 : op == 0x72 ? 0xf2 : 0xf3;
  return 0;
}
