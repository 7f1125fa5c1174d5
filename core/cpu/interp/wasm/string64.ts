/**
 * String instructions and XLAT in 64-bit mode: string.ts with RSI, RDI and RCX (or ESI, EDI and ECX, by the address size) and linear addresses.
 * The source may have the base of FS or GS; the destination never has one.
 */
import { CPU_STATE_BASE, DIRTY_MAP_BASE } from '../../../memory/layout';
import { sub16, sub32, sub8 } from './alu';
import { sub64 } from './alu64';
import { F_DF, rawEflags } from './flags';
import { portRead, portReadMany, portWrite, portWriteMany } from './imports';
import { checkIoPermission } from './io';
import { linHostRead, linHostWrite, linRead16, linRead32, linRead64, linRead8, linWrite16, linWrite32, linWrite64, linWrite8, tlbTable } from './mem';
import { probeWrite } from './slowaccess';
import { REC_ADDRESS64, REC_SEG, REC_SIZES } from './record';
import { Run } from './runstate';
import { gpr16, gpr32, gpr64, setGpr32, setGpr64 } from './state';
import { SEG_BASE, SEG_FS, SEG_STRIDE, S_GPR, S_SEG } from './stateoffsets';
import { SY_ALIGN_CHECK } from './sysstate';
import { COUNT_ELEMENT, COUNT_PORT, COUNT_STRETCH, ends, interrupted, PORT_SINGLE, portLimit, repeated, STRETCH_MAX, stretchLimit } from './string';

const RCX = 1;
const RSI = 6;
const RDI = 7;

/** Address size is 64 bits. */
// @ts-ignore: decorator
@inline
function isWide(rec: usize): bool {
  return (load<u8>(rec, REC_SIZES) & REC_ADDRESS64) == REC_ADDRESS64;
}
// @ts-ignore: decorator
@inline
function register(r: i32, wide: bool): u64 {
  return wide ? gpr64(r) : <u64>gpr32(r);
}
// @ts-ignore: decorator
@inline
function setRegister(r: i32, v: u64, wide: bool): void {
  if (wide) setGpr64(r, v);
  else setGpr32(r, <u32>v);
}
/** Base of the source's segment. */
// @ts-ignore: decorator
@inline
function sourceBase(rec: usize): u64 {
  const seg: usize = load<u8>(rec, REC_SEG);
  return seg >= <usize>SEG_FS ? load<u64>(CPU_STATE_BASE + S_SEG + seg * SEG_STRIDE, SEG_BASE) : 0;
}
// @ts-ignore: decorator
@inline
function stride<T>(): u64 {
  return rawEflags() & F_DF ? -(<u64>sizeof<T>()) : <u64>sizeof<T>();
}
// @ts-ignore: decorator
@inline
function read<T>(lin: u64): u64 {
  if (sizeof<T>() == 1) return linRead8(lin);
  if (sizeof<T>() == 2) return linRead16(lin);
  if (sizeof<T>() == 4) return linRead32(lin);
  return linRead64(lin);
}
// @ts-ignore: decorator
@inline
function write<T>(lin: u64, v: u64): void {
  if (sizeof<T>() == 1) linWrite8(lin, <u32>v);
  else if (sizeof<T>() == 2) linWrite16(lin, <u32>v);
  else if (sizeof<T>() == 4) linWrite32(lin, <u32>v);
  else linWrite64(lin, v);
}
// @ts-ignore: decorator
@inline
function accumulator<T>(): u64 {
  return <u64>load<T>(CPU_STATE_BASE + S_GPR);
}
// @ts-ignore: decorator
@inline
function compare<T>(a: u64, b: u64): void {
  if (sizeof<T>() == 1) sub8(<u32>a, <u32>b);
  else if (sizeof<T>() == 2) sub16(<u32>a, <u32>b);
  else if (sizeof<T>() == 4) sub32(<u32>a, <u32>b);
  else sub64(a, b);
}
// @ts-ignore: decorator
@inline
function step(r: i32, by: u64, wide: bool): void {
  setRegister(r, register(r, wide) + by, wide);
}
/** Elements that the next stretch may take of `count`. */
// @ts-ignore: decorator
@inline
function limit(rec: usize, count: u64): u32 {
  // Each element is checked.
  if (load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) return 1;
  return stretchLimit(rec, <u32>min<u64>(count, STRETCH_MAX));
}

