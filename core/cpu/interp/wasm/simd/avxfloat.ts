/** VEX-encoded floating-point arithmetic and conversions of the 0F map (SDM volume 2). Scalar forms take the rest of the result from VEX.vvvv. */
import { recOff, recSeg } from '../ea';
import { RC_ZERO } from '../fpu/unpacked';
import { memRead32, memRead64, memWrite32 } from '../memsegment';
import { raiseFaultErr } from '../fault';
import { S_MXCSR, VEC_GP } from '../stateoffsets';
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { REC_MODRM } from '../record';
import { LANE_CMP, LANE_MAX, LANE_MIN, LANE_SQRT, packedLanes, scalarLane, VOUT } from './floatlanes';
import { beginSse, endSse, M, MXCSR_MASK } from './mxcsr';
import { imm8, isMem, P_66, P_F2, P_F3, P_NONE, regGpr, regXmm, rmGpr, wideOperand } from './operand';
import { fromInteger, narrow, OP_ADD, OP_DIV, OP_MUL, OP_SUB, widen } from './softfloat';
import { horizontalLanes } from './sse3';
import { int32, toInteger } from './ssecvt';
import { approximate, comi } from './ssefloat';
import { needMem, setFromOut, setLow, vexBytes, vexScalar, vexSource, vvvvXmm } from './vex';

/** Low element `r` of `p` bits, the rest of the low half from VEX.vvvv, upper half zero. */
export function setScalar(rec: usize, p: u32, r: u64): void {
  const a = v128.load(vvvvXmm(rec));
  setLow(regXmm(rec), p == 53 ? i64x2.replace_lane(a, 0, r) : i32x4.replace_lane(a, 0, <u32>r));
}

/** An operation of floatlanes.ts in all four forms. */
function lanes(rec: usize, op: i32, p: i32, arg: u32): void {
  const a = vvvvXmm(rec);
  if (p == P_F2) setScalar(rec, 53, scalarLane(op, 53, load<u64>(a), load<u64>(vexScalar(rec, 8)), arg));
  else if (p == P_F3) setScalar(rec, 24, scalarLane(op, 24, <u64>load<u32>(a), <u64>load<u32>(vexScalar(rec, 4)), arg));
  else {
    const bytes = vexBytes(rec);
    packedLanes(op, p == P_66 ? 53 : 24, a, vexSource(rec, bytes), bytes, arg);
    setFromOut(rec, bytes);
  }
}

function approximations(rec: usize, root: bool, p: i32): void {
  if (p == P_F3) {
    setScalar(rec, 24, <u64>approximate(load<u32>(vexScalar(rec, 4)), root));
    return;
  }
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  for (let i: usize = 0; i < bytes; i += 4) store<u32>(VOUT + i, approximate(load<u32>(s + i), root));
  setFromOut(rec, bytes);
}

function horizontal(rec: usize, op: u32, p: i32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = vvvvXmm(rec);
  beginSse();
  for (let i: usize = 0; i < bytes; i += 16) horizontalLanes(op, p == P_66 ? 53 : 24, a + i, s + i, VOUT + i);
  endSse();
  setFromOut(rec, bytes);
}

/** 2A: VCVTSI2SS, VCVTSI2SD. */
function fromGeneral(rec: usize, p: i32): void {
  let v: i64;
  if (wideOperand(rec)) v = isMem(rec) ? <i64>memRead64(recSeg(rec), recOff(rec)) : load<i64>(rmGpr(rec));
  else v = isMem(rec) ? <i64>(<i32>memRead32(recSeg(rec), recOff(rec))) : <i64>load<i32>(rmGpr(rec));
  beginSse();
  const bits: u32 = p == P_F2 ? 53 : 24;
  const r = fromInteger(v, bits);
  endSse();
  setScalar(rec, bits, r);
}
/** 2C (truncating), 2D: VCVT(T)SS2SI, VCVT(T)SD2SI. */
function toGeneral(rec: usize, p: i32, truncate: bool): void {
  const s = vexScalar(rec, p == P_F2 ? 8 : 4);
  beginSse();
  const wide = wideOperand(rec);
  const bits = p == P_F2 ? load<u64>(s) : <u64>load<u32>(s);
  const r = toInteger(bits, p == P_F2 ? 53 : 24, truncate ? RC_ZERO : M.rc, wide);
  endSse();
  store<u64>(regGpr(rec), wide ? <u64>r : <u64>(<u32>r));
}

/** Half of `bytes`, as the conversions between 32 and 64-bit elements have it: the narrow operand. */
function narrowSource(rec: usize, bytes: usize): usize {
  return bytes == 32 ? vexSource(rec, 16) : vexScalar(rec, 8);
}

