/** VEX-encoded vector instructions of the 0F 38 map: AVX, AVX2, FMA, F16C (SDM volume 2, appendix A, table A-4). */
import { memRead8, memReadV } from '../memsegment';
import { recOff, recSeg } from '../ea';
import { FEAT_AVX2 } from '../features';
import { aesInverseMix, aesRound } from './aes';
import { gather, maskMove } from './avxgather';
import { vcvtph2ps } from './f16c';
import { VOUT } from './floatlanes';
import { fusedMultiplyAdd } from './fma';
import { binary38, extend38, extendBytes, unary38 } from './int38';
import { beginSse, endSse } from './mxcsr';
import { checkAligned, isMem, needFeature, regXmm, rmXmm, undefinedOp } from './operand';
import { testFlags } from './simd38';
import {
  needMem, needNarrow, needWide, setFromOut, setLow, setVector, vexBytes, vexScalar, vexSource, vexW, vexWide, vvvvXmm,
  wideIsAvx2,
} from './vex';

function binary(rec: usize, op: u32): void {
  wideIsAvx2(rec);
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = vvvvXmm(rec);
  const low = binary38(op, v128.load(a), v128.load(s));
  setVector(regXmm(rec), low, bytes == 32 ? binary38(op, v128.load(a, 16), v128.load(s, 16)) : i64x2.splat(0));
}

function unary(rec: usize, op: u32): void {
  wideIsAvx2(rec);
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const low = unary38(op, v128.load(s));
  setVector(regXmm(rec), low, bytes == 32 ? unary38(op, v128.load(s, 16)) : i64x2.splat(0));
}

/** VPMOVSX, VPMOVZX: the upper half of the result comes from the bytes after those of the lower half. */
function extend(rec: usize, op: u32): void {
  wideIsAvx2(rec);
  const wide = vexWide(rec);
  const step = extendBytes(op);
  const bytes = wide ? step * 2 : step;
  const s = bytes == 16 ? vexSource(rec, 16) : vexScalar(rec, bytes);
  const low = extend38(op, v128.load(s));
  setVector(regXmm(rec), low, wide ? extend38(op, v128.load(s + step)) : i64x2.splat(0));
}

/** VPERMILPS (0C) and VPERMILPD (0D) by a register: elements of the same half. */
function permuteInLane(op: u32, a: usize, select: usize, out: usize): void {
  if (op == 0x0c) for (let i: usize = 0; i < 16; i += 4) store<u32>(out + i, load<u32>(a + (<usize>(load<u32>(select + i) & 3) << 2)));
  else for (let i: usize = 0; i < 16; i += 8) store<u64>(out + i, load<u64>(a + (<usize>(load<u32>(select + i) & 2) << 2)));
}

/** VTESTPS, VTESTPD (sign bits) and VPTEST. */
function test(rec: usize, op: u32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = regXmm(rec);
  const mask: v128 = op == 0x0e ? i32x4.splat(0x80000000) : op == 0x0f ? i64x2.splat(0x8000000000000000) : i64x2.splat(-1);
  let both = v128.and(v128.load(a), v128.load(s));
  let only = v128.andnot(v128.load(s), v128.load(a));
  if (bytes == 32) {
    both = v128.or(both, v128.and(v128.load(a, 16), v128.load(s, 16)));
    only = v128.or(only, v128.andnot(v128.load(s, 16), v128.load(a, 16)));
  }
  testFlags(!v128.any_true(v128.and(both, mask)), !v128.any_true(v128.and(only, mask)));
}

/** VPSRLVx (45), VPSRAVD (46), VPSLLVx (47): a count of its own for each element. */
function shiftVariable(rec: usize, op: u32): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  const a = vvvvXmm(rec);
  if (vexW(rec)) {
    if (op == 0x46) undefinedOp();
    for (let i: usize = 0; i < bytes; i += 8) {
      const n = load<u64>(s + i);
      const v = load<u64>(a + i);
      store<u64>(VOUT + i, n > 63 ? 0 : op == 0x45 ? v >> n : v << n);
    }
  } else
    for (let i: usize = 0; i < bytes; i += 4) {
      const n = load<u32>(s + i);
      const v = load<u32>(a + i);
      if (op == 0x46) store<i32>(VOUT + i, <i32>v >> <i32>min<u32>(n, 31));
      else store<u32>(VOUT + i, n > 31 ? 0 : op == 0x45 ? v >> n : v << n);
    }
  setFromOut(rec, bytes);
}

/** VPERMD and VPERMPS: any of eight elements. */
function permuteAcross(rec: usize): void {
  needWide(rec);
  const s = vexSource(rec, 32);
  const select = vvvvXmm(rec);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(VOUT + i, load<u32>(s + (<usize>(load<u32>(select + i) & 7) << 2)));
  setFromOut(rec, 32);
}

/** 18, 19, 58, 59, 78, 79: one element everywhere. The forms from a register came with AVX2. */
function broadcast(rec: usize, op: u32): void {
  if (!isMem(rec)) needFeature(FEAT_AVX2);
  let v: v128;
  if (op == 0x78) v = isMem(rec) ? i8x16.splat(<i8>memRead8(recSeg(rec), recOff(rec))) : v128.load8_splat(rmXmm(rec));
  else if (op == 0x79) v = v128.load16_splat(vexScalar(rec, 2));
  else if (op == 0x18 || op == 0x58) v = v128.load32_splat(vexScalar(rec, 4));
  else v = v128.load64_splat(vexScalar(rec, 8));
  if (vexWide(rec)) setVector(regXmm(rec), v, v);
  else setLow(regXmm(rec), v);
}