/** Bytes from `off` that stay below the wrap of the address size and in the page of `lin`; never more than `want`. */
// @ts-ignore: decorator
@inline
function clip(want: u32, off: u64, lin: u64, wide: bool): u32 {
  let n = min<u32>(want, 0x1000 - (<u32>lin & 0xfff));
  if (!wide && <u64>n > 0x1_0000_0000 - off) n = <u32>(0x1_0000_0000 - off);
  return n;
}

/** Moves a stretch of whole elements; gives their number, 0 when the elements must go one by one. */
function moveStretch<T>(base: u64, wide: bool, count: u32): u32 {
  const si = register(RSI, wide);
  const di = register(RDI, wide);
  const size = <u32>sizeof<T>();
  let bytes = <u32>min<u64>(<u64>count * size, 0x1000);
  bytes = clip(clip(bytes, si, base + si, wide), di, di, wide) & ~(size - 1);
  if (bytes < 2 * size) return 0;
  const source = linHostRead(base + si);
  const target = linHostWrite(di);
  if (!source || !target) return 0;
  // An overlapping move upwards repeats what it wrote; below the distance it is a plain copy.
  if (target > source && target - source < bytes) {
    bytes = <u32>(target - source) & ~(size - 1);
    if (bytes < 2 * size) return 0;
  }
  memory.copy(target, source, bytes);
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  step(RSI, bytes, wide);
  step(RDI, bytes, wide);
  return bytes / size;
}

export function movsLong<T>(rec: usize): bool {
  const base = sourceBase(rec);
  const wide = isWide(rec);
  const by = stride<T>();
  if (!repeated(rec)) {
    write<T>(register(RDI, wide), read<T>(base + register(RSI, wide)));
    step(RSI, by, wide);
    step(RDI, by, wide);
    return true;
  }
  while (true) {
    const count = register(RCX, wide);
    if (!count) return true;
    let done: u32 = 0;
    if (!(by >>> 63)) done = moveStretch<T>(base, wide, limit(rec, count));
    if (!done) {
      write<T>(register(RDI, wide), read<T>(base + register(RSI, wide)));
      step(RSI, by, wide);
      step(RDI, by, wide);
      done = 1;
    }
    setRegister(RCX, count - done, wide);
    if (count == done) {
      Run.countdown -= <i32>(count >> COUNT_STRETCH);
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_STRETCH)) return false;
  }
}

function fillStretch<T>(wide: bool, count: u32): u32 {
  const di = register(RDI, wide);
  const size = <u32>sizeof<T>();
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), di, di, wide) & ~(size - 1);
  if (bytes < 2 * size) return 0;
  const target = linHostWrite(di);
  if (!target) return 0;
  const v = accumulator<T>();
  if (sizeof<T>() == 1 || v == 0) memory.fill(target, <u8>v, bytes);
  else for (let i: u32 = 0; i < bytes; i += size) store<T>(target + i, <T>v);
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  step(RDI, bytes, wide);
  return bytes / size;
}

export function stosLong<T>(rec: usize): bool {
  const wide = isWide(rec);
  const by = stride<T>();
  if (!repeated(rec)) {
    write<T>(register(RDI, wide), accumulator<T>());
    step(RDI, by, wide);
    return true;
  }
  while (true) {
    const count = register(RCX, wide);
    if (!count) return true;
    let done: u32 = 0;
    if (!(by >>> 63)) done = fillStretch<T>(wide, limit(rec, count));
    if (!done) {
      write<T>(register(RDI, wide), accumulator<T>());
      step(RDI, by, wide);
      done = 1;
    }
    setRegister(RCX, count - done, wide);
    if (count == done) {
      Run.countdown -= <i32>(count >> COUNT_STRETCH);
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_STRETCH)) return false;
  }
}

