/** Conversions between integers, single and double precision (SDM volume 2, CVT*). Out-of-range integers become the indefinite. */
import { enterMmx } from '../fpu/x87stack';
import { FP, FP_IE, FP_PE, RC_DOWN, RC_NEAREST, RC_UP, RC_ZERO } from '../fpu/unpacked';
import { recOff, recSeg } from '../ea';
import { memRead32, memRead64 } from '../memsegment';
import { REC_SIZES } from '../record';
import { M, beginSse, endSse } from './mxcsr';
import {
  checkSse, checkSseMmx, isMem, P_66, P_F2, P_F3, P_NONE, regGpr, regMm, regXmm, rmGpr, SCRATCH, setMm, src128, src32, src64, srcMm,
  undefinedOp,
} from './operand';
import { flushInput, fromInteger, isNan, narrow, widen } from './softfloat';

const OUT: usize = SCRATCH + 16;

function roundDouble(x: f64, rc: u32): f64 {
  return rc == RC_NEAREST ? nearest<f64>(x) : rc == RC_DOWN ? floor<f64>(x) : rc == RC_UP ? ceil<f64>(x) : trunc<f64>(x);
}

/** To a 32-bit or, with `wide`, 64-bit integer. */
export function toInteger(v: u64, p: u32, rc: u32, wide: bool): i64 {
  v = flushInput(v, p);
  if (!isNan(v, p)) {
    const x = p == 24 ? <f64>reinterpret<f32>(<u32>v) : reinterpret<f64>(v);
    const r = roundDouble(x, rc);
    if (wide ? r >= -9223372036854775808.0 && r < 9223372036854775808.0 : r >= -2147483648.0 && r <= 2147483647.0) {
      if (r != x) FP.flags |= FP_PE;
      return <i64>r;
    }
  }
  FP.flags |= FP_IE;
  return wide ? i64.MIN_VALUE : <i64>i32.MIN_VALUE;
}

// @ts-ignore: decorator
@inline
export function int32(v: u64, p: u32, rc: u32): u32 {
  return <u32>toInteger(v, p, rc, false);
}

// @ts-ignore: decorator
@inline
function wideGpr(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 3;
}

/** 2A: CVTPI2PS CVTPI2PD CVTSI2SS CVTSI2SD. */
function fromInt(rec: usize, p: i32): void {
  const d = regXmm(rec);
  if (p >= P_F3) {
    checkSse();
    let v: i64;
    if (wideGpr(rec)) v = isMem(rec) ? <i64>memRead64(recSeg(rec), recOff(rec)) : load<i64>(rmGpr(rec));
    else v = isMem(rec) ? <i64>(<i32>memRead32(recSeg(rec), recOff(rec))) : <i64>load<i32>(rmGpr(rec));
    beginSse();
    const r = fromInteger(v, p == P_F2 ? 53 : 24);
    endSse();
    if (p == P_F2) store<u64>(d, r);
    else store<u32>(d, <u32>r);
    return;
  }
  // From memory both leave the x87 state alone; from a register it becomes MMX mode even if #XM follows.
  if (isMem(rec)) checkSse();
  else checkSseMmx();
  const s = srcMm(rec);
  beginSse();
  if (!isMem(rec)) enterMmx();
  if (p == P_66) {
    store<f64>(OUT, <f64>load<i32>(s));
    store<f64>(OUT, <f64>load<i32>(s, 4), 8);
    v128.store(d, v128.load(OUT));
    return;
  }
  store<u32>(OUT, <u32>fromInteger(<i64>load<i32>(s), 24));
  store<u32>(OUT, <u32>fromInteger(<i64>load<i32>(s, 4), 24), 4);
  endSse();
  store<u64>(d, load<u64>(OUT));
}

