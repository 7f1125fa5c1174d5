/**
 * The interpreter's side of the recompiler (core/cpu/jit): regions of hot code are functions in the shared table, entered through records
 * whose handler is HANDLER_JIT and whose REC_OPCODE is the function's index. The rest are the out-of-line parts of region code.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE } from '../../../memory/layout';
import * as A from './alu';
import * as L from './alu64';
import { attention, countBefore, enter, setRip, thisEip } from './branch';
import { enter64, pageRip, setRip64, thisRip } from './branch64';
import { forgetTarget, recordAt, slotIfAny, setRecordAt } from './codecache';
import { HANDLER_JIT, HANDLER_STALE } from './generated/tables';
import { F_RF, getCF, getLess, getOF, getPF, getSF, getZF, rawEflags, setArith, setCF, setRawEflags } from './flags';
import { jitMiss } from './imports';
import { EXIT, heat } from './jitheat';
import { jitLink, jitUnlink } from './jitlinks';
import { mapRegion, unmapRegion } from './jitmap';
import * as J from './jitoffsets';
import { decodeInto } from './decode';
import { tlbTable } from './mem';
import { codeHost } from './memcode';
import { faulted, refused, tryRead, tryReadForWrite, tryWrite, tryWriteV } from './slowaccess';
import { imulTrunc16, imulTrunc32, productFlags } from './muldiv';
import { imulTrunc64, productFlags64 } from './muldiv64';
import { runRecord } from './jitrecord';
import { REC_HANDLER, REC_LENGTH, REC_OPCODE } from './record';
import { MODE_16, MODE_64, Run } from './runstate';
import { rol64, ror64, sar64, shl64, shld64, shr64, shrd64 } from './shift64';
import { rol16, rol32, rol8, ror16, ror32, ror8, sar16, sar32, sar8, shl16, shl32, shl8, shld16, shld32, shr16, shr32, shr8, shrd16, shrd32 } from './shift';
import { scanFlags, scanZero } from './bit';
import { HD_ACTIVE, SEG_BASE, SEG_CS, SEG_STRIDE, S_RIP, S_SEG } from './stateoffsets';
import { SY_TLB_CUR } from './sysstate';
import { PAGE_MASK, TLB_SUP, TLB_USER, TLB_X, tlbProtectCode, tlbSlot } from './tlb';

const S: usize = CPU_STATE_BASE;

/** CODE_MAP bit: the recompiler has regions of the page, or is making one. */
export const CODE_JIT: u8 = 2;

// @ts-ignore: decorator
@inline
function add(counter: usize, n: i32): void {
  store<u64>(S + counter, load<u64>(S + counter) + <u64>(<i64>n));
}

/** Runs region function `index`. False: back to run(). The new S_RIP is where to go on. */
// @ts-ignore: decorator
@inline
function runRegion(index: u32, page: u64): bool {
  Run.region = true;
  const before = Run.countdown;
  const left = call_indirect<i32>(index, before, page);
  Run.region = false;
  add(J.SJ_ENTRIES, 1);
  if (load<u32>(S, J.SJ_STEP)) {
    stopped(before, left);
    return false;
  }
  add(J.SJ_INSTRUCTIONS, before - left);
  Run.countdown = left;
  return left > 0 && !attention();
}

/** The region that was entered with `before` instructions left stopped before an instruction. */
function stopped(before: i32, left: i32): void {
  const cause = load<u32>(S, J.SJ_STEP);
  store<u32>(S, 0, J.SJ_STEP);
  if (cause == J.STEP_FAULT) Run.faulted = true;
  else {
    add(J.SJ_STEPS, 1);
    Run.mustStep = true;
  }
  Run.countdown = cause == J.STEP_INTERPRET ? left : load<i32>(S, J.SJ_LEFT);
  add(J.SJ_INSTRUCTIONS, before - Run.countdown);
}

/** The region that `rec` enters begins at `lin`. */
// @ts-ignore: decorator
@inline
function link(lin: u64, long: u32, rec: usize): void {
  const host = codeHost(lin);
  if (host) jitLink(host, long, tlbTable() == TLB_USER ? 1 : 0, <u32>load<u16>(rec, REC_OPCODE));
}

/** IRET has set RF: a region never begins with an instruction that could tell that it is gone (resumeflag.ts). */
// @ts-ignore: decorator
@inline
function dropResume(): void {
  if (rawEflags() & F_RF) setRawEflags(rawEflags() & ~F_RF);
}

