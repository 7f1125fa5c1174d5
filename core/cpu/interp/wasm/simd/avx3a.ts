/** VEX-encoded vector instructions of the 0F 3A map: AVX, AVX2, F16C (SDM volume 2, appendix A, table A-5). */
import { recOff, recSeg } from '../ea';
import { memReadV, memWriteV } from '../memsegment';
import { S_CODE_MODE } from '../stateoffsets';
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { aesKeyAssist } from './aes';
import { setScalar } from './avxfloat';
import { carrylessMultiply } from './clmul';
import { vcvtps2ph } from './f16c';
import { VOUT } from './floatlanes';
import { beginSse, endSse } from './mxcsr';
import { imm8, isMem, regXmm, rmXmm, undefinedOp, wideOperand, xmmPtr } from './operand';
import { extract, insert } from './simd3a';
import { alignRight, blend16, blend32, blend64, blendVariable, dotProduct, multipleSad, roundLane, roundLanes } from './sse41';
import { stringCompare } from './sse42';
import { needWide, setFromOut, setLow, setVector, vexBytes, vexScalar, vexSource, vexW, vvvvXmm, wideIsAvx2 } from './vex';

/** 00 VPERMQ, 01 VPERMPD: any of four quadwords. */
function permuteQuads(rec: usize): void {
  needWide(rec);
  if (!vexW(rec)) undefinedOp();
  const s = vexSource(rec, 32);
  const order = imm8(rec);
  for (let i: usize = 0; i < 4; i++) store<u64>(VOUT + (i << 3), load<u64>(s + (<usize>((order >> <u32>(i << 1)) & 3) << 3)));
  setFromOut(rec, 32);
}

/** 04 VPERMILPS, 05 VPERMILPD by immediate: two bits an element, the same for both halves; or one bit, four in all. */
function permuteInLane(rec: usize, op: u32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const order = imm8(rec);
  if (op == 0x04)
    for (let i: usize = 0; i < bytes; i += 4)
      store<u32>(VOUT + i, load<u32>(s + (i & 16) + (<usize>((order >> <u32>((i & 12) >> 1)) & 3) << 2)));
  else for (let i: usize = 0; i < bytes; i += 8) store<u64>(VOUT + i, load<u64>(s + (i & 16) + (<usize>((order >> <u32>(i >> 3)) & 1) << 3)));
  setFromOut(rec, bytes);
}

/** One half of VPERM2F128 and VPERM2I128: 0..1 halves of a, 2..3 of b; bit 3 gives zero. */
function pickHalf(a: usize, b: usize, select: u32): v128 {
  if (select & 8) return i64x2.splat(0);
  return v128.load((select & 2 ? b : a) + (<usize>(select & 1) << 4));
}

function blends(rec: usize, op: u32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = vvvvXmm(rec);
  const select = imm8(rec);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(a + i);
    const y = v128.load(s + i);
    // Bits 4..7 are for the upper half; PBLENDW uses all eight for both.
    const r =
      op == 0x0e ? blend16(x, y, select) : op == 0x0d ? blend64(x, y, select >> <u32>(i >> 3)) : blend32(x, y, select >> <u32>(i >> 2));
    v128.store(VOUT + i, r);
  }
  setFromOut(rec, bytes);
}

/** 4A VBLENDVPS, 4B VBLENDVPD, 4C VPBLENDVB: the mask is the register of immediate bits 4..7. */
function variableBlends(rec: usize, op: u32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = vvvvXmm(rec);
  const many: u32 = load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2 ? 15 : 7;
  const mask = xmmPtr((imm8(rec) >> 4) & many);
  const bits: u32 = op == 0x4a ? 32 : op == 0x4b ? 64 : 8;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(VOUT + i, blendVariable(v128.load(a + i), v128.load(s + i), v128.load(mask + i), bits));
  setFromOut(rec, bytes);
}

