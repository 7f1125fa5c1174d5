/**
 * Guest memory accesses that the TLB (tlb.ts) does not answer: page crossing, MMIO, ROM, pages with decoded code, data breakpoints and TLB misses. Every
 * function either completes or leaves by raise(), but for the try*() of compiled regions, which note what went wrong; a write that crosses pages changes
 * nothing before both pages are known to be writable.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE, DIRTY_MAP_BASE, PM_READ, PM_ROM, PM_WRITE } from '../../../memory/layout';
import { invalidateCodePage } from './codecache';
import { watchHit, watchPage } from './debug';
import { raiseFaultErr, raiseNoted } from './fault';
import { hostWatchProbe } from './hostdebug';
import { mmioRead, mmioWrite } from './imports';
import { ACCESS_READ, ACCESS_WRITE, maskA20, NO_PAGE, physEntry, walk, walkGlobal, walkOpened, walkWritable } from './paging';
import { REC_MEM, REC_OPCODE, REC_RM, REC_SEG } from './record';
import { Run } from './runstate';
import { HD_WATCH_COUNT, S_CODE_MODE, S_GPR, SEG_SS, STAT_TLB_MISS, VEC_AC, VEC_GP, VEC_SS } from './stateoffsets';
import { SY_ALIGN_CHECK, SY_LINEAR_MASK, SY_WATCH } from './sysstate';
import { ENTRY_GLOBAL, PAGE_MASK, TLB_USER, TLB_W, tlbInsert, tlbSlot } from './tlb';
import { tlbInsertOpened } from './tlbopened';

/** Linear addresses are 32 bits wide unless long mode is active. */
// @ts-ignore: decorator
@inline
export function linearMask(): u64 {
  return load<u64>(CPU_STATE_BASE + SY_LINEAR_MASK);
}

/** What a slow access means by `address`: 32-bit code goes on at 0 behind 4 GiB, that of users of a 64-bit system too. */
// @ts-ignore: decorator
@inline
function linear(table: usize, address: u64): u64 {
  return address >> 32 && table == TLB_USER && load<u32>(CPU_STATE_BASE + S_CODE_MODE) != 2 ? address & 0xffff_ffff : address & linearMask();
}

/** Bits 63..47 of a linear address are all equal. */
// @ts-ignore: decorator
@inline
export function isCanonical(lin: u64): bool {
  return lin + 0x8000_0000_0000 < 0x1_0000_0000_0000;
}

/**
 * Access at a non-canonical address: #SS(0) through the stack segment, #GP(0) otherwise. Those that come here know the linear address only;
 * the stack it was when the instruction's operand has SS as its segment, ENTER or LEAVE follows RBP, or the address is about where RSP points.
 */
function nonCanonical(lin: u64): void {
  const rec = Run.rec ? Run.rec : Run.begun;
  const stack = nearStack(lin) || (rec != 0 && ((load<u16>(rec, REC_OPCODE) & 0xfffe) == 0xc8 || operandInStack(rec)));
  raiseFaultErr(stack ? VEC_SS : VEC_GP, 0);
}

// @ts-ignore: decorator
@inline
function operandInStack(rec: usize): bool {
  return load<u8>(rec, REC_RM) == REC_MEM && load<u8>(rec, REC_SEG) == SEG_SS;
}

// @ts-ignore: decorator
@inline
function nearStack(lin: u64): bool {
  return lin - load<u64>(CPU_STATE_BASE + S_GPR + 32) + 0x1000 < 0x2000;
}

/**
 * Accesses through the tables are checked for alignment in 64-bit mode: the user's, while #AC is on. Nothing is entered in the user tables then
 * (updateAlignCheck() has emptied them), so that each access comes by. Other modes check in segLinear().
 */
// @ts-ignore: decorator
@inline
function aligns(table: usize): bool {
  return load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK) != 0 && table == TLB_USER && load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2;
}

/** translate() results for a write to ROM, and, from tryTranslate(), for a page fault, which is noted in S_FAULT_*. */
export const HOST_DROPPED: usize = 1;
const HOST_FAULT: usize = 2;

let physAddress: u64 = 0;

// @ts-ignore: decorator
@inline
export function countMiss(access: u32): void {
  const at = CPU_STATE_BASE + STAT_TLB_MISS + (<usize>access << 3);
  store<u64>(at, load<u64>(at) + 1);
}

