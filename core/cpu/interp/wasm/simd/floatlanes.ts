/**
 * Floating-point lane operations shared by SSE and AVX: ADD SUB MUL DIV MIN MAX CMP SQRT on packed and scalar values. The quick way uses the
 * host's arithmetic where it provably gives the same value and raises nothing new: MXCSR as in fastMode, operands normal or zero, result
 * normal.
 */
import { FP, FP_DE, FP_IE } from '../fpu/unpacked';
import { M, beginSse, endSse, fastMode } from './mxcsr';
import { SCRATCH } from './operand';
import { flushInput, isDenormal, isNan, isSnan, OP_ADD, OP_DIV, OP_MUL, OP_SUB, softBinary, softSqrt } from './softfloat';

/** Operations: OP_ADD OP_SUB OP_MUL OP_DIV (0..3) and these. */
export const LANE_MIN = 4;
export const LANE_MAX = 5;
export const LANE_CMP = 6;
export const LANE_SQRT = 7;

/** Results of all lanes (32 bytes) before any of them is written: an exception must leave the destination alone. */
export const VOUT: usize = SCRATCH + 160;

// @ts-ignore: decorator
@inline
function normal64(b: u64): bool {
  return ((<u32>(b >> 52) & 0x7ff) - 1) < 0x7fe;
}
// @ts-ignore: decorator
@inline
export function plain64(b: u64): bool {
  return normal64(b) || b << 1 == 0;
}
/** Well inside the normal range: not even rounded up from a tiny number. */
// @ts-ignore: decorator
@inline
export function safe64(b: u64): bool {
  return ((<u32>(b >> 52) & 0x7ff) - 2) < 0x7fd;
}
// @ts-ignore: decorator
@inline
function normal32(b: u32): bool {
  return (((b >> 23) & 0xff) - 1) < 0xfe;
}
// @ts-ignore: decorator
@inline
export function plain32(b: u32): bool {
  return normal32(b) || b << 1 == 0;
}
// @ts-ignore: decorator
@inline
export function safe32(b: u32): bool {
  return (((b >> 23) & 0xff) - 2) < 0xfd;
}

/** The host's operation; op is a constant where this is inlined. */
// @ts-ignore: decorator
@inline
export function host<T>(op: i32, x: T, y: T): T {
  return op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y;
}

// @ts-ignore: decorator
@inline
export function plainV32(v: v128): v128 {
  const max = i32x4.splat(0x7f800000);
  const e = v128.and(v, max);
  return v128.or(v128.and(i32x4.ne(e, i32x4.splat(0)), i32x4.ne(e, max)), zeroV32(v));
}
// @ts-ignore: decorator
@inline
export function safeV32(v: v128): v128 {
  const max = i32x4.splat(0x7f800000);
  const e = v128.and(v, max);
  return v128.and(i32x4.gt_s(e, i32x4.splat(0x00800000)), i32x4.ne(e, max));
}
// @ts-ignore: decorator
@inline
export function zeroV32(v: v128): v128 {
  return i32x4.eq(i32x4.shl(v, 1), i32x4.splat(0));
}
// @ts-ignore: decorator
@inline
export function plainV64(v: v128): v128 {
  const max = i64x2.splat(0x7ff0000000000000);
  const e = v128.and(v, max);
  return v128.or(v128.and(i64x2.ne(e, i64x2.splat(0)), i64x2.ne(e, max)), zeroV64(v));
}
// @ts-ignore: decorator
@inline
export function safeV64(v: v128): v128 {
  const max = i64x2.splat(0x7ff0000000000000);
  const e = v128.and(v, max);
  return v128.and(i64x2.gt_s(e, i64x2.splat(0x0010000000000000)), i64x2.ne(e, max));
}
// @ts-ignore: decorator
@inline
export function zeroV64(v: v128): v128 {
  return i64x2.eq(i64x2.shl(v, 1), i64x2.splat(0));
}

/** Zero results that raise nothing: exact cancellation, or a zero factor or dividend (for which `za` and `zb` stand). */
// @ts-ignore: decorator
@inline
function zeroAllowed(op: i32, zr: v128, za: v128, zb: v128): v128 {
  return op <= OP_SUB ? zr : op == OP_MUL ? v128.and(zr, v128.or(za, zb)) : v128.and(zr, v128.andnot(za, zb));
}