/** HANDLER_JIT: runs the region and those that follow it. Gives the record to go on with, or 0 with S_RIP exact. */
export function enterJit(first: usize): usize {
  const eip = thisEip(first);
  countBefore(first);
  setRip(eip);
  Run.rec = 0;
  let rec = first;
  if (Run.countdown <= 0 || attention()) return 0;
  while (true) {
    if (!runRegion(<u32>load<u16>(rec, REC_OPCODE), <u64>Run.pageEip)) {
      jitSettle();
      return 0;
    }
    // A fault of the fetch settles the flags by itself.
    const eip = load<u64>(S, S_RIP);
    rec = enter(<u32>eip);
    if (!rec || load<u16>(rec, REC_HANDLER) != HANDLER_JIT) {
      jitSettle();
      if (rec) heat(EXIT);
      // What RF means to an instruction the run loop knows.
      return rawEflags() & F_RF ? 0 : rec;
    }
    dropResume();
    // Links take a page for aligned, and 16-bit regions follow none.
    if (Run.mode != MODE_16 && !(Run.pageEip & 0xfff)) link(<u64>(<u32>(load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE) + eip)), 0, rec);
  }
}

/** The same in 64-bit mode. */
export function enterJit64(first: usize): usize {
  const rip = thisRip(first);
  countBefore(first);
  setRip64(rip);
  Run.rec = 0;
  let rec = first;
  if (Run.countdown <= 0 || attention()) return 0;
  while (true) {
    if (!runRegion(<u32>load<u16>(rec, REC_OPCODE), pageRip())) {
      jitSettle();
      return 0;
    }
    const rip64 = load<u64>(S, S_RIP);
    rec = enter64(rip64);
    if (!rec || load<u16>(rec, REC_HANDLER) != HANDLER_JIT) {
      jitSettle();
      if (rec) heat(EXIT);
      // What RF means to an instruction the run loop knows.
      return rawEflags() & F_RF ? 0 : rec;
    }
    dropResume();
    link(rip64, 1, rec);
  }
}

/** Instructions of the slice that a fault or a bus access inside a region has left. */
export function settleRegion(): void {
  jitSettle();
  if (!Run.region) return;
  Run.region = false;
  Run.countdown = load<i32>(S, J.SJ_LEFT);
}

// ---- Slow accesses. `left` is what the slice has left before this instruction. ------------------------------------------------------------
// A page fault sets SJ_STEP to STEP_FAULT, everything else that would be raised to STEP_REFUSED, upon which the region leaves before the instruction: nothing that
// a region calls may throw while the guest's registers are in its locals.

// @ts-ignore: decorator
@inline
function table(user: i32): usize {
  return user ? TLB_USER : TLB_SUP;
}

/** Before anything that may reach a device. */
// @ts-ignore: decorator
@inline
function bus(left: i32): void {
  store<i32>(S, left, J.SJ_LEFT);
  store<i32>(S, 0, J.SJ_CUT);
}

// @ts-ignore: decorator
@inline
function tellFault(): void {
  if (faulted) store<u32>(S, J.STEP_FAULT, J.SJ_STEP);
  else if (refused) store<u32>(S, J.STEP_REFUSED, J.SJ_STEP);
}

export function jitRead(lin: u64, size: i32, user: i32, left: i32): u64 {
  bus(left);
  const value = tryRead(table(user), lin, size);
  tellFault();
  return value;
}
/** Read half of a read-modify-write. */
export function jitReadW(lin: u64, size: i32, user: i32, left: i32): u64 {
  bus(left);
  const value = tryReadForWrite(table(user), lin, size);
  tellFault();
  return value;
}
/** Nonzero: the region must be left after this instruction, because something wants attention or its own code may have changed. */
export function jitWrite(lin: u64, value: u64, size: i32, user: i32, left: i32): i32 {
  bus(left);
  const before = Run.regionsDropped;
  tryWrite(table(user), lin, value, size);
  tellFault();
  return <i32>(attention() | (before ^ Run.regionsDropped));
}
export function jitWriteV(lin: u64, low: u64, high: u64, user: i32, left: i32): i32 {
  bus(left);
  const before = Run.regionsDropped;
  tryWriteV(table(user), lin, low, high);
  tellFault();
  return <i32>(attention() | (before ^ Run.regionsDropped));
}

/**
 * Executes the one record at `rec` (made by jitDecode) through the interpreter. 0: go on in the region; otherwise it must be left, and S_RIP
 * says where to go on. The state is in memory before and after.
 */
export function jitExec(rec: usize, left: i32, page: u64): i32 {
  const before = Run.regionsDropped;
  const next = runRecord(rec, left, page);
  return <i32>(load<u64>(S, S_RIP) != next) | <i32>(attention() | (before ^ Run.regionsDropped));
}

/** Decodes the instruction at byte `host` of the shared memory into the record at `rec`, followed by one that leaves. */
export function jitDecode(rec: usize, host: u32, mode: u32): void {
  decodeInto(rec, host, mode);
}

// ---- Flags ------------------------------------------------------------------------------------------------------------------------------

