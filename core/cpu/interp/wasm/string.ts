/**
 * String instructions (SDM volume 2, REP/MOVS/STOS/LODS/CMPS/SCAS/INS/OUTS) and XLAT. Registers are exact after every element, so a fault
 * or an interrupt finds a restartable state. Each function returns false when it stopped before the end, to let run() look at events.
 *
 * MOVS and STOS going up move whole stretches at once while both sides are plain memory in one page; so do INS and OUTS with devices that
 * offer several elements (CpuBus.portReadMany), which a disk's data register does.
 */
import { CPU_STATE_BASE, DIRTY_MAP_BASE } from '../../../memory/layout';
import { sub16, sub32, sub8 } from './alu';
import { attention } from './branch';
import { recSeg } from './ea';
import { F_DF, F_TF, rawEflags } from './flags';
import { hostOne } from './hostdebug';
import { portRead, portReadMany, portWrite, portWriteMany } from './imports';
import { linHostRead, linHostWrite } from './mem';
import { memProbeW, memRead16, memRead32, memRead8, memWrite16, memWrite32, memWrite8, SF_DOWN, SF_FLAT_R, SF_FLAT_W, SF_READ, SF_WRITE } from './memsegment';
import { REC_PFX_F2, REC_PFX_F3, REC_PREFIX, REC_SIZES } from './record';
import { Run } from './runstate';
import { gpr16, gpr32, setGpr32 } from './state';
import { SEG_BASE, SEG_ES, SEG_FLAGS, SEG_LIMIT, S_GPR, S_SEG } from './stateoffsets';
import { checkIoPermission } from './io';
import { SY_ALIGN_CHECK, SY_DB_PENDING, SY_DEBUG_ACTIVE } from './sysstate';

const ECX = 1;
const ESI = 6;
const EDI = 7;
/** Elements that count as one instruction, as shifts: those that move whole stretches, those that look at each element, those that call the host. */
export const COUNT_STRETCH: u32 = 3;
export const COUNT_ELEMENT: u32 = 2;
export const COUNT_PORT: u32 = 0;
/** Most elements in one stretch. */
export const STRETCH_MAX: u32 = 4096;

// @ts-ignore: decorator
@inline
function addressMask(rec: usize): u32 {
  return load<u8>(rec, REC_SIZES) & 0x20 ? 0xffff_ffff : 0xffff;
}
// @ts-ignore: decorator
@inline
function setMasked(r: i32, v: u32, mask: u32): void {
  if (mask == 0xffff) store<u16>(CPU_STATE_BASE + S_GPR + (<usize>r << 3), <u16>v);
  else setGpr32(r, v);
}
// @ts-ignore: decorator
@inline
export function repeated(rec: usize): bool {
  return (load<u8>(rec, REC_PREFIX) & (REC_PFX_F3 | REC_PFX_F2)) != 0;
}
// @ts-ignore: decorator
@inline
function stride<T>(): u32 {
  return rawEflags() & F_DF ? -(<u32>sizeof<T>()) : <u32>sizeof<T>();
}
/** One element at a time: single-stepping, be it by the guest or a debugger of the host. */
// @ts-ignore: decorator
@inline
function single(): bool {
  return (rawEflags() & F_TF) != 0 || hostOne();
}
/** Instructions left of the slice, when the run up to `rec`, which is not counted yet, is done. */
// @ts-ignore: decorator
@inline
function budget(rec: usize): i32 {
  return Run.countdown - <i32>((rec - Run.start) >> 5);
}
/**
 * After elements that were not the last: counts them, and says whether run() is to look at events. What is counted depends on where (E)CX
 * is and on nothing else, so that a repetition takes as many instructions however often it is interrupted, and stops at the same element
 * when the slice ends in it. The last element is the instruction itself.
 */