/** Four arithmetic operations on ordinary singles. False, and nothing stored, when a lane is not. */
function quickArith32(op: i32, a: v128, b: v128, out: usize): bool {
  const r = op == OP_ADD ? f32x4.add(a, b) : op == OP_SUB ? f32x4.sub(a, b) : op == OP_MUL ? f32x4.mul(a, b) : f32x4.div(a, b);
  const ok = v128.and(
    v128.and(plainV32(a), plainV32(b)),
    v128.or(safeV32(r), zeroAllowed(op, zeroV32(r), zeroV32(a), zeroV32(b))),
  );
  if (!i32x4.all_true(ok)) return false;
  v128.store(out, r);
  return true;
}
function quickArith64(op: i32, a: v128, b: v128, out: usize): bool {
  const r = op == OP_ADD ? f64x2.add(a, b) : op == OP_SUB ? f64x2.sub(a, b) : op == OP_MUL ? f64x2.mul(a, b) : f64x2.div(a, b);
  const ok = v128.and(
    v128.and(plainV64(a), plainV64(b)),
    v128.or(safeV64(r), zeroAllowed(op, zeroV64(r), zeroV64(a), zeroV64(b))),
  );
  if (!i64x2.all_true(ok)) return false;
  v128.store(out, r);
  return true;
}

/** Square roots of positive normal numbers. */
function quickSqrt(bits: u32, b: v128, out: usize): bool {
  if (bits == 24) {
    if (!i32x4.all_true(v128.and(plainV32(b), i32x4.gt_s(b, i32x4.splat(0))))) return false;
    v128.store(out, f32x4.sqrt(b));
  } else {
    if (!i64x2.all_true(v128.and(plainV64(b), i64x2.gt_s(b, i64x2.splat(0))))) return false;
    v128.store(out, f64x2.sqrt(b));
  }
  return true;
}

/** Relations for which CMPxx predicates 0..15 hold: bit 0 less, 1 equal, 2 greater, 3 unordered (SDM volume 2, CMPPD, table 3-1). */
const RELATIONS: usize = memory.data<u8>([2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15]);

/** MIN, MAX and CMP of normal numbers and zeros raise nothing, whatever MXCSR says. */
function quickRelation(op: i32, bits: u32, a: v128, b: v128, out: usize, arg: u32): bool {
  if (!v128.all_true<u8>(bits == 24 ? v128.and(plainV32(a), plainV32(b)) : v128.and(plainV64(a), plainV64(b)))) return false;
  let r: v128;
  if (op == LANE_MIN) r = bits == 24 ? f32x4.pmin(b, a) : f64x2.pmin(b, a);
  else if (op == LANE_MAX) r = bits == 24 ? f32x4.pmax(b, a) : f64x2.pmax(b, a);
  else {
    const holds: u32 = load<u8>(RELATIONS + <usize>(arg & 15));
    const less = bits == 24 ? f32x4.lt(a, b) : f64x2.lt(a, b);
    const equal = bits == 24 ? f32x4.eq(a, b) : f64x2.eq(a, b);
    r = i64x2.splat(0);
    if (holds & 1) r = less;
    if (holds & 2) r = v128.or(r, equal);
    if (holds & 4) r = v128.or(r, v128.not(v128.or(less, equal)));
  }
  v128.store(out, r);
  return true;
}

/** The number as a double that compares like it; singles convert exactly. NaNs are excluded before. */
// @ts-ignore: decorator
@inline
export function value(v: u64, p: u32): f64 {
  return p == 24 ? <f64>reinterpret<f32>(<u32>v) : reinterpret<f64>(v);
}
export function noteDenormals(a: u64, b: u64, p: u32): void {
  if (!M.daz && (isDenormal(a, p) || isDenormal(b, p))) FP.flags |= FP_DE;
}

/** MIN and MAX: the second operand when either is a NaN or both are zero. */
function minmax(a: u64, b: u64, p: u32, maximum: bool): u64 {
  a = flushInput(a, p);
  b = flushInput(b, p);
  if (isNan(a, p) || isNan(b, p)) {
    FP.flags |= FP_IE;
    return b;
  }
  noteDenormals(a, b, p);
  const x = value(a, p);
  const y = value(b, p);
  return (maximum ? x > y : x < y) ? a : b;
}

