/**
 * SSE and SSE2 arithmetic: ADD MUL SUB MIN DIV MAX SQRT CMP (U)COMI RCP RSQRT, packed and scalar (SDM volume 2). The quick way uses the
 * host's arithmetic where it provably gives the same value and raises nothing new: M.fast, operands normal or zero, result normal.
 */
import { recOff, recSeg } from '../ea';
import { setEflags } from '../flags';
import { memRead32, memRead64 } from '../mem';
import { FP, FP_DE, FP_IE } from '../fpu/unpacked';
import { M, beginSse, endSse, fastMode } from './mxcsr';
import { checkSse, imm8, isMem, P_66, P_F2, P_F3, regXmm, rmXmm, SCRATCH, src128, src32, src64, undefinedOp } from './operand';
import { flushInput, isDenormal, isNan, isSnan, OP_ADD, OP_DIV, OP_MUL, OP_SUB, softBinary, softSqrt } from './softfloat';

/** Results of all lanes before any of them is written: an exception must leave the destination alone. */
const OUT: usize = SCRATCH + 16;

// @ts-ignore: decorator
@inline
function normal64(b: u64): bool {
  return ((<u32>(b >> 52) & 0x7ff) - 1) < 0x7fe;
}
// @ts-ignore: decorator
@inline
function plain64(b: u64): bool {
  return normal64(b) || b << 1 == 0;
}
/** Well inside the normal range: not even rounded up from a tiny number. */
// @ts-ignore: decorator
@inline
function safe64(b: u64): bool {
  return ((<u32>(b >> 52) & 0x7ff) - 2) < 0x7fd;
}
// @ts-ignore: decorator
@inline
function normal32(b: u32): bool {
  return (((b >> 23) & 0xff) - 1) < 0xfe;
}
// @ts-ignore: decorator
@inline
function plain32(b: u32): bool {
  return normal32(b) || b << 1 == 0;
}
// @ts-ignore: decorator
@inline
function safe32(b: u32): bool {
  return (((b >> 23) & 0xff) - 2) < 0xfd;
}

/** The host's operation; op is a constant where this is inlined. */
// @ts-ignore: decorator
@inline
function host<T>(op: i32, x: T, y: T): T {
  return op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y;
}

// @ts-ignore: decorator
@inline
function plainV32(v: v128): v128 {
  const max = i32x4.splat(0x7f800000);
  const e = v128.and(v, max);
  return v128.or(v128.and(i32x4.ne(e, i32x4.splat(0)), i32x4.ne(e, max)), i32x4.eq(i32x4.shl(v, 1), i32x4.splat(0)));
}
// @ts-ignore: decorator
@inline
function safeV32(v: v128): v128 {
  const max = i32x4.splat(0x7f800000);
  const e = v128.and(v, max);
  return v128.and(i32x4.gt_s(e, i32x4.splat(0x00800000)), i32x4.ne(e, max));
}
// @ts-ignore: decorator
@inline
function zeroV32(v: v128): v128 {
  return i32x4.eq(i32x4.shl(v, 1), i32x4.splat(0));
}
// @ts-ignore: decorator
@inline
function plainV64(v: v128): v128 {
  const max = i64x2.splat(0x7ff0000000000000);
  const e = v128.and(v, max);
  return v128.or(v128.and(i64x2.ne(e, i64x2.splat(0)), i64x2.ne(e, max)), i64x2.eq(i64x2.shl(v, 1), i64x2.splat(0)));
}
// @ts-ignore: decorator
@inline
function safeV64(v: v128): v128 {
  const max = i64x2.splat(0x7ff0000000000000);
  const e = v128.and(v, max);
  return v128.and(i64x2.gt_s(e, i64x2.splat(0x0010000000000000)), i64x2.ne(e, max));
}
// @ts-ignore: decorator
@inline
function zeroV64(v: v128): v128 {
  return i64x2.eq(i64x2.shl(v, 1), i64x2.splat(0));
}

