/** Executes the general-register extensions: operands of records with plain register numbers, feature checks. Arithmetic: bitmanip.ts. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import {
  addCarryX, addOverflowX, andNot, crc32c, depositBits, extractBits, gatherBits, leadingZeros, lowestBit, rotateX, shiftX, swapBytes,
  trailingZeros, zeroHigh,
} from './bitmanip';
import { recOff, recSeg } from './ea';
import { raiseFault } from './fault';
import { mul64, W } from './fpu/wide';
import { memRead16, memRead32, memRead64, memRead8, memWrite16, memWrite32, memWrite64 } from './memsegment';
import {
  REC_IMM, REC_MEM, REC_MODRM, REC_PFX_66, REC_PFX_F2, REC_PFX_F3, REC_PFX_REX, REC_PREFIX, REC_REG, REC_RM, REC_SIZES, REC_VVVV,
} from './record';
import { S_CR0, S_EFLAGS, S_GPR, VEC_UD } from './stateoffsets';
import { FL_VM } from './sysstate';

const GPR: usize = CPU_STATE_BASE + S_GPR;

// @ts-ignore: decorator
@inline
function isMemory(rec: usize): bool {
  return load<u8>(rec, REC_RM) == REC_MEM;
}
/** 16, 32 or 64. */
// @ts-ignore: decorator
@inline
function operandSize(rec: usize): u32 {
  return 8 << (load<u8>(rec, REC_SIZES) & 3);
}

function register(r: u32, size: u32): u64 {
  const v = load<u64>(GPR + (<usize>r << 3));
  return size == 64 ? v : size == 32 ? v & 0xffffffff : v & 0xffff;
}
function setRegister(r: u32, size: u32, v: u64): void {
  const at = GPR + (<usize>r << 3);
  if (size == 16) store<u16>(at, <u16>v);
  else store<u64>(at, v);
}
function source(rec: usize, size: u32): u64 {
  if (!isMemory(rec)) return register(load<u8>(rec, REC_RM), size);
  const seg = recSeg(rec);
  const off = recOff(rec);
  return size == 64 ? memRead64(seg, off) : size == 32 ? <u64>memRead32(seg, off) : <u64>memRead16(seg, off);
}

/** TZCNT (F3 0F BC) and LZCNT (F3 0F BD). */
export function countZeros(rec: usize, op: u32): void {
  const size = operandSize(rec);
  const v = source(rec, size);
  setRegister(load<u8>(rec, REC_REG), size, op == 0xbc ? trailingZeros(v, size) : leadingZeros(v, size));
}

function movbe(rec: usize, store: bool): void {
  if (!isMemory(rec)) raiseFault(VEC_UD);
  const size = operandSize(rec);
  const r: u32 = load<u8>(rec, REC_REG);
  if (!store) {
    setRegister(r, size, swapBytes(source(rec, size), size));
    return;
  }
  const v = swapBytes(register(r, size), size);
  const seg = recSeg(rec);
  const off = recOff(rec);
  if (size == 64) memWrite64(seg, off, v);
  else if (size == 32) memWrite32(seg, off, <u32>v);
  else memWrite16(seg, off, <u32>v);
}

function crc32(rec: usize, byteSource: bool): void {
  const size = operandSize(rec);
  let v: u64;
  if (!byteSource) v = source(rec, size);
  else if (isMemory(rec)) v = <u64>memRead8(recSeg(rec), recOff(rec));
  else {
    const rm: u32 = load<u8>(rec, REC_RM);
    // AH CH DH BH without a REX prefix.
    if (rm >= 4 && rm < 8 && !(load<u8>(rec, REC_PREFIX) & REC_PFX_REX)) v = <u64>load<u8>(GPR + (<usize>(rm & 3) << 3), 1);
    else v = <u64>load<u8>(GPR + (<usize>rm << 3));
  }
  const d = GPR + (<usize>load<u8>(rec, REC_REG) << 3);
  store<u64>(d, <u64>crc32c(load<u32>(d), v, byteSource ? 1 : size >> 3));
}

/** Legacy 0F 38 F0, F1, F6. */
export function bitManip38(rec: usize, op: u32): void {
  const prefix: u32 = load<u8>(rec, REC_PREFIX);
  if (op == 0xf0 || op == 0xf1) {
    if (prefix & REC_PFX_F2) crc32(rec, op == 0xf0);
    else movbe(rec, op == 0xf1);
    return;
  }
  // F6: 66 ADCX, F3 ADOX.
  const size: u32 = (load<u8>(rec, REC_SIZES) & 3) == 3 ? 64 : 32;
  const b = source(rec, size);
  const r: u32 = load<u8>(rec, REC_REG);
  const a = register(r, size);
  setRegister(r, size, prefix & REC_PFX_F3 ? addOverflowX(a, b, size) : addCarryX(a, b, size));
}

/** 0 none, 1 = 66, 2 = F3, 3 = F2: VEX.pp. */
// @ts-ignore: decorator
@inline
function vexPrefix(rec: usize): u32 {
  const p: u32 = load<u8>(rec, REC_PREFIX);
  return p & REC_PFX_66 ? 1 : p & REC_PFX_F3 ? 2 : p & REC_PFX_F2 ? 3 : 0;
}

/** VEX-encoded 0F 38 F2, F3, F5, F6, F7 (`rorx` false) and 0F 3A F0. They need no XCR0, only protected mode. */
export function bitManipVex(rec: usize, op: u32, rorx: bool): void {
  if (!(load<u32>(CPU_STATE_BASE + S_CR0) & 1) || load<u32>(CPU_STATE_BASE + S_EFLAGS) & FL_VM) raiseFault(VEC_UD);
  const size: u32 = (load<u8>(rec, REC_SIZES) & 3) == 3 ? 64 : 32;
  const p = vexPrefix(rec);
  const r: u32 = load<u8>(rec, REC_REG);
  const v: u32 = load<u8>(rec, REC_VVVV);
  if (rorx) {
        setRegister(r, size, rotateX(source(rec, size), load<u8>(rec, REC_IMM), size));
    return;
  }
  switch (op) {
    case 0xf2:
      setRegister(r, size, andNot(register(v, size), source(rec, size), size));
      return;
    case 0xf3: {
      const kind = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
      setRegister(v, size, lowestBit(kind, source(rec, size), size));
      return;
    }
    case 0xf5: {
      const s = source(rec, size);
      const a = register(v, size);
      setRegister(r, size, p == 0 ? zeroHigh(s, a, size) : p == 2 ? gatherBits(a, s) : depositBits(a, s));
      return;
    }
    case 0xf6: {
      const s = source(rec, size);
      const a = register(2, size);
      let high: u64;
      let low: u64;
      if (size == 64) {
        high = mul64(a, s);
        low = W.lo;
      } else {
        low = a * s;
        high = low >> 32;
        low &= 0xffffffff;
      }
      // The same register twice gets the high half.
      setRegister(v, size, low);
      setRegister(r, size, high);
      return;
    }
    case 0xf7: {
      const s = source(rec, size);
      const control = register(v, size);
      setRegister(r, size, p == 0 ? extractBits(s, control) : shiftX(p, s, control, size));
      return;
    }
    default:
      raiseFault(VEC_UD);
  }
}
