/**
 * Supervisor-mode access prevention in the TLB (SDM volume 3, 4.6.1): with CR4.SMAP the system reaches users' data pages only while EFLAGS.AC is set,
 * which STAC, CLAC and POPF change at every copy to or from a user. The system's tables hold such pages only as long; each of them is noted, taken out
 * when AC goes and put back when it comes again, so that copies do not begin with a page walk each.
 *
 *   item, 16 bytes:  +0 u64 linear page address, with the number of its table in the lower bits; ~0: not set aside
 *                    +8 u32 offset as in the entry
 *                    +12 u32 the entry
 */
import { CODE_MAP_BASE, CPU_STATE_BASE, TLB_BASE } from '../../../memory/layout';
import { SY_OPENED_COUNT, SY_OPENED_NEXT } from './sysstate';
import { ENTRY_OPENED, LIST_OPENED, OPENED_MAX, PAGE_MASK, tlbEnter, tlbInsert, tlbSlot } from './tlb';

const EMPTY: u64 = 0xffff_ffff_ffff_ffff;

/** Number of a write table, from the entry's table counted from TLB_BASE. */
// @ts-ignore: decorator
@inline
export function isWriteTable(number: usize): bool {
  return number == 1 || number == 4;
}

// @ts-ignore: decorator
@inline
function isOpened(e: usize): bool {
  return load<u64>(e) != EMPTY && (load<u32>(e, 12) & ENTRY_OPENED) != 0;
}

/** Enters a user's page that the system may reach now. */
export function tlbInsertOpened(table: usize, lin: u64, host: usize): void {
  const count = load<u32>(CPU_STATE_BASE + SY_OPENED_COUNT);
  let place = count;
  if (count < OPENED_MAX) store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, count + 1);
  else {
    // The oldest makes room.
    place = load<u32>(CPU_STATE_BASE + SY_OPENED_NEXT) & (OPENED_MAX - 1);
    store<u32>(CPU_STATE_BASE + SY_OPENED_NEXT, place + 1);
    const old: usize = load<u32>(LIST_OPENED + (place << 4), 12);
    if (isOpened(old)) store<u64>(old, EMPTY);
  }
  const item = LIST_OPENED + (<usize>place << 4);
  store<u64>(item, EMPTY);
  store<u32>(item, <u32>tlbSlot(table, lin), 12);
  tlbInsert(table, lin, host, ENTRY_OPENED);
}

/** AC is gone, or the user goes on: sets all of them aside. */
export function tlbCloseUser(): void {
  const count = load<u32>(CPU_STATE_BASE + SY_OPENED_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    const item = LIST_OPENED + (<usize>i << 4);
    const e: usize = load<u32>(item, 12);
    if (!isOpened(e)) {
      store<u64>(item, EMPTY);
      continue;
    }
    store<u64>(item, load<u64>(e) | (<u64>(e - TLB_BASE) >> 16));
    store<u32>(item, load<u32>(e, 8), 8);
    store<u64>(e, EMPTY);
  }
}

/** AC is there again. */
export function tlbOpenUser(): void {
  const count = load<u32>(CPU_STATE_BASE + SY_OPENED_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    const item = LIST_OPENED + (<usize>i << 4);
    const tag = load<u64>(item);
    if (tag == EMPTY) continue;
    const number = <usize>tag & 7;
    const offset = load<u32>(item, 8);
    // Meanwhile code may have been found there.
    if (isWriteTable(number) && load<u8>(CODE_MAP_BASE + ((<u32>tag + offset) >> 12))) continue;
    tlbEnter(TLB_BASE + (number << 16), tag & PAGE_MASK, offset, ENTRY_OPENED);
  }
}
