/** Model-specific registers (SDM volume 4; volume 3 chapter 12 for MTRRs and PAT). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { FEAT_LM, FEAT_NX, FEAT_RDTSCP, FEAT_SYSCALL } from './features';
import { apicBaseChanged, readTsc, tscWritten } from './imports';
import { isCanonical } from './slowaccess';
import { hasFeature, physReserved } from './model';
import { cr0 } from './paging';
import { isBoardMsr, readBoardMsr, writeBoardMsr } from './paravirt';
import {
  S_EFER,
  S_MSR_APIC_BASE,
  S_MSR_CSTAR,
  S_MSR_FMASK,
  S_MSR_KERNEL_GS_BASE,
  S_MSR_LSTAR,
  S_MSR_MISC,
  S_MSR_MISC_ENABLE,
  S_MSR_MTRR_DEF_TYPE,
  S_MSR_MTRR_FIXED,
  S_MSR_MTRR_VAR,
  S_MSR_PAT,
  S_MSR_STAR,
  S_MSR_SYSENTER_CS,
  S_MSR_SYSENTER_EIP,
  S_MSR_SYSENTER_ESP,
  S_MSR_TSC_AUX,
  S_MSR_TSC_OFFSET,
  S_SEG,
  SEG_FS,
  SEG_GS,
  SEG_STRIDE,
  VEC_GP,
} from './stateoffsets';
import { updateSegFlags } from './seg';
import { CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE } from './sysstate';
import { timeStamp } from './timestamp';
import { tlbFlushAll } from './tlb';

export const MSR_TSC: u32 = 0x10;
const MSR_P5_MC_ADDR: u32 = 0x000;
const MSR_P5_MC_TYPE: u32 = 0x001;
const MSR_MCG_CAP: u32 = 0x179;
const MSR_MCG_STATUS: u32 = 0x17a;
const MSR_PLATFORM_ID: u32 = 0x17;
const MSR_APIC_BASE: u32 = 0x1b;
const MSR_EBL_CR_POWERON: u32 = 0x2a;
const MSR_FEATURE_CONTROL: u32 = 0x3a;
const MSR_TSC_ADJUST: u32 = 0x3b;
const MSR_BIOS_UPDT_TRIG: u32 = 0x79;
const MSR_BIOS_SIGN_ID: u32 = 0x8b;
const MSR_MTRR_CAP: u32 = 0xfe;
const MSR_BBL_CR_CTL: u32 = 0x119;
const MSR_SYSENTER_CS: u32 = 0x174;
const MSR_SYSENTER_ESP: u32 = 0x175;
const MSR_SYSENTER_EIP: u32 = 0x176;
const MSR_MISC_ENABLE: u32 = 0x1a0;
const MSR_DEBUGCTL: u32 = 0x1d9;
const MSR_MTRR_VAR_FIRST: u32 = 0x200;
const MSR_MTRR_VAR_LAST: u32 = 0x20f;
const MSR_PAT: u32 = 0x277;
const MSR_MTRR_DEF_TYPE: u32 = 0x2ff;
const MSR_EFER: u32 = 0xc0000080;
const MSR_STAR: u32 = 0xc0000081;
const MSR_LSTAR: u32 = 0xc0000082;
const MSR_CSTAR: u32 = 0xc0000083;
const MSR_FMASK: u32 = 0xc0000084;
const MSR_FS_BASE: u32 = 0xc0000100;
const MSR_GS_BASE: u32 = 0xc0000101;
const MSR_KERNEL_GS_BASE: u32 = 0xc0000102;
const MSR_TSC_AUX: u32 = 0xc0000103;

/** Slots of written values without behaviour, from S_MSR_MISC. */
const MISC_BIOS_SIGN: usize = 0;
const MISC_EBL: usize = 8;
const MISC_FEATURE_CONTROL: usize = 16;
const MISC_BBL: usize = 24;
const MISC_TSC_ADJUST: usize = 32;

/** 8 variable ranges, fixed ranges, write combining. */
const MTRR_CAP: u64 = 0x508;
/** BSP flag. */
const APIC_BASE_BSP: u64 = 0x100;

// @ts-ignore: decorator
@inline
function slot(offset: usize): u64 {
  return load<u64>(CPU_STATE_BASE + offset);
}
// @ts-ignore: decorator
@inline
function setSlot(offset: usize, v: u64): void {
  store<u64>(CPU_STATE_BASE + offset, v);
}

/** Place of a fixed-range MTRR in the array, or -1. */
function fixedIndex(msr: u32): i32 {
  if (msr == 0x250) return 0;
  if (msr == 0x258 || msr == 0x259) return msr - 0x257;
  if (msr >= 0x268 && msr <= 0x26f) return msr - 0x265;
  return -1;
}

