/** VEX-encoded moves of the 0F map (SDM volume 2): VMOVxx, VUNPCKxPx, VSHUFPx, VMOVMSKPx, VLDDQU, VMASKMOVDQU, VPINSRW, VPEXTRW, VZEROALL. */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { memRead16, memRead32, memRead64, memWrite32, memWrite64 } from '../memsegment';
import { S_CODE_MODE, XMM_STRIDE } from '../stateoffsets';
import { maskedStore } from './mmx';
import { checkAligned, imm8, isMem, P_66, P_F2, P_F3, P_NONE, regGpr, regXmm, rmGpr, rmXmm, wideOperand, xmmPtr } from './operand';
import { shuffleDwords, shuffleQwords } from './shuffle';
import { duplicate } from './sse3';
import {
  needMem, needNarrow, needReg, noVvvv, setLow, setVector, vexBytes, vexScalar, vexSource, vexStore, vexWide, vvvvXmm,
} from './vex';

/** Copies a whole register or memory operand: 16 or 32 bytes. */
function loadVector(rec: usize): void {
  const bytes = vexBytes(rec);
  const s = vexSource(rec, bytes);
  setVector(regXmm(rec), v128.load(s), bytes == 32 ? v128.load(s, 16) : i64x2.splat(0));
}
function storeVector(rec: usize): void {
  const bytes = vexBytes(rec);
  const s = regXmm(rec);
  if (isMem(rec)) vexStore(rec, s, bytes);
  else setVector(rmXmm(rec), v128.load(s), bytes == 32 ? v128.load(s, 16) : i64x2.splat(0));
}
function alignedLoad(rec: usize): void {
  if (isMem(rec)) checkAligned(recSeg(rec), recOff(rec), <u32>vexBytes(rec));
  loadVector(rec);
}
function alignedStore(rec: usize): void {
  if (isMem(rec)) checkAligned(recSeg(rec), recOff(rec), <u32>vexBytes(rec));
  storeVector(rec);
}

/** VMOVSS and VMOVSD: from memory the rest is zero, between registers it comes from VEX.vvvv. */
function scalarMove(rec: usize, op: u32, p: i32): void {
  const r = regXmm(rec);
  if (isMem(rec)) {
    noVvvv(rec);
    const seg = recSeg(rec);
    const off = recOff(rec);
    if (op == 0x10) setLow(r, i64x2.replace_lane(i64x2.splat(0), 0, p == P_F3 ? <u64>memRead32(seg, off) : memRead64(seg, off)));
    else if (p == P_F3) memWrite32(seg, off, load<u32>(r));
    else memWrite64(seg, off, load<u64>(r));
    return;
  }
  const m = rmXmm(rec);
  const from = op == 0x10 ? m : r;
  const rest = v128.load(vvvvXmm(rec));
  setLow(
    op == 0x10 ? r : m,
    p == P_F3 ? i32x4.replace_lane(rest, 0, load<u32>(from)) : i64x2.replace_lane(rest, 0, load<u64>(from)),
  );
}

/** 12, 13, 16, 17 without F3 and F2: 64-bit halves. */
function halfMove(rec: usize, op: u32, p: i32): void {
  needNarrow(rec);
  if (op & 1) {
    needMem(rec);
    noVvvv(rec);
    memWrite64(recSeg(rec), recOff(rec), load<u64>(regXmm(rec) + (op == 0x17 ? 8 : 0)));
    return;
  }
  let v: u64;
  if (isMem(rec)) v = memRead64(recSeg(rec), recOff(rec));
  else {
    if (p == P_66) needMem(rec);
    // VMOVHLPS takes the high half, VMOVLHPS the low one.
    v = load<u64>(rmXmm(rec) + (op == 0x12 ? 8 : 0));
  }
  const a = v128.load(vvvvXmm(rec));
  setLow(regXmm(rec), op == 0x12 ? i64x2.replace_lane(a, 0, v) : i64x2.replace_lane(a, 1, v));
}

function unpack(op: u32, p: i32, a: v128, b: v128): v128 {
  if (op == 0x14) return p == P_66 ? i64x2.shuffle(a, b, 0, 2) : i32x4.shuffle(a, b, 0, 4, 1, 5);
  return p == P_66 ? i64x2.shuffle(a, b, 1, 3) : i32x4.shuffle(a, b, 2, 6, 3, 7);
}
function logic(op: u32, a: v128, b: v128): v128 {
  return op == 0x54 ? v128.and(a, b) : op == 0x55 ? v128.andnot(b, a) : op == 0x56 ? v128.or(a, b) : v128.xor(a, b);
}

/** VSHUFPS and VSHUFPD of one half; VSHUFPD has two bits of `order` a half. */
function shuffle(p: i32, a: usize, b: usize, order: u32): v128 {
  return p == P_66 ? shuffleQwords(a, b, order) : shuffleDwords(a, b, order);
}

/** VZEROUPPER, or with VEX.L VZEROALL: registers 0..7, in 64-bit mode 0..15. */
function zeroRegisters(rec: usize): void {
  const all = vexWide(rec);
  const end: u32 = load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2 ? 16 : 8;
  for (let i: u32 = 0; i < end; i++) {
    const at = xmmPtr(i);
    if (all) v128.store(at, i64x2.splat(0));
    v128.store(at, i64x2.splat(0), XMM_STRIDE / 2);
  }
}