export function lodsLong<T>(rec: usize): bool {
  const base = sourceBase(rec);
  const wide = isWide(rec);
  const by = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = register(RCX, wide);
    if (rep && !count) return true;
    const v = read<T>(base + register(RSI, wide));
    if (sizeof<T>() == 4) setGpr64(0, v);
    else store<T>(CPU_STATE_BASE + S_GPR, <T>v);
    step(RSI, by, wide);
    if (!rep) return true;
    setRegister(RCX, count - 1, wide);
    if (count == 1) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

export function cmpsLong<T>(rec: usize): bool {
  const base = sourceBase(rec);
  const wide = isWide(rec);
  const by = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = register(RCX, wide);
    if (rep && !count) return true;
    const a = read<T>(base + register(RSI, wide));
    const b = read<T>(register(RDI, wide));
    const last = !rep || count == 1 || ends(rec, a == b);
    if (last) compare<T>(a, b);
    step(RSI, by, wide);
    step(RDI, by, wide);
    if (!rep) return true;
    setRegister(RCX, count - 1, wide);
    if (last) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

export function scasLong<T>(rec: usize): bool {
  const wide = isWide(rec);
  const by = stride<T>();
  const rep = repeated(rec);
  while (true) {
    const count = register(RCX, wide);
    if (rep && !count) return true;
    const a = accumulator<T>();
    const b = read<T>(register(RDI, wide));
    const last = !rep || count == 1 || ends(rec, a == b);
    if (last) compare<T>(a, b);
    step(RDI, by, wide);
    if (!rep) return true;
    setRegister(RCX, count - 1, wide);
    if (last) return true;
    if (interrupted(rec, count, count - 1, COUNT_ELEMENT)) return false;
  }
}

/** Elements that the next stretch of INS or OUTS may take of `count`. */
function portElements(rec: usize, count: u64): u32 {
  if (load<u32>(CPU_STATE_BASE + SY_ALIGN_CHECK)) return 1;
  return portLimit(rec, <u32>min<u64>(count, STRETCH_MAX));
}

/** string.ts, inStretch(). */
function inStretch<T>(port: u32, wide: bool, count: u32): i32 {
  const di = register(RDI, wide);
  const size = <u32>sizeof<T>();
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), di, di, wide) & ~(size - 1);
  if (bytes < 2 * size) return 0;
  const target = linHostWrite(di);
  if (!target) return 0;
  const moved = portReadMany(port, size, <u32>target, bytes / size);
  if (!moved) return PORT_SINGLE;
  store<u8>(DIRTY_MAP_BASE + (target >> 12), 0xff);
  step(RDI, <u64>(moved * size), wide);
  return moved;
}

export function insLong<T>(rec: usize): bool {
  const wide = isWide(rec);
  const by = stride<T>();
  const port = gpr16(2);
  const size = <u32>sizeof<T>();
  checkIoPermission(port, size);
  const rep = repeated(rec);
  let many = rep && !(by >>> 63);
  while (true) {
    const count = register(RCX, wide);
    if (rep && !count) return true;
    let done: i32 = 0;
    if (many) {
      done = inStretch<T>(port, wide, portElements(rec, count));
      if (done == PORT_SINGLE) {
        many = false;
        done = 0;
      }
    }
    if (!done) {
      const di = register(RDI, wide);
      // A port read cannot be taken back, so the destination is checked first.
      probeWrite(tlbTable(), di, size);
      write<T>(di, portRead(port, size));
      step(RDI, by, wide);
      done = 1;
    }
    if (!rep) return true;
    setRegister(RCX, count - done, wide);
    if (count == done) {
      Run.countdown -= done - 1;
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_PORT)) return false;
  }
}

function outStretch<T>(port: u32, base: u64, wide: bool, count: u32): i32 {
  const si = register(RSI, wide);
  const size = <u32>sizeof<T>();
  const bytes = clip(<u32>min<u64>(<u64>count * size, 0x1000), si, base + si, wide) & ~(size - 1);
  if (bytes < 2 * size) return 0;
  const source = linHostRead(base + si);
  if (!source) return 0;
  const moved = portWriteMany(port, size, <u32>source, bytes / size);
  if (!moved) return PORT_SINGLE;
  step(RSI, <u64>(moved * size), wide);
  return moved;
}

export function outsLong<T>(rec: usize): bool {
  const base = sourceBase(rec);
  const wide = isWide(rec);
  const by = stride<T>();
  const port = gpr16(2);
  const size = <u32>sizeof<T>();
  checkIoPermission(port, size);
  const rep = repeated(rec);
  let many = rep && !(by >>> 63);
  while (true) {
    const count = register(RCX, wide);
    if (rep && !count) return true;
    let done: i32 = 0;
    if (many) {
      done = outStretch<T>(port, base, wide, portElements(rec, count));
      if (done == PORT_SINGLE) {
        many = false;
        done = 0;
      }
    }
    if (!done) {
      portWrite(port, <u32>read<T>(base + register(RSI, wide)), size);
      step(RSI, by, wide);
      done = 1;
    }
    if (!rep) return true;
    setRegister(RCX, count - done, wide);
    if (count == done) {
      Run.countdown -= done - 1;
      return true;
    }
    if (interrupted(rec, count, count - done, COUNT_PORT)) return false;
  }
}

/** XLAT: the byte at [RBX + AL]. */
export function xlatLong(rec: usize): u32 {
  const off = gpr64(3) + (gpr64(0) & 0xff);
  return linRead8(sourceBase(rec) + (isWide(rec) ? off : <u64>(<u32>off)));
}
