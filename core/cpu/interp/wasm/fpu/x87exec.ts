/** x87 instructions D8..DF and FWAIT (SDM volume 2; opcode map in volume 2 appendix A.5). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg, secondPart } from '../ea';
import { raiseFault } from '../fault';
import { FEAT_SSE3 } from '../features';
import { memRead16, memRead32, memRead64, memWrite16 } from '../memsegment';
import { hasFeature } from '../model';
import { REC_MODRM, REC_OPCODE, REC_RM, REC_MEM, REC_SIZES } from '../record';
import { setGpr16 } from '../state';
import {
  S_CR0, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP, S_RIP, S_SEG, SEG_CS, SEG_SELECTOR, SEG_STRIDE, VEC_NM, VEC_UD,
} from '../stateoffsets';
import { set80 } from './f80';
import { fromF32, fromF64, fromInt, Source } from './f80convert';
import { bcdTo80 } from './x87bcd';
import { arithReg, arithValue, compareReg, compareValue } from './x87arith';
import { fldenv, fnsave, fnstenv, frstor } from './x87env';
import { fcmov, fxch, loadConstant, loadExtended, loadStack, loadValue, storeQuietly, storeReg } from './x87move';
import { storeBcd, storeExtended, storeFloat, storeInt, storeTruncated } from './x87store';
import { execUnary } from './x87unary';
import { checkPending, fpuInit, freeSt, getCw, getSw, loadCw, phys, pop, setSw, setTop, SW_C1, updateSummary } from './x87stack';

const CR0_MP: u32 = 2;
const CR0_EM: u32 = 4;
const CR0_TS: u32 = 8;

/** Notes the last non-control instruction; `rec` with a memory operand also notes that. */
function notePointers(rec: usize): void {
  store<u16>(CPU_STATE_BASE + S_FPU_FOP, ((<u32>load<u8>(rec, REC_OPCODE) & 7) << 8) | load<u8>(rec, REC_MODRM));
  store<u64>(CPU_STATE_BASE + S_FPU_FIP, load<u64>(CPU_STATE_BASE + S_RIP));
  store<u16>(CPU_STATE_BASE + S_FPU_FCS, load<u16>(CPU_STATE_BASE + S_SEG + SEG_CS * SEG_STRIDE + SEG_SELECTOR));
  if (load<u8>(rec, REC_RM) == REC_MEM) {
    store<u64>(CPU_STATE_BASE + S_FPU_FDP, recOff(rec));
    store<u16>(CPU_STATE_BASE + S_FPU_FDS, load<u16>(CPU_STATE_BASE + S_SEG + <usize>(recSeg(rec) * SEG_STRIDE) + SEG_SELECTOR));
  }
}

export function x87Exec(rec: usize): void {
  const op: u32 = load<u8>(rec, REC_OPCODE);
  const cr0 = load<u32>(CPU_STATE_BASE + S_CR0);
  if (op == 0x9b) {
    if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)) raiseFault(VEC_NM);
    checkPending();
    return;
  }
  if (cr0 & (CR0_EM | CR0_TS)) raiseFault(VEC_NM);
  if (load<u8>(rec, REC_RM) == REC_MEM) execMemory(rec, op & 7, (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7);
  else execRegister(rec, op & 7, load<u8>(rec, REC_MODRM));
}

/** An integer operand takes part in arithmetic and comparisons like an exact extended number. */
function loadInt(v: i64): void {
  fromInt(v);
  Source.denormal = false;
}

function execMemory(rec: usize, esc: u32, reg: u32): void {
  const seg = recSeg(rec);
  const off = recOff(rec);
  const wide = (load<u8>(rec, REC_SIZES) & 3) != 1;
  if ((esc & 1) == 0) {
    // D8 m32fp, DA m32int, DC m64fp, DE m16int: arithmetic
    checkPending();
    if (esc == 0) fromF32(memRead32(seg, off));
    else if (esc == 4) fromF64(memRead64(seg, off));
    else if (esc == 2) loadInt(<i64>(<i32>memRead32(seg, off)));
    else loadInt(<i64>(<i16>memRead16(seg, off)));
    if (reg == 2 || reg == 3) compareValue(reg == 3);
    else arithValue(reg);
    notePointers(rec);
    return;
  }
  switch (((esc >> 1) << 3) | reg) {
    // D9
    case 0o00:
      checkPending();
      fromF32(memRead32(seg, off));
      loadValue();
      break;
    case 0o02:
    case 0o03:
      checkPending();
      storeFloat(seg, off, 24, reg == 3);
      break;
    case 0o04:
      checkPending();
      fldenv(seg, off, wide);
      return;
    case 0o05: {
      checkPending();
      loadCw(memRead16(seg, off));
      updateSummary();
      return;
    }
    case 0o06:
      fnstenv(seg, off, wide);
      return;
    case 0o07:
      memWrite16(seg, off, getCw());
      return;
    // DB
    case 0o10:
      checkPending();
      loadInt(<i64>(<i32>memRead32(seg, off)));
      loadValue();
      break;
    case 0o11:
    case 0o21:
    case 0o31:
      if (!hasFeature(FEAT_SSE3)) raiseFault(VEC_UD);
      checkPending();
      storeTruncated(seg, off, esc == 3 ? 32 : esc == 5 ? 64 : 16);
      break;
    case 0o12:
    case 0o13:
      checkPending();
      storeInt(seg, off, 32, reg == 3);
      break;
    case 0o15: {
      checkPending();
      const sig = memRead64(seg, off);
      const se = memRead16(seg, secondPart(rec, off, 8));
      set80(se, sig);
      loadExtended();
      break;
    }
    case 0o17:
      checkPending();
      storeExtended(seg, off, secondPart(rec, off, 8));
      break;
    // DD
    case 0o20:
      checkPending();
      fromF64(memRead64(seg, off));
      loadValue();
      break;
    case 0o22:
    case 0o23:
      checkPending();
      storeFloat(seg, off, 53, reg == 3);
      break;
    case 0o24:
      checkPending();
      frstor(seg, off, wide);
      return;
    case 0o26:
      fnsave(seg, off, wide);
      return;
    case 0o27:
      memWrite16(seg, off, getSw());
      return;
    // DF
    case 0o30:
      checkPending();
      loadInt(<i64>(<i16>memRead16(seg, off)));
      loadValue();
      break;
    case 0o32:
    case 0o33:
      checkPending();
      storeInt(seg, off, 16, reg == 3);
      break;
    case 0o34: {
      checkPending();
      const low = memRead64(seg, off);
      bcdTo80(low, memRead16(seg, secondPart(rec, off, 8)));
      loadExtended();
      break;
    }
    case 0o35:
      checkPending();
      loadInt(<i64>memRead64(seg, off));
      loadValue();
      break;
    case 0o36:
      checkPending();
      storeBcd(seg, off, secondPart(rec, off, 8));
      break;
    case 0o37:
      checkPending();
      storeInt(seg, off, 64, true);
      break;
    default:
      raiseFault(VEC_UD);
  }
  notePointers(rec);
}