/** 1A VBROADCASTF128, 5A VBROADCASTI128. */
function broadcastHalf(rec: usize): void {
  needWide(rec);
  needMem(rec);
  const v = memReadV(recSeg(rec), recOff(rec));
  setVector(regXmm(rec), v, v);
}

/** FMA: opcode bits 4..5 say which operand is the addend (9x 132, Ax 213, Bx 231), bits 0..3 what is added. */
function fma(rec: usize, op: u32): void {
  const p: u32 = vexW(rec) ? 53 : 24;
  const step: usize = p == 53 ? 8 : 4;
  const kind = op & 15;
  const scalar = kind >= 9 && (kind & 1) != 0;
  const bytes = vexBytes(rec);
  const d = regXmm(rec);
  const v = vvvvXmm(rec);
  const s = scalar ? vexScalar(rec, step) : vexSource(rec, bytes);
  // Operand 1 is the destination, 2 is VEX.vvvv, 3 is modrm.rm.
  const x = (op & 0xf0) == 0x90 ? d : v;
  const y = (op & 0xf0) == 0xa0 ? d : s;
  const z = (op & 0xf0) == 0x90 ? v : (op & 0xf0) == 0xa0 ? s : d;
  const negateProduct = kind >= 12;
  const count = scalar ? step : bytes;
  beginSse();
  for (let i: usize = 0; i < count; i += step) {
    // 6 subtracts in even elements, 7 in odd ones.
    const odd = (i & step) != 0;
    const negateAddend = kind == 6 ? !odd : kind == 7 ? odd : (kind & 2) != 0;
    if (p == 53) store<u64>(VOUT + i, fusedMultiplyAdd(load<u64>(x + i), load<u64>(y + i), load<u64>(z + i), 53, negateProduct, negateAddend));
    else store<u32>(VOUT + i, <u32>fusedMultiplyAdd(<u64>load<u32>(x + i), <u64>load<u32>(y + i), <u64>load<u32>(z + i), 24, negateProduct, negateAddend));
  }
  endSse();
  if (!scalar) setFromOut(rec, bytes);
  else {
    if (p == 53) store<u64>(d, load<u64>(VOUT));
    else store<u32>(d, load<u32>(VOUT));
    v128.store(d, i64x2.splat(0), 16);
  }
}

export function avx38(rec: usize, op: u32): void {
  const row = op & 0xf0;
  if (row >= 0x90 && row <= 0xb0 && (op & 15) >= 6) {
    fma(rec, op);
    return;
  }
  switch (op) {
    case 0x0c:
    case 0x0d: {
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      const a = vvvvXmm(rec);
      for (let i: usize = 0; i < bytes; i += 16) permuteInLane(op, a + i, s + i, VOUT + i);
      setFromOut(rec, bytes);
      return;
    }
    case 0x0e:
    case 0x0f:
    case 0x17:
      test(rec, op);
      return;
    case 0x13:
      vcvtph2ps(rec);
      return;
    case 0x16:
    case 0x36:
      permuteAcross(rec);
      return;
    case 0x19:
      needWide(rec);
      broadcast(rec, op);
      return;
    case 0x18:
    case 0x58:
    case 0x59:
    case 0x78:
    case 0x79:
      broadcast(rec, op);
      return;
    case 0x1a:
    case 0x5a:
      broadcastHalf(rec);
      return;
    case 0x1c:
    case 0x1d:
    case 0x1e:
      unary(rec, op);
      return;
    case 0x41:
      needNarrow(rec);
      unary(rec, op);
      return;
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x30:
    case 0x31:
    case 0x32:
    case 0x33:
    case 0x34:
    case 0x35:
      extend(rec, op);
      return;
    case 0x2a: {
      needMem(rec);
      wideIsAvx2(rec);
      const bytes = vexBytes(rec);
      checkAligned(recSeg(rec), recOff(rec), <u32>bytes);
      const s = vexSource(rec, bytes);
      setVector(regXmm(rec), v128.load(s), bytes == 32 ? v128.load(s, 16) : i64x2.splat(0));
      return;
    }
    case 0x2c:
    case 0x2d:
    case 0x2e:
    case 0x2f:
      maskMove(rec, op & 1 ? 8 : 4, op >= 0x2e);
      return;
    case 0x8c:
    case 0x8e:
      maskMove(rec, vexW(rec) ? 8 : 4, op == 0x8e);
      return;
    case 0x45:
    case 0x46:
    case 0x47:
      shiftVariable(rec, op);
      return;
    case 0x90:
    case 0x91:
    case 0x92:
    case 0x93:
      gather(rec, op);
      return;
    case 0xdb:
      setLow(regXmm(rec), aesInverseMix(v128.load(vexSource(rec, 16))));
      return;
    case 0xdc:
    case 0xdd:
    case 0xde:
    case 0xdf: {
      const key = v128.load(vexSource(rec, 16));
      setLow(regXmm(rec), aesRound(op, v128.load(vvvvXmm(rec)), key));
      return;
    }
    default:
      binary(rec, op);
  }
}
