/** VEX-encoded integer arithmetic of the 0F map (SDM volume 2): AVX on 128 bits, AVX2 on both halves of 256. */
import { REC_MODRM } from '../record';
import { groupShift, pack, packedOp, shiftPacked, unpackHigh } from './intops';
import { imm8, P_66, P_F3, regGpr, regXmm, rmXmm, undefinedOp } from './operand';
import { byteShift, shuffleDwords, shuffleHalf } from './shuffle';
import { needReg, setVector, vexBytes, vexSource, vexWide, vvvvXmm, wideIsAvx2 } from './vex';

/** PSHUFD, PSHUFHW or PSHUFLW of one half. */
function shuffle(p: i32, s: usize, order: u32): v128 {
  return p == P_66 ? shuffleDwords(s, s, order) : shuffleHalf(s, order, p == P_F3);
}

/** Every two-operand instruction but the shifts by register. */
function binary(op: u32, a: v128, b: v128): v128 {
  switch (op) {
    case 0x63:
    case 0x67:
    case 0x6b:
      return pack(op, a, b);
    case 0x68:
    case 0x69:
    case 0x6a:
      return unpackHigh(op, a, b);
    case 0x6c:
      return i64x2.shuffle(a, b, 0, 2);
    case 0x6d:
      return i64x2.shuffle(a, b, 1, 3);
    default:
      return packedOp(op, a, b);
  }
}

/** 71, 72, 73: shifts by an immediate; the destination is VEX.vvvv. */
function shiftGroup(rec: usize, op: u32): void {
  needReg(rec);
  const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
  const s = rmXmm(rec);
  const n = imm8(rec);
  const wide = vexWide(rec);
  const d = vvvvXmm(rec);
  if (op == 0x73 && (reg == 3 || reg == 7)) {
    const low = byteShift(v128.load(s), <usize>n, reg == 3);
    setVector(d, low, wide ? byteShift(v128.load(s, 16), <usize>n, reg == 3) : i64x2.splat(0));
    return;
  }
  const shift = groupShift(op, reg);
  if (shift == 0) undefinedOp();
  const low = shiftPacked(shift, v128.load(s), n);
  setVector(d, low, wide ? shiftPacked(shift, v128.load(s, 16), n) : i64x2.splat(0));
}

/** 60..6D, 70..76, D1..FE but the moves. */
export function avxInteger(rec: usize, op: u32, p: i32): void {
  wideIsAvx2(rec);
  const wide = vexWide(rec);
  switch (op) {
    case 0x70: {
      const s = vexSource(rec, vexBytes(rec));
      const order = imm8(rec);
      const low = shuffle(p, s, order);
      setVector(regXmm(rec), low, wide ? shuffle(p, s + 16, order) : i64x2.splat(0));
      return;
    }
    case 0x71:
    case 0x72:
    case 0x73:
      shiftGroup(rec, op);
      return;
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xe1:
    case 0xe2:
    case 0xf1:
    case 0xf2:
    case 0xf3: {
      // The count is 128 bits wide whatever VEX.L.
      const b = v128.load(vexSource(rec, 16));
      const a = vvvvXmm(rec);
      const low = packedOp(op, v128.load(a), b);
      setVector(regXmm(rec), low, wide ? packedOp(op, v128.load(a, 16), b) : i64x2.splat(0));
      return;
    }
    case 0xd7: {
      needReg(rec);
      const s = rmXmm(rec);
      let r: u32 = i8x16.bitmask(v128.load(s));
      if (wide) r |= i8x16.bitmask(v128.load(s, 16)) << 16;
      store<u64>(regGpr(rec), <u64>r);
      return;
    }
    default: {
      const s = vexSource(rec, vexBytes(rec));
      const a = vvvvXmm(rec);
      const low = binary(op, v128.load(a), v128.load(s));
      setVector(regXmm(rec), low, wide ? binary(op, v128.load(a, 16), v128.load(s, 16)) : i64x2.splat(0));
    }
  }
}
