/** Moves, logical operations, shuffles and unpacks of packed and scalar floating-point values: no arithmetic, no MXCSR. */
import { recOff, recSeg } from '../ea';
import { memRead32, memRead64, memReadV, memWrite32, memWrite64, memWriteV } from '../memsegment';
import { checkAligned, checkSse, imm8, isMem, P_66, P_F2, P_F3, regGpr, regXmm, rmXmm, src128, undefinedOp } from './operand';
import { shuffleDwords, shuffleQwords } from './shuffle';

/** 10, 11: unaligned and scalar moves. */
function movu(rec: usize, op: u32, p: i32): void {
  const r = regXmm(rec);
  if (!isMem(rec)) {
    const m = rmXmm(rec);
    const from = op == 0x10 ? m : r;
    const to = op == 0x10 ? r : m;
    if (p == P_F3) store<u32>(to, load<u32>(from));
    else if (p == P_F2) store<u64>(to, load<u64>(from));
    else v128.store(to, v128.load(from));
    return;
  }
  const seg = recSeg(rec);
  const off = recOff(rec);
  if (op == 0x10) {
    if (p == P_F3) v128.store(r, v128.replace_lane<u32>(i64x2.splat(0), 0, memRead32(seg, off)));
    else if (p == P_F2) v128.store(r, v128.replace_lane<u64>(i64x2.splat(0), 0, memRead64(seg, off)));
    else v128.store(r, memReadV(seg, off));
  } else if (p == P_F3) memWrite32(seg, off, load<u32>(r));
  else if (p == P_F2) memWrite64(seg, off, load<u64>(r));
  else memWriteV(seg, off, v128.load(r));
}

/** 12, 13, 16, 17: one half of a register; MOVHLPS and MOVLHPS between registers. */
function movHalf(rec: usize, op: u32): void {
  const high: usize = op >= 0x16 ? 8 : 0;
  const r = regXmm(rec) + high;
  if (isMem(rec)) {
    if (op & 1) memWrite64(recSeg(rec), recOff(rec), load<u64>(r));
    else store<u64>(r, memRead64(recSeg(rec), recOff(rec)));
    return;
  }
  store<u64>(r, load<u64>(rmXmm(rec) + (high ^ 8)));
}

function aligned(rec: usize, op: u32): void {
  if (op == 0x28) {
    v128.store(regXmm(rec), v128.load(src128(rec)));
    return;
  }
  if (!isMem(rec)) {
    v128.store(rmXmm(rec), v128.load(regXmm(rec)));
    return;
  }
  checkAligned(recSeg(rec), recOff(rec), 16);
  memWriteV(recSeg(rec), recOff(rec), v128.load(regXmm(rec)));
}

function shuffle(rec: usize, p: i32): void {
  const d = regXmm(rec);
  const s = src128(rec);
  v128.store(d, p == P_66 ? shuffleQwords(d, s, imm8(rec)) : shuffleDwords(d, s, imm8(rec)));
}

/** MOVLPx and MOVHPx to a register, and all of their kind with 66, MOVNTPx to a register, MOVMSKPx of memory. */
function isUndefined(rec: usize, op: u32, p: i32): bool {
  if (isMem(rec)) return op == 0x50;
  return op == 0x13 || op == 0x17 || op == 0x2b || (p == P_66 && (op == 0x12 || op == 0x16));
}

/** 10..17, 28, 29, 2B, 50, 54..57, C6. */
export function sseMove(rec: usize, op: u32, p: i32): void {
  if ((op != 0x10 && op != 0x11 && p >= P_F3) || isUndefined(rec, op, p)) undefinedOp();
  checkSse();
  switch (op) {
    case 0x10:
    case 0x11:
      movu(rec, op, p);
      return;
    case 0x12:
    case 0x13:
    case 0x16:
    case 0x17:
      movHalf(rec, op);
      return;
    case 0x28:
    case 0x29:
    case 0x2b:
      aligned(rec, op);
      return;
    case 0x50:
      store<u64>(regGpr(rec), <u64>(p == P_66 ? i64x2.bitmask(v128.load(rmXmm(rec))) : i32x4.bitmask(v128.load(rmXmm(rec)))));
      return;
    case 0xc6:
      shuffle(rec, p);
      return;
    default:
      break;
  }
  const d = regXmm(rec);
  const b = v128.load(src128(rec));
  const a = v128.load(d);
  switch (op) {
    case 0x14:
      v128.store(d, p == P_66 ? i64x2.shuffle(a, b, 0, 2) : i32x4.shuffle(a, b, 0, 4, 1, 5));
      return;
    case 0x15:
      v128.store(d, p == P_66 ? i64x2.shuffle(a, b, 1, 3) : i32x4.shuffle(a, b, 2, 6, 3, 7));
      return;
    case 0x54:
      v128.store(d, v128.and(a, b));
      return;
    case 0x55:
      v128.store(d, v128.andnot(b, a));
      return;
    case 0x56:
      v128.store(d, v128.or(a, b));
      return;
    default:
      v128.store(d, v128.xor(a, b));
  }
}
