/**
 * Stack instructions of the core: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE, and BOUND (SDM volume 2). ESP moves after the last
 * access that can fault.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { recOff32, recSeg } from './ea';
import { raiseFault } from './fault';
import { F_AC, F_ARITH, F_DF, F_ID, F_IF, F_IOPL, F_NT, F_RF, F_TF, F_VIF, F_VM, getEflags, rawEflags, setEflags } from './flags';
import { linRead32, linWrite32 } from './mem';
import { memProbeW, memRead16, memRead32, memWrite16, memWrite32 } from './memsegment';
import { REC_REG } from './record';
import { updateAlignCheck } from './seg';
import { gpr16, gpr32, setGpr32 } from './state';
import { SEG_SS, S_CPL, S_GPR, S_STACK32, VEC_BR } from './stateoffsets';
import { asVif, checkTaskFlags, flagsForTask, virtualFlags } from './v86extensions';

const GPR: usize = CPU_STATE_BASE + S_GPR;
const ESP = 4;
const EBP = 5;

/** Bits of ESP that address the stack. */
// @ts-ignore: decorator
@inline
function stackMask(): u32 {
  return load<u32>(CPU_STATE_BASE + S_STACK32) ? 0xffff_ffff : 0xffff;
}
// @ts-ignore: decorator
@inline
function moveEsp(esp: u32, mask: u32): void {
  setGpr32(ESP, (gpr32(ESP) & ~mask) | (esp & mask));
}

// @ts-ignore: decorator
@inline
export function push16(v: u32): void {
  const mask = stackMask();
  const esp = gpr32(ESP) - 2;
  memWrite16(SEG_SS, <u64>(esp & mask), v);
  moveEsp(esp, mask);
}
// @ts-ignore: decorator
@inline
export function pop16(): u32 {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const v = memRead16(SEG_SS, <u64>(esp & mask));
  moveEsp(esp + 2, mask);
  return v;
}
/** POP to memory: an address that uses ESP sees it after the pop. */
export function popMem16(rec: usize): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const v = memRead16(SEG_SS, <u64>(esp & mask));
  moveEsp(esp + 2, mask);
  const off = recOff32(rec);
  setGpr32(ESP, esp);
  memWrite16(recSeg(rec), <u64>off, v);
  moveEsp(esp + 2, mask);
}
export function pusha16(): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  // A fault half-way leaves ESP as it was; what was written lies below the stack.
  for (let r: u32 = 0; r < 8; r++) memWrite16(SEG_SS, <u64>((esp - (r + 1) * 2) & mask), r == 4 ? esp : gpr32(<i32>r));
  moveEsp(esp - 16, mask);
}
export function popa16(): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const di = memRead16(SEG_SS, <u64>(esp & mask));
  const si = memRead16(SEG_SS, <u64>((esp + 2) & mask));
  const bp = memRead16(SEG_SS, <u64>((esp + 4) & mask));
  const bx = memRead16(SEG_SS, <u64>((esp + 8) & mask));
  const dx = memRead16(SEG_SS, <u64>((esp + 10) & mask));
  const cx = memRead16(SEG_SS, <u64>((esp + 12) & mask));
  const ax = memRead16(SEG_SS, <u64>((esp + 14) & mask));
  set16(7, di);
  set16(6, si);
  set16(5, bp);
  set16(3, bx);
  set16(2, dx);
  set16(1, cx);
  set16(0, ax);
  moveEsp(esp + 16, mask);
}
function set16(r: i32, v: u32): void {
  store<u16>(GPR + (<usize>r << 3), <u16>v);
}
export function pushf16(): void {
  push16(virtualFlags(2) ? flagsForTask() : getEflags());
}
export function popf16(): void {
  if (virtualFlags(2)) popTaskFlags();
  else popFlags(pop16(), 0xffff);
}
/** POPF that loads VIF in place of IF. */
function popTaskFlags(): void {
  checkTaskFlags(memRead16(SEG_SS, <u64>(gpr32(ESP) & stackMask())));
  setEflags(asVif(pop16()), F_ARITH | F_DF | F_NT | F_TF | F_VIF);
}
/** ENTER: `operands` = frame size | nesting level << 16. */
export function enter16(operands: u32): void {
  const mask = stackMask();
  const size = operands & 0xffff;
  const level = (operands >>> 16) & 31;
  let esp = gpr32(ESP) - 2;
  memWrite16(SEG_SS, <u64>(esp & mask), gpr16(EBP));
  const frame = esp;
  let link = gpr32(EBP);
  for (let i: u32 = 1; i < level; i++) {
    link -= 2;
    const v = memRead16(SEG_SS, <u64>(link & mask));
    esp -= 2;
    memWrite16(SEG_SS, <u64>(esp & mask), v);
  }
  if (level) {
    esp -= 2;
    memWrite16(SEG_SS, <u64>(esp & mask), (gpr32(ESP) & ~mask) | (frame & mask));
  }
  esp -= size;
  memProbeW(SEG_SS, <u64>(esp & mask), 2);
  moveEsp(esp, mask);
  store<u16>(GPR + 40, <u16>((gpr32(ESP) & ~mask) | (frame & mask)));
}
export function leave16(): void {
  const mask = stackMask();
  const ebp = gpr32(EBP);
  const v = memRead16(SEG_SS, <u64>(ebp & mask));
  moveEsp(ebp + 2, mask);
  store<u16>(GPR + 40, <u16>(v));
}
/** BOUND: #BR when the signed index is outside the pair in memory. */
export function bound16(rec: usize): void {
  const seg = recSeg(rec);
  const off = recOff32(rec);
  const lower = <i32>(<i16>memRead16(seg, <u64>off));
  const upper = <i32>(<i16>memRead16(seg, <u64>(off + 2)));
  const index = <i32>load<i16>(GPR + <usize>load<u8>(rec, REC_REG));
  if (index < lower || index > upper) raiseFault(VEC_BR);
}