/** Enters the page of the last walk(). */
function insert(table: usize, lin: u64, host: usize): void {
  if (walkOpened) tlbInsertOpened(table, lin, host);
  else tlbInsert(table, lin, host, walkGlobal ? ENTRY_GLOBAL : 0);
}

/**
 * Host offset of the byte at `lin` for a data access (ACCESS_READ or ACCESS_WRITE) through the tables at `table` (TLB_SUP or TLB_USER), 0
 * for MMIO (physAddress then says where), HOST_DROPPED for a write to ROM. Raises #PF. Fills the TLB where that is allowed.
 */
export function translate(table: usize, lin: u64, access: u32): usize {
  const host = tryTranslate(table, lin, access);
  if (host == HOST_FAULT) raiseNoted();
  return host;
}

/** The same, but a page fault is only noted: HOST_FAULT. */
function tryTranslate(table: usize, lin: u64, access: u32): usize {
  countMiss(access);
  if (!isCanonical(lin)) nonCanonical(lin);
  const page = walk(lin, access, table == TLB_USER);
  if (page == NO_PAGE) return HOST_FAULT;
  const pa = maskA20(page | (lin & 0xfff));
  const entry = physEntry(pa);
  physAddress = pa;
  const host: usize = (entry & 0xfffff000) | (<usize>pa & 0xfff);
  const watched = (load<u32>(CPU_STATE_BASE + SY_WATCH) != 0 && watchPage(lin)) || aligns(table);
  const writable = walkWritable && (entry & PM_WRITE) != 0 && !load<u8>(CODE_MAP_BASE + (host >> 12));
  if (access == ACCESS_WRITE) {
    if (!(entry & PM_WRITE)) return entry & PM_ROM ? HOST_DROPPED : 0;
    if (!watched && writable) {
      insert(table + TLB_W, lin, host);
      // What may be written may be read, and soon is.
      if (entry & PM_READ) insert(table, lin, host);
    }
    return host;
  }
  if (!(entry & PM_READ)) return 0;
  if (!watched) {
    insert(table, lin, host);
    if (writable) insert(table + TLB_W, lin, host);
  }
  return host;
}

// @ts-ignore: decorator
@inline
export function marked(host: usize): void {
  store<u8>(DIRTY_MAP_BASE + (host >> 12), 0xff);
}

/** After a store that did not come through the write TLB. */
function stored(host: usize): void {
  marked(host);
  if (load<u8>(CODE_MAP_BASE + (host >> 12))) invalidateCodePage(host);
}

/** Reads `size` bytes from the MMIO bus: naturally aligned pieces of 4, 2 and 1 bytes. */
function mmioReadAny(pa: u64, size: u32): u64 {
  let value: u64 = 0;
  for (let done: u32 = 0; done < size; ) {
    const piece = mmioPiece(pa + done, size - done);
    value |= <u64>mmioRead(<f64>(pa + done), piece) << (done << 3);
    done += piece;
  }
  return value;
}

function mmioWriteAny(pa: u64, value: u64, size: u32): void {
  for (let done: u32 = 0; done < size; ) {
    const piece = mmioPiece(pa + done, size - done);
    const part = <u32>(value >> (done << 3));
    mmioWrite(<f64>(pa + done), piece == 4 ? part : piece == 2 ? part & 0xffff : part & 0xff, piece);
    done += piece;
  }
}

// @ts-ignore: decorator
@inline
function mmioPiece(pa: u64, left: u32): u32 {
  if (left >= 4 && !(pa & 3)) return 4;
  return left >= 2 && !(pa & 1) ? 2 : 1;
}

export function readSlow(table: usize, address: u64, size: u32): u64 {
  const lin = linear(table, address);
  if (aligns(table) && lin & (size - 1)) alignmentFault(lin);
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < size) return readCross(table, lin, size, first);
  return readAt(lin, translate(table, lin, ACCESS_READ), size);
}

/** Reads inside a page that was just translated to `host`. */
function readAt(lin: u64, host: usize, size: u32): u64 {
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) watchHit(lin, size, false);
  if (!host) return mmioReadAny(physAddress, size);
  switch (size) {
    case 1:
      return load<u8>(host);
    case 2:
      return load<u16>(host);
    case 4:
      return load<u32>(host);
    default:
      return load<u64>(host);
  }
}