/** The moves of the 0F map. False when `op` is none of them. */
export function avxMove(rec: usize, op: u32, p: i32): bool {
  switch (op) {
    case 0x10:
    case 0x11:
      if (p >= P_F3) scalarMove(rec, op, p);
      else if (op == 0x10) loadVector(rec);
      else storeVector(rec);
      return true;
    case 0x12:
    case 0x13:
    case 0x16:
    case 0x17: {
      if (p < P_F3) {
        halfMove(rec, op, p);
        return true;
      }
      noVvvv(rec);
      const wide = vexWide(rec);
      const s = p == P_F2 && !wide ? vexScalar(rec, 8) : vexSource(rec, wide ? 32 : 16);
      const low = duplicate(op, p, v128.load(s));
      setVector(regXmm(rec), low, wide ? duplicate(op, p, v128.load(s, 16)) : i64x2.splat(0));
      return true;
    }
    case 0x14:
    case 0x15:
    case 0x54:
    case 0x55:
    case 0x56:
    case 0x57: {
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      const a = vvvvXmm(rec);
      const narrow = op < 0x50;
      const low = narrow ? unpack(op, p, v128.load(a), v128.load(s)) : logic(op, v128.load(a), v128.load(s));
      let high = i64x2.splat(0);
      if (bytes == 32) high = narrow ? unpack(op, p, v128.load(a, 16), v128.load(s, 16)) : logic(op, v128.load(a, 16), v128.load(s, 16));
      setVector(regXmm(rec), low, high);
      return true;
    }
    case 0x28:
      alignedLoad(rec);
      return true;
    case 0x29:
      alignedStore(rec);
      return true;
    case 0x2b:
    case 0xe7:
      needMem(rec);
      alignedStore(rec);
      return true;
    case 0x50: {
      needReg(rec);
      const s = rmXmm(rec);
      const double = p == P_66;
      let r: u32 = double ? i64x2.bitmask(v128.load(s)) : i32x4.bitmask(v128.load(s));
      if (vexWide(rec)) r |= double ? i64x2.bitmask(v128.load(s, 16)) << 2 : i32x4.bitmask(v128.load(s, 16)) << 4;
      store<u64>(regGpr(rec), <u64>r);
      return true;
    }
    case 0x6e: {
      needNarrow(rec);
      let v: u64;
      if (wideOperand(rec)) v = isMem(rec) ? memRead64(recSeg(rec), recOff(rec)) : load<u64>(rmGpr(rec));
      else v = isMem(rec) ? <u64>memRead32(recSeg(rec), recOff(rec)) : <u64>load<u32>(rmGpr(rec));
      setLow(regXmm(rec), i64x2.replace_lane(i64x2.splat(0), 0, v));
      return true;
    }
    case 0x6f:
      if (p == P_66) alignedLoad(rec);
      else loadVector(rec);
      return true;
    case 0x7f:
      if (p == P_66) alignedStore(rec);
      else storeVector(rec);
      return true;
    case 0x77:
      if (p != P_NONE) return false;
      zeroRegisters(rec);
      return true;
    case 0x7e: {
      needNarrow(rec);
      if (p == P_F3) {
        setLow(regXmm(rec), v128.load64_zero(vexScalar(rec, 8)));
        return true;
      }
      const s = regXmm(rec);
      if (wideOperand(rec)) {
        if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), load<u64>(s));
        else store<u64>(rmGpr(rec), load<u64>(s));
      } else if (isMem(rec)) memWrite32(recSeg(rec), recOff(rec), load<u32>(s));
      else store<u64>(rmGpr(rec), <u64>load<u32>(s));
      return true;
    }
    case 0xc4: {
      needNarrow(rec);
      const word = isMem(rec) ? memRead16(recSeg(rec), recOff(rec)) : <u32>load<u16>(rmGpr(rec));
      const d = regXmm(rec);
      setLow(d, v128.load(vvvvXmm(rec)));
      store<u16>(d + (<usize>(imm8(rec) & 7) << 1), <u16>word);
      return true;
    }
    case 0xc5:
      needReg(rec);
      needNarrow(rec);
      store<u64>(regGpr(rec), <u64>load<u16>(rmXmm(rec) + (<usize>(imm8(rec) & 7) << 1)));
      return true;
    case 0xc6: {
      const bytes = vexBytes(rec);
      const s = vexSource(rec, bytes);
      const a = vvvvXmm(rec);
      const order = imm8(rec);
      const low = shuffle(p, a, s, order);
      setVector(regXmm(rec), low, bytes == 32 ? shuffle(p, a + 16, s + 16, p == P_66 ? order >> 2 : order) : i64x2.splat(0));
      return true;
    }
    case 0xd6:
      needNarrow(rec);
      if (isMem(rec)) memWrite64(recSeg(rec), recOff(rec), load<u64>(regXmm(rec)));
      else setLow(rmXmm(rec), v128.load64_zero(regXmm(rec)));
      return true;
    case 0xf0:
      needMem(rec);
      loadVector(rec);
      return true;
    case 0xf7:
      needReg(rec);
      needNarrow(rec);
      maskedStore(rec, regXmm(rec), rmXmm(rec), 16);
      return true;
    default:
      return false;
  }
}
