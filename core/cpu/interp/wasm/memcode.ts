/** Fetches of instructions by linear address. */
import { PM_READ } from '../../../memory/layout';
import { raiseFaultErr, raiseNoted } from './fault';
import { mmioRead } from './imports';
import { tlbTable } from './mem';
import { ACCESS_FETCH, maskA20, NO_PAGE, physEntry, walk, walkGlobal } from './paging';
import { countMiss, isCanonical, linearMask } from './slowaccess';
import { VEC_GP } from './stateoffsets';
import { ENTRY_GLOBAL, PAGE_MASK, TLB_USER, TLB_X, tlbInsert, tlbSlot } from './tlb';

/** Where codeTranslate() found no plain memory. */
let fetchAddress: u64 = 0;

/** Host offset of the instruction byte at linear address `lin` when the TLB has it, else 0. */
// @ts-ignore: decorator
@inline
export function codeHost(lin: u64): u32 {
  const e = tlbSlot(tlbTable() + TLB_X, lin);
  return load<u64>(e) == (lin & PAGE_MASK) ? <u32>lin + load<u32>(e, 8) : 0;
}

/** Host offset of the instruction byte at linear address `lin`, or 0 when it is not plain memory. Raises #PF. */
export function codeTranslate(lin: u64): u32 {
  const table = tlbTable();
  const e = tlbSlot(table + TLB_X, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) return <u32>lin + load<u32>(e, 8);
  countMiss(ACCESS_FETCH);
  if (!isCanonical(lin)) raiseFaultErr(VEC_GP, 0);
  const page = walk(lin & linearMask(), ACCESS_FETCH, table == TLB_USER);
  if (page == NO_PAGE) raiseNoted();
  const pa = maskA20(page | (lin & 0xfff));
  const entry = physEntry(pa);
  fetchAddress = pa;
  if (!(entry & PM_READ)) return 0;
  const host = (entry & 0xfffff000) | (<u32>pa & 0xfff);
  tlbInsert(table + TLB_X, lin & linearMask(), host, walkGlobal ? ENTRY_GLOBAL : 0);
  return host;
}

/** One instruction byte from wherever it is. Raises #PF. */
export function codeReadSlow8(lin: u64): u32 {
  const host = codeTranslate(lin);
  return host ? load<u8>(host) : mmioRead(<f64>fetchAddress, 1);
}