/** Place of an MSR that only 64-bit processors have, 0 for others; FS_BASE and GS_BASE are the bases of the segments. */
function longSlot(msr: u32): usize {
  if (msr == MSR_TSC_AUX) return hasFeature(FEAT_RDTSCP) ? S_MSR_TSC_AUX : 0;
  if (!hasFeature(FEAT_LM)) return 0;
  switch (msr) {
    case MSR_STAR:
      return S_MSR_STAR;
    case MSR_LSTAR:
      return S_MSR_LSTAR;
    case MSR_CSTAR:
      return S_MSR_CSTAR;
    case MSR_FMASK:
      return S_MSR_FMASK;
    case MSR_FS_BASE:
      return S_SEG + SEG_FS * SEG_STRIDE;
    case MSR_GS_BASE:
      return S_SEG + SEG_GS * SEG_STRIDE;
    case MSR_KERNEL_GS_BASE:
      return S_MSR_KERNEL_GS_BASE;
  }
  return 0;
}

function writeLong(msr: u32, at: usize, v: u64): void {
  switch (msr) {
    case MSR_FMASK:
    case MSR_TSC_AUX:
      if (v >> 32) gp();
      break;
    case MSR_STAR:
      break;
    default:
      // All the others hold addresses.
      if (!isCanonical(v)) gp();
      break;
  }
  setSlot(at, v);
  if (msr == MSR_FS_BASE) updateSegFlags(SEG_FS);
  else if (msr == MSR_GS_BASE) updateSegFlags(SEG_GS);
}

/** SYSENTER_ESP and SYSENTER_EIP: 64 bits wide on 64-bit processors, canonical. */
function writeEntry(at: usize, v: u64): void {
  if (!hasFeature(FEAT_LM)) {
    setSlot(at, v & 0xffffffff);
    return;
  }
  if (!isCanonical(v)) gp();
  setSlot(at, v);
}

/** IA32_EFER: SCE, LME, NXE where the model has them; LMA is the processor's and ignores writes (SDM volume 3 section 2.2.1). */
function writeEfer(v: u64): void {
  const before = slot(S_EFER);
  const known =
    EFER_LMA |
    (hasFeature(FEAT_NX) ? EFER_NXE : 0) |
    (hasFeature(FEAT_SYSCALL) ? EFER_SCE : 0) |
    (hasFeature(FEAT_LM) ? EFER_LME : 0);
  if (v & ~known || (!hasFeature(FEAT_LM) && v & EFER_LMA)) gp();
  if ((v ^ before) & EFER_LME && cr0() & CR0_PG) gp();
  setSlot(S_EFER, (v & ~EFER_LMA) | (before & EFER_LMA));
  if ((v ^ before) & EFER_NXE) tlbFlushAll();
}

export function setTimeStamp(v: u64): void {
  setSlot(S_MSR_TSC_OFFSET, v - <u64>readTsc());
  tscWritten(v);
}

/** Moves the counter; IA32_TSC_ADJUST tells how far it was moved in all (SDM volume 3 section 18.17.3). */
function moveTimeStamp(by: u64): void {
  const at = S_MSR_MISC + MISC_TSC_ADJUST;
  setSlot(at, slot(at) + by);
  setSlot(S_MSR_TSC_OFFSET, slot(S_MSR_TSC_OFFSET) + by);
  tscWritten(timeStamp());
}

export function readMsr(msr: u32): u64 {
  switch (msr) {
    case MSR_TSC:
      return timeStamp();
    case MSR_PLATFORM_ID:
    case MSR_DEBUGCTL:
    case MSR_BIOS_UPDT_TRIG:
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
      // Machine checks have no banks and never happen.
      return 0;
    case MSR_APIC_BASE:
      return slot(S_MSR_APIC_BASE);
    case MSR_EBL_CR_POWERON:
      return slot(S_MSR_MISC + MISC_EBL);
    case MSR_FEATURE_CONTROL:
      // Locked, VMX off.
      return 1;
    case MSR_BIOS_SIGN_ID:
      return slot(S_MSR_MISC + MISC_BIOS_SIGN);
    case MSR_MTRR_CAP:
      return MTRR_CAP;
    case MSR_BBL_CR_CTL:
      return slot(S_MSR_MISC + MISC_BBL);
    case MSR_SYSENTER_CS:
      return slot(S_MSR_SYSENTER_CS);
    case MSR_SYSENTER_ESP:
      return slot(S_MSR_SYSENTER_ESP);
    case MSR_SYSENTER_EIP:
      return slot(S_MSR_SYSENTER_EIP);
    case MSR_MISC_ENABLE:
      return slot(S_MSR_MISC_ENABLE);
    case MSR_PAT:
      return slot(S_MSR_PAT);
    case MSR_MTRR_DEF_TYPE:
      return slot(S_MSR_MTRR_DEF_TYPE);
    case MSR_EFER:
      return slot(S_EFER);
  }
  if (msr >= MSR_MTRR_VAR_FIRST && msr <= MSR_MTRR_VAR_LAST) return slot(S_MSR_MTRR_VAR + (<usize>(msr - MSR_MTRR_VAR_FIRST) << 3));
  const fixed = fixedIndex(msr);
  if (fixed >= 0) return slot(S_MSR_MTRR_FIXED + (<usize>fixed << 3));
  const long = longSlot(msr);
  if (long) return slot(long);
  if (isBoardMsr(msr)) return readBoardMsr(msr);
  if (msr == MSR_TSC_ADJUST && hasFeature(FEAT_LM)) return slot(S_MSR_MISC + MISC_TSC_ADJUST);
  raiseFaultErr(VEC_GP, 0);
  return 0;
}