/** Zero results that raise nothing: exact cancellation, or a zero factor or dividend (for which `za` and `zb` stand). */
// @ts-ignore: decorator
@inline
function zeroAllowed(op: i32, zr: v128, za: v128, zb: v128): v128 {
  return op <= OP_SUB ? zr : op == OP_MUL ? v128.and(zr, v128.or(za, zb)) : v128.and(zr, v128.andnot(za, zb));
}

function packed32(op: i32, d: usize, s: usize): void {
  const a = v128.load(d);
  const b = v128.load(s);
  if (fastMode()) {
    const r = op == OP_ADD ? f32x4.add(a, b) : op == OP_SUB ? f32x4.sub(a, b) : op == OP_MUL ? f32x4.mul(a, b) : f32x4.div(a, b);
    const ok = v128.and(
      v128.and(plainV32(a), plainV32(b)),
      v128.or(safeV32(r), zeroAllowed(op, zeroV32(r), zeroV32(a), zeroV32(b))),
    );
    if (i32x4.all_true(ok)) {
      v128.store(d, r);
      return;
    }
  }
  beginSse();
  for (let i: usize = 0; i < 16; i += 4) store<u32>(OUT + i, <u32>softBinary(op, <u64>load<u32>(d + i), <u64>load<u32>(s + i), 24));
  endSse();
  v128.store(d, v128.load(OUT));
}
function packed64(op: i32, d: usize, s: usize): void {
  const a = v128.load(d);
  const b = v128.load(s);
  if (fastMode()) {
    const r = op == OP_ADD ? f64x2.add(a, b) : op == OP_SUB ? f64x2.sub(a, b) : op == OP_MUL ? f64x2.mul(a, b) : f64x2.div(a, b);
    const ok = v128.and(
      v128.and(plainV64(a), plainV64(b)),
      v128.or(safeV64(r), zeroAllowed(op, zeroV64(r), zeroV64(a), zeroV64(b))),
    );
    if (i64x2.all_true(ok)) {
      v128.store(d, r);
      return;
    }
  }
  beginSse();
  for (let i: usize = 0; i < 16; i += 8) store<u64>(OUT + i, softBinary(op, load<u64>(d + i), load<u64>(s + i), 53));
  endSse();
  v128.store(d, v128.load(OUT));
}

function slow64(op: i32, d: usize, b: u64): void {
  beginSse();
  const r = softBinary(op, load<u64>(d), b, 53);
  endSse();
  store<u64>(d, r);
}
function slow32(op: i32, d: usize, b: u32): void {
  beginSse();
  const r = softBinary(op, <u64>load<u32>(d), <u64>b, 24);
  endSse();
  store<u32>(d, <u32>r);
}

// @ts-ignore: decorator
@inline
function arith(rec: usize, op: i32, p: i32): void {
  checkSse();
  const d = regXmm(rec);
  if (p == P_F2) {
    const b: u64 = isMem(rec) ? memRead64(recSeg(rec), recOff(rec)) : load<u64>(rmXmm(rec));
    const a = load<u64>(d);
    if (fastMode() && plain64(a) && plain64(b)) {
      const r = reinterpret<u64>(host<f64>(op, reinterpret<f64>(a), reinterpret<f64>(b)));
      if (safe64(r)) {
        store<u64>(d, r);
        return;
      }
    }
    slow64(op, d, b);
  } else if (p == P_F3) {
    const b: u32 = isMem(rec) ? memRead32(recSeg(rec), recOff(rec)) : load<u32>(rmXmm(rec));
    const a = load<u32>(d);
    if (fastMode() && plain32(a) && plain32(b)) {
      const r = reinterpret<u32>(host<f32>(op, reinterpret<f32>(a), reinterpret<f32>(b)));
      if (safe32(r)) {
        store<u32>(d, r);
        return;
      }
    }
    slow32(op, d, b);
  } else if (p == P_66) packed64(op, d, src128(rec));
  else packed32(op, d, src128(rec));
}

/** ADDxx, MULxx, SUBxx, DIVxx (58, 59, 5C, 5E). */
export function sseAdd(rec: usize, p: i32): void {
  arith(rec, OP_ADD, p);
}
export function sseMul(rec: usize, p: i32): void {
  arith(rec, OP_MUL, p);
}
export function sseSub(rec: usize, p: i32): void {
  arith(rec, OP_SUB, p);
}
export function sseDiv(rec: usize, p: i32): void {
  arith(rec, OP_DIV, p);
}

