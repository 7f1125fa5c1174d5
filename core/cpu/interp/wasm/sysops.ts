/**
 * System instructions (SDM volume 2, by name). sysExec() runs one decoded record whose opcode belongs here, dispatching on REC_OPCODE and
 * the reg field, and sets S_RIP when it completes.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { writeCr, writeCr0, readCr } from './control';
import { cpuid } from './cpuid';
import { DR6_BD, DR6_ONES, DR7_GD, raiseDebug, updateDebug } from './debug';
import { recOff, recSeg } from './ea';
import { raiseFault, raiseFaultErr } from './fault';
import { setEflags, getEflags } from './flags';
import { syscall, sysenter, sysexit, sysret } from './fastcall';
import { icebp } from './interrupt';
import { memProbeW, memRead16, memRead32, memRead64, memWrite16, memWrite32, memWrite64 } from './memsegment';
import { linWriteSys8 } from './memsystem';
import { isCanonical } from './slowaccess';
import { readMsr, writeMsr } from './msr';
import { cr0, cr4 } from './paging';
import { OP_0F, OP_0F38, REC_MODRM, REC_OPCODE, REC_REG, REC_RM, REC_SIZES, REC_MEM } from './record';
import {
  ATTR_CODE,
  ATTR_P,
  ATTR_RW,
  ATTR_S,
  attrDpl,
  code64,
  cpl,
  descAt,
  descAttr,
  descHi,
  descLimit,
  descLo,
  fetchDescriptor,
  fetchUpper,
  findDescriptor,
  iopl,
  isConforming,
  isNull,
  linearMask,
  loadSegment,
  longMode,
  paragraphMode,
  protectedMode,
  segBase,
  segSelector,
  setNull,
  setSegment,
  systemBase,
} from './seg';
import { hypercall, paravirtual } from './paravirt';
import { invpcid, random, rdtscp, segmentBase, setAccess, swapgs, xgetbv, xsetbv } from './sys64';
import { frameCommit, frameCurrent, frameDrop, frameRead, push } from './stack';
import { gpr16, gpr32, gpr64, setGpr16, setGpr32, setGpr64 } from './state';
import {
  S_CR0,

  S_DR,
  S_GDTR_BASE,
  S_GDTR_LIMIT,
  S_HALTED,
  S_IDTR_BASE,
  S_IDTR_LIMIT,
  S_INT_SHADOW,
  S_RIP,
  SEG_CS,
  SEG_DS,
  SEG_ES,
  SEG_FS,
  SEG_GS,
  SEG_LDTR,
  SEG_SS,
  SEG_TR,
  VEC_GP,
  VEC_NP,
  VEC_UD,
} from './stateoffsets';
import { CR0_TS, CR4_DE, CR4_TSD, CR4_UMIP, FL_IF, FL_ZF, SY_SHADOW_SS } from './sysstate';
import { timeStamp } from './timestamp';
import { tlbInvalidatePage } from './tlb';
import { virtualInterruptFlag } from './v86extensions';

export { checkIoPermission } from './io';

function ud(): void {
  raiseFault(VEC_UD);
}
function gp0(): void {
  raiseFaultErr(VEC_GP, 0);
}
/** Privileged instruction. */
// @ts-ignore: decorator
@inline
function needCpl0(): void {
  if (cpl() != 0) gp0();
}
/** Instruction that real and virtual-8086 mode do not recognise. */
// @ts-ignore: decorator
@inline
function needProtected(): void {
  if (paragraphMode()) ud();
}

// @ts-ignore: decorator
@inline
function regField(rec: usize): u32 {
  return (load<u8>(rec, REC_MODRM) >> 3) & 7;
}
/** Number of the register operand of modrm.rm, and of the one of modrm.reg; REX.B and REX.R included. */
// @ts-ignore: decorator
@inline
function rmField(rec: usize): i32 {
  return load<u8>(rec, REC_RM);
}
// @ts-ignore: decorator
@inline
function regOperand(rec: usize): i32 {
  return load<u8>(rec, REC_REG);
}
// @ts-ignore: decorator
@inline
function inMemory(rec: usize): bool {
  return load<u8>(rec, REC_RM) == REC_MEM;
}
/** 16-bit operand size. */
// @ts-ignore: decorator
@inline
function operand16(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 1;
}
/** 64-bit operand size. */
// @ts-ignore: decorator
@inline
function operand64(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & 3) == 3;
}
/** SGDT, SIDT, SLDT, STR and SMSW, which CR4.UMIP keeps from user mode. */
function needUmip(): void {
  if (cr4() & CR4_UMIP && cpl() != 0) gp0();
}
/** Effective offset `n` bytes after the operand's, wrapped to the address size. */
function offsetPlus(rec: usize, n: u32): u64 {
  const size = (load<u8>(rec, REC_SIZES) >> 4) & 3;
  const off = recOff(rec) + n;
  return size == 1 ? off & 0xffff : size == 2 ? off & 0xffffffff : off;
}