/** Memory types 0, 1, 4, 5, 6; PAT also knows 7. */
function badType(type: u32): bool {
  return type == 2 || type == 3 || type > 6;
}

function gp(): void {
  raiseFaultErr(VEC_GP, 0);
}

export function writeMsr(msr: u32, v: u64): void {
  switch (msr) {
    case MSR_TSC:
      moveTimeStamp(v - timeStamp());
      return;
    case MSR_PLATFORM_ID:
    case MSR_BIOS_UPDT_TRIG:
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
      return;
    case MSR_MCG_STATUS:
      // RIPV, EIPV and MCIP: software clears what a machine check set.
      if (v & ~(<u64>7)) gp();
      return;
    case MSR_APIC_BASE:
      // Bits 7..0, 9 and 10 (x2APIC) and those above the address width are reserved.
      if (v & physReserved() || v & 0x6ff & ~APIC_BASE_BSP) gp();
      setSlot(S_MSR_APIC_BASE, v);
      apicBaseChanged(<f64>v);
      return;
    case MSR_EBL_CR_POWERON:
      setSlot(S_MSR_MISC + MISC_EBL, v);
      return;
    case MSR_FEATURE_CONTROL:
      // Locked by "firmware".
      gp();
      return;
    case MSR_BIOS_SIGN_ID:
      // Software writes 0, executes CPUID and reads the revision back: it stays in the upper half.
      return;
    case MSR_BBL_CR_CTL:
      setSlot(S_MSR_MISC + MISC_BBL, v);
      return;
    case MSR_SYSENTER_CS:
      setSlot(S_MSR_SYSENTER_CS, v & 0xffffffff);
      return;
    case MSR_SYSENTER_ESP:
      writeEntry(S_MSR_SYSENTER_ESP, v);
      return;
    case MSR_SYSENTER_EIP:
      writeEntry(S_MSR_SYSENTER_EIP, v);
      return;
    case MSR_MISC_ENABLE:
      setSlot(S_MSR_MISC_ENABLE, v);
      return;
    case MSR_DEBUGCTL:
      // Last-branch recording and branch single-step are not implemented.
      if (v) gp();
      return;
    case MSR_PAT:
      for (let i: u32 = 0; i < 64; i += 8) {
        const type = <u32>(v >> i) & 0xff;
        if (type != 7 && badType(type)) gp();
      }
      setSlot(S_MSR_PAT, v);
      return;
    case MSR_MTRR_DEF_TYPE:
      if (v & ~(<u64>0xcff) || badType(<u32>v & 0xff)) gp();
      setSlot(S_MSR_MTRR_DEF_TYPE, v);
      return;
    case MSR_EFER:
      writeEfer(v);
      return;
  }
  if (msr >= MSR_MTRR_VAR_FIRST && msr <= MSR_MTRR_VAR_LAST) {
    // Even: base and type. Odd: mask and valid bit.
    if (v & physReserved() || (msr & 1 ? v & 0x7ff : v & 0xf00) || (!(msr & 1) && badType(<u32>v & 0xff))) gp();
    setSlot(S_MSR_MTRR_VAR + (<usize>(msr - MSR_MTRR_VAR_FIRST) << 3), v);
    return;
  }
  const fixed = fixedIndex(msr);
  if (fixed < 0) {
    const long = longSlot(msr);
    if (long) writeLong(msr, long, v);
    else if (isBoardMsr(msr)) writeBoardMsr(msr, v);
    else if (msr == MSR_TSC_ADJUST && hasFeature(FEAT_LM)) moveTimeStamp(v - slot(S_MSR_MISC + MISC_TSC_ADJUST));
    else gp();
    return;
  }
  for (let i: u32 = 0; i < 64; i += 8) if (badType(<u32>(v >> i) & 0xff)) gp();
  setSlot(S_MSR_MTRR_FIXED + (<usize>fixed << 3), v);
}

/** Power-on values. */
export function resetMsrs(): void {
  memory.fill(CPU_STATE_BASE + S_MSR_APIC_BASE, 0, 0x500);
  setSlot(S_MSR_APIC_BASE, 0xfee00900);
  setSlot(S_MSR_PAT, 0x0007040600070406);
  // Fast strings.
  setSlot(S_MSR_MISC_ENABLE, 1);
  // Microcode revision 0x20 in the upper half, as Linux reads it.
  setSlot(S_MSR_MISC + MISC_BIOS_SIGN, <u64>0x20 << 32);
  setSlot(S_EFER, 0);
  setTimeStamp(0);
}