// @ts-ignore: decorator
@inline
export function push32(v: u32): void {
  const mask = stackMask();
  const esp = gpr32(ESP) - 4;
  memWrite32(SEG_SS, <u64>(esp & mask), v);
  moveEsp(esp, mask);
}
// @ts-ignore: decorator
@inline
export function pop32(): u32 {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const v = memRead32(SEG_SS, <u64>(esp & mask));
  moveEsp(esp + 4, mask);
  return v;
}
/** POP to memory: an address that uses ESP sees it after the pop. */
export function popMem32(rec: usize): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const v = memRead32(SEG_SS, <u64>(esp & mask));
  moveEsp(esp + 4, mask);
  const off = recOff32(rec);
  setGpr32(ESP, esp);
  memWrite32(recSeg(rec), <u64>off, v);
  moveEsp(esp + 4, mask);
}
export function pusha32(): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  // A fault half-way leaves ESP as it was; what was written lies below the stack.
  for (let r: u32 = 0; r < 8; r++) memWrite32(SEG_SS, <u64>((esp - (r + 1) * 4) & mask), r == 4 ? esp : gpr32(<i32>r));
  moveEsp(esp - 32, mask);
}
export function popa32(): void {
  const mask = stackMask();
  const esp = gpr32(ESP);
  const di = memRead32(SEG_SS, <u64>(esp & mask));
  const si = memRead32(SEG_SS, <u64>((esp + 4) & mask));
  const bp = memRead32(SEG_SS, <u64>((esp + 8) & mask));
  const bx = memRead32(SEG_SS, <u64>((esp + 16) & mask));
  const dx = memRead32(SEG_SS, <u64>((esp + 20) & mask));
  const cx = memRead32(SEG_SS, <u64>((esp + 24) & mask));
  const ax = memRead32(SEG_SS, <u64>((esp + 28) & mask));
  set32(7, di);
  set32(6, si);
  set32(5, bp);
  set32(3, bx);
  set32(2, dx);
  set32(1, cx);
  set32(0, ax);
  moveEsp(esp + 32, mask);
}
function set32(r: i32, v: u32): void {
  setGpr32(r, v);
}
export function pushf32(): void {
  virtualFlags(4);
  push32(getEflags() & ~(F_VM | F_RF));
}
export function popf32(): void {
  virtualFlags(4);
  popFlags(pop32(), 0xffff_ffff);
}
/** ENTER: `operands` = frame size | nesting level << 16. */
export function enter32(operands: u32): void {
  const mask = stackMask();
  const size = operands & 0xffff;
  const level = (operands >>> 16) & 31;
  let esp = gpr32(ESP) - 4;
  memWrite32(SEG_SS, <u64>(esp & mask), gpr32(EBP));
  const frame = esp;
  let link = gpr32(EBP);
  for (let i: u32 = 1; i < level; i++) {
    link -= 4;
    const v = memRead32(SEG_SS, <u64>(link & mask));
    esp -= 4;
    memWrite32(SEG_SS, <u64>(esp & mask), v);
  }
  if (level) {
    esp -= 4;
    memWrite32(SEG_SS, <u64>(esp & mask), (gpr32(ESP) & ~mask) | (frame & mask));
  }
  esp -= size;
  memProbeW(SEG_SS, <u64>(esp & mask), 4);
  moveEsp(esp, mask);
  setGpr32(EBP, (gpr32(ESP) & ~mask) | (frame & mask));
}
export function leave32(): void {
  const mask = stackMask();
  const ebp = gpr32(EBP);
  const v = memRead32(SEG_SS, <u64>(ebp & mask));
  moveEsp(ebp + 4, mask);
  setGpr32(EBP, v);
}
/** BOUND: #BR when the signed index is outside the pair in memory. */
export function bound32(rec: usize): void {
  const seg = recSeg(rec);
  const off = recOff32(rec);
  const lower = <i32>(<i32>memRead32(seg, <u64>off));
  const upper = <i32>(<i32>memRead32(seg, <u64>(off + 4)));
  const index = <i32>load<i32>(GPR + <usize>load<u8>(rec, REC_REG));
  if (index < lower || index > upper) raiseFault(VEC_BR);
}