/** 16-bit r/m source. */
function source16(rec: usize): u32 {
  return inMemory(rec) ? memRead16(recSeg(rec), recOff(rec)) : gpr16(rmField(rec));
}
/** Destination of SLDT, STR, SMSW, MOV r/m,Sreg: 16 bits in memory, the operand size in a register. */
function store16(rec: usize, v: u32): void {
  if (inMemory(rec)) memWrite16(recSeg(rec), recOff(rec), v & 0xffff);
  else if (operand16(rec)) setGpr16(rmField(rec), v);
  else setGpr32(rmField(rec), v);
}

function setZf(on: bool): void {
  setEflags(on ? FL_ZF : 0, FL_ZF);
}

/** Interrupt shadow after MOV SS and POP SS, which also covers debug traps. */
function shadowSs(nextRip: u64): void {
  store<u32>(CPU_STATE_BASE + S_INT_SHADOW, 1);
  store<u32>(CPU_STATE_BASE + SY_SHADOW_SS, <u32>nextRip + 1);
}

export function sysExec(rec: usize, nextRip: u64): void {
  switch (<i32>load<u16>(rec, REC_OPCODE)) {
    case 0x06:
      pushSegment(rec, SEG_ES);
      break;
    case 0x07:
      popSegment(rec, SEG_ES);
      break;
    case 0x0e:
      pushSegment(rec, SEG_CS);
      break;
    case 0x16:
      pushSegment(rec, SEG_SS);
      break;
    case 0x17:
      popSegment(rec, SEG_SS);
      shadowSs(nextRip);
      break;
    case 0x1e:
      pushSegment(rec, SEG_DS);
      break;
    case 0x1f:
      popSegment(rec, SEG_DS);
      break;
    case 0x63:
      arpl(rec);
      break;
    case 0x8c:
      if (regField(rec) > 5) ud();
      store16(rec, segSelector(regField(rec)));
      break;
    case 0x8e:
      if (regField(rec) > 5 || regField(rec) == SEG_CS) ud();
      loadSegment(regField(rec), source16(rec));
      if (regField(rec) == SEG_SS) shadowSs(nextRip);
      break;
    case 0xc4:
      loadPointer(rec, SEG_ES);
      break;
    case 0xc5:
      loadPointer(rec, SEG_DS);
      break;
    case 0xf1:
      icebp(nextRip);
      return;
    case 0xf4:
      needCpl0();
      store<u32>(CPU_STATE_BASE + S_HALTED, 1);
      break;
    case 0xfa:
      if (protectedMode() && cpl() > iopl()) virtualInterruptFlag(false);
      else setEflags(0, FL_IF);
      break;
    case 0xfb:
      if (protectedMode() && cpl() > iopl()) {
        virtualInterruptFlag(true);
        break;
      }
      if (!(getEflags() & FL_IF)) store<u32>(CPU_STATE_BASE + S_INT_SHADOW, 1);
      setEflags(FL_IF, FL_IF);
      break;
    case OP_0F | 0x00:
      group6(rec);
      break;
    case OP_0F | 0x01:
      group7(rec);
      break;
    case OP_0F | 0x02:
      lar(rec);
      break;
    case OP_0F | 0x03:
      lsl(rec);
      break;
    case OP_0F | 0x06:
      needCpl0();
      store<u64>(CPU_STATE_BASE + S_CR0, cr0() & ~CR0_TS);
      break;
    case OP_0F | 0x08:
    case OP_0F | 0x09:
      // INVD, WBINVD: there is no cache to write back.
      needCpl0();
      break;
    case OP_0F | 0x05:
      syscall(nextRip);
      return;
    case OP_0F | 0x07:
      sysret(operand64(rec));
      return;
    case OP_0F | 0x20: {
      controlRegister(rec);
      const v = readCr(regOperand(rec));
      setGpr64(rmField(rec), code64() ? v : v & 0xffffffff);
      break;
    }
    case OP_0F | 0x21:
      setGpr64(rmField(rec), load<u64>(debugRegister(rec)) & (code64() ? ~(<u64>0) : 0xffffffff));
      break;
    case OP_0F | 0x22:
      controlRegister(rec);
      writeCr(regOperand(rec), code64() ? gpr64(rmField(rec)) : <u64>gpr32(rmField(rec)));
      break;
    case OP_0F | 0x23:
      writeDebugRegister(debugRegister(rec), code64() ? gpr64(rmField(rec)) : <u64>gpr32(rmField(rec)));
      break;
    case OP_0F | 0x30:
      needCpl0();
      writeMsr(gpr32(1), <u64>gpr32(0) | (<u64>gpr32(2) << 32));
      break;
    case OP_0F | 0x31: {
      if (cr4() & CR4_TSD && cpl() != 0) gp0();
      pair(timeStamp());
      break;
    }
    case OP_0F | 0x32:
      needCpl0();
      pair(readMsr(gpr32(1)));
      break;
    case OP_0F | 0x33:
      // RDPMC: no counter exists, so every index is invalid.
      gp0();
      break;
    case OP_0F | 0x34:
      sysenter();
      return;
    case OP_0F | 0x35:
      sysexit(operand64(rec));
      return;
    case OP_0F | 0xa0:
      pushSegment(rec, SEG_FS);
      break;
    case OP_0F | 0xa1:
      popSegment(rec, SEG_FS);
      break;
    case OP_0F | 0xa2:
      cpuid();
      break;
    case OP_0F | 0xa8:
      pushSegment(rec, SEG_GS);
      break;
    case OP_0F | 0xa9:
      popSegment(rec, SEG_GS);
      break;
    case OP_0F | 0xb2:
      loadPointer(rec, SEG_SS);
      shadowSs(nextRip);
      break;
    case OP_0F | 0xb4:
      loadPointer(rec, SEG_FS);
      break;
    case OP_0F | 0xb5:
      loadPointer(rec, SEG_GS);
      break;
    case OP_0F | 0xae:
      segmentBase(rec, regField(rec));
      break;
    case OP_0F | 0xc7:
      random(rec, regField(rec));
      break;
    case OP_0F38 | 0x82:
      invpcid(rec);
      break;
    default:
      // RSM outside system management mode, and everything unknown.
      ud();
  }
  store<u64>(CPU_STATE_BASE + S_RIP, nextRip);
}

