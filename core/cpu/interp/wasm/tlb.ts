/**
 * Software TLB: hashed direct-mapped tables in TLB_BASE, one triple (read, write, execute) per privilege.
 *
 *   entry, 16 bytes:  +0  u64 linear page address, or ~0 when empty
 *                     +8  u32 host offset minus linear address, modulo 2^32
 *                     +12 u32 ENTRY_*
 *
 * A probe compares the page of the LAST byte of the access with the tag found under its FIRST byte, so page-crossing accesses miss by
 * themselves. Only plain memory is entered; the write tables hold no page with decoded code, and no page under a data breakpoint is
 * entered at all, so that one compare proves that none of the slow cases applies.
 *
 * Every filled slot is noted in one of two lists (pages that survive a CR3 write, and the others), so a flush clears what was filled
 * since the last one and not the whole table.
 *
 * What is where from TLB_BASE on: tables, lists from 0x60000, maps of large pages from 0x70000, opened pages from 0x72800, counters of heat from 0x80000 (jitheat.ts),
 * address spaces from 0x100000 (tlbspaces.ts).
 *
 * The tables hold global pages and those of one address space. What they held of others that have a PCID is set aside (tlbspaces.ts); and so are users'
 * pages that the system may not reach just now because of SMAP (tlbopened.ts).
 */
import { CPU_STATE_BASE, TLB_BASE } from '../../../memory/layout';
import { SY_GLOBAL_COUNT, SY_HIGH_SUP, SY_HIGH_USER, SY_LARGE_ANY, SY_LOCAL_COUNT, SY_OPENED_COUNT, SY_SPACES, SY_TLB_GEN, SY_USER_OPEN } from './sysstate';

export const TLB_SUP: usize = TLB_BASE;
export const TLB_USER: usize = TLB_BASE + 0x30000;
/** Offsets of the write and execute tables from TLB_SUP or TLB_USER. */
export const TLB_W: usize = 0x10000;
export const TLB_X: usize = 0x20000;
const TLB_TABLES_SIZE: usize = 0x60000;
export const LIST_LOCAL: usize = TLB_BASE + 0x60000;
const LIST_GLOBAL: usize = TLB_BASE + 0x68000;
export const LIST_MAX: u32 = 4096;
/**
 * Regions of linear space that hold pieces of large pages, all of which INVLPG must drop: one bit for each 2 MiB, hashed to 65,536 bits, and
 * one for each 1 GiB, hashed to 1,024. A bit that means another region costs a flush too many and nothing else.
 */
const LARGE_MAP: usize = TLB_BASE + 0x70000;
const HUGE_MAP: usize = TLB_BASE + 0x72000;
const LARGE_MAPS_SIZE: usize = 0x2080;

/** Users' pages that the system's tables hold while SMAP lets it, or that are set aside until then; 16 bytes each (tlbopened.ts). */
export const LIST_OPENED: usize = TLB_BASE + 0x72800;
export const OPENED_MAX: u32 = 16;

export const PAGE_MASK: u64 = 0xfffffffffffff000;

/** It survives CR3 writes. */
export const ENTRY_GLOBAL: u32 = 1;
/** A user's page in the system's tables, which is there while SMAP lets the system reach it only. */
export const ENTRY_OPENED: u32 = 2;

// @ts-ignore: decorator
@inline
export function tlbSlot(table: usize, lin: u64): usize {
  return table + ((<usize>lin >> 8) & 0xfff0);
}

// @ts-ignore: decorator
@inline
export function bumpGeneration(): void {
  store<u32>(CPU_STATE_BASE + SY_TLB_GEN, load<u32>(CPU_STATE_BASE + SY_TLB_GEN) + 1);
}

/** Enters one page into `table`; `host` is any byte of the host page, `flags` are of ENTRY_*. */
export function tlbInsert(table: usize, lin: u64, host: usize, flags: u32): void {
  tlbEnter(table, lin, (<u32>host & 0xfffff000) - (<u32>lin & 0xfffff000), flags);
}

