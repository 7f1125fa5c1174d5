/** SSE4.1 operations that take an immediate or a mask, on one 128-bit vector (SDM volume 2): blends, PALIGNR, MPSADBW, ROUNDxx, DPPx. */
import { FP, FP_IE, FP_PE, RC_DOWN, RC_NEAREST, RC_UP } from '../fpu/unpacked';
import { beginSse, endSse, M } from './mxcsr';
import { SCRATCH } from './operand';
import { flushInput, isSnan, OP_ADD, OP_MUL, quietBit, softBinary } from './softfloat';

/** Work space: 64 bytes, and 32 more. */
const PAD: usize = SCRATCH + 256;
const SUMS: usize = SCRATCH + 320;

/** All ones in the lanes whose bit is set in `bits`. */
// @ts-ignore: decorator
@inline
function laneMask32(bits: u32): v128 {
  const one = i32x4(1, 2, 4, 8);
  return i32x4.eq(v128.and(i32x4.splat(bits), one), one);
}
// @ts-ignore: decorator
@inline
function laneMask64(bits: u32): v128 {
  const one = i64x2(1, 2);
  return i64x2.eq(v128.and(i64x2.splat(bits), one), one);
}
// @ts-ignore: decorator
@inline
function laneMask16(bits: u32): v128 {
  const one = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  return i16x8.eq(v128.and(i16x8.splat(<i16>bits), one), one);
}

/** BLENDPS, BLENDPD, PBLENDW: lanes of `b` where the bit of `select` is set. */
export function blend32(a: v128, b: v128, select: u32): v128 {
  return v128.bitselect(b, a, laneMask32(select));
}
export function blend64(a: v128, b: v128, select: u32): v128 {
  return v128.bitselect(b, a, laneMask64(select));
}
export function blend16(a: v128, b: v128, select: u32): v128 {
  return v128.bitselect(b, a, laneMask16(select));
}

/** Variable blends by the top bit of each lane of `mask`; `bits` is the lane's width. */
export function blendVariable(a: v128, b: v128, mask: v128, bits: u32): v128 {
  return v128.bitselect(b, a, bits == 8 ? i8x16.shr_s(mask, 7) : bits == 32 ? i32x4.shr_s(mask, 31) : i64x2.shr_s(mask, 63));
}

/** PALIGNR: bytes n..n+15 of a:b. */
export function alignRight(a: v128, b: v128, n: u32): v128 {
  if (n > 31) return i64x2.splat(0);
  v128.store(PAD, b);
  v128.store(PAD, a, 16);
  v128.store(PAD, i64x2.splat(0), 32);
  return v128.load(PAD + <usize>n);
}

/** MPSADBW: sums of absolute differences of four bytes of `b` with eleven of `a`; `select` bit 2 and bits 0..1 say which. */
export function multipleSad(a: v128, b: v128, select: u32): v128 {
  v128.store(PAD, a);
  v128.store(PAD, b, 16);
  const from = PAD + <usize>(select & 4);
  const block = PAD + 16 + (<usize>(select & 3) << 2);
  for (let i: usize = 0; i < 8; i++) {
    let sum: i32 = 0;
    for (let k: usize = 0; k < 4; k++) sum += abs<i32>(<i32>load<u8>(from + i + k) - <i32>load<u8>(block + k));
    store<u16>(PAD + 32 + (i << 1), <u16>sum);
  }
  return v128.load(PAD, 32);
}

/** ROUNDxx of one number: `how` bits 0..1 the mode, bit 2 = MXCSR's mode, bit 3 = inexact results are not reported. */
export function roundLane(v: u64, p: u32, how: u32): u64 {
  v = flushInput(v, p);
  if (isSnan(v, p)) {
    FP.flags |= FP_IE;
    return v | quietBit(p);
  }
  const rc = how & 4 ? M.rc : how & 3;
  let r: u64;
  if (p == 24) {
    const x = reinterpret<f32>(<u32>v);
    r = <u64>reinterpret<u32>(
      rc == RC_NEAREST ? nearest<f32>(x) : rc == RC_DOWN ? floor<f32>(x) : rc == RC_UP ? ceil<f32>(x) : trunc<f32>(x),
    );
    // A quiet NaN passes unchanged; the host may give another one.
    if (x != x) return v;
  } else {
    const x = reinterpret<f64>(v);
    r = reinterpret<u64>(
      rc == RC_NEAREST ? nearest<f64>(x) : rc == RC_DOWN ? floor<f64>(x) : rc == RC_UP ? ceil<f64>(x) : trunc<f64>(x),
    );
    if (x != x) return v;
  }
  if (r != v && !(how & 8)) FP.flags |= FP_PE;
  return r;
}

/** ROUNDPS and ROUNDPD of 16 bytes at `from`, between beginSse() and endSse(). */
export function roundLanes(p: u32, from: usize, out: usize, how: u32): void {
  if (p == 53) for (let i: usize = 0; i < 16; i += 8) store<u64>(out + i, roundLane(load<u64>(from + i), 53, how));
  else for (let i: usize = 0; i < 16; i += 4) store<u32>(out + i, <u32>roundLane(<u64>load<u32>(from + i), 24, how));
}

/**
 * DPPS and DPPD of `bytes` bytes (16 or 32) into `out`: in each half, products selected by bits 4..7 of `select`, their sum to the lanes of bits
 * 0..3. Each multiplication and addition rounds and reports as an instruction of its own.
 */
export function dotProduct(p: u32, a: usize, b: usize, out: usize, select: u32, bytes: usize): void {
  beginSse();
  const step: usize = p == 53 ? 8 : 4;
  for (let i: usize = 0; i < bytes; i += step) {
    let r: u64 = 0;
    if (select & (16 << <u32>((i & 15) / step)))
      r = p == 53 ? softBinary(OP_MUL, load<u64>(a + i), load<u64>(b + i), 53) : softBinary(OP_MUL, <u64>load<u32>(a + i), <u64>load<u32>(b + i), 24);
    store<u64>(PAD + (i << 1), r);
  }
  endSse();
  // Each lane of the sum adds in an order of its own, which shows in the NaN that is passed on: neighbours first, lane by lane.
  if (p == 53) {
    const low = softBinary(OP_ADD, load<u64>(PAD), load<u64>(PAD, 16), 53);
    const high = softBinary(OP_ADD, load<u64>(PAD, 16), load<u64>(PAD), 53);
    endSse();
    v128.store(out, v128.and(i64x2.replace_lane(i64x2.splat(low), 1, high), laneMask64(select)));
    return;
  }
  for (let i: usize = 0; i < bytes; i += 4)
    store<u32>(SUMS + i, <u32>softBinary(OP_ADD, load<u64>(PAD + ((i ^ 4) << 1)), load<u64>(PAD + (i << 1)), 24));
  endSse();
  for (let i: usize = 0; i < bytes; i += 4)
    store<u32>(out + i, <u32>softBinary(OP_ADD, <u64>load<u32>(SUMS + i), <u64>load<u32>(SUMS + (i ^ 8)), 24));
  endSse();
  for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, v128.and(v128.load(out + i), laneMask32(select)));
}