/** 5A: between single and double. */
function betweenFloats(rec: usize, p: i32): void {
  if (p == P_F3) {
    const s = vexScalar(rec, 4);
    beginSse();
    const r = widen(<u64>load<u32>(s));
    endSse();
    setScalar(rec, 53, r);
    return;
  }
  if (p == P_F2) {
    const s = vexScalar(rec, 8);
    beginSse();
    const r = narrow(load<u64>(s));
    endSse();
    setScalar(rec, 24, r);
    return;
  }
  const bytes = vexBytes(rec);
  if (p == P_66) {
    const s = vexSource(rec, bytes);
    beginSse();
    v128.store(VOUT, i64x2.splat(0));
    for (let i: usize = 0; i < bytes; i += 8) store<u32>(VOUT + (i >> 1), <u32>narrow(load<u64>(s + i)));
    endSse();
    setFromOut(rec, 16);
    return;
  }
  const s = narrowSource(rec, bytes);
  beginSse();
  for (let i: usize = 0; i < bytes; i += 8) store<u64>(VOUT + i, widen(<u64>load<u32>(s + (i >> 1))));
  endSse();
  setFromOut(rec, bytes);
}

/** 5B: VCVTDQ2PS, VCVTPS2DQ (66), VCVTTPS2DQ (F3). */
function packedInts(rec: usize, p: i32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  beginSse();
  const rc = p == P_F3 ? RC_ZERO : M.rc;
  for (let i: usize = 0; i < bytes; i += 4)
    store<u32>(VOUT + i, p == P_NONE ? <u32>fromInteger(<i64>load<i32>(s + i), 24) : int32(<u64>load<u32>(s + i), 24, rc));
  endSse();
  setFromOut(rec, bytes);
}

/** E6: VCVTTPD2DQ (66), VCVTDQ2PD (F3), VCVTPD2DQ (F2). */
function doubleInts(rec: usize, p: i32): void {
  const bytes = vexBytes(rec);
  if (p == P_F3) {
    const s = narrowSource(rec, bytes);
    for (let i: usize = 0; i < bytes; i += 8) store<f64>(VOUT + i, <f64>load<i32>(s + (i >> 1)));
    setFromOut(rec, bytes);
    return;
  }
  const s = vexSource(rec, bytes);
  beginSse();
  const rc = p == P_66 ? RC_ZERO : M.rc;
  v128.store(VOUT, i64x2.splat(0));
  for (let i: usize = 0; i < bytes; i += 8) store<u32>(VOUT + (i >> 1), int32(load<u64>(s + i), 53, rc));
  endSse();
  setFromOut(rec, 16);
}

/** AE /2 VLDMXCSR, /3 VSTMXCSR. */
function controlRegister(rec: usize): void {
  needMem(rec);
  const at = CPU_STATE_BASE + S_MXCSR;
  if (((<u32>load<u8>(rec, REC_MODRM) >> 3) & 7) == 3) {
    memWrite32(recSeg(rec), recOff(rec), load<u32>(at));
    return;
  }
  const v = memRead32(recSeg(rec), recOff(rec));
  if (v & ~MXCSR_MASK) raiseFaultErr(VEC_GP, 0);
  store<u32>(at, v);
}

/** The floating-point instructions of the 0F map. False when `op` is none of them. */
export function avxFloat(rec: usize, op: u32, p: i32): bool {
  switch (op) {
    case 0x2a:
      fromGeneral(rec, p);
      return true;
    case 0x2c:
    case 0x2d:
      toGeneral(rec, p, op == 0x2c);
      return true;
    case 0x2e:
    case 0x2f:
      comi(rec, p, op == 0x2e);
      return true;
    case 0x51:
      lanes(rec, LANE_SQRT, p, 0);
      return true;
    case 0x52:
    case 0x53:
      approximations(rec, op == 0x52, p);
      return true;
    case 0x58:
      lanes(rec, OP_ADD, p, 0);
      return true;
    case 0x59:
      lanes(rec, OP_MUL, p, 0);
      return true;
    case 0x5a:
      betweenFloats(rec, p);
      return true;
    case 0x5b:
      packedInts(rec, p);
      return true;
    case 0x5c:
      lanes(rec, OP_SUB, p, 0);
      return true;
    case 0x5d:
      lanes(rec, LANE_MIN, p, 0);
      return true;
    case 0x5e:
      lanes(rec, OP_DIV, p, 0);
      return true;
    case 0x5f:
      lanes(rec, LANE_MAX, p, 0);
      return true;
    case 0x7c:
    case 0x7d:
    case 0xd0:
      horizontal(rec, op, p);
      return true;
    case 0xae:
      controlRegister(rec);
      return true;
    case 0xc2:
      lanes(rec, LANE_CMP, p, imm8(rec) & 31);
      return true;
    case 0xe6:
      doubleInts(rec, p);
      return true;
    default:
      return false;
  }
}