/** 2C (truncating), 2D: to MMX registers or general registers. */
function toInt(rec: usize, p: i32, truncate: bool): void {
  if (p >= P_F3) {
    checkSse();
    const s = p == P_F2 ? src64(rec) : src32(rec);
    beginSse();
    const wide = wideGpr(rec);
    const bits = p == P_F2 ? load<u64>(s) : <u64>load<u32>(s);
    const r = toInteger(bits, p == P_F2 ? 53 : 24, truncate ? RC_ZERO : M.rc, wide);
    endSse();
    store<u64>(regGpr(rec), wide ? <u64>r : <u64>(<u32>r));
    return;
  }
  checkSseMmx();
  const s = p == P_66 ? src128(rec) : src64(rec);
  beginSse();
  const rc = truncate ? RC_ZERO : M.rc;
  let lo: u32, hi: u32;
  if (p == P_66) {
    lo = int32(load<u64>(s), 53, rc);
    hi = int32(load<u64>(s, 8), 53, rc);
  } else {
    lo = int32(<u64>load<u32>(s), 24, rc);
    hi = int32(<u64>load<u32>(s, 4), 24, rc);
  }
  enterMmx();
  endSse();
  setMm(regMm(rec), <u64>lo | (<u64>hi << 32));
}

/** 5A: between single and double. */
function betweenFloats(rec: usize, p: i32): void {
  checkSse();
  const d = regXmm(rec);
  if (p == P_F3) {
    const s = src32(rec);
    beginSse();
    const r = widen(<u64>load<u32>(s));
    endSse();
    store<u64>(d, r);
  } else if (p == P_F2) {
    const s = src64(rec);
    beginSse();
    const r = <u32>narrow(load<u64>(s));
    endSse();
    store<u32>(d, r);
  } else if (p == P_66) {
    const s = src128(rec);
    beginSse();
    const lo = narrow(load<u64>(s));
    const hi = narrow(load<u64>(s, 8));
    endSse();
    store<u64>(d, lo | (hi << 32));
    store<u64>(d, 0, 8);
  } else {
    const s = src64(rec);
    beginSse();
    const lo = widen(<u64>load<u32>(s));
    const hi = widen(<u64>load<u32>(s, 4));
    endSse();
    store<u64>(d, lo);
    store<u64>(d, hi, 8);
  }
}

/** 5B: CVTDQ2PS, CVTPS2DQ (66), CVTTPS2DQ (F3). */
function packedInts(rec: usize, p: i32): void {
  if (p == P_F2) undefinedOp();
  checkSse();
  const d = regXmm(rec);
  const s = src128(rec);
  beginSse();
  const rc = p == P_F3 ? RC_ZERO : M.rc;
  for (let i: usize = 0; i < 16; i += 4) {
    store<u32>(OUT + i, p == P_NONE ? <u32>fromInteger(<i64>load<i32>(s + i), 24) : int32(<u64>load<u32>(s + i), 24, rc));
  }
  endSse();
  v128.store(d, v128.load(OUT));
}

/** E6: CVTTPD2DQ (66), CVTDQ2PD (F3), CVTPD2DQ (F2). */
function doubleInts(rec: usize, p: i32): void {
  if (p == P_NONE) undefinedOp();
  checkSse();
  const d = regXmm(rec);
  if (p == P_F3) {
    const s = src64(rec);
    const lo = <f64>load<i32>(s);
    const hi = <f64>load<i32>(s, 4);
    store<f64>(d, lo);
    store<f64>(d, hi, 8);
    return;
  }
  const s = src128(rec);
  beginSse();
  const rc = p == P_66 ? RC_ZERO : M.rc;
  const lo = int32(load<u64>(s), 53, rc);
  const hi = int32(load<u64>(s, 8), 53, rc);
  endSse();
  store<u64>(d, <u64>lo | (<u64>hi << 32));
  store<u64>(d, 0, 8);
}

/** 2A, 2C, 2D, 5A, 5B, E6. */
export function sseConvert(rec: usize, op: u32, p: i32): void {
  switch (op) {
    case 0x2a:
      fromInt(rec, p);
      return;
    case 0x2c:
    case 0x2d:
      toInt(rec, p, op == 0x2c);
      return;
    case 0x5a:
      betweenFloats(rec, p);
      return;
    case 0x5b:
      packedInts(rec, p);
      return;
    default:
      doubleInts(rec, p);
  }
}