/** The number as a double that compares like it; singles convert exactly. NaNs are excluded before. */
// @ts-ignore: decorator
@inline
function value(v: u64, p: u32): f64 {
  return p == 24 ? <f64>reinterpret<f32>(<u32>v) : reinterpret<f64>(v);
}
function noteDenormals(a: u64, b: u64, p: u32): void {
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

/** CMPxx predicates 0..7: EQ LT LE UNORD NEQ NLT NLE ORD. */
function compare(a: u64, b: u64, p: u32, predicate: u32): u64 {
  a = flushInput(a, p);
  b = flushInput(b, p);
  const kind = predicate & 3;
  let hit: bool;
  if (isNan(a, p) || isNan(b, p)) {
    if (kind == 1 || kind == 2 || isSnan(a, p) || isSnan(b, p)) FP.flags |= FP_IE;
    hit = kind == 3;
  } else {
    noteDenormals(a, b, p);
    const x = value(a, p);
    const y = value(b, p);
    hit = kind == 0 ? x == y : kind == 1 ? x < y : kind == 2 ? x <= y : false;
  }
  return hit != ((predicate & 4) != 0) ? ~(<u64>0) : 0;
}

/** Lane operations shared by MIN, MAX, CMP and SQRT; `arg` is the predicate. */
const LANE_MIN = 0;
const LANE_MAX = 1;
const LANE_CMP = 2;
const LANE_SQRT = 3;
function lane(op: i32, a: u64, b: u64, p: u32, arg: u32): u64 {
  if (op == LANE_CMP) return compare(a, b, p, arg);
  if (op == LANE_SQRT) {
    if (M.fast) {
      if (p == 24 ? normal32(<u32>b) && <i32>b > 0 : normal64(b) && <i64>b > 0) {
        return p == 24 ? <u64>reinterpret<u32>(sqrt<f32>(reinterpret<f32>(<u32>b))) : reinterpret<u64>(sqrt<f64>(reinterpret<f64>(b)));
      }
    }
    return softSqrt(b, p);
  }
  return minmax(a, b, p, op == LANE_MAX);
}

/** Packed MIN, MAX and CMP of normal numbers and zeros raise nothing, whatever MXCSR says. True when done. */
function quickPacked(op: i32, d: usize, s: usize, p: i32, arg: u32): bool {
  const a = v128.load(d);
  const b = v128.load(s);
  let r: v128;
  if (p == P_66) {
    if (!i64x2.all_true(v128.and(plainV64(a), plainV64(b)))) return false;
    if (op == LANE_MIN) r = f64x2.pmin(b, a);
    else if (op == LANE_MAX) r = f64x2.pmax(b, a);
    else {
      const kind = arg & 3;
      r = kind == 0 ? f64x2.eq(a, b) : kind == 1 ? f64x2.lt(a, b) : kind == 2 ? f64x2.le(a, b) : i64x2.splat(0);
      if (arg & 4) r = v128.not(r);
    }
  } else {
    if (!i32x4.all_true(v128.and(plainV32(a), plainV32(b)))) return false;
    if (op == LANE_MIN) r = f32x4.pmin(b, a);
    else if (op == LANE_MAX) r = f32x4.pmax(b, a);
    else {
      const kind = arg & 3;
      r = kind == 0 ? f32x4.eq(a, b) : kind == 1 ? f32x4.lt(a, b) : kind == 2 ? f32x4.le(a, b) : i64x2.splat(0);
      if (arg & 4) r = v128.not(r);
    }
  }
  v128.store(d, r);
  return true;
}

function lanes(rec: usize, op: i32, p: i32, arg: u32): void {
  const d = regXmm(rec);
  if (p == P_F2) {
    const s = src64(rec);
    beginSse();
    const r = lane(op, load<u64>(d), load<u64>(s), 53, arg);
    endSse();
    store<u64>(d, r);
    return;
  }
  if (p == P_F3) {
    const s = src32(rec);
    beginSse();
    const r = <u32>lane(op, <u64>load<u32>(d), <u64>load<u32>(s), 24, arg);
    endSse();
    store<u32>(d, r);
    return;
  }
  const s = src128(rec);
  beginSse();
  if (op != LANE_SQRT && quickPacked(op, d, s, p, arg)) return;
  if (p == P_66) {
    for (let i: usize = 0; i < 16; i += 8) store<u64>(OUT + i, lane(op, load<u64>(d + i), load<u64>(s + i), 53, arg));
  } else {
    for (let i: usize = 0; i < 16; i += 4) store<u32>(OUT + i, <u32>lane(op, <u64>load<u32>(d + i), <u64>load<u32>(s + i), 24, arg));
  }
  endSse();
  v128.store(d, v128.load(OUT));
}

/** UCOMISS/SD (2E) and COMISS/SD (2F): ZF PF CF as after FCOMI, OF SF AF clear. */
function comi(rec: usize, p: i32, quiet: bool): void {
  const bits: u32 = p == P_66 ? 53 : 24;
  const d = regXmm(rec);
  const s = p == P_66 ? src64(rec) : src32(rec);
  beginSse();
  const a = flushInput(p == P_66 ? load<u64>(d) : <u64>load<u32>(d), bits);
  const b = flushInput(p == P_66 ? load<u64>(s) : <u64>load<u32>(s), bits);
  let rel: u32;
  if (isNan(a, bits) || isNan(b, bits)) {
    if (!quiet || isSnan(a, bits) || isSnan(b, bits)) FP.flags |= FP_IE;
    rel = 0x45;
  } else {
    noteDenormals(a, b, bits);
    const x = value(a, bits);
    const y = value(b, bits);
    rel = x > y ? 0 : x < y ? 1 : 0x40;
  }
  endSse();
  setEflags(rel, 0x8d5);
}

/**
 * RCPSS and RSQRTSS promise a relative error of 1.5 * 2^-12 and touch no flags; the rounded quotient keeps that. Denormals count as zero and
 * tiny results become zero, whatever MXCSR says.
 */
function approximate(v: u32, root: bool): u32 {
  const sign = v & 0x80000000;
  if (isNan(<u64>v, 24)) return v | 0x400000;
  if ((v & 0x7fffffff) < 0x800000) return sign | 0x7f800000;
  if (root) {
    if (sign) return 0xffc00000;
    if (v == 0x7f800000) return 0;
    return reinterpret<u32>(<f32>(1.0 / sqrt<f64>(<f64>reinterpret<f32>(v))));
  }
  const r = reinterpret<u32>(<f32>1.0 / reinterpret<f32>(v));
  return (r & 0x7fffffff) <= 0x800000 ? sign : r;
}
function approximations(rec: usize, root: bool, scalar: bool): void {
  const d = regXmm(rec);
  if (scalar) {
    store<u32>(d, approximate(load<u32>(src32(rec)), root));
    return;
  }
  const s = src128(rec);
  for (let i: usize = 0; i < 16; i += 4) store<u32>(OUT + i, approximate(load<u32>(s + i), root));
  v128.store(d, v128.load(OUT));
}

/** 2E, 2F, 51..53, 5D, 5F, C2. */
export function sseFloat(rec: usize, op: u32, p: i32): void {
  checkSse();
  switch (op) {
    case 0x2e:
    case 0x2f:
      if (p >= P_F3) undefinedOp();
      comi(rec, p, op == 0x2e);
      return;
    case 0x51:
      lanes(rec, LANE_SQRT, p, 0);
      return;
    case 0x52:
    case 0x53:
      if (p == P_66 || p == P_F2) undefinedOp();
      approximations(rec, op == 0x52, p == P_F3);
      return;
    case 0x5d:
      lanes(rec, LANE_MIN, p, 0);
      return;
    case 0x5f:
      lanes(rec, LANE_MAX, p, 0);
      return;
    default:
      lanes(rec, LANE_CMP, p, imm8(rec) & 7);
  }
}