function round(rec: usize, op: u32): void {
  const how = imm8(rec);
  const p: u32 = op & 1 ? 53 : 24;
  if (op >= 0x0a) {
    const s = vexScalar(rec, p == 53 ? 8 : 4);
    beginSse();
    const r = roundLane(p == 53 ? load<u64>(s) : <u64>load<u32>(s), p, how);
    endSse();
    setScalar(rec, p, r);
    return;
  }
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  beginSse();
  for (let i: usize = 0; i < bytes; i += 16) roundLanes(p, s + i, VOUT + i, how);
  endSse();
  setFromOut(rec, bytes);
}

export function avx3a(rec: usize, op: u32): void {
  const imm = imm8(rec);
  const d = regXmm(rec);
  switch (op) {
    case 0x00:
    case 0x01:
      permuteQuads(rec);
      return;
    case 0x04:
    case 0x05:
      permuteInLane(rec, op);
      return;
    case 0x06:
    case 0x46: {
      needWide(rec);
      const s = vexSource(rec, 32);
      const a = vvvvXmm(rec);
      const low = pickHalf(a, s, imm);
      setVector(d, low, pickHalf(a, s, imm >> 4));
      return;
    }
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x0b:
      round(rec, op);
      return;
    case 0x0e:
      wideIsAvx2(rec);
      blends(rec, op);
      return;
    case 0x02:
    case 0x0c:
    case 0x0d:
      blends(rec, op);
      return;
    case 0x0f: {
      wideIsAvx2(rec);
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      const a = vvvvXmm(rec);
      const low = alignRight(v128.load(a), v128.load(s), imm);
      setVector(d, low, bytes == 32 ? alignRight(v128.load(a, 16), v128.load(s, 16), imm) : i64x2.splat(0));
      return;
    }
    case 0x14:
    case 0x15:
    case 0x16:
    case 0x17:
      extract(rec, op, d);
      return;
    case 0x18:
    case 0x38: {
      needWide(rec);
      const b = v128.load(vexSource(rec, 16));
      const a = vvvvXmm(rec);
      if (imm & 1) setVector(d, v128.load(a), b);
      else setVector(d, b, v128.load(a, 16));
      return;
    }
    case 0x19:
    case 0x39: {
      needWide(rec);
      const v = v128.load(d + (<usize>(imm & 1) << 4));
      if (isMem(rec)) memWriteV(recSeg(rec), recOff(rec), v);
      else setLow(rmXmm(rec), v);
      return;
    }
    case 0x1d:
      vcvtps2ph(rec);
      return;
    case 0x20:
    case 0x21:
    case 0x22:
      setLow(d, insert(rec, op, v128.load(vvvvXmm(rec))));
      return;
    case 0x40: {
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      dotProduct(24, vvvvXmm(rec), s, VOUT, imm, bytes);
      setFromOut(rec, bytes);
      return;
    }
    case 0x41: {
      const s = vexSource(rec, 16);
      dotProduct(53, vvvvXmm(rec), s, VOUT, imm, 16);
      setLow(d, v128.load(VOUT));
      return;
    }
    case 0x42: {
      wideIsAvx2(rec);
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      const a = vvvvXmm(rec);
      const low = multipleSad(v128.load(a), v128.load(s), imm);
      setVector(d, low, bytes == 32 ? multipleSad(v128.load(a, 16), v128.load(s, 16), imm >> 3) : i64x2.splat(0));
      return;
    }
    case 0x44: {
      const b = v128.load(vexSource(rec, 16));
      setLow(d, carrylessMultiply(v128.load(vvvvXmm(rec)), b, imm));
      return;
    }
    case 0x4a:
    case 0x4b:
      variableBlends(rec, op);
      return;
    case 0x4c:
      wideIsAvx2(rec);
      variableBlends(rec, op);
      return;
    case 0x60:
    case 0x61:
    case 0x62:
    case 0x63: {
      let s = rmXmm(rec);
      if (isMem(rec)) {
        v128.store(VOUT, memReadV(recSeg(rec), recOff(rec)));
        s = VOUT;
      }
      stringCompare(op, d, s, imm, wideOperand(rec), true);
      return;
    }
    default:
      // DF VAESKEYGENASSIST
      setLow(d, aesKeyAssist(v128.load(vexSource(rec, 16)), imm));
  }
}
