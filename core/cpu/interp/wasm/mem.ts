/**
 * Guest memory accesses by linear address, through the TLB (tlb.ts) at the current privilege. A hit costs one compare; the rest takes the slow call
 * (slowaccess.ts). By segment and offset: memsegment.ts; of the processor itself: memsystem.ts; of instructions: memcode.ts.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE } from '../../../memory/layout';
import { ACCESS_READ, ACCESS_WRITE } from './paging';
import { behind, HOST_DROPPED, linearMask, marked, probeWrite, readForWriteSlow, readSlow, translate, writeSlow } from './slowaccess';
import { SY_TLB_CUR, SY_WATCH } from './sysstate';
import { PAGE_MASK, TLB_W, tlbSlot } from './tlb';

// ---- Linear accesses through given tables ------------------------------------------------------------------------------------------

// @ts-ignore: decorator
@inline
export function read8(table: usize, lin: u64): u32 {
  const e = tlbSlot(table, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) return load<u8>(<usize>lin + load<u32>(e, 8));
  return <u32>readSlow(table, lin, 1);
}
// @ts-ignore: decorator
@inline
export function read16(table: usize, lin: u64): u32 {
  const e = tlbSlot(table, lin);
  if (load<u64>(e) == ((lin + 1) & PAGE_MASK)) return load<u16>(<usize>lin + load<u32>(e, 8));
  return <u32>readSlow(table, lin, 2);
}
// @ts-ignore: decorator
@inline
export function read32(table: usize, lin: u64): u32 {
  const e = tlbSlot(table, lin);
  if (load<u64>(e) == ((lin + 3) & PAGE_MASK)) return load<u32>(<usize>lin + load<u32>(e, 8));
  return <u32>readSlow(table, lin, 4);
}
// @ts-ignore: decorator
@inline
export function read64(table: usize, lin: u64): u64 {
  const e = tlbSlot(table, lin);
  if (load<u64>(e) == ((lin + 7) & PAGE_MASK)) return load<u64>(<usize>lin + load<u32>(e, 8));
  return readSlow(table, lin, 8);
}
// @ts-ignore: decorator
@inline
export function write8(table: usize, lin: u64, v: u32): void {
  const e = tlbSlot(table + TLB_W, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) {
    const host = <usize>lin + load<u32>(e, 8);
    store<u8>(host, <u8>v);
    marked(host);
  } else writeSlow(table, lin, v, 1);
}
// @ts-ignore: decorator
@inline
export function write16(table: usize, lin: u64, v: u32): void {
  const e = tlbSlot(table + TLB_W, lin);
  if (load<u64>(e) == ((lin + 1) & PAGE_MASK)) {
    const host = <usize>lin + load<u32>(e, 8);
    store<u16>(host, <u16>v);
    marked(host);
  } else writeSlow(table, lin, v, 2);
}
// @ts-ignore: decorator
@inline
export function write32(table: usize, lin: u64, v: u32): void {
  const e = tlbSlot(table + TLB_W, lin);
  if (load<u64>(e) == ((lin + 3) & PAGE_MASK)) {
    const host = <usize>lin + load<u32>(e, 8);
    store<u32>(host, v);
    marked(host);
  } else writeSlow(table, lin, v, 4);
}
// @ts-ignore: decorator
@inline
export function write64(table: usize, lin: u64, v: u64): void {
  const e = tlbSlot(table + TLB_W, lin);
  if (load<u64>(e) == ((lin + 7) & PAGE_MASK)) {
    const host = <usize>lin + load<u32>(e, 8);
    store<u64>(host, v);
    marked(host);
  } else writeSlow(table, lin, v, 8);
}

/** TLB tables of the current privilege. */
// @ts-ignore: decorator
@inline
export function tlbTable(): usize {
  return load<u32>(CPU_STATE_BASE + SY_TLB_CUR);
}

// ---- Linear accesses at the current privilege --------------------------------------------------------------------------------------