/** What POPF may change: IOPL at CPL 0 only, IF when CPL <= IOPL. RF is cleared, VM kept (SDM volume 2 table 4-15). */
export function popFlags(value: u32, size: u32): void {
  const flags = rawEflags();
  const cpl = load<u32>(CPU_STATE_BASE + S_CPL);
  let mask: u32 = F_ARITH | F_TF | F_DF | F_NT | F_AC | F_ID;
  if (flags & F_VM) mask |= F_IF;
  else {
    if (cpl == 0) mask |= F_IOPL;
    if (cpl <= (flags & F_IOPL) >>> 12) mask |= F_IF;
  }
  setEflags(value & ~F_RF, (mask & size) | (size == 0xffff ? 0 : F_RF));
  if ((flags ^ value) & size & F_AC) updateAlignCheck();
}

// Flat mode: a 32-bit stack over the whole linear space.

// @ts-ignore: decorator
@inline
export function pushFlat(v: u32): void {
  const esp = gpr32(ESP) - 4;
  linWrite32(<u64>esp, v);
  setGpr32(ESP, esp);
}
// @ts-ignore: decorator
@inline
export function popFlat(): u32 {
  const esp = gpr32(ESP);
  const v = linRead32(<u64>esp);
  setGpr32(ESP, esp + 4);
  return v;
}
// @ts-ignore: decorator
@inline
export function leaveFlat(): void {
  const ebp = gpr32(EBP);
  const v = linRead32(<u64>ebp);
  setGpr32(ESP, ebp + 4);
  setGpr32(EBP, v);
}
