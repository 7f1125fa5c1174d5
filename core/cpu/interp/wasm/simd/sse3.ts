/** SSE3: HADDxx, HSUBxx, ADDSUBxx, MOVSHDUP, MOVSLDUP, MOVDDUP, LDDQU (SDM volume 2). FISTTP is with the x87 instructions. */
import { recOff, recSeg } from '../ea';
import { FEAT_SSE3 } from '../features';
import { memReadV } from '../memsegment';
import { VOUT } from './floatlanes';
import { beginSse, endSse } from './mxcsr';
import { checkSse, isMem, needFeature, P_66, P_F2, P_F3, regXmm, src128, src64, undefinedOp } from './operand';
import { OP_ADD, OP_SUB, softBinary } from './softfloat';

function sum64(op: i32, a: usize, b: usize): u64 {
  return softBinary(op, load<u64>(a), load<u64>(b), 53);
}
function sum32(op: i32, a: usize, b: usize): u32 {
  return <u32>softBinary(op, <u64>load<u32>(a), <u64>load<u32>(b), 24);
}

/** 7C HADDxx, 7D HSUBxx, D0 ADDSUBxx of 16 bytes, between beginSse() and endSse(). */
export function horizontalLanes(op: u32, p: u32, a: usize, b: usize, out: usize): void {
  if (op == 0xd0) {
    if (p == 53) {
      store<u64>(out, sum64(OP_SUB, a, b));
      store<u64>(out, sum64(OP_ADD, a + 8, b + 8), 8);
    } else for (let i: usize = 0; i < 16; i += 4) store<u32>(out + i, sum32(i & 4 ? OP_ADD : OP_SUB, a + i, b + i));
    return;
  }
  const kind = op == 0x7c ? OP_ADD : OP_SUB;
  if (p == 53) {
    store<u64>(out, sum64(kind, a, a + 8));
    store<u64>(out, sum64(kind, b, b + 8), 8);
  } else {
    store<u32>(out, sum32(kind, a, a + 4));
    store<u32>(out, sum32(kind, a + 8, a + 12), 4);
    store<u32>(out, sum32(kind, b, b + 4), 8);
    store<u32>(out, sum32(kind, b + 8, b + 12), 12);
  }
}

/** 7C, 7D, D0 with prefix 66 (doubles) or F2 (singles). */
export function sse3Arith(rec: usize, op: u32, p: i32): void {
  if (p != P_66 && p != P_F2) undefinedOp();
  checkSse();
  const d = regXmm(rec);
  const s = src128(rec);
  beginSse();
  horizontalLanes(op, p == P_66 ? 53 : 24, d, s, VOUT);
  endSse();
  v128.store(d, v128.load(VOUT));
}

/** MOVSLDUP (even singles twice), MOVSHDUP (odd ones), MOVDDUP (low double twice) of one 128-bit vector. */
export function duplicate(op: u32, p: i32, v: v128): v128 {
  if (p == P_F2) return i64x2.shuffle(v, v, 0, 0);
  return op == 0x12 ? i32x4.shuffle(v, v, 0, 0, 2, 2) : i32x4.shuffle(v, v, 1, 1, 3, 3);
}

/** 12 and 16 with prefix F3, 12 with F2. */
export function sse3Move(rec: usize, op: u32, p: i32): void {
  if (op == 0x16 && p != P_F3) undefinedOp();
  needFeature(FEAT_SSE3);
  checkSse();
  const s = p == P_F2 ? src64(rec) : src128(rec);
  v128.store(regXmm(rec), duplicate(op, p, v128.load(s)));
}

/** F2 F0: LDDQU. */
export function lddqu(rec: usize, p: i32): void {
  if (p != P_F2 || !isMem(rec)) undefinedOp();
  checkSse();
  v128.store(regXmm(rec), memReadV(recSeg(rec), recOff(rec)));
}
