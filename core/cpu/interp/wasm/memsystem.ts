/** Accesses by linear address at supervisor privilege whatever the CPL: descriptor tables, task states. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseNoted } from './fault';
import { read16, read32, read64, read8, write16, write32, write64, write8 } from './mem';
import { ACCESS_READ, ACCESS_WRITE, NO_PAGE, walkImplicit } from './paging';
import { linearMask, probeRead, probeWrite } from './slowaccess';
import { SY_USER_OPEN } from './sysstate';
import { PAGE_MASK, TLB_SUP } from './tlb';

/** While EFLAGS.AC opens users' pages to the system, they are in its tables, but not for these. */
function implicitAccess(lin: u64, size: u32, access: u32): void {
  const mask = linearMask();
  if (walkImplicit(lin & mask, access) == NO_PAGE) raiseNoted();
  const last = (lin + size - 1) & mask;
  if ((last ^ lin) & PAGE_MASK && walkImplicit(last & PAGE_MASK, access) == NO_PAGE) raiseNoted();
}

// @ts-ignore: decorator
@inline
function checkSys(lin: u64, size: u32, access: u32): void {
  if (load<u32>(CPU_STATE_BASE + SY_USER_OPEN)) implicitAccess(lin, size, access);
}

export function linReadSys8(lin: u64): u32 {
  checkSys(lin, 1, ACCESS_READ);
  return read8(TLB_SUP, lin);
}
export function linReadSys16(lin: u64): u32 {
  checkSys(lin, 2, ACCESS_READ);
  return read16(TLB_SUP, lin);
}
export function linReadSys32(lin: u64): u32 {
  checkSys(lin, 4, ACCESS_READ);
  return read32(TLB_SUP, lin);
}
export function linReadSys64(lin: u64): u64 {
  checkSys(lin, 8, ACCESS_READ);
  return read64(TLB_SUP, lin);
}
export function linWriteSys8(lin: u64, v: u32): void {
  checkSys(lin, 1, ACCESS_WRITE);
  write8(TLB_SUP, lin, v);
}
export function linWriteSys16(lin: u64, v: u32): void {
  checkSys(lin, 2, ACCESS_WRITE);
  write16(TLB_SUP, lin, v);
}
export function linWriteSys32(lin: u64, v: u32): void {
  checkSys(lin, 4, ACCESS_WRITE);
  write32(TLB_SUP, lin, v);
}
export function linWriteSys64(lin: u64, v: u64): void {
  checkSys(lin, 8, ACCESS_WRITE);
  write64(TLB_SUP, lin, v);
}
/** probeRead() and probeWrite() of a system's table or task state. */
export function probeReadSys(lin: u64, size: u32): void {
  checkSys(lin, size, ACCESS_READ);
  probeRead(TLB_SUP, lin, size);
}
export function probeWriteSys(lin: u64, size: u32): void {
  checkSys(lin, size, ACCESS_WRITE);
  probeWrite(TLB_SUP, lin, size);
}