/** EDX:EAX. */
function pair(v: u64): void {
  setGpr32(0, <u32>v);
  setGpr32(2, <u32>(v >> 32));
}

/** With a 32-bit operand only the selector's 16 bits are written, as current processors do. */
function pushSegment(rec: usize, seg: i32): void {
  if (operand64(rec)) push(segSelector(seg), 8, 8);
  else push(segSelector(seg), 2, operand16(rec) ? 2 : 4);
}

function popSegment(rec: usize, seg: i32): void {
  frameCurrent();
  const size: u32 = operand64(rec) ? 8 : operand16(rec) ? 2 : 4;
  const selector = <u32>frameRead(0, size) & 0xffff;
  loadSegment(seg, selector);
  frameDrop(size);
  frameCommit();
}

/** LES LDS LSS LFS LGS. */
function loadPointer(rec: usize, seg: i32): void {
  if (!inMemory(rec)) ud();
  const reg = regOperand(rec);
  if (operand64(rec)) {
    const off = memRead64(recSeg(rec), recOff(rec));
    loadSegment(seg, memRead16(recSeg(rec), offsetPlus(rec, 8)));
    setGpr64(reg, off);
  } else if (operand16(rec)) {
    const off = memRead16(recSeg(rec), recOff(rec));
    loadSegment(seg, memRead16(recSeg(rec), offsetPlus(rec, 2)));
    setGpr16(reg, off);
  } else {
    const off = memRead32(recSeg(rec), recOff(rec));
    loadSegment(seg, memRead16(recSeg(rec), offsetPlus(rec, 4)));
    setGpr32(reg, off);
  }
}

function arpl(rec: usize): void {
  needProtected();
  const rpl = gpr16(regOperand(rec)) & 3;
  if (inMemory(rec)) {
    // Written, and checked for writing, only when it changes.
    const dest = memRead16(recSeg(rec), recOff(rec));
    if ((dest & 3) < rpl) {
      memWrite16(recSeg(rec), recOff(rec), (dest & ~3) | rpl);
      setZf(true);
    } else setZf(false);
    return;
  }
  const dest = gpr16(rmField(rec));
  if ((dest & 3) < rpl) {
    setGpr16(rmField(rec), (dest & ~3) | rpl);
    setZf(true);
  } else setZf(false);
}