/** `lin` + `by`; 32-bit code goes on at 0, that of a 64-bit system too. */
export function behind(lin: u64, by: u32): u64 {
  const next = lin + by;
  return (lin ^ next) >> 32 && load<u32>(CPU_STATE_BASE + S_CODE_MODE) != 2 ? next & 0xffff_ffff : next & linearMask();
}

/** Where bothPages() found the two parts of an access. */
let firstHost: usize = 0;
let firstAddress: u64 = 0;
let secondHost: usize = 0;

/** Translates an access of which `first` bytes lie in its first page. False: a page fault was noted, and `faulted` is set. */
function bothPages(table: usize, lin: u64, first: u32, access: u32): bool {
  firstHost = tryTranslate(table, lin, access);
  firstAddress = physAddress;
  faulted = firstHost == HOST_FAULT;
  if (faulted) return false;
  secondHost = tryTranslate(table, behind(lin, first), access);
  faulted = secondHost == HOST_FAULT;
  return !faulted;
}

function readCross(table: usize, lin: u64, size: u32, first: u32): u64 {
  if (!isCanonical(lin + size - 1)) nonCanonical(lin);
  faulted = false;
  const value = tryReadCross(table, lin, size, first);
  if (faulted) raiseNoted();
  return value;
}

/** The same, but a page fault is only noted. */
function tryReadCross(table: usize, lin: u64, size: u32, first: u32): u64 {
  if (!bothPages(table, lin, first, ACCESS_READ)) return 0;
  const host1 = firstHost;
  const pa1 = firstAddress;
  const host2 = secondHost;
  const pa2 = physAddress;
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) watchHit(lin, size, false);
  let value: u64 = 0;
  if (host1) for (let i: u32 = 0; i < first; i++) value |= <u64>load<u8>(host1 + i) << (i << 3);
  else value = mmioReadAny(pa1, first);
  let high: u64 = 0;
  const rest = size - first;
  if (host2) for (let i: u32 = 0; i < rest; i++) high |= <u64>load<u8>(host2 + i) << (i << 3);
  else high = mmioReadAny(pa2, rest);
  return value | (high << (first << 3));
}

/** The read half of a read-modify-write: checked, and faulting, as a write. */
export function readForWriteSlow(table: usize, address: u64, size: u32): u64 {
  probeWrite(table, address, size);
  return readSlow(table, address, size);
}

export function writeSlow(table: usize, address: u64, value: u64, size: u32): void {
  const lin = linear(table, address);
  if (aligns(table) && lin & (size - 1)) alignmentFault(lin);
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < size) {
    writeCross(table, lin, value, size, first);
    return;
  }
  writeAt(lin, translate(table, lin, ACCESS_WRITE), value, size);
}

/** Writes inside a page that was just translated to `host`. */
function writeAt(lin: u64, host: usize, value: u64, size: u32): void {
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) watchHit(lin, size, true);
  if (host == HOST_DROPPED) return;
  if (!host) {
    mmioWriteAny(physAddress, value, size);
    return;
  }
  switch (size) {
    case 1:
      store<u8>(host, <u8>value);
      break;
    case 2:
      store<u16>(host, <u16>value);
      break;
    case 4:
      store<u32>(host, <u32>value);
      break;
    default:
      store<u64>(host, value);
      break;
  }
  stored(host);
}

function writeCross(table: usize, lin: u64, value: u64, size: u32, first: u32): void {
  if (!isCanonical(lin + size - 1)) nonCanonical(lin);
  faulted = false;
  tryWriteCross(table, lin, value, size, first);
  if (faulted) raiseNoted();
}

/** The same, but a page fault is only noted. */
function tryWriteCross(table: usize, lin: u64, value: u64, size: u32, first: u32): void {
  if (!bothPages(table, lin, first, ACCESS_WRITE)) return;
  const host1 = firstHost;
  const pa1 = firstAddress;
  const host2 = secondHost;
  const pa2 = physAddress;
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) watchHit(lin, size, true);
  writePart(host1, pa1, value, first);
  writePart(host2, pa2, value >> (first << 3), size - first);
}

function writePart(host: usize, pa: u64, value: u64, size: u32): void {
  if (host == HOST_DROPPED) return;
  if (!host) {
    mmioWriteAny(pa, value, size);
    return;
  }
  for (let i: u32 = 0; i < size; i++) store<u8>(host + i, <u8>(value >> (i << 3)));
  stored(host);
}