/** Brings flags that the last region left in a lazy form into memory. */
export function jitSettle(): void {
  const kind = load<i32>(S, J.SJ_FLAG_KIND);
  if (kind) jitFlags(kind, load<u64>(S, J.SJ_FLAG_A), load<u64>(S, J.SJ_FLAG_B), load<u64>(S, J.SJ_FLAG_C));
}

/** Brings flags of the lazy form `kind` (jitoffsets.ts) into memory. */
export function jitFlags(kind: i32, a: u64, b: u64, c: u64): void {
  store<i32>(S, J.FLAG_MEMORY, J.SJ_FLAG_KIND);
  const x = <u32>a;
  const y = <u32>b;
  switch (kind) {
    case J.FLAG_SUB: A.sub8(x, y); break;
    case J.FLAG_SUB + 1: A.sub16(x, y); break;
    case J.FLAG_SUB + 2: A.sub32(x, y); break;
    case J.FLAG_ADD: A.add8(x, y); break;
    case J.FLAG_ADD + 1: A.add16(x, y); break;
    case J.FLAG_ADD + 2: A.add32(x, y); break;
    case J.FLAG_LOGIC: A.logic8(x); break;
    case J.FLAG_LOGIC + 1: A.logic16(x); break;
    case J.FLAG_LOGIC + 2: A.logic32(x); break;
    case J.FLAG_INC: setCF(y); A.inc8(x); break;
    case J.FLAG_INC + 1: setCF(y); A.inc16(x); break;
    case J.FLAG_INC + 2: setCF(y); A.inc32(x); break;
    case J.FLAG_DEC: setCF(y); A.dec8(x); break;
    case J.FLAG_DEC + 1: setCF(y); A.dec16(x); break;
    case J.FLAG_DEC + 2: setCF(y); A.dec32(x); break;
    case J.FLAG_ADC: setCF(<u32>c); A.adc8(x, y); break;
    case J.FLAG_ADC + 1: setCF(<u32>c); A.adc16(x, y); break;
    case J.FLAG_ADC + 2: setCF(<u32>c); A.adc32(x, y); break;
    case J.FLAG_SBB: setCF(<u32>c); A.sbb8(x, y); break;
    case J.FLAG_SBB + 1: setCF(<u32>c); A.sbb16(x, y); break;
    case J.FLAG_SBB + 2: setCF(<u32>c); A.sbb32(x, y); break;
    case J.FLAG_SHL: shl8(x, y); break;
    case J.FLAG_SHL + 1: shl16(x, y); break;
    case J.FLAG_SHL + 2: shl32(x, y); break;
    case J.FLAG_SHR: shr8(x, y); break;
    case J.FLAG_SHR + 1: shr16(x, y); break;
    case J.FLAG_SHR + 2: shr32(x, y); break;
    case J.FLAG_SAR: sar8(x, y); break;
    case J.FLAG_SAR + 1: sar16(x, y); break;
    case J.FLAG_SAR + 2: sar32(x, y); break;
    case J.FLAG_IMUL + 1: imulTrunc16(x, y); break;
    case J.FLAG_IMUL + 2: imulTrunc32(x, y); break;
    case J.FLAG_MUL: productFlags(<i32>(<i8>x), y != 0); break;
    case J.FLAG_MUL + 1: productFlags(<i32>(<i16>x), y != 0); break;
    case J.FLAG_MUL + 2: productFlags(<i32>x, y != 0); break;
    case J.FLAG_SCAN:
    case J.FLAG_SCAN + 1:
    case J.FLAG_SCAN + 2:
    case J.FLAG_SCAN + 3:
      if (y) scanZero();
      else scanFlags(x);
      break;
    case J.FLAG_SHLD + 1: shld16(x, y, <u32>c); break;
    case J.FLAG_SHLD + 2: shld32(x, y, <u32>c); break;
    case J.FLAG_SHRD + 1: shrd16(x, y, <u32>c); break;
    case J.FLAG_SHRD + 2: shrd32(x, y, <u32>c); break;
    case J.FLAG_SUB + 3: L.sub64(a, b); break;
    case J.FLAG_ADD + 3: L.add64(a, b); break;
    case J.FLAG_LOGIC + 3: L.logic64(a); break;
    case J.FLAG_INC + 3: setCF(y); L.inc64(a); break;
    case J.FLAG_DEC + 3: setCF(y); L.dec64(a); break;
    case J.FLAG_ADC + 3: setCF(<u32>c); L.adc64(a, b); break;
    case J.FLAG_SBB + 3: setCF(<u32>c); L.sbb64(a, b); break;
    case J.FLAG_SHL + 3: shl64(a, y); break;
    case J.FLAG_SHR + 3: shr64(a, y); break;
    case J.FLAG_SAR + 3: sar64(a, y); break;
    case J.FLAG_IMUL + 3: imulTrunc64(a, b); break;
    case J.FLAG_MUL + 3: productFlags64(a, y != 0); break;
    case J.FLAG_SHLD + 3: shld64(a, b, <u32>c); break;
    case J.FLAG_SHRD + 3: shrd64(a, b, <u32>c); break;
    case J.FLAG_ROL + 3: rol64(a, y); break;
    case J.FLAG_ROR + 3: ror64(a, y); break;
    case J.FLAG_ARITH: setArith(x); break;
    case J.FLAG_ROL: rol8(x, y); break;
    case J.FLAG_ROL + 1: rol16(x, y); break;
    case J.FLAG_ROL + 2: rol32(x, y); break;
    case J.FLAG_ROR: ror8(x, y); break;
    case J.FLAG_ROR + 1: ror16(x, y); break;
    case J.FLAG_ROR + 2: ror32(x, y); break;
    case J.FLAG_SETCF: setCF(x); break;
    default: break;
  }
}

