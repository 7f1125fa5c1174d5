/**
 * Stack instructions in 64-bit mode: pushpop.ts with RSP and linear addresses. Operands have 64 bits, or 16 with an operand size prefix (the
 * names that end in Long). RSP moves after the last access that can fault.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { recLin } from './ea';
import { F_RF, F_VM, getEflags } from './flags';
import { linRead16, linRead64, linWrite16, linWrite64, tlbTable } from './mem';
import { probeWrite } from './slowaccess';
import { popFlags } from './pushpop';
import { gpr16, gpr64, setGpr16, setGpr64 } from './state';

const RSP = 4;
const RBP = 5;

// @ts-ignore: decorator
@inline
export function push64(v: u64): void {
  const rsp = gpr64(RSP) - 8;
  linWrite64(rsp, v);
  setGpr64(RSP, rsp);
}
// @ts-ignore: decorator
@inline
export function pop64(): u64 {
  const rsp = gpr64(RSP);
  const v = linRead64(rsp);
  setGpr64(RSP, rsp + 8);
  return v;
}
export function push16Long(v: u32): void {
  const rsp = gpr64(RSP) - 2;
  linWrite16(rsp, v);
  setGpr64(RSP, rsp);
}
export function pop16Long(): u32 {
  const rsp = gpr64(RSP);
  const v = linRead16(rsp);
  setGpr64(RSP, rsp + 2);
  return v;
}

/** Address of a POP to memory: one that uses RSP sees it after the pop. */
function popAddress(rec: usize, rsp: u64, size: u64): u64 {
  setGpr64(RSP, rsp + size);
  const lin = recLin(rec);
  setGpr64(RSP, rsp);
  return lin;
}
export function popMem64(rec: usize): void {
  const rsp = gpr64(RSP);
  const v = linRead64(rsp);
  linWrite64(popAddress(rec, rsp, 8), v);
  setGpr64(RSP, rsp + 8);
}
export function popMem16Long(rec: usize): void {
  const rsp = gpr64(RSP);
  const v = linRead16(rsp);
  linWrite16(popAddress(rec, rsp, 2), v);
  setGpr64(RSP, rsp + 2);
}

export function pushf64(): void {
  push64(<u64>(getEflags() & ~(F_VM | F_RF)));
}
export function pushf16Long(): void {
  push16Long(getEflags());
}
export function popf64(): void {
  popFlags(<u32>pop64(), 0xffff_ffff);
}
export function popf16Long(): void {
  popFlags(pop16Long(), 0xffff);
}

/** ENTER: `operands` = frame size | nesting level << 16. */
export function enter64(operands: u32): void {
  const size = <u64>(operands & 0xffff);
  const level = (operands >>> 16) & 31;
  let rsp = gpr64(RSP) - 8;
  linWrite64(rsp, gpr64(RBP));
  const frame = rsp;
  let link = gpr64(RBP);
  for (let i: u32 = 1; i < level; i++) {
    link -= 8;
    const v = linRead64(link);
    rsp -= 8;
    linWrite64(rsp, v);
  }
  if (level) {
    rsp -= 8;
    linWrite64(rsp, frame);
  }
  rsp -= size;
  probeWrite(tlbTable(), rsp, 8);
  setGpr64(RSP, rsp);
  setGpr64(RBP, frame);
}
export function enter16Long(operands: u32): void {
  const size = <u64>(operands & 0xffff);
  const level = (operands >>> 16) & 31;
  let rsp = gpr64(RSP) - 2;
  linWrite16(rsp, gpr16(RBP));
  const frame = rsp;
  let link = gpr64(RBP);
  for (let i: u32 = 1; i < level; i++) {
    link -= 2;
    const v = linRead16(link);
    rsp -= 2;
    linWrite16(rsp, v);
  }
  if (level) {
    rsp -= 2;
    linWrite16(rsp, <u32>frame);
  }
  rsp -= size;
  probeWrite(tlbTable(), rsp, 2);
  setGpr64(RSP, rsp);
  setGpr16(RBP, <u32>frame);
}
export function leave64(): void {
  const rbp = gpr64(RBP);
  const v = linRead64(rbp);
  setGpr64(RSP, rbp + 8);
  setGpr64(RBP, v);
}
export function leave16Long(): void {
  const rbp = gpr64(RBP);
  const v = linRead16(rbp);
  setGpr64(RSP, rbp + 2);
  setGpr16(RBP, v);
}