/** The same with `offset` as the entry has it. */
// @ts-ignore: decorator
@inline
export function tlbEnter(table: usize, lin: u64, offset: u32, flags: u32): void {
  const e = tlbSlot(table, lin);
  store<u64>(e, lin & PAGE_MASK);
  store<u32>(e, offset, 8);
  store<u32>(e, flags, 12);
  if (lin >> 32) store<u32>(CPU_STATE_BASE + (table >= TLB_USER ? SY_HIGH_USER : SY_HIGH_SUP), 1);
  const global = (flags & ENTRY_GLOBAL) != 0;
  const counter: usize = CPU_STATE_BASE + (global ? SY_GLOBAL_COUNT : SY_LOCAL_COUNT);
  const n = load<u32>(counter);
  if (n < LIST_MAX) store<u32>((global ? LIST_GLOBAL : LIST_LOCAL) + (n << 2), <u32>e);
  if (n <= LIST_MAX) store<u32>(counter, n + 1);
}

// @ts-ignore: decorator
@inline
function largeIndex(lin: u64): usize {
  return (<usize>(lin >> 21) ^ <usize>(lin >> 37)) & 0xffff;
}
// @ts-ignore: decorator
@inline
function hugeIndex(lin: u64): usize {
  return (<usize>(lin >> 30) ^ <usize>(lin >> 38)) & 0x3ff;
}

function noteRegion(map: usize, index: usize): void {
  const at = map + (index >> 3);
  store<u8>(at, load<u8>(at) | (1 << <u8>(index & 7)));
  store<u32>(CPU_STATE_BASE + SY_LARGE_ANY, 1);
}

// @ts-ignore: decorator
@inline
function noted(map: usize, index: usize): bool {
  return ((load<u8>(map + (index >> 3)) >> <u8>(index & 7)) & 1) != 0;
}

/** The page around `lin` may be a piece of a large one. */
export function tlbMayBeLarge(lin: u64): bool {
  return load<u32>(CPU_STATE_BASE + SY_LARGE_ANY) != 0 && (noted(LARGE_MAP, largeIndex(lin)) || noted(HUGE_MAP, hugeIndex(lin)));
}

/** Notes that the page around `lin` came from a 2 MiB page. */
export function tlbNoteLarge(lin: u64): void {
  noteRegion(LARGE_MAP, largeIndex(lin));
}

/** The same for a 1 GiB page. */
export function tlbNoteHuge(lin: u64): void {
  noteRegion(HUGE_MAP, hugeIndex(lin));
}

function forgetLarge(): void {
  if (!load<u32>(CPU_STATE_BASE + SY_LARGE_ANY)) return;
  memory.fill(LARGE_MAP, 0, LARGE_MAPS_SIZE);
  store<u32>(CPU_STATE_BASE + SY_LARGE_ANY, 0);
}

function clearList(list: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) store<u64>(load<u32>(list + (i << 2)), ~(<u64>0));
}

function dropHigh(list: usize, count: u32, table: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const e = <usize>load<u32>(list + (i << 2));
    if (e >= table && e < table + TLB_USER - TLB_SUP && load<u64>(e) >> 32) store<u64>(e, ~(<u64>0));
  }
}

/** Before 32-bit code runs with the tables at `table` (TLB_SUP or TLB_USER): drops pages above 4 GiB. */
export function tlbLeaveLong(table: usize): void {
  const flag: usize = CPU_STATE_BASE + (table == TLB_USER ? SY_HIGH_USER : SY_HIGH_SUP);
  if (!load<u32>(flag)) return;
  store<u32>(flag, 0);
  const local = load<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT);
  const global = load<u32>(CPU_STATE_BASE + SY_GLOBAL_COUNT);
  if (local > LIST_MAX || global > LIST_MAX) {
    tlbFlushAll();
    return;
  }
  dropHigh(LIST_LOCAL, local, table);
  dropHigh(LIST_GLOBAL, global, table);
  // What is set aside may be above 4 GiB, too.
  if (!load<u32>(CPU_STATE_BASE + SY_USER_OPEN)) store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, 0);
  bumpGeneration();
}