// @ts-ignore: decorator
@inline
export function linRead8(lin: u64): u32 {
  return read8(tlbTable(), lin);
}
// @ts-ignore: decorator
@inline
export function linRead16(lin: u64): u32 {
  return read16(tlbTable(), lin);
}
// @ts-ignore: decorator
@inline
export function linRead32(lin: u64): u32 {
  return read32(tlbTable(), lin);
}
// @ts-ignore: decorator
@inline
export function linRead64(lin: u64): u64 {
  return read64(tlbTable(), lin);
}
// @ts-ignore: decorator
@inline
export function linReadV(lin: u64): v128 {
  const e = tlbSlot(tlbTable(), lin);
  if (load<u64>(e) == ((lin + 15) & PAGE_MASK)) return v128.load(<usize>lin + load<u32>(e, 8));
  return readVSlow(lin);
}
// @ts-ignore: decorator
@inline
export function linWrite8(lin: u64, v: u32): void {
  write8(tlbTable(), lin, v);
}
// @ts-ignore: decorator
@inline
export function linWrite16(lin: u64, v: u32): void {
  write16(tlbTable(), lin, v);
}
// @ts-ignore: decorator
@inline
export function linWrite32(lin: u64, v: u32): void {
  write32(tlbTable(), lin, v);
}
// @ts-ignore: decorator
@inline
export function linWrite64(lin: u64, v: u64): void {
  write64(tlbTable(), lin, v);
}
// @ts-ignore: decorator
@inline
export function linWriteV(lin: u64, v: v128): void {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == ((lin + 15) & PAGE_MASK)) {
    const host = <usize>lin + load<u32>(e, 8);
    v128.store(host, v);
    marked(host);
  } else writeVSlow(lin, v);
}

function readVSlow(lin: u64): v128 {
  const low = linRead64(lin);
  const high = linRead64(behind(lin, 8));
  return i64x2.replace_lane(i64x2.splat(low), 1, high);
}

function writeVSlow(lin: u64, v: v128): void {
  probeWrite(tlbTable(), lin, 16);
  linWrite64(lin, i64x2.extract_lane(v, 0));
  linWrite64(behind(lin, 8), i64x2.extract_lane(v, 1));
}

/** Read half of a read-modify-write. */
// @ts-ignore: decorator
@inline
export function linReadW8(lin: u64): u32 {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) return load<u8>(<usize>lin + load<u32>(e, 8));
  return <u32>readForWriteSlow(tlbTable(), lin, 1);
}
// @ts-ignore: decorator
@inline
export function linReadW16(lin: u64): u32 {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == ((lin + 1) & PAGE_MASK)) return load<u16>(<usize>lin + load<u32>(e, 8));
  return <u32>readForWriteSlow(tlbTable(), lin, 2);
}
// @ts-ignore: decorator
@inline
export function linReadW32(lin: u64): u32 {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == ((lin + 3) & PAGE_MASK)) return load<u32>(<usize>lin + load<u32>(e, 8));
  return <u32>readForWriteSlow(tlbTable(), lin, 4);
}
// @ts-ignore: decorator
@inline
export function linReadW64(lin: u64): u64 {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == ((lin + 7) & PAGE_MASK)) return load<u64>(<usize>lin + load<u32>(e, 8));
  return readForWriteSlow(tlbTable(), lin, 8);
}

/**
 * Host offset of the byte at `lin`, good up to the end of its 4 KiB page, for block operations; 0 when it is not plain memory (or is
 * watched) and must be accessed element by element. Raises #PF.
 */
export function linHostRead(lin: u64): usize {
  const e = tlbSlot(tlbTable(), lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) return <usize>lin + load<u32>(e, 8);
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) return 0;
  return translate(tlbTable(), lin & linearMask(), ACCESS_READ);
}
/** The same for writing. The caller stores the data, then 0xff into the dirty map of the page. 0 also for ROM and pages with code. */
export function linHostWrite(lin: u64): usize {
  const e = tlbSlot(tlbTable() + TLB_W, lin);
  if (load<u64>(e) == (lin & PAGE_MASK)) return <usize>lin + load<u32>(e, 8);
  if (load<u32>(CPU_STATE_BASE + SY_WATCH)) return 0;
  const host = translate(tlbTable(), lin & linearMask(), ACCESS_WRITE);
  return host == HOST_DROPPED || load<u8>(CODE_MAP_BASE + (host >> 12)) ? 0 : host;
}
