/**
 * Entry of every instruction that the table routes to simdExec: MMX, SSE and their successors, AES, PCLMULQDQ, and the general-register
 * extensions. Picks the family by map, opcode and mandatory prefix (SDM volume 2, appendix A.3, tables ).
 */
import { bitManip38, bitManipVex, countZeros } from '../bitmanipexec';
import { recOff, recSeg } from '../ea';
import { memWrite32, memWrite64 } from '../memsegment';
import { OP_0F38, OP_0F3A, REC_OPCODE, REC_PFX_VEX, REC_PREFIX, REC_SIZES } from '../record';
import { avxExec } from './avx';
import { group15 } from './group15';
import { mmxExec } from './mmx';
import { isMem, P_66, P_F3, P_NONE, prefixClass, regGpr, undefinedOp } from './operand';
import { exec38 } from './simd38';
import { exec3a } from './simd3a';
import { lddqu, sse3Arith, sse3Move } from './sse3';
import { sseConvert } from './ssecvt';
import { sseAdd, sseDiv, sseFloat, sseMul, sseSub } from './ssefloat';
import { sseIntExec, sseIntPrefixed } from './sseint';
import { sseMove } from './ssemove';

function movnti(rec: usize): void {
  if (!isMem(rec)) undefinedOp();
  const r = regGpr(rec);
  if ((load<u8>(rec, REC_SIZES) & 3) == 3) memWrite64(recSeg(rec), recOff(rec), load<u64>(r));
  else memWrite32(recSeg(rec), recOff(rec), load<u32>(r));
}

/** Maps 0F 38 and 0F 3A, and everything VEX-encoded. */
function execExtended(rec: usize, op: u32): void {
  const map = <i32>load<u16>(rec, REC_OPCODE) & 0x300;
  if (load<u8>(rec, REC_PREFIX) & REC_PFX_VEX) {
    if (op >= 0xf0 && map >= OP_0F38) bitManipVex(rec, op, map == OP_0F3A);
    else avxExec(rec);
    return;
  }
  if (map == OP_0F3A) exec3a(rec, op, prefixClass(rec));
  else if (op >= 0xf0) bitManip38(rec, op);
  else exec38(rec, op, prefixClass(rec));
}

export function simdExec(rec: usize): void {
  const op: u32 = load<u8>(rec, REC_OPCODE);
  if (<i32>load<u16>(rec, REC_OPCODE) >= OP_0F38 || load<u8>(rec, REC_PREFIX) & REC_PFX_VEX) {
    execExtended(rec, op);
    return;
  }
  const p = prefixClass(rec);
  switch (op) {
    case 0x12:
    case 0x16:
      if (p >= P_F3) {
        sse3Move(rec, op, p);
        return;
      }
      sseMove(rec, op, p);
      return;
    case 0x7c:
    case 0x7d:
    case 0xd0:
      sse3Arith(rec, op, p);
      return;
    case 0xf0:
      lddqu(rec, p);
      return;
    case 0xbc:
    case 0xbd:
      countZeros(rec, op);
      return;
    case 0x10:
    case 0x11:
    case 0x13:
    case 0x14:
    case 0x15:
    case 0x17:
    case 0x28:
    case 0x29:
    case 0x2b:
    case 0x50:
    case 0x54:
    case 0x55:
    case 0x56:
    case 0x57:
    case 0xc6:
      sseMove(rec, op, p);
      return;
    case 0x2a:
    case 0x2c:
    case 0x2d:
    case 0x5a:
    case 0x5b:
    case 0xe6:
      sseConvert(rec, op, p);
      return;
    case 0x2e:
    case 0x2f:
    case 0x51:
    case 0x52:
    case 0x53:
    case 0x5d:
    case 0x5f:
    case 0xc2:
      sseFloat(rec, op, p);
      return;
    case 0x0d:
    case 0x18:
      // PREFETCHx: a hint.
      return;
    case 0x58:
      sseAdd(rec, p);
      return;
    case 0x59:
      sseMul(rec, p);
      return;
    case 0x5c:
      sseSub(rec, p);
      return;
    case 0x5e:
      sseDiv(rec, p);
      return;
    case 0xae:
      group15(rec);
      return;
    case 0xc3:
      if (p != P_NONE) undefinedOp();
      movnti(rec);
      return;
    default:
      if (p == P_NONE) mmxExec(rec, op);
      else if (p == P_66) sseIntExec(rec, op);
      else sseIntPrefixed(rec, op, p);
  }
}