/** Forgets everything, of all address spaces. */
export function tlbFlushAll(): void {
  store<u32>(CPU_STATE_BASE + SY_SPACES, 0);
  tlbEmpty();
}

/** Empties every table; other address spaces keep what was set aside for them. */
export function tlbEmpty(): void {
  const local = load<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT);
  const global = load<u32>(CPU_STATE_BASE + SY_GLOBAL_COUNT);
  if (local > LIST_MAX || global > LIST_MAX) memory.fill(TLB_BASE, 0xff, TLB_TABLES_SIZE);
  else {
    clearList(LIST_LOCAL, local);
    clearList(LIST_GLOBAL, global);
  }
  store<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_GLOBAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, 0);
  if (!load<u32>(CPU_STATE_BASE + SY_SPACES)) forgetLarge();
  bumpGeneration();
}

/** Empties the tables of everything but global pages: what a CR3 write does. */
export function tlbFlushLocal(): void {
  const local = load<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT);
  if (local > LIST_MAX) {
    tlbEmpty();
    return;
  }
  clearList(LIST_LOCAL, local);
  store<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, 0);
  bumpGeneration();
}

/** First use of the memory, whatever it holds. */
export function tlbInit(): void {
  memory.fill(TLB_BASE, 0xff, TLB_TABLES_SIZE);
  store<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_GLOBAL_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_OPENED_COUNT, 0);
  store<u32>(CPU_STATE_BASE + SY_SPACES, 0);
  store<u32>(CPU_STATE_BASE + SY_LARGE_ANY, 1);
  forgetLarge();
  bumpGeneration();
}

function dropPage(table: usize, lin: u64): void {
  const e = tlbSlot(table, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) store<u64>(e, ~(<u64>0));
}

/** INVLPG: drops the page, global or not; all pieces of a large page when it may be one. */
export function tlbInvalidatePage(lin: u64): void {
  if (tlbMayBeLarge(lin)) {
    tlbEmpty();
    return;
  }
  for (let table = TLB_SUP; table < TLB_SUP + TLB_TABLES_SIZE; table += 0x10000) dropPage(table, lin);
  const opened = load<u32>(CPU_STATE_BASE + SY_OPENED_COUNT);
  for (let i: u32 = 0; i < opened; i++) {
    const at = LIST_OPENED + (i << 4);
    if ((load<u64>(at) & PAGE_MASK) == (lin & PAGE_MASK)) store<u64>(at, ~(<u64>0));
  }
  bumpGeneration();
}

// @ts-ignore: decorator
@inline
function dropWriteSlot(e: usize, hostPage: u32): void {
  const tag = load<u64>(e);
  if (tag != ~(<u64>0) && (<u32>tag + load<u32>(e, 8)) >> 12 == hostPage) store<u64>(e, ~(<u64>0));
}

function protectTable(table: usize, hostPage: u32): void {
  for (let e = table; e < table + 0x10000; e += 16) dropWriteSlot(e, hostPage);
}

function protectList(list: usize, count: u32, hostPage: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const e = <usize>load<u32>(list + (i << 2));
    const table = (e - TLB_BASE) >> 16;
    if (table == 1 || table == 4) dropWriteSlot(e, hostPage);
  }
}

/**
 * Writes to this page of the shared memory (`hostPage` = byte offset >> 12) must be noticed from now on: takes it out of the write tables.
 * Call after CODE_MAP[hostPage] became nonzero. Once it is zero again the page is entered at its next write.
 */
export function tlbProtectCode(hostPage: u32): void {
  const local = load<u32>(CPU_STATE_BASE + SY_LOCAL_COUNT);
  const global = load<u32>(CPU_STATE_BASE + SY_GLOBAL_COUNT);
  if (local > LIST_MAX || global > LIST_MAX) {
    protectTable(TLB_SUP + TLB_W, hostPage);
    protectTable(TLB_USER + TLB_W, hostPage);
  } else {
    protectList(LIST_LOCAL, local, hostPage);
    protectList(LIST_GLOBAL, global, hostPage);
  }
}