/** SLDT STR LLDT LTR VERR VERW. */
function group6(rec: usize): void {
  needProtected();
  switch (regField(rec)) {
    case 0:
      needUmip();
      store16(rec, segSelector(SEG_LDTR));
      break;
    case 1:
      needUmip();
      store16(rec, segSelector(SEG_TR));
      break;
    case 2:
      needCpl0();
      lldt(source16(rec));
      break;
    case 3:
      needCpl0();
      ltr(source16(rec));
      break;
    case 4:
      setZf(verify(source16(rec), false));
      break;
    case 5:
      setZf(verify(source16(rec), true));
      break;
    default:
      ud();
  }
}

/** Base of the LDT or TSS whose descriptor was just fetched: 64 bits, canonical, in long mode. */
function tableBase(selector: u32): u64 {
  if (longMode()) fetchUpper(selector);
  const base = systemBase();
  if (!isCanonical(base)) raiseFaultErr(VEC_GP, selector & 0xfffc);
  return base;
}

function lldt(selector: u32): void {
  if (isNull(selector)) {
    setNull(SEG_LDTR, selector);
    return;
  }
  const error = selector & 0xfffc;
  if (selector & 4) raiseFaultErr(VEC_GP, error);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if ((attr & (ATTR_S | 15)) != 2) raiseFaultErr(VEC_GP, error);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, error);
  const base = tableBase(selector);
  setSegment(SEG_LDTR, selector, base, descLimit(descLo, descHi), attr);
}

function ltr(selector: u32): void {
  if (isNull(selector)) gp0();
  const error = selector & 0xfffc;
  if (selector & 4) raiseFaultErr(VEC_GP, error);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if ((attr & (ATTR_S | 7)) != 1 || (longMode() && !(attr & 8))) raiseFaultErr(VEC_GP, error);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, error);
  const base = tableBase(selector);
  linWriteSys8((descAt + 5) & linearMask(), (attr & 0xff) | 2);
  setSegment(SEG_TR, selector, base, descLimit(descLo, descHi), attr | 2);
}

/** The segment may be used at the current privilege with the selector's RPL. Descriptor left in descLo/descHi. */
function reachable(selector: u32): bool {
  if (isNull(selector) || !findDescriptor(selector)) return false;
  const attr = descAttr(descHi);
  if (isConforming(attr)) return true;
  return attrDpl(attr) >= cpl() && attrDpl(attr) >= (selector & 3);
}

/** VERR, VERW. */
function verify(selector: u32, write: bool): bool {
  if (!reachable(selector)) return false;
  const attr = descAttr(descHi);
  if (!(attr & ATTR_S)) return false;
  if (attr & ATTR_CODE) return !write && (attr & ATTR_RW) != 0;
  return !write || (attr & ATTR_RW) != 0;
}

/** System types that LAR and LSL accept: bit n = type n. SDM volume 2, LAR table 3-53, LSL table 3-61. */
const LAR_TYPES: u32 = 0x1a3e;
const LSL_TYPES: u32 = 0x0a0e;
/** In long mode: LDT, 64-bit TSS, 64-bit call gate. */
const LAR_TYPES_64: u32 = 0x1a04;
const LSL_TYPES_64: u32 = 0x0a04;

function inspect(selector: u32, types: u32): bool {
  if (!reachable(selector)) return false;
  const attr = descAttr(descHi);
  return (attr & ATTR_S) != 0 || ((types >> (attr & 15)) & 1) != 0;
}

function lar(rec: usize): void {
  needProtected();
  const ok = inspect(source16(rec), longMode() ? LAR_TYPES_64 : LAR_TYPES);
  if (ok) {
    const reg = regOperand(rec);
    if (operand16(rec)) setGpr16(reg, descHi & 0xff00);
    else setGpr32(reg, descHi & 0x00f0ff00);
  }
  setZf(ok);
}

function lsl(rec: usize): void {
  needProtected();
  const ok = inspect(source16(rec), longMode() ? LSL_TYPES_64 : LSL_TYPES);
  if (ok) {
    const reg = regOperand(rec);
    const limit = descLimit(descLo, descHi);
    if (operand16(rec)) setGpr16(reg, limit);
    else setGpr32(reg, limit);
  }
  setZf(ok);
}