/** CMPxx predicates 0..31; LT, LE and their negations signal quiet NaNs, and bit 4 turns that round. */
function compare(a: u64, b: u64, p: u32, predicate: u32): u64 {
  a = flushInput(a, p);
  b = flushInput(b, p);
  let relation: u32;
  if (isNan(a, p) || isNan(b, p)) {
    const kind = predicate & 3;
    if ((kind == 1 || kind == 2) != ((predicate & 16) != 0) || isSnan(a, p) || isSnan(b, p)) FP.flags |= FP_IE;
    relation = 8;
  } else {
    noteDenormals(a, b, p);
    const x = value(a, p);
    const y = value(b, p);
    relation = x < y ? 1 : x == y ? 2 : 4;
  }
  return <u32>load<u8>(RELATIONS + <usize>(predicate & 15)) & relation ? ~(<u64>0) : 0;
}

/** One lane after beginSse(), exact in every case. `p` is 24 or 53; `arg` the predicate of LANE_CMP. */
export function softLane(op: i32, a: u64, b: u64, p: u32, arg: u32): u64 {
  switch (op) {
    case LANE_MIN:
      return minmax(a, b, p, false);
    case LANE_MAX:
      return minmax(a, b, p, true);
    case LANE_CMP:
      return compare(a, b, p, arg);
    case LANE_SQRT:
      return softSqrt(b, p);
    default:
      return softBinary(op, a, b, p);
  }
}

function softLanes(op: i32, p: u32, a: usize, b: usize, out: usize, arg: u32): void {
  if (p == 53) for (let i: usize = 0; i < 16; i += 8) store<u64>(out + i, softLane(op, load<u64>(a + i), load<u64>(b + i), 53, arg));
  else for (let i: usize = 0; i < 16; i += 4) store<u32>(out + i, <u32>softLane(op, <u64>load<u32>(a + i), <u64>load<u32>(b + i), 24, arg));
}

function quickLanes(op: i32, p: u32, a: usize, b: usize, out: usize, arg: u32): bool {
  if (op <= OP_DIV) {
    if (!fastMode()) return false;
    return p == 53 ? quickArith64(op, v128.load(a), v128.load(b), out) : quickArith32(op, v128.load(a), v128.load(b), out);
  }
  if (op == LANE_SQRT) return fastMode() && quickSqrt(p, v128.load(b), out);
  return quickRelation(op, p, v128.load(a), v128.load(b), out, arg);
}

/** a op b on `bytes` (16 or 32) bytes of packed numbers into VOUT. Raises what is unmasked. */
export function packedLanes(op: i32, p: u32, a: usize, b: usize, bytes: usize, arg: u32): void {
  if (quickLanes(op, p, a, b, VOUT, arg) && (bytes == 16 || quickLanes(op, p, a + 16, b + 16, VOUT + 16, arg))) return;
  beginSse();
  softLanes(op, p, a, b, VOUT, arg);
  if (bytes == 32) softLanes(op, p, a + 16, b + 16, VOUT + 16, arg);
  endSse();
}

/** a op b of one number of `p` significand bits. Raises what is unmasked. */
export function scalarLane(op: i32, p: u32, a: u64, b: u64, arg: u32): u64 {
  if (p == 53) {
    if (op == LANE_SQRT) {
      if (fastMode() && normal64(b) && <i64>b > 0) return reinterpret<u64>(sqrt<f64>(reinterpret<f64>(b)));
    } else if (plain64(a) && plain64(b)) {
      const x = reinterpret<f64>(a);
      const y = reinterpret<f64>(b);
      if (op == LANE_MIN) return x < y ? a : b;
      if (op == LANE_MAX) return x > y ? a : b;
      if (op <= OP_DIV && fastMode()) {
        const r = reinterpret<u64>(op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y);
        if (safe64(r)) return r;
      }
    }
  } else if (op == LANE_SQRT) {
    if (fastMode() && normal32(<u32>b) && <i32>b > 0) return <u64>reinterpret<u32>(sqrt<f32>(reinterpret<f32>(<u32>b)));
  } else if (plain32(<u32>a) && plain32(<u32>b)) {
    const x = reinterpret<f32>(<u32>a);
    const y = reinterpret<f32>(<u32>b);
    if (op == LANE_MIN) return x < y ? a : b;
    if (op == LANE_MAX) return x > y ? a : b;
    if (op <= OP_DIV && fastMode()) {
      const r = reinterpret<u32>(op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y);
      if (safe32(r)) return <u64>r;
    }
  }
  beginSse();
  const r = softLane(op, a, b, p, arg);
  endSse();
  return r;
}