/** The last of tryRead(), tryReadForWrite(), tryWrite(), tryWriteV() did nothing but note a page fault. */
export let faulted: bool = false;
/** It did nothing: the instruction raises something else than a page fault. */
export let refused: bool = false;

/** Begins one of them: true when the access is not refused. `unit`: what has to be aligned, where that is asked for. */
function tried(table: usize, lin: u64, size: u32, unit: u32): bool {
  faulted = false;
  refused = !isCanonical(lin) || !isCanonical(lin + size - 1) || (aligns(table) && (lin & (unit - 1)) != 0);
  return !refused;
}

/** readSlow() that raises nothing. */
export function tryRead(table: usize, address: u64, size: u32): u64 {
  const lin = linear(table, address);
  if (!tried(table, lin, size, size)) return 0;
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < size) return tryReadCross(table, lin, size, first);
  const host = tryTranslate(table, lin, ACCESS_READ);
  if (host != HOST_FAULT) return readAt(lin, host, size);
  faulted = true;
  return 0;
}

/** readForWriteSlow() likewise. */
export function tryReadForWrite(table: usize, address: u64, size: u32): u64 {
  const lin = linear(table, address);
  if (!tried(table, lin, size, size)) return 0;
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < size) return bothPages(table, lin, first, ACCESS_WRITE) ? tryReadCross(table, lin, size, first) : 0;
  const host = tryTranslate(table, lin, ACCESS_WRITE);
  if (host == HOST_FAULT) {
    faulted = true;
    return 0;
  }
  // What is not plain memory may be read otherwise than it is written.
  return host <= HOST_FAULT ? tryRead(table, address, size) : readAt(lin, host, size);
}

/** writeSlow() likewise. */
export function tryWrite(table: usize, address: u64, value: u64, size: u32): void {
  const lin = linear(table, address);
  if (!tried(table, lin, size, size)) return;
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < size) {
    tryWriteCross(table, lin, value, size, first);
    return;
  }
  const host = tryTranslate(table, lin, ACCESS_WRITE);
  if (host == HOST_FAULT) faulted = true;
  else writeAt(lin, host, value, size);
}

/** The same of a vector, of which all is written or nothing. */
export function tryWriteV(table: usize, address: u64, low: u64, high: u64): void {
  const lin = linear(table, address);
  if (!tried(table, lin, 16, 8)) return;
  const first: u32 = 4096 - (<u32>lin & 0xfff);
  if (first < 16 && !bothPages(table, lin, first, ACCESS_WRITE)) return;
  tryWrite(table, address, low, 8);
  if (!faulted) tryWrite(table, address + 8, high, 8);
}

/** Raises the fault that a write of `size` (1..4096) bytes would raise; changes nothing but accessed and dirty bits. */
export function probeWrite(table: usize, address: u64, size: u32): void {
  const e = tlbSlot(table + TLB_W, address);
  if (load<u64>(e) == ((address + size - 1) & PAGE_MASK)) return;
  const lin = linear(table, address);
  // Alignment goes before page faults. Vectors are checked as quadwords; of what has several elements each is checked when it is stored.
  if (aligns(table) && !(size & (size - 1)) && lin & ((size < 8 ? size : 8) - 1)) alignmentFault(lin);
  const last = behind(lin, size - 1);
  if (!isCanonical(last)) nonCanonical(lin);
  translate(table, lin, ACCESS_WRITE);
  if ((last ^ lin) & PAGE_MASK) translate(table, last & PAGE_MASK, ACCESS_WRITE);
  if (load<u32>(CPU_STATE_BASE + HD_WATCH_COUNT)) hostWatchProbe(lin, size, true);
}

/** The same for a read. */
export function probeRead(table: usize, address: u64, size: u32): void {
  const lin = linear(table, address);
  const last = behind(lin, size - 1);
  if (!isCanonical(last)) nonCanonical(lin);
  translate(table, lin, ACCESS_READ);
  if ((last ^ lin) & PAGE_MASK) translate(table, last & PAGE_MASK, ACCESS_READ);
  if (load<u32>(CPU_STATE_BASE + HD_WATCH_COUNT)) hostWatchProbe(lin, size, false);
}

/** A non-canonical address goes first. */
export function alignmentFault(lin: u64): void {
  if (!isCanonical(lin)) nonCanonical(lin);
  raiseFaultErr(VEC_AC, 0);
}
