/** SSE and SSE2 arithmetic: ADD MUL SUB MIN DIV MAX SQRT CMP (U)COMI RCP RSQRT, packed and scalar (SDM volume 2). Lanes: floatlanes.ts. */
import { recOff, recSeg } from '../ea';
import { setEflags } from '../flags';
import { memRead32, memRead64 } from '../memsegment';
import { FP, FP_IE } from '../fpu/unpacked';
import {
  host, LANE_CMP, LANE_MAX, LANE_MIN, LANE_SQRT, noteDenormals, packedLanes, plain32, plain64, safe32, safe64, scalarLane, value, VOUT,
} from './floatlanes';
import { beginSse, endSse, fastMode } from './mxcsr';
import { checkSse, imm8, isMem, P_66, P_F2, P_F3, regXmm, rmXmm, src128, src32, src64, undefinedOp } from './operand';
import { flushInput, isNan, isSnan, OP_ADD, OP_DIV, OP_MUL, OP_SUB } from './softfloat';

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
    store<u64>(d, scalarLane(op, 53, a, b, 0));
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
    store<u32>(d, <u32>scalarLane(op, 24, <u64>a, <u64>b, 0));
  } else {
    packedLanes(op, p == P_66 ? 53 : 24, d, src128(rec), 16, 0);
    v128.store(d, v128.load(VOUT));
  }
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

function lanes(rec: usize, op: i32, p: i32, arg: u32): void {
  const d = regXmm(rec);
  if (p == P_F2) store<u64>(d, scalarLane(op, 53, load<u64>(d), load<u64>(src64(rec)), arg));
  else if (p == P_F3) store<u32>(d, <u32>scalarLane(op, 24, <u64>load<u32>(d), <u64>load<u32>(src32(rec)), arg));
  else {
    packedLanes(op, p == P_66 ? 53 : 24, d, src128(rec), 16, arg);
    v128.store(d, v128.load(VOUT));
  }
}

/** UCOMISS/SD (2E) and COMISS/SD (2F): ZF PF CF as after FCOMI, OF SF AF clear. */
export function comi(rec: usize, p: i32, quiet: bool): void {
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
export function approximate(v: u32, root: bool): u32 {
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
  for (let i: usize = 0; i < 16; i += 4) store<u32>(VOUT + i, approximate(load<u32>(s + i), root));
  v128.store(d, v128.load(VOUT));
}

/** 2E, 2F, 51..53, 5D, 5F, C2. */
export function sseFloat(rec: usize, op: u32, p: i32): void {
  // COMISx have no F3 and F2, approximations neither 66 nor F2.
  if ((op <= 0x2f && p >= P_F3) || ((op == 0x52 || op == 0x53) && (p == P_66 || p == P_F2))) undefinedOp();
  checkSse();
  switch (op) {
    case 0x2e:
    case 0x2f:
      comi(rec, p, op == 0x2e);
      return;
    case 0x51:
      lanes(rec, LANE_SQRT, p, 0);
      return;
    case 0x52:
    case 0x53:
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
