/**
 * Virtual-8086 mode extensions and protected-mode virtual interrupts (SDM volume 3, 20.3 and 20.4): with CR4.VME, 16-bit code of a task whose IOPL is below 3 works
 * on VIF in place of IF, and a bit for each vector in its TSS leads INT n to the task's own handler; with CR4.PVI, CLI and STI of users do
 * the same with VIF.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { F_IF, F_IOPL, F_TF, F_VIF, F_VIP, F_VM, getEflags, rawEflags, setEflags } from './flags';
import { linReadSys16, linReadSys8 } from './memsystem';
import { cr4 } from './paging';
import { cpl, iopl, loadSegmentReal, segAttr, segBase, segLimit, segSelector, v86Mode } from './seg';
import { frameCommit, frameCurrent, framePush, frameReserve } from './stack';
import { S_RIP, SEG_CS, SEG_TR, VEC_GP } from './stateoffsets';
import { CR4_PVI, CR4_VME } from './sysstate';

/** TSS offset of the I/O map base, below which the 32 bytes of the redirection map end. */
const IO_MAP_BASE: u32 = 102;
const REDIRECTION_BYTES: u32 = 32;

function gp0(): void {
  raiseFaultErr(VEC_GP, 0);
}

/** CLI and STI, which IOPL forbids: on VIF, or #GP(0). */
export function virtualInterruptFlag(on: bool): void {
  const mine = v86Mode() ? cr4() & CR4_VME : cpl() == 3 ? cr4() & CR4_PVI : 0;
  if (!mine || (on && rawEflags() & F_VIP)) gp0();
  setEflags(on ? F_VIF : 0, F_VIF);
}

/** Virtual-8086 mode with an IOPL below 3, in which PUSHF, POPF and IRET of `size` 2 work on VIF; otherwise they are #GP(0). */
export function virtualFlags(size: u32): bool {
  const flags = rawEflags();
  if (!(flags & F_VM) || (flags & F_IOPL) == F_IOPL) return false;
  if (size != 2 || !(cr4() & CR4_VME)) gp0();
  return true;
}

/** What PUSHF and INT n push then. */
export function flagsForTask(): u32 {
  const flags = getEflags();
  return (flags & ~F_IF) | F_IOPL | (flags & F_VIF ? F_IF : 0);
}

/** Whether POPF and IRET may load `value`: #GP(0) when not. */
export function checkTaskFlags(value: u32): void {
  if (value & F_TF || (value & F_IF && rawEflags() & F_VIP)) gp0();
}

/** IF of `value`, as VIF. */
// @ts-ignore: decorator
@inline
export function asVif(value: u32): u32 {
  return value & F_IF ? value | F_VIF : value & ~F_VIF;
}

/** The task handles INT `vector` itself. #GP(0) when its TSS has no such map. */
function redirected(vector: u32): bool {
  if (!(cr4() & CR4_VME)) return false;
  const limit = segLimit(SEG_TR);
  if ((segAttr(SEG_TR) & 0x9d) != 0x89 || limit < IO_MAP_BASE + 1) gp0();
  const base = segBase(SEG_TR);
  const at = linReadSys16((base + IO_MAP_BASE) & 0xffffffff) - REDIRECTION_BYTES + (vector >> 3);
  if (at > limit) gp0();
  return ((linReadSys8((base + at) & 0xffffffff) >> (vector & 7)) & 1) == 0;
}

/** INT n in virtual-8086 mode: true when it went to the task's own handler. Otherwise it needs IOPL 3. */
export function softInterruptV86(vector: u32, nextRip: u64): bool {
  if (!redirected(vector)) {
    if (iopl() < 3) gp0();
    return false;
  }
  const ip = linReadSys16(vector << 2);
  const cs = linReadSys16((vector << 2) + 2);
  const real = iopl() == 3;
  frameCurrent();
  frameReserve(3, 2);
  framePush(real ? getEflags() : flagsForTask(), 2);
  framePush(segSelector(SEG_CS), 2);
  framePush(<u32>nextRip, 2);
  frameCommit();
  setEflags(0, F_TF | (real ? F_IF : F_VIF));
  loadSegmentReal(SEG_CS, cs);
  store<u64>(CPU_STATE_BASE + S_RIP, <u64>ip);
  return true;
}
