/** Legacy (not VEX) instructions of the 0F 3A map: PALIGNR, SSE4.1, SSE4.2, AES, PCLMULQDQ (SDM volume 2, appendix A, table A-5). */
import { recOff, recSeg } from '../ea';
import { memRead32, memRead64, memRead8, memReadV, memWrite16, memWrite32, memWrite64, memWrite8 } from '../memsegment';
import { aesKeyAssist } from './aes';
import { carrylessMultiply } from './clmul';
import { VOUT } from './floatlanes';
import { beginSse, endSse } from './mxcsr';
import {
  checkMmx, checkSse, imm8, isMem, P_66, P_NONE, regMm, regXmm, rmGpr, rmXmm, SCRATCH, setMm, src128, src32, src64, srcMm,
  undefinedOp, wideOperand,
} from './operand';
import { alignRight, blend16, blend32, blend64, dotProduct, multipleSad, roundLane, roundLanes } from './sse41';
import { stringCompare } from './sse42';

/** PEXTRB, PEXTRW, PEXTRD/Q, EXTRACTPS (14..17): from the register at `s` to a general register or memory. */
export function extract(rec: usize, op: u32, s: usize): void {
  const at = imm8(rec);
  if (op == 0x14) {
    const v: u32 = load<u8>(s + <usize>(at & 15));
    if (isMem(rec)) memWrite8(recSeg(rec), recOff(rec), v);
    else store<u64>(rmGpr(rec), <u64>v);
  } else if (op == 0x15) {
    const v: u32 = load<u16>(s + (<usize>(at & 7) << 1));
    if (isMem(rec)) memWrite16(recSeg(rec), recOff(rec), v);
    else store<u64>(rmGpr(rec), <u64>v);
  } else if (op == 0x16 && wideOperand(rec)) {
    const v = load<u64>(s + (<usize>(at & 1) << 3));
    if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), v);
    else store<u64>(rmGpr(rec), v);
  } else {
    const v = load<u32>(s + (<usize>(at & 3) << 2));
    if (isMem(rec)) memWrite32(recSeg(rec), recOff(rec), v);
    else store<u64>(rmGpr(rec), <u64>v);
  }
}

/** PINSRB (20), INSERTPS (21), PINSRD/Q (22): `a` with an element replaced. */
export function insert(rec: usize, op: u32, a: v128): v128 {
  const at = imm8(rec);
  v128.store(VOUT, a);
  if (op == 0x20) {
    const v: u32 = isMem(rec) ? memRead8(recSeg(rec), recOff(rec)) : <u32>load<u8>(rmGpr(rec));
    store<u8>(VOUT + <usize>(at & 15), <u8>v);
  } else if (op == 0x21) {
    const v: u32 = isMem(rec) ? memRead32(recSeg(rec), recOff(rec)) : load<u32>(rmXmm(rec) + (<usize>(at >> 6) << 2));
    store<u32>(VOUT + (<usize>((at >> 4) & 3) << 2), v);
    for (let i: u32 = 0; i < 4; i++) if (at & (1 << i)) store<u32>(VOUT + (<usize>i << 2), 0);
  } else if (wideOperand(rec)) {
    const v: u64 = isMem(rec) ? memRead64(recSeg(rec), recOff(rec)) : load<u64>(rmGpr(rec));
    store<u64>(VOUT + (<usize>(at & 1) << 3), v);
  } else {
    const v: u32 = isMem(rec) ? memRead32(recSeg(rec), recOff(rec)) : load<u32>(rmGpr(rec));
    store<u32>(VOUT + (<usize>(at & 3) << 2), v);
  }
  return v128.load(VOUT);
}

/** PCMPxSTRx read their operand at any address. */
function srcAny(rec: usize): usize {
  if (!isMem(rec)) return rmXmm(rec);
  v128.store(SCRATCH, memReadV(recSeg(rec), recOff(rec)));
  return SCRATCH;
}

export function exec3a(rec: usize, op: u32, p: i32): void {
  if (op == 0x0f && p == P_NONE) {
    checkMmx();
    const d = regMm(rec);
    // The 16 bytes a:b, shifted; nothing is left of them from 16 on.
    const both = i64x2.replace_lane(v128.load64_zero(srcMm(rec)), 1, load<u64>(d));
    setMm(d, <u64>i64x2.extract_lane(alignRight(i64x2.splat(0), both, imm8(rec)), 0));
    return;
  }
  if (p != P_66) undefinedOp();
  checkSse();
  const d = regXmm(rec);
  const imm = imm8(rec);
  switch (op) {
    case 0x08:
    case 0x09: {
      const s = src128(rec);
      beginSse();
      roundLanes(op == 0x09 ? 53 : 24, s, VOUT, imm);
      endSse();
      v128.store(d, v128.load(VOUT));
      return;
    }
    case 0x0a: {
      const s = src32(rec);
      beginSse();
      const r = <u32>roundLane(<u64>load<u32>(s), 24, imm);
      endSse();
      store<u32>(d, r);
      return;
    }
    case 0x0b: {
      const s = src64(rec);
      beginSse();
      const r = roundLane(load<u64>(s), 53, imm);
      endSse();
      store<u64>(d, r);
      return;
    }
    case 0x0c: {
      const b = v128.load(src128(rec));
      v128.store(d, blend32(v128.load(d), b, imm));
      return;
    }
    case 0x0d: {
      const b = v128.load(src128(rec));
      v128.store(d, blend64(v128.load(d), b, imm));
      return;
    }
    case 0x0e: {
      const b = v128.load(src128(rec));
      v128.store(d, blend16(v128.load(d), b, imm));
      return;
    }
    case 0x0f: {
      const b = v128.load(src128(rec));
      v128.store(d, alignRight(v128.load(d), b, imm));
      return;
    }
    case 0x14:
    case 0x15:
    case 0x16:
    case 0x17:
      extract(rec, op, d);
      return;
    case 0x20:
    case 0x21:
    case 0x22:
      v128.store(d, insert(rec, op, v128.load(d)));
      return;
    case 0x40:
    case 0x41: {
      const s = src128(rec);
      dotProduct(op == 0x41 ? 53 : 24, d, s, VOUT, imm, 16);
      v128.store(d, v128.load(VOUT));
      return;
    }
    case 0x42: {
      const b = v128.load(src128(rec));
      v128.store(d, multipleSad(v128.load(d), b, imm));
      return;
    }
    case 0x44: {
      const b = v128.load(src128(rec));
      v128.store(d, carrylessMultiply(v128.load(d), b, imm));
      return;
    }
    case 0x60:
    case 0x61:
    case 0x62:
    case 0x63:
      stringCompare(op, d, srcAny(rec), imm, wideOperand(rec), false);
      return;
    case 0xdf:
      v128.store(d, aesKeyAssist(v128.load(src128(rec)), imm));
      return;
    default:
      undefinedOp();
  }
}