// @ts-ignore: decorator
@inline
export function interrupted(rec: usize, before: u64, after: u64, shift: u32): bool {
  Run.countdown -= <i32>((before >> shift) - (after >> shift));
  // A breakpoint traps after the element that it is on (SDM volume 3 section 17.3.1.2).
  if (budget(rec) > 0 && attention() == 0 && !single() && !load<u32>(CPU_STATE_BASE + SY_DB_PENDING)) return false;
  Run.repeats = true;
  return true;
}
/** The same for elements of INS and OUTS, each of which counts: those that would be moved one by one before run() looks at events. */
export function portLimit(rec: usize, count: u32): u32 {
  const left = budget(rec);
  return left <= 1 || single() || attention() != 0 || load<u32>(CPU_STATE_BASE + SY_DEBUG_ACTIVE) ? 1 : min<u32>(count, <u32>left);
}
/** Elements that a stretch may take: no more than the slice has instructions for, one when single-stepping. */
export function stretchLimit(rec: usize, count: u32): u32 {
  if (single()) return 1;
  const left = budget(rec);
  if (left <= 1) return 1;
  const most = left > <i32>(STRETCH_MAX >> COUNT_STRETCH) ? STRETCH_MAX : (<u32>left << COUNT_STRETCH) - 7;
  return min<u32>(count, most);
}
// @ts-ignore: decorator
@inline
function read<T>(seg: i32, off: u32): u32 {
  if (sizeof<T>() == 1) return memRead8(seg, <u64>off);
  if (sizeof<T>() == 2) return memRead16(seg, <u64>off);
  return memRead32(seg, <u64>off);
}
// @ts-ignore: decorator
@inline
function write<T>(seg: i32, off: u32, v: u32): void {
  if (sizeof<T>() == 1) memWrite8(seg, <u64>off, v);
  else if (sizeof<T>() == 2) memWrite16(seg, <u64>off, v);
  else memWrite32(seg, <u64>off, v);
}
// @ts-ignore: decorator
@inline
function accumulator<T>(): u32 {
  return <u32>load<T>(CPU_STATE_BASE + S_GPR);
}
// @ts-ignore: decorator
@inline
function compare<T>(a: u32, b: u32): void {
  if (sizeof<T>() == 1) sub8(a, b);
  else if (sizeof<T>() == 2) sub16(a, b);
  else sub32(a, b);
}

/** No linear address: the stretch needs element-by-element checks. */
const NO_STRETCH: u64 = 0xffff_ffff_ffff_ffff;

/** Linear address of the `size` bytes at `off` when all of them pass the segment checks, else NO_STRETCH. */
function stretch(seg: i32, off: u32, size: u32, write: bool): u64 {
  const s: usize = CPU_STATE_BASE + S_SEG + (<usize>seg << 5);
  const flags = load<u32>(s, SEG_FLAGS);
  if (flags & (write ? SF_FLAT_W : SF_FLAT_R)) return <u64>off;
  if (!(flags & (write ? SF_WRITE : SF_READ)) || flags & SF_DOWN || <u64>off + size - 1 > <u64>load<u32>(s, SEG_LIMIT)) return NO_STRETCH;
  if (load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) return NO_STRETCH;
  return (load<u64>(s, SEG_BASE) + off) & 0xffff_ffff;
}

/** Bytes from `off` that stay below the wrap of the address size and in the page of `lin`; never more than `want`. */
// @ts-ignore: decorator
@inline
function clip(want: u32, off: u32, mask: u32, lin: u32): u32 {
  const inPage = 0x1000 - (lin & 0xfff);
  const inSpace = <u64>mask + 1 - <u64>off;
  let n = min<u32>(want, inPage);
  if (<u64>n > inSpace) n = <u32>inSpace;
  return n;
}

/** Moves a stretch of whole elements; gives their number, 0 when the elements must go one by one. */
function moveStretch<T>(seg: i32, mask: u32, count: u32): u32 {
  const si = gpr32(ESI) & mask;
  const di = gpr32(EDI) & mask;
  const size = <u32>sizeof<T>();
  let from = stretch(seg, si, size, false);
  let to = stretch(SEG_ES, di, size, true);
  if (from == NO_STRETCH || to == NO_STRETCH) return 0;
  let bytes = <u32>min<u64>(<u64>count * size, 0x1000);
  bytes = clip(clip(bytes, si, mask, <u32>from), di, mask, <u32>to) & ~(size - 1);
  if (bytes < 2 * size) return 0;
  if (stretch(seg, si, bytes, false) == NO_STRETCH || stretch(SEG_ES, di, bytes, true) == NO_STRETCH) return 0;
  const source = linHostRead(from);
  const target = linHostWrite(to);
  if (!source || !target) return 0;
  // An overlapping move upwards repeats what it wrote; below the distance it is a plain copy.
  if (target > source && target - source < bytes) {
    bytes = <u32>(target - source) & ~(size - 1);
    if (bytes < 2 * size) return 0;
  }
  memory.copy(target, source, bytes);
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  setMasked(ESI, si + bytes, mask);
  setMasked(EDI, di + bytes, mask);
  return bytes / size;
}

