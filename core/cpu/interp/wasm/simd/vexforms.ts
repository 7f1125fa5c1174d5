/**
 * Which forms of VEX-encoded vector instructions do not exist, beyond what the instruction table sorts out (vvvv, L and W of whole rows; SDM volume 2, 2.3 and
 * tables 2-18 to 2-28): each function finds that by itself, but with CR0.TS set it has to be known before #NM.
 */
import { REC_INDEX, REC_MODRM, REC_REG, REC_SIZES, REC_VVVV } from '../record';
import { groupShift } from './intops';
import { isMem, P_66, P_F3, P_NONE } from './operand';
import { vexW, vexWide } from './vex';

/** REC_SIZES: the address size, and 16 bits of it. */
const ADDRESS_MASK: u32 = 0x30;
const ADDRESS_16: u32 = 0x10;

/** Gathers want an index in memory, 32 or 64 bits of address, and three different registers. */
export function badGather(rec: usize): bool {
  const d: u32 = load<u8>(rec, REC_REG);
  const m: u32 = load<u8>(rec, REC_VVVV);
  const x: u32 = load<u8>(rec, REC_INDEX) >> 3;
  const address = <u32>load<u8>(rec, REC_SIZES) & ADDRESS_MASK;
  return !isMem(rec) || address == ADDRESS_16 || (load<u8>(rec, REC_MODRM) & 7) != 4 || d == m || d == x || m == x;
}

/** Of the map 0F. */
export function badForm(rec: usize, op: u32, p: i32): bool {
  const memory = isMem(rec);
  switch (op) {
    case 0x10:
    case 0x11:
      return p >= P_F3 && memory && load<u8>(rec, REC_VVVV) != 0;
    case 0x12:
    case 0x16:
      return p == P_66 && !memory;
    case 0x13:
    case 0x17:
      return !memory || load<u8>(rec, REC_VVVV) != 0;
    case 0x71:
    case 0x72:
    case 0x73: {
      const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
      return memory || !((op == 0x73 && (reg & 3) == 3) || groupShift(op, reg));
    }
    case 0x77:
      return p != P_NONE;
    case 0x50:
    case 0xc5:
    case 0xd7:
    case 0xf7:
      return memory;
    default:
      return false;
  }
}

/** Of the map 0F 38. */
export function badForm38(rec: usize, op: u32): bool {
  switch (op) {
    case 0x16:
    case 0x19:
    case 0x36:
      return !vexWide(rec);
    case 0x1a:
    case 0x5a:
      return !vexWide(rec) || !isMem(rec);
    default:
      return op >= 0x90 && op <= 0x93 && badGather(rec);
  }
}

/** Of the map 0F 3A. */
export function badForm3a(rec: usize, op: u32): bool {
  switch (op) {
    case 0x00:
    case 0x01:
      return !vexWide(rec) || !vexW(rec);
    case 0x06:
    case 0x18:
    case 0x19:
    case 0x38:
    case 0x39:
    case 0x46:
      return !vexWide(rec);
    default:
      return false;
  }
}