function execRegister(rec: usize, esc: u32, modrm: u32): void {
  const i = modrm & 7;
  const reg = (modrm >> 3) & 7;
  // Control instructions that do not wait.
  if (esc == 3 && reg == 4) {
    switch (i) {
      case 0: // FNENI, FNDISI, FNSETPM of the 8087 and 287 do nothing
      case 1:
      case 4:
        return;
      case 2:
        setSw(getSw() & 0x7f00);
        return;
      case 3:
        fpuInit();
        return;
      default:
        raiseFault(VEC_UD);
    }
  }
  if (esc == 7 && modrm == 0xe0) {
    setGpr16(0, getSw());
    return;
  }
  switch ((esc << 3) | reg) {
    // D8
    case 0o00:
    case 0o01:
    case 0o04:
    case 0o05:
    case 0o06:
    case 0o07:
      checkPending();
      arithReg(reg, i, 0, false);
      break;
    case 0o02:
    case 0o03:
    case 0o42: // DC D0, DC D8, DE D0: aliases
    case 0o43:
    case 0o62:
      checkPending();
      compareReg(i, false, reg == 3 || esc == 6 ? 1 : 0, false);
      break;
    // D9
    case 0o10:
      checkPending();
      loadStack(i);
      break;
    case 0o11:
    case 0o51: // DD C8, DF C8: aliases
    case 0o71:
      checkPending();
      fxch(i);
      break;
    case 0o12:
      if (i != 0) raiseFault(VEC_UD);
      checkPending();
      break;
    case 0o13:
      checkPending();
      storeQuietly(i);
      break;
    case 0o53:
    case 0o72: // DF D0, DF D8: aliases
    case 0o73:
      checkPending();
      storeReg(i, true);
      break;
    case 0o14:
    case 0o16:
    case 0o17:
      if (esc == 1 && reg == 4 && (i == 2 || i == 3 || i >= 6)) raiseFault(VEC_UD);
      checkPending();
      if (modrm == 0xf6 || modrm == 0xf7) {
        setTop(phys(modrm == 0xf6 ? 7 : 1));
        setSw(getSw() & ~SW_C1);
      } else execUnary(modrm);
      break;
    case 0o15:
      if (i == 7) raiseFault(VEC_UD);
      checkPending();
      loadConstant(i);
      break;
    // DA, DB
    case 0o20:
    case 0o21:
    case 0o22:
    case 0o23:
    case 0o30:
    case 0o31:
    case 0o32:
    case 0o33:
      checkPending();
      fcmov(i, reg, esc == 3);
      break;
    case 0o25:
      if (i != 1) raiseFault(VEC_UD);
      checkPending();
      compareReg(1, true, 2, false);
      break;
    case 0o35:
    case 0o36:
    case 0o75:
    case 0o76:
      checkPending();
      compareReg(i, reg == 5, esc == 7 ? 1 : 0, true);
      break;
    // DC
    case 0o40:
    case 0o41:
    case 0o44:
    case 0o45:
    case 0o46:
    case 0o47:
      checkPending();
      arithReg(reg, i, i, false);
      break;
    // DD
    case 0o50:
    case 0o70: // DF C0: FFREEP
      checkPending();
      freeSt(i);
      setSw(getSw() & ~SW_C1);
      if (esc == 7) pop();
      break;
    case 0o52:
      checkPending();
      storeReg(i, false);
      break;
    case 0o54:
    case 0o55:
      checkPending();
      compareReg(i, true, reg == 5 ? 1 : 0, false);
      break;
    // DE
    case 0o60:
    case 0o61:
    case 0o64:
    case 0o65:
    case 0o66:
    case 0o67:
      checkPending();
      arithReg(reg, i, i, true);
      break;
    case 0o63:
      if (i != 1) raiseFault(VEC_UD);
      checkPending();
      compareReg(1, false, 2, false);
      break;
    default:
      raiseFault(VEC_UD);
  }
  notePointers(rec);
}
