/** Legacy (not VEX) instructions of the 0F 38 map: SSSE3, SSE4.1, SSE4.2, AES (SDM volume 2, appendix A, table A-4). */
import { recOff, recSeg } from '../ea';
import { setArith } from '../flags';
import { memRead16, memRead32, memRead64 } from '../memsegment';
import { aesInverseMix, aesRound } from './aes';
import { binary38, extend38, extendBytes, shuffleBytes, unary38 } from './int38';
import { checkMmx, checkSse, isMem, P_66, P_NONE, regMm, regXmm, rmXmm, setMm, src128, srcMm, undefinedOp, xmmPtr } from './operand';
import { blendVariable } from './sse41';

function ssse3Mmx(rec: usize, op: u32): void {
  checkMmx();
  const d = regMm(rec);
  const a = v128.load64_zero(d);
  const b = v128.load64_zero(srcMm(rec));
  let r: v128;
  if (op >= 0x1c) r = unary38(op, b);
  else if (op == 0x00) r = shuffleBytes(a, v128.and(b, i8x16.splat(<i8>0x87)));
  else if ((op >= 0x01 && op <= 0x03) || (op >= 0x05 && op <= 0x07)) {
    // Horizontal: neighbours in a, then in b.
    const both = i64x2.shuffle(a, b, 0, 2);
    r = binary38(op, both, both);
  } else r = binary38(op, a, b);
  setMm(d, <u64>i64x2.extract_lane(r, 0));
}

/** Low `bytes` bytes of the source, zero-extended. */
function narrowSource(rec: usize, bytes: usize): v128 {
  if (!isMem(rec)) return v128.load(rmXmm(rec));
  const seg = recSeg(rec);
  const off = recOff(rec);
  const v: u64 = bytes == 8 ? memRead64(seg, off) : bytes == 4 ? <u64>memRead32(seg, off) : <u64>memRead16(seg, off);
  return i64x2.replace_lane(i64x2.splat(0), 0, v);
}

/** PTEST: ZF when b & a is zero, CF when b & ~a is. */
export function testFlags(both: bool, notIn: bool): void {
  setArith((both ? 0x40 : 0) | (notIn ? 1 : 0));
}

export function exec38(rec: usize, op: u32, p: i32): void {
  if (op <= 0x0b || (op >= 0x1c && op <= 0x1e)) {
    if (p == P_NONE) {
      ssse3Mmx(rec, op);
      return;
    }
    if (p != P_66) undefinedOp();
    checkSse();
    const d = regXmm(rec);
    const b = v128.load(src128(rec));
    v128.store(d, op >= 0x1c ? unary38(op, b) : binary38(op, v128.load(d), b));
    return;
  }
  if (p != P_66) undefinedOp();
  checkSse();
  const d = regXmm(rec);
  switch (op) {
    case 0x10:
    case 0x14:
    case 0x15: {
      const b = v128.load(src128(rec));
      v128.store(d, blendVariable(v128.load(d), b, v128.load(xmmPtr(0)), op == 0x10 ? 8 : op == 0x14 ? 32 : 64));
      return;
    }
    case 0x17: {
      const b = v128.load(src128(rec));
      const a = v128.load(d);
      testFlags(!v128.any_true(v128.and(a, b)), !v128.any_true(v128.andnot(b, a)));
      return;
    }
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
      v128.store(d, extend38(op, narrowSource(rec, extendBytes(op))));
      return;
    case 0x2a:
      if (!isMem(rec)) undefinedOp();
      v128.store(d, v128.load(src128(rec)));
      return;
    case 0x41:
      v128.store(d, unary38(op, v128.load(src128(rec))));
      return;
    case 0xdb:
      v128.store(d, aesInverseMix(v128.load(src128(rec))));
      return;
    case 0xdc:
    case 0xdd:
    case 0xde:
    case 0xdf: {
      const key = v128.load(src128(rec));
      v128.store(d, aesRound(op, v128.load(d), key));
      return;
    }
    case 0x28:
    case 0x29:
    case 0x2b:
    case 0x37:
    case 0x38:
    case 0x39:
    case 0x3a:
    case 0x3b:
    case 0x3c:
    case 0x3d:
    case 0x3e:
    case 0x3f:
    case 0x40: {
      const b = v128.load(src128(rec));
      v128.store(d, binary38(op, v128.load(d), b));
      return;
    }
    default:
      undefinedOp();
  }
}
