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
import { icebp } from './interrupt';
import { linWriteSys8, memProbeW, memRead16, memRead32, memReadW16, memWrite16, memWrite32 } from './mem';
import { readMsr, timeStamp, writeMsr } from './msr';
import { cr0, cr4 } from './paging';
import { OP_0F, REC_MODRM, REC_OPCODE, REC_REG, REC_RM, REC_SIZES, REC_MEM } from './record';
import {
  ATTR_CODE,
  ATTR_P,
  ATTR_RW,
  ATTR_S,
  attrDpl,
  cpl,
  descAt,
  descAttr,
  descBase,
  descHi,
  descLimit,
  descLo,
  fetchDescriptor,
  findDescriptor,
  iopl,
  isConforming,
  isNull,
  loadSegment,
  paragraphMode,
  protectedMode,
  segSelector,
  setCpl,
  setFromDescriptor,
  setNull,
  setSegment,
  updateMode,
} from './seg';
import { frameCommit, frameCurrent, frameDrop, frameRead, push } from './stack';
import { gpr16, gpr32, setGpr16, setGpr32 } from './state';
import {
  S_CR0,

  S_DR,
  S_GDTR_BASE,
  S_GDTR_LIMIT,
  S_HALTED,
  S_IDTR_BASE,
  S_IDTR_LIMIT,
  S_INT_SHADOW,
  S_MSR_SYSENTER_CS,
  S_MSR_SYSENTER_EIP,
  S_MSR_SYSENTER_ESP,
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
import { CR0_PE, CR0_TS, CR4_DE, CR4_TSD, FL_IF, FL_RF, FL_VM, FL_ZF, SY_SHADOW_SS } from './sysstate';
import { tlbInvalidatePage } from './tlb';

export { checkIoPermission } from './io';

const ESP = 4;
/** SYSENTER and SYSEXIT segments: flat, present, accessed; code execute-read, data read-write; D/B and G set. */
const ATTR_FLAT_CODE: u32 = 0xc09b;
const ATTR_FLAT_DATA: u32 = 0xc093;

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
// @ts-ignore: decorator
@inline
function rmField(rec: usize): i32 {
  return load<u8>(rec, REC_MODRM) & 7;
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
/** Effective offset `n` bytes after the operand's, wrapped to the address size. */
function offsetPlus(rec: usize, n: u32): u64 {
  const mask: u64 = ((load<u8>(rec, REC_SIZES) >> 4) & 3) == 1 ? 0xffff : 0xffffffff;
  return (recOff(rec) + n) & mask;
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
      if (protectedMode() && cpl() > iopl()) gp0();
      setEflags(0, FL_IF);
      break;
    case 0xfb:
      if (protectedMode() && cpl() > iopl()) gp0();
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
    case OP_0F | 0x20:
      needCpl0();
      setGpr32(rmField(rec), readCr(regField(rec)));
      break;
    case OP_0F | 0x21:
      setGpr32(rmField(rec), <u32>load<u64>(debugRegister(rec)));
      break;
    case OP_0F | 0x22:
      needCpl0();
      writeCr(regField(rec), gpr32(rmField(rec)));
      break;
    case OP_0F | 0x23:
      writeDebugRegister(debugRegister(rec), gpr32(rmField(rec)));
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
      sysexit();
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
  push(segSelector(seg), 2, operand16(rec) ? 2 : 4);
}

function popSegment(rec: usize, seg: i32): void {
  frameCurrent();
  const size: u32 = operand16(rec) ? 2 : 4;
  const selector = frameRead(0, size) & 0xffff;
  loadSegment(seg, selector);
  frameDrop(size);
  frameCommit();
}

/** LES LDS LSS LFS LGS. */
function loadPointer(rec: usize, seg: i32): void {
  if (!inMemory(rec)) ud();
  const reg: i32 = load<u8>(rec, REC_REG) & 7;
  if (operand16(rec)) {
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
  const rpl = gpr16(load<u8>(rec, REC_REG) & 7) & 3;
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
      store16(rec, segSelector(SEG_LDTR));
      break;
    case 1:
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
  setFromDescriptor(SEG_LDTR, selector, descLo, descHi);
}

function ltr(selector: u32): void {
  if (isNull(selector)) gp0();
  const error = selector & 0xfffc;
  if (selector & 4) raiseFaultErr(VEC_GP, error);
  fetchDescriptor(selector, VEC_GP);
  const attr = descAttr(descHi);
  if ((attr & (ATTR_S | 7)) != 1) raiseFaultErr(VEC_GP, error);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_NP, error);
  linWriteSys8((descAt + 5) & 0xffffffff, (attr & 0xff) | 2);
  setSegment(SEG_TR, selector, descBase(descLo, descHi), descLimit(descLo, descHi), attr | 2);
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

function inspect(selector: u32, types: u32): bool {
  if (!reachable(selector)) return false;
  const attr = descAttr(descHi);
  return (attr & ATTR_S) != 0 || ((types >> (attr & 15)) & 1) != 0;
}

function lar(rec: usize): void {
  needProtected();
  const ok = inspect(source16(rec), LAR_TYPES);
  if (ok) {
    const reg: i32 = load<u8>(rec, REC_REG) & 7;
    if (operand16(rec)) setGpr16(reg, descHi & 0xff00);
    else setGpr32(reg, descHi & 0x00f0ff00);
  }
  setZf(ok);
}

function lsl(rec: usize): void {
  needProtected();
  const ok = inspect(source16(rec), LSL_TYPES);
  if (ok) {
    const reg: i32 = load<u8>(rec, REC_REG) & 7;
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
    store16(rec, <u32>cr0());
    return;
  }
  if (op == 6) {
    needCpl0();
    const v = source16(rec);
    // LMSW can set PE but not clear it.
    writeCr0((cr0() & ~(<u64>14)) | (v & 15));
    return;
  }
  if (op == 5 || !inMemory(rec)) ud();
  switch (op) {
    case 0:
      storeTable(rec, S_GDTR_BASE, S_GDTR_LIMIT);
      break;
    case 1:
      storeTable(rec, S_IDTR_BASE, S_IDTR_LIMIT);
      break;
    case 2:
      loadTable(rec, S_GDTR_BASE, S_GDTR_LIMIT);
      break;
    case 3:
      loadTable(rec, S_IDTR_BASE, S_IDTR_LIMIT);
      break;
    default:
      needCpl0();
      tlbInvalidatePage(<u64>(<u32>recOff(rec) + load<u32>(CPU_STATE_BASE + 0x140 + (<usize>recSeg(rec) << 5))));
  }
}

function storeTable(rec: usize, baseAt: usize, limitAt: usize): void {
  const seg = recSeg(rec);
  memProbeW(seg, recOff(rec), 6);
  memWrite16(seg, recOff(rec), load<u32>(CPU_STATE_BASE + limitAt) & 0xffff);
  memWrite32(seg, offsetPlus(rec, 2), load<u32>(CPU_STATE_BASE + baseAt));
}

function loadTable(rec: usize, baseAt: usize, limitAt: usize): void {
  needCpl0();
  const limit = memRead16(recSeg(rec), recOff(rec));
  const base = memRead32(recSeg(rec), offsetPlus(rec, 2));
  store<u64>(CPU_STATE_BASE + baseAt, <u64>(operand16(rec) ? base & 0xffffff : base));
  store<u32>(CPU_STATE_BASE + limitAt, limit);
}

/** Checks a MOV to or from a debug register and gives its place. */
function debugRegister(rec: usize): usize {
  needCpl0();
  let n = regField(rec);
  if (n == 4 || n == 5) {
    if (cr4() & CR4_DE) ud();
    n += 2;
  }
  if (load<u32>(CPU_STATE_BASE + S_DR + 56) & DR7_GD) raiseDebug(DR6_BD);
  return CPU_STATE_BASE + S_DR + (<usize>n << 3);
}

function writeDebugRegister(at: usize, v: u32): void {
  const n = <u32>((at - (CPU_STATE_BASE + S_DR)) >> 3);
  if (n == 6) v = (v & 0xe00f) | DR6_ONES;
  else if (n == 7) v = (v & 0xffff23ff) | 0x400;
  store<u64>(at, <u64>v);
  if (n != 6) updateDebug();
}

function sysenter(): void {
  const cs = load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_CS) & 0xfffc;
  if (!(cr0() & CR0_PE) || !cs) gp0();
  setEflags(0, FL_VM | FL_IF | FL_RF);
  setSegment(SEG_CS, cs, 0, 0xffffffff, ATTR_FLAT_CODE);
  setSegment(SEG_SS, cs + 8, 0, 0xffffffff, ATTR_FLAT_DATA);
  setCpl(0);
  updateMode();
  setGpr32(ESP, load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_ESP));
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_EIP));
}

function sysexit(): void {
  const cs = load<u32>(CPU_STATE_BASE + S_MSR_SYSENTER_CS) & 0xfffc;
  if (!(cr0() & CR0_PE) || cpl() != 0 || !cs) gp0();
  setSegment(SEG_CS, (cs + 16) | 3, 0, 0xffffffff, ATTR_FLAT_CODE | 0x60);
  setSegment(SEG_SS, (cs + 24) | 3, 0, 0xffffffff, ATTR_FLAT_DATA | 0x60);
  setCpl(3);
  updateMode();
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>gpr32(2));
  setGpr32(ESP, gpr32(1));
}