export function movs<T>(rec: usize): bool {
  const seg = recSeg(rec);
  const mask = addressMask(rec);
  const step = stride<T>();
  if (!repeated(rec)) {
    write<T>(SEG_ES, gpr32(EDI) & mask, read<T>(seg, gpr32(ESI) & mask));
    setMasked(ESI, gpr32(ESI) + step, mask);
    setMasked(EDI, gpr32(EDI) + step, mask);
    return true;
  }
  while (true) {
    const count = gpr32(ECX) & mask;
    if (!count) return true;
    let done: u32 = 0;
    if (!(step >> 31)) done = moveStretch<T>(seg, mask, stretchLimit(rec, count));
    if (!done) {
      write<T>(SEG_ES, gpr32(EDI) & mask, read<T>(seg, gpr32(ESI) & mask));
      setMasked(ESI, gpr32(ESI) + step, mask);
      setMasked(EDI, gpr32(EDI) + step, mask);
      done = 1;
    }
    setMasked(ECX, count - done, mask);
    if (count == done) {
      Run.countdown -= <i32>(count >> COUNT_STRETCH);
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_STRETCH)) return false;
  }
}

function fillStretch<T>(mask: u32, count: u32): u32 {
  const di = gpr32(EDI) & mask;
  const size = <u32>sizeof<T>();
  const to = stretch(SEG_ES, di, size, true);
  if (to == NO_STRETCH) return 0;
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), di, mask, <u32>to) & ~(size - 1);
  if (bytes < 2 * size || stretch(SEG_ES, di, bytes, true) == NO_STRETCH) return 0;
  const target = linHostWrite(to);
  if (!target) return 0;
  if (sizeof<T>() == 1) memory.fill(target, <u8>accumulator<u8>(), bytes);
  else if (sizeof<T>() == 2) for (let i: u32 = 0; i < bytes; i += 2) store<u16>(target + i, <u16>accumulator<u16>());
  else {
    const v = accumulator<u32>();
    if (v == 0) memory.fill(target, 0, bytes);
    else for (let i: u32 = 0; i < bytes; i += 4) store<u32>(target + i, v);
  }
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  setMasked(EDI, di + bytes, mask);
  return bytes / size;
}

export function stos<T>(rec: usize): bool {
  const mask = addressMask(rec);
  const step = stride<T>();
  if (!repeated(rec)) {
    write<T>(SEG_ES, gpr32(EDI) & mask, accumulator<T>());
    setMasked(EDI, gpr32(EDI) + step, mask);
    return true;
  }
  while (true) {
    const count = gpr32(ECX) & mask;
    if (!count) return true;
    let done: u32 = 0;
    if (!(step >> 31)) done = fillStretch<T>(mask, stretchLimit(rec, count));
    if (!done) {
      write<T>(SEG_ES, gpr32(EDI) & mask, accumulator<T>());
      setMasked(EDI, gpr32(EDI) + step, mask);
      done = 1;
    }
    setMasked(ECX, count - done, mask);
    if (count == done) {
      Run.countdown -= <i32>(count >> COUNT_STRETCH);
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_STRETCH)) return false;
  }
}