/** Condition `cc` (0..15, SDM volume 1 appendix B) of the flags in memory: 0 or 1. */
export function jitCondition(cc: i32): i32 {
  let v: u32 = 0;
  switch (cc >> 1) {
    case 0: v = getOF(); break;
    case 1: v = getCF(); break;
    case 2: v = getZF(); break;
    case 3: v = getCF() | getZF(); break;
    case 4: v = getSF(); break;
    case 5: v = getPF(); break;
    case 6: v = getLess(); break;
    default: v = getLess() | getZF(); break;
  }
  return <i32>v ^ (cc & 1);
}

// ---- Finding and installing ----------------------------------------------------------------------------------------------------------------

/** Linear address of something in the page that the recompiler is being told of. */
let place: u64 = 0;

/** The recompiler is about to be told of the code at linear address `lin`. */
export function setPlace(lin: u64): void {
  place = lin;
}

/** Code at byte `host` is function `index` from now on. */
export function jitInstall(host: u32, mode: u32, user: u32, index: u32): void {
  mapRegion(host, mode, user, index);
  if (load<u32>(S, HD_ACTIVE)) return;
  const slot = slotIfAny(host, mode);
  if (slot < 0) return;
  const rec = recordAt(<u32>slot, host & 0xfff);
  if (!rec) return;
  if (!load<u8>(rec, REC_LENGTH)) {
    // It reaches into the next page, so its record leaves: the region is found by place only.
    forgetTarget(host);
    return;
  }
  store<u16>(rec, <u16>HANDLER_JIT, REC_HANDLER);
  store<u16>(rec, <u16>index, REC_OPCODE);
}

/** Undoes it: the record will be decoded anew. */
export function jitUninstall(host: u32, mode: u32, user: u32, index: u32): void {
  Run.regionsDropped++;
  unmapRegion(host, mode, user);
  forgetTarget(host);
  jitUnlink(host, mode == MODE_64 ? 1 : 0);
  const slot = slotIfAny(host, mode);
  if (slot < 0) return;
  const rec = recordAt(<u32>slot, host & 0xfff);
  if (!rec || load<u16>(rec, REC_HANDLER) != HANDLER_JIT || <u32>load<u16>(rec, REC_OPCODE) != index) return;
  store<u16>(rec, HANDLER_STALE, REC_HANDLER);
  setRecordAt(<u32>slot, host & 0xfff, 0);
}

/** Writes to the page at byte `host` are reported to the recompiler from now on, or no longer. */
export function jitWatchPage(host: u32, on: i32): void {
  const at = CODE_MAP_BASE + (host >> 12);
  const flags = load<u8>(at);
  store<u8>(at, on ? flags | CODE_JIT : flags & ~CODE_JIT);
  if (on && !flags) tlbProtectCode(host >> 12);
}

/** Byte of the shared memory where code at linear address `lin` is, when the TLB knows; else 0. */
function codeAt(lin: u64): u32 {
  const e = tlbSlot(tlbTable() + TLB_X, lin);
  return load<u64>(e) == (lin & PAGE_MASK) ? <u32>lin + load<u32>(e, 8) : 0;
}

/** Page `delta` pages from the hot (or reporting) one, when that is the page of byte `host`: byte where it begins; 0 when the TLB does not know. */
export function jitPageBeside(host: u32, delta: i32): u32 {
  if ((codeAt(place) ^ host) & 0xffff_f000) return 0;
  const beside = (place & PAGE_MASK) + (<u64>(<i64>delta) << 12);
  return codeAt(Run.mode == MODE_64 ? beside : beside & 0xffff_ffff);
}

/** From a region at instruction pointer `page` with its memory at `pool`: it misses targets. */
export function jitMissed(pool: u32, page: u64): void {
  place = Run.mode == MODE_64 ? page : page + load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE);
  jitMiss(pool);
}
