/** Integer instructions on XMM registers: 66-prefixed integer map, and the F3 and F2 forms among it (SDM volume 2). */
import { recOff, recSeg } from '../ea';
import { memRead16, memRead32, memRead64, memReadV, memWrite32, memWrite64, memWriteV } from '../memsegment';
import { REC_MODRM } from '../record';
import { groupShift, pack, packedOp, shiftPacked, unpackHigh } from './intops';
import { checkForm, maskedStore } from './mmx';
import {
  checkAligned, checkSse, checkSseMmx, imm8, isMem, P_F2, P_F3, regGpr, regMm, regXmm, rmGpr, rmMm, rmXmm, setMm, src128, src64,
  undefinedOp, wide64,
} from './operand';
import { byteShift, shuffleDwords, shuffleHalf } from './shuffle';
import { enterMmx } from '../fpu/x87stack';

/** MOVQ and MOVD to a register clear the rest of it. */
function setLow(d: usize, v: u64): void {
  store<u64>(d, v);
  store<u64>(d, 0, 8);
}

/** F3 and F2 forms that are neither floating point nor conversions. */
export function sseIntPrefixed(rec: usize, op: u32, p: i32): void {
  if (op == 0x70) {
    checkSse();
    v128.store(regXmm(rec), shuffleHalf(src128(rec), imm8(rec), p == P_F3));
    return;
  }
  if (p == P_F3) {
    switch (op) {
      case 0x6f:
        checkSse();
        v128.store(regXmm(rec), isMem(rec) ? memReadV(recSeg(rec), recOff(rec)) : v128.load(rmXmm(rec)));
        return;
      case 0x7f:
        checkSse();
        if (isMem(rec)) memWriteV(recSeg(rec), recOff(rec), v128.load(regXmm(rec)));
        else v128.store(rmXmm(rec), v128.load(regXmm(rec)));
        return;
      case 0x7e:
        checkSse();
        setLow(regXmm(rec), load<u64>(src64(rec)));
        return;
      case 0xd6:
        if (isMem(rec)) undefinedOp();
        checkSseMmx();
        enterMmx();
        setLow(regXmm(rec), load<u64>(rmMm(rec)));
        return;
      default:
        undefinedOp();
        return;
    }
  }
  if (p == P_F2 && op == 0xd6 && !isMem(rec)) {
    checkSseMmx();
    setMm(regMm(rec), load<u64>(rmXmm(rec)));
    return;
  }
  undefinedOp();
}

/** 66-prefixed forms. */
export function sseIntExec(rec: usize, op: u32): void {
  checkForm(rec, op, true);
  checkSse();
  switch (op) {
    case 0x63:
    case 0x67:
    case 0x6b: {
      const d = regXmm(rec);
      const s = src128(rec);
      v128.store(d, pack(op, v128.load(d), v128.load(s)));
      return;
    }
    case 0x68:
    case 0x69:
    case 0x6a: {
      const d = regXmm(rec);
      const s = src128(rec);
      v128.store(d, unpackHigh(op, v128.load(d), v128.load(s)));
      return;
    }
    case 0x6c: {
      const d = regXmm(rec);
      store<u64>(d, load<u64>(src128(rec)), 8);
      return;
    }
    case 0x6d: {
      const d = regXmm(rec);
      const high = load<u64>(src128(rec), 8);
      store<u64>(d, load<u64>(d, 8));
      store<u64>(d, high, 8);
      return;
    }
    case 0x6e: {
      let v: u64;
      if (wide64(rec)) v = isMem(rec) ? memRead64(recSeg(rec), recOff(rec)) : load<u64>(rmGpr(rec));
      else v = isMem(rec) ? <u64>memRead32(recSeg(rec), recOff(rec)) : <u64>load<u32>(rmGpr(rec));
      setLow(regXmm(rec), v);
      return;
    }
    case 0x6f:
      v128.store(regXmm(rec), v128.load(src128(rec)));
      return;
    case 0x70: {
      const s = src128(rec);
      v128.store(regXmm(rec), shuffleDwords(s, s, imm8(rec)));
      return;
    }
    case 0x71:
    case 0x72:
    case 0x73: {
      const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
      const d = rmXmm(rec);
      if (op == 0x73 && (reg == 3 || reg == 7)) {
        v128.store(d, byteShift(v128.load(d), <usize>imm8(rec), reg == 3));
        return;
      }
      v128.store(d, shiftPacked(groupShift(op, reg), v128.load(d), imm8(rec)));
      return;
    }
    case 0x7e: {
      const s = regXmm(rec);
      if (wide64(rec)) {
        if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), load<u64>(s));
        else store<u64>(rmGpr(rec), load<u64>(s));
      } else if (isMem(rec)) memWrite32(recSeg(rec), recOff(rec), load<u32>(s));
      else store<u64>(rmGpr(rec), <u64>load<u32>(s));
      return;
    }
    case 0x7f:
    case 0xe7: {
      if (isMem(rec)) {
        checkAligned(recSeg(rec), recOff(rec), 16);
        memWriteV(recSeg(rec), recOff(rec), v128.load(regXmm(rec)));
      } else v128.store(rmXmm(rec), v128.load(regXmm(rec)));
      return;
    }
    case 0xc4: {
      const word = isMem(rec) ? memRead16(recSeg(rec), recOff(rec)) : <u32>load<u16>(rmGpr(rec));
      store<u16>(regXmm(rec) + <usize>((imm8(rec) & 7) << 1), <u16>word);
      return;
    }
    case 0xc5:
      store<u64>(regGpr(rec), <u64>load<u16>(rmXmm(rec) + <usize>((imm8(rec) & 7) << 1)));
      return;
    case 0xd6:
      if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), load<u64>(regXmm(rec)));
      else setLow(rmXmm(rec), load<u64>(regXmm(rec)));
      return;
    case 0xd7:
      store<u64>(regGpr(rec), <u64>i8x16.bitmask(v128.load(rmXmm(rec))));
      return;
    case 0xf7:
      maskedStore(rec, regXmm(rec), rmXmm(rec), 16);
      return;
    default: {
      const d = regXmm(rec);
      const s = src128(rec);
      v128.store(d, packedOp(op, v128.load(d), v128.load(s)));
    }
  }
}