export function lods<T>(rec: usize): bool {
  const seg = recSeg(rec);
  const mask = addressMask(rec);
  const step = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = gpr32(ECX) & mask;
    if (rep && !count) return true;
    const v = read<T>(seg, gpr32(ESI) & mask);
    if (sizeof<T>() == 4) setGpr32(0, v);
    else store<T>(CPU_STATE_BASE + S_GPR, <T>v);
    setMasked(ESI, gpr32(ESI) + step, mask);
    if (!rep) return true;
    setMasked(ECX, count - 1, mask);
    if (count == 1) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

/**
 * REPE ends where elements differ, REPNE where they are equal. The flags are written by the last comparison alone: a fault or an interrupt
 * between two finds them as they were before the instruction (SDM volume 2, REP).
 */
// @ts-ignore: decorator
@inline
export function ends(rec: usize, equal: bool): bool {
  return (load<u8>(rec, REC_PREFIX) & REC_PFX_F3) != 0 ? !equal : equal;
}

export function cmps<T>(rec: usize): bool {
  const seg = recSeg(rec);
  const mask = addressMask(rec);
  const step = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = gpr32(ECX) & mask;
    if (rep && !count) return true;
    const a = read<T>(seg, gpr32(ESI) & mask);
    const b = read<T>(SEG_ES, gpr32(EDI) & mask);
    const last = !rep || count == 1 || ends(rec, a == b);
    if (last) compare<T>(a, b);
    setMasked(ESI, gpr32(ESI) + step, mask);
    setMasked(EDI, gpr32(EDI) + step, mask);
    if (!rep) return true;
    setMasked(ECX, count - 1, mask);
    if (last) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

export function scas<T>(rec: usize): bool {
  const mask = addressMask(rec);
  const step = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = gpr32(ECX) & mask;
    if (rep && !count) return true;
    const a = accumulator<T>();
    const b = read<T>(SEG_ES, gpr32(EDI) & mask);
    const last = !rep || count == 1 || ends(rec, a == b);
    if (last) compare<T>(a, b);
    setMasked(EDI, gpr32(EDI) + step, mask);
    if (!rep) return true;
    setMasked(ECX, count - 1, mask);
    if (last) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

/** What inStretch() and outStretch() give when the device moves one element at a time. */
export const PORT_SINGLE: i32 = -1;

/** Moves a stretch of whole elements from a port to ES:(E)DI; gives their number, 0 when the next one must go by itself. */
function inStretch<T>(port: u32, mask: u32, count: u32): i32 {
  const di = gpr32(EDI) & mask;
  const size = <u32>sizeof<T>();
  const to = stretch(SEG_ES, di, size, true);
  if (to == NO_STRETCH) return 0;
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), di, mask, <u32>to) & ~(size - 1);
  if (bytes < 2 * size || stretch(SEG_ES, di, bytes, true) == NO_STRETCH) return 0;
  const target = linHostWrite(to);
  if (!target) return 0;
  const moved = portReadMany(port, size, <u32>target, bytes / size);
  if (!moved) return PORT_SINGLE;
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  setMasked(EDI, di + moved * size, mask);
  return moved;
}

export function ins<T>(rec: usize): bool {
  const mask = addressMask(rec);
  const step = stride<T>();
  const port = gpr16(2);
  const size = <u32>sizeof<T>();
  checkIoPermission(port, size);
  const rep = repeated(rec);
  let many = rep && !(step >> 31);
  while (true) {
    const count = gpr32(ECX) & mask;
    if (rep && !count) return true;
    let done: i32 = 0;
    if (many) {
      done = inStretch<T>(port, mask, portLimit(rec, count));
      if (done == PORT_SINGLE) {
        many = false;
        done = 0;
      }
    }
    if (!done) {
      const di = gpr32(EDI) & mask;
      // A port read cannot be taken back, so the destination is checked first.
      memProbeW(SEG_ES, <u64>di, size);
      write<T>(SEG_ES, di, portRead(port, size));
      setMasked(EDI, di + step, mask);
      done = 1;
    }
    if (!rep) return true;
    setMasked(ECX, count - done, mask);
    if (count == done) {
      Run.countdown -= done - 1;
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_PORT)) return false;
  }
}

/** Moves a stretch of whole elements from memory to a port; as inStretch(). */
function outStretch<T>(port: u32, seg: i32, mask: u32, count: u32): i32 {
  const si = gpr32(ESI) & mask;
  const size = <u32>sizeof<T>();
  const from = stretch(seg, si, size, false);
  if (from == NO_STRETCH) return 0;
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), si, mask, <u32>from) & ~(size - 1);
  if (bytes < 2 * size || stretch(seg, si, bytes, false) == NO_STRETCH) return 0;
  const source = linHostRead(from);
  if (!source) return 0;
  const moved = portWriteMany(port, size, <u32>source, bytes / size);
  if (!moved) return PORT_SINGLE;
  setMasked(ESI, si + moved * size, mask);
  return moved;
}

export function outs<T>(rec: usize): bool {
  const seg = recSeg(rec);
  const mask = addressMask(rec);
  const step = stride<T>();
  const port = gpr16(2);
  const size = <u32>sizeof<T>();
  checkIoPermission(port, size);
  const rep = repeated(rec);
  let many = rep && !(step >> 31);
  while (true) {
    const count = gpr32(ECX) & mask;
    if (rep && !count) return true;
    let done: i32 = 0;
    if (many) {
      done = outStretch<T>(port, seg, mask, portLimit(rec, count));
      if (done == PORT_SINGLE) {
        many = false;
        done = 0;
      }
    }
    if (!done) {
      const si = gpr32(ESI) & mask;
      portWrite(port, read<T>(seg, si), size);
      setMasked(ESI, si + step, mask);
      done = 1;
    }
    if (!rep) return true;
    setMasked(ECX, count - done, mask);
    if (count == done) {
      Run.countdown -= done - 1;
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_PORT)) return false;
  }
}

/** XLAT: the byte at [(E)BX + AL]. */
export function xlat(rec: usize): u32 {
  return memRead8(recSeg(rec), <u64>((gpr32(3) + (gpr32(0) & 0xff)) & addressMask(rec)));
}