/** SGDT SIDT LGDT LIDT SMSW LMSW INVLPG. */
function group7(rec: usize): void {
  const op = regField(rec);
  if (op == 4) {
    needUmip();
    if (operand64(rec) && !inMemory(rec)) setGpr64(rmField(rec), cr0());
    else store16(rec, <u32>cr0());
    return;
  }
  if (op == 6) {
    needCpl0();
    const v = source16(rec);
    // LMSW can set PE but not clear it.
    writeCr0((cr0() & ~(<u64>14)) | (v & 15));
    return;
  }
  if (!inMemory(rec)) {
    group7Register(load<u8>(rec, REC_MODRM));
    return;
  }
  switch (op) {
    case 0:
      needUmip();
      storeTable(rec, S_GDTR_BASE, S_GDTR_LIMIT);
      break;
    case 1:
      needUmip();
      storeTable(rec, S_IDTR_BASE, S_IDTR_LIMIT);
      break;
    case 2:
      loadTable(rec, S_GDTR_BASE, S_GDTR_LIMIT);
      break;
    case 3:
      loadTable(rec, S_IDTR_BASE, S_IDTR_LIMIT);
      break;
    case 7:
      needCpl0();
      invalidatePage(rec);
      break;
    default:
      ud();
  }
}

/** 0F 01 with a register, by the modrm byte. */
function group7Register(modrm: u32): void {
  switch (modrm) {
    case 0xc1:
      if (!paravirtual()) ud();
      hypercall();
      break;
    case 0xca:
    case 0xcb:
      setAccess(modrm == 0xcb);
      break;
    case 0xd0:
      xgetbv();
      break;
    case 0xd1:
      xsetbv();
      break;
    case 0xf8:
      swapgs();
      break;
    case 0xf9:
      rdtscp();
      break;
    default:
      ud();
  }
}

/** INVLPG: a non-canonical address is no fault, and no page. */
function invalidatePage(rec: usize): void {
  const seg = recSeg(rec);
  const off = recOff(rec);
  if (!code64()) tlbInvalidatePage((off + segBase(seg)) & 0xffffffff);
  else tlbInvalidatePage(seg >= SEG_FS ? off + segBase(seg) : off);
}

function storeTable(rec: usize, baseAt: usize, limitAt: usize): void {
  const seg = recSeg(rec);
  const base = load<u64>(CPU_STATE_BASE + baseAt);
  memProbeW(seg, recOff(rec), code64() ? 10 : 6);
  memWrite16(seg, recOff(rec), load<u32>(CPU_STATE_BASE + limitAt) & 0xffff);
  if (code64()) memWrite64(seg, offsetPlus(rec, 2), base);
  else memWrite32(seg, offsetPlus(rec, 2), <u32>base);
}

function loadTable(rec: usize, baseAt: usize, limitAt: usize): void {
  needCpl0();
  const limit = memRead16(recSeg(rec), recOff(rec));
  let base: u64;
  if (code64()) {
    base = memRead64(recSeg(rec), offsetPlus(rec, 2));
    if (!isCanonical(base)) gp0();
  } else {
    base = memRead32(recSeg(rec), offsetPlus(rec, 2));
    if (operand16(rec)) base &= 0xffffff;
  }
  store<u64>(CPU_STATE_BASE + baseAt, base);
  store<u32>(CPU_STATE_BASE + limitAt, limit);
}

/** Checks a MOV to or from a debug register and gives its place. */
/** A register that does not exist is an undefined opcode for everybody. */
function controlRegister(rec: usize): void {
  const n = <u32>regOperand(rec);
  if (n == 1 || n > 4 && n != 8) ud();
  needCpl0();
}

function debugRegister(rec: usize): usize {
  let n = <u32>regOperand(rec);
  if (n > 7) ud();
  needCpl0();
  if (n == 4 || n == 5) {
    if (cr4() & CR4_DE) ud();
    n += 2;
  }
  if (load<u32>(CPU_STATE_BASE + S_DR + 56) & DR7_GD) raiseDebug(DR6_BD);
  return CPU_STATE_BASE + S_DR + (<usize>n << 3);
}

function writeDebugRegister(at: usize, v: u64): void {
  const n = <u32>((at - (CPU_STATE_BASE + S_DR)) >> 3);
  // The upper halves of DR6 and DR7 are reserved (SDM volume 3 section 17.2.6).
  if (n >= 6 && v >> 32) gp0();
  if (n == 6) v = (v & 0xe00f) | DR6_ONES;
  else if (n == 7) v = (v & 0xffff23ff) | 0x400;
  store<u64>(at, v);
  if (n != 6) updateDebug();
}
