/** F16C: conversions between half and single precision (SDM volume 1, 14.4). Half: sign, 5 bits of exponent (bias 15), 10 of fraction. */
import { FP, FP_DE, FP_IE, FP_UE, Q, roundPack, TOP_BIT } from '../fpu/unpacked';
import { recOff, recSeg } from '../ea';
import { memProbeW, memWrite64, memWriteV } from '../memsegment';
import { VOUT } from './floatlanes';
import { beginSse, endSse, M } from './mxcsr';
import { imm8, isMem, regXmm, rmXmm } from './operand';
import { exponentOf, flushInput, isDenormal, significand } from './softfloat';
import { setFromOut, setLow, vexBytes, vexScalar, vexSource } from './vex';

const HALF_BITS: u32 = 11;
const HALF_BIAS: i32 = 15;

/** Exact; denormal halves raise nothing, whatever MXCSR.DAZ. */
function halfToSingle(h: u32): u32 {
  const sign = (h & 0x8000) << 16;
  const e = (h >> 10) & 31;
  const f = h & 0x3ff;
  if (e == 31) {
    if (f == 0) return sign | 0x7f800000;
    if (!(f & 0x200)) FP.flags |= FP_IE;
    return sign | 0x7fc00000 | (f << 13);
  }
  if (e != 0) return sign | ((e + 112) << 23) | (f << 13);
  if (f == 0) return sign;
  const shift = clz<u32>(f) - 21;
  return sign | ((113 - shift) << 23) | (((f << shift) & 0x3ff) << 13);
}

function singleToHalf(v: u32, rc: u32): u32 {
  v = <u32>flushInput(<u64>v, 24);
  const sign = (v >> 16) & 0x8000;
  const m = v & 0x7fffffff;
  if (m == 0) return sign;
  if (m > 0x7f800000) {
    if (!(m & 0x400000)) FP.flags |= FP_IE;
    return sign | 0x7e00 | ((m >> 13) & 0x3ff);
  }
  if (m == 0x7f800000) return sign | 0x7c00;
  if (isDenormal(<u64>v, 24)) FP.flags |= FP_DE;
  const e = exponentOf(<u64>v, 24) + HALF_BIAS;
  const f = significand(<u64>v, 24);
  roundPack(sign ? 1 : 0, e, f, 0, HALF_BITS, 31, rc, M.masks, 0, false);
  // Processors say PE of what they round to a denormal half also when underflow is unmasked.
  if (e < 1 && !(M.masks & FP_UE)) roundPack(sign ? 1 : 0, e, f, 0, HALF_BITS, 31, rc, M.masks | FP_UE, 0, false);
  return sign | (<u32>Q.exp << 10) | <u32>((Q.sig & ~TOP_BIT) >> (64 - HALF_BITS));
}

/** 0F 38 13: VCVTPH2PS. */
export function vcvtph2ps(rec: usize): void {
  const bytes = vexBytes(rec);
  const s = bytes == 32 ? vexSource(rec, 16) : vexScalar(rec, 8);
  beginSse();
  for (let i: usize = 0; i < bytes; i += 4) store<u32>(VOUT + i, halfToSingle(<u32>load<u16>(s + (i >> 1))));
  endSse();
  setFromOut(rec, bytes);
}

/** 0F 3A 1D: VCVTPS2PH; the destination is modrm.rm. */
export function vcvtps2ph(rec: usize): void {
  const bytes = vexBytes(rec);
  const how = imm8(rec);
  const s = regXmm(rec);
  beginSse();
  const rc = how & 4 ? M.rc : how & 3;
  v128.store(VOUT, i64x2.splat(0));
  for (let i: usize = 0; i < bytes; i += 4) store<u16>(VOUT + (i >> 1), <u16>singleToHalf(load<u32>(s + i), rc));
  // An exception that is not masked comes before those of the store, the flags of others after it.
  if (isMem(rec) && !(FP.flags & ~M.masks)) memProbeW(recSeg(rec), recOff(rec), <u32>bytes >> 1);
  endSse();
  if (!isMem(rec)) setLow(rmXmm(rec), v128.load(VOUT));
  else if (bytes == 32) memWriteV(recSeg(rec), recOff(rec), v128.load(VOUT));
  else memWrite64(recSeg(rec), recOff(rec), load<u64>(VOUT));
}
