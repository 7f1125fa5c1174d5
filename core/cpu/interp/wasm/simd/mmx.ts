/** Integer instructions on MMX registers: the unprefixed half of the integer map (SDM volume 2; SSE and SSE2 additions included). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { clearTop, enterMmx, setTw } from '../fpu/x87stack';
import { memProbeW, memRead16, memRead32, memRead64, memWrite32, memWrite64, memWrite8 } from '../memsegment';
import { REC_ADDRESS32, REC_ADDRESS64, REC_MODRM, REC_SIZES } from '../record';
import { S_GPR } from '../stateoffsets';
import { groupShift, pack, packedOp, shiftPacked } from './intops';
import { checkMmx, imm8, isMem, regGpr, regMm, rmGpr, rmMm, setMm, srcMm, undefinedOp, wide64 } from './operand';
import { shuffleWords } from './shuffle';

// @ts-ignore: decorator
@inline
function low(at: usize): v128 {
  return v128.load64_zero(at);
}
// @ts-ignore: decorator
@inline
function result(at: usize, v: v128): void {
  setMm(at, <u64>i64x2.extract_lane(v, 0));
}

/** MASKMOVQ and MASKMOVDQU: bytes whose mask has bit 7 go to seg:(R)DI: `bytes` bytes from `data` under `mask`. */
export function maskedStore(rec: usize, data: usize, mask: usize, bytes: usize): void {
  const seg = recSeg(rec);
  const address: u32 = load<u8>(rec, REC_SIZES) & 0x30;
  const rdi = load<u64>(CPU_STATE_BASE + S_GPR + 7 * 8);
  const off = address == REC_ADDRESS64 ? rdi : address == REC_ADDRESS32 ? rdi & 0xffffffff : rdi & 0xffff;
  for (let i: usize = 0; i < bytes; i++) if (load<u8>(mask + i) & 0x80) memProbeW(seg, off + i, 1);
  for (let i: usize = 0; i < bytes; i++) if (load<u8>(mask + i) & 0x80) memWrite8(seg, off + i, load<u8>(data + i));
}

/**
 * PEXTRW, PMOVMSKB, MASKMOVQ and shifts by an immediate have no form with memory, MOVNTQ none without; some are MMX's or, with 66 (`vector`), SSE's alone.
 * What is no instruction is that before a pending #MF, and before #NM.
 */
export function checkForm(rec: usize, op: u32, vector: bool): void {
  switch (op) {
    case 0x6c:
    case 0x6d:
    case 0xd6:
    case 0xe6:
      if (!vector) undefinedOp();
      return;
    case 0x71:
    case 0x72:
    case 0x73: {
      const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
      const bytes = vector && op == 0x73 && (reg & 3) == 3;
      if (isMem(rec) || !(bytes || groupShift(op, reg))) undefinedOp();
      return;
    }
    case 0x77:
      if (vector) undefinedOp();
      return;
    case 0xc5:
    case 0xd7:
    case 0xf7:
      if (isMem(rec)) undefinedOp();
      return;
    case 0xe7:
      if (!isMem(rec)) undefinedOp();
      return;
    default:
      return;
  }
}

export function mmxExec(rec: usize, op: u32): void {
  checkForm(rec, op, false);
  checkMmx();
  switch (op) {
    case 0x63:
    case 0x67:
    case 0x6b: {
      const d = regMm(rec);
      const both = i64x2.replace_lane(low(d), 1, load<i64>(srcMm(rec)));
      result(d, pack(op, both, both));
      return;
    }
    case 0x68:
    case 0x69:
    case 0x6a: {
      // The high half of the low unpack.
      const d = regMm(rec);
      setMm(d, <u64>i64x2.extract_lane(packedOp(op - 8, low(d), low(srcMm(rec))), 1));
      return;
    }
    case 0x6e: {
      let v: u64;
      if (wide64(rec)) v = isMem(rec) ? memRead64(recSeg(rec), recOff(rec)) : load<u64>(rmGpr(rec));
      else v = isMem(rec) ? <u64>memRead32(recSeg(rec), recOff(rec)) : <u64>load<u32>(rmGpr(rec));
      setMm(regMm(rec), v);
      return;
    }
    case 0x6f:
      setMm(regMm(rec), load<u64>(srcMm(rec)));
      return;
    case 0x70:
      setMm(regMm(rec), shuffleWords(srcMm(rec), imm8(rec)));
      return;
    case 0x71:
    case 0x72:
    case 0x73: {
      const shift = groupShift(op, (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7);
      const d = rmMm(rec);
      result(d, shiftPacked(shift, low(d), imm8(rec)));
      return;
    }
    case 0x77:
      enterMmx();
      setTw(0xffff);
      return;
    // Stores: TOP is cleared even when memory faults, the tags are not, as processors have it.
    case 0x7e: {
      const v = load<u64>(regMm(rec));
      clearTop();
      if (wide64(rec)) {
        if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), v);
        else store<u64>(rmGpr(rec), v);
      } else if (isMem(rec)) memWrite32(recSeg(rec), recOff(rec), <u32>v);
      else store<u64>(rmGpr(rec), v & 0xffffffff);
      enterMmx();
      return;
    }
    case 0x7f: {
      const v = load<u64>(regMm(rec));
      if (isMem(rec)) {
        clearTop();
        memWrite64(recSeg(rec), recOff(rec), v);
        enterMmx();
      } else setMm(rmMm(rec), v);
      return;
    }
    case 0xc4: {
      const word: u64 = isMem(rec) ? <u64>memRead16(recSeg(rec), recOff(rec)) : <u64>load<u16>(rmGpr(rec));
      const d = regMm(rec);
      const at = <u64>((imm8(rec) & 3) << 4);
      setMm(d, (load<u64>(d) & ~(<u64>0xffff << at)) | (word << at));
      return;
    }
    case 0xc5:
      store<u64>(regGpr(rec), <u64>load<u16>(rmMm(rec) + <usize>((imm8(rec) & 3) << 1)));
      enterMmx();
      return;
    case 0xd7:
      store<u64>(regGpr(rec), <u64>(i8x16.bitmask(low(rmMm(rec))) & 0xff));
      enterMmx();
      return;
    case 0xe7:
      clearTop();
      memWrite64(recSeg(rec), recOff(rec), load<u64>(regMm(rec)));
      enterMmx();
      return;
    case 0xf7:
      maskedStore(rec, regMm(rec), rmMm(rec), 8);
      enterMmx();
      return;
    case 0x60:
    case 0x61:
    case 0x62: {
      // Only 32 bits of a memory operand are read.
      const d = regMm(rec);
      const b: v128 = isMem(rec) ? v128.replace_lane<u64>(i64x2.splat(0), 0, <u64>memRead32(recSeg(rec), recOff(rec))) : low(rmMm(rec));
      result(d, packedOp(op, low(d), b));
      return;
    }
    default: {
      const d = regMm(rec);
      result(d, packedOp(op, low(d), low(srcMm(rec))));
    }
  }
}
