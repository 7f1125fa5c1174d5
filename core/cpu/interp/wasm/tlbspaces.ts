/**
 * Address spaces with identifiers in the TLB (process-context identifiers, SDM volume 3, 4.10.1): the tables hold what is global and what belongs to
 * the current space. When a MOV to CR3 goes to another one, what they hold of the old one is set aside under its PCID; when it goes there with bit 63 set, which
 * keeps what was cached, that is entered again. So lookups know nothing of spaces, and no process begins with a page walk for each of its pages.
 *
 * Global pages are never set aside, so that INVLPG has to look at the tables only.
 *
 *   space:  +0 u32 PCID + 1, 0 when there is none; +4 u32 items; +8 u32 when it was left last; then SPACE_MAX items of 16 bytes:
 *           +0 u64 linear page address, with the number of its table in the lower bits; +8 u32 offset as in the entry
 */
import { CODE_MAP_BASE, CPU_STATE_BASE, TLB_BASE } from '../../../memory/layout';
import { SY_LOCAL_COUNT, SY_OPENED_COUNT, SY_SPACES, SY_SPACE_STAMP } from './sysstate';
import {
  bumpGeneration, ENTRY_GLOBAL, ENTRY_OPENED, LIST_LOCAL, LIST_MAX, PAGE_MASK, tlbEmpty, tlbEnter, tlbFlushLocal, tlbMayBeLarge, tlbSlot,
} from './tlb';
import { isWriteTable } from './tlbopened';

const SPACES: usize = TLB_BASE + 0x100000;
/** Linux uses six. */
const SPACE_COUNT: usize = 8;
const SPACE_MAX: u32 = 1023;
const SPACE_SIZE: usize = 0x4000;
const HEAD: usize = 16;
const EMPTY: u64 = 0xffff_ffff_ffff_ffff;

/** The space of this PCID, or 0. */
function spaceOf(pcid: u32): usize {
  if (!load<u32>(CPU_STATE_BASE + SY_SPACES)) return 0;
  for (let i: usize = 0; i < SPACE_COUNT; i++) {
    const space = SPACES + i * SPACE_SIZE;
    if (load<u32>(space) == pcid + 1) return space;
  }
  return 0;
}

/** Room for this PCID: its own, an empty one, or that which was left longest ago. */
function roomFor(pcid: u32): usize {
  if (!load<u32>(CPU_STATE_BASE + SY_SPACES)) {
    for (let i: usize = 0; i < SPACE_COUNT; i++) store<u32>(SPACES + i * SPACE_SIZE, 0);
    store<u32>(CPU_STATE_BASE + SY_SPACES, 1);
  }
  let oldest = SPACES;
  let age: u32 = 0;
  const now = load<u32>(CPU_STATE_BASE + SY_SPACE_STAMP);
  for (let i: usize = 0; i < SPACE_COUNT; i++) {
    const space = SPACES + i * SPACE_SIZE;
    const owner = load<u32>(space);
    if (owner == pcid + 1) return space;
    const since: u32 = owner ? now - load<u32>(space, 8) : 0xffff_ffff;
    if (since >= age) {
      age = since;
      oldest = space;
    }
  }
  return oldest;
}

/** Empties the tables of everything but global pages, and sets it aside for `pcid`. */
function leave(pcid: u32): void {
  const count = load<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT);
  if (count > LIST_MAX) {
    tlbForgetSpace(pcid);
    tlbEmpty();
    return;
  }
  const space = roomFor(pcid);
  let items: u32 = 0;
  // The latest first: they are the likeliest to be wanted again.
  for (let i = count; i-- > 0; ) {
    const e: usize = load<u32>(LIST_LOCAL + (i << 2));
    const tag = load<u64>(e);
    const flags = load<u32>(e, 12);
    if (tag == EMPTY || flags & ENTRY_GLOBAL) continue;
    store<u64>(e, EMPTY);
    if (items == SPACE_MAX || flags & ENTRY_OPENED) continue;
    const item = space + HEAD + (items++ << 4);
    store<u64>(item, tag | (<u64>(e - TLB_BASE) >> 16));
    store<u32>(item, load<u32>(e, 8), 8);
  }
  const stamp = load<u32>(CPU_STATE_BASE + SY_SPACE_STAMP) + 1;
  store<u32>(CPU_STATE_BASE + SY_SPACE_STAMP, stamp);
  store<u32>(space, pcid + 1);
  store<u32>(space, items, 4);
  store<u32>(space, stamp, 8);
  store<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, 0);
}

/** Enters what was set aside. */
function enter(pcid: u32): void {
  const space = spaceOf(pcid);
  if (!space) return;
  const items = load<u32>(space, 4);
  for (let i: u32 = 0; i < items; i++) {
    const item = space + HEAD + (i << 4);
    const tag = load<u64>(item);
    if (tag == EMPTY) continue;
    const number = <usize>tag & 7;
    const offset = load<u32>(item, 8);
    // Meanwhile code may have been found there.
    if (isWriteTable(number) && load<u8>(CODE_MAP_BASE + ((<u32>tag + offset) >> 12))) continue;
    const table = TLB_BASE + (number << 16);
    // What is there is global.
    if (load<u64>(tlbSlot(table, tag)) != EMPTY) continue;
    tlbEnter(table, tag & PAGE_MASK, offset, 0);
  }
  store<u32>(space, 0);
}

/** MOV to CR3 with PCIDs on. `keep`: what is known of the new space stays. */
export function tlbSwitchSpace(from: u32, to: u32, keep: bool): void {
  if (from == to) {
    if (!keep) tlbFlushLocal();
    return;
  }
  leave(from);
  if (keep) enter(to);
  else tlbForgetSpace(to);
  bumpGeneration();
}

/** Forgets what was set aside for `pcid`, which is not that of the current space. */
export function tlbForgetSpace(pcid: u32): void {
  const space = spaceOf(pcid);
  if (space) store<u32>(space, 0);
}

/** Forgets one page of such a space. */
export function tlbForgetPage(pcid: u32, lin: u64): void {
  const space = spaceOf(pcid);
  if (!space) return;
  if (tlbMayBeLarge(lin)) {
    store<u32>(space, 0);
    return;
  }
  const items = load<u32>(space, 4);
  for (let i: u32 = 0; i < items; i++) {
    const item = space + HEAD + (i << 4);
    if ((load<u64>(item) & PAGE_MASK) == (lin & PAGE_MASK)) store<u64>(item, EMPTY);
  }
}

/** Forgets all spaces but the current one. */
export function tlbForgetSpaces(): void {
  store<u32>(CPU_STATE_BASE + SY_SPACES, 0);
}
