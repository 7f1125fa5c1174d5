/**
 * Debug registers and #DB (SDM volume 3 chapter 17.2 and 17.3): execute, write, read/write and I/O breakpoints, single step, general
 * detect, task-switch trap.
 *
 * The run loop's part: while SY_DEBUG_ACTIVE is nonzero or EFLAGS.TF is set, call debugBefore(linear address of the instruction) before
 * each instruction and, after it completed, debugAfter(EFLAGS.TF as it was before the instruction).
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { rawEflags, setEflags } from './flags';
import { raiseFault } from './fault';
import { hostWatchHit, hostWatchPage } from './hostdebug';
import { Run } from './runstate';
import { HD_WATCH_COUNT, S_CR4, S_DR, S_RIP, VEC_DB } from './stateoffsets';
import { CR4_DE, FL_RF, FL_TF, SY_DB_PENDING, SY_DEBUG_ACTIVE, SY_SHADOW_SS, SY_STEP_SUPPRESS, SY_WATCH } from './sysstate';
import { PAGE_MASK, tlbFlushAll } from './tlb';

export const DR6_BD: u32 = 0x2000;
export const DR6_BS: u32 = 0x4000;
export const DR6_BT: u32 = 0x8000;
/** DR6 bits that read as one. */
export const DR6_ONES: u32 = 0xffff0ff0;
export const DR7_GD: u32 = 0x2000;

/** DR7 R/W field values. */
const RW_EXECUTE: u32 = 0;
const RW_WRITE: u32 = 1;
const RW_IO: u32 = 2;
const RW_ANY: u32 = 3;

/** SY_STEP_SUPPRESS bits. */
export const SUPPRESS_STEP: u32 = 1;
/** The instruction loaded EFLAGS.RF, which therefore outlives it. */
export const SUPPRESS_RF_CLEAR: u32 = 2;

// @ts-ignore: decorator
@inline
function dr(n: u32): u32 {
  return load<u32>(CPU_STATE_BASE + S_DR + (<usize>n << 3));
}
// @ts-ignore: decorator
@inline
function dr64(n: u32): u64 {
  return load<u64>(CPU_STATE_BASE + S_DR + (<usize>n << 3));
}
// @ts-ignore: decorator
@inline
function setDr(n: u32, v: u32): void {
  store<u64>(CPU_STATE_BASE + S_DR + (<usize>n << 3), <u64>v);
}
// @ts-ignore: decorator
@inline
function enabled(dr7: u32, n: u32): bool {
  return ((dr7 >> (n << 1)) & 3) != 0;
}
// @ts-ignore: decorator
@inline
function kind(dr7: u32, n: u32): u32 {
  return (dr7 >> (16 + (n << 2))) & 3;
}
/** Length in bytes: field 0, 1, 3 = 1, 2, 4; 2 = 8 (64-bit processors). */
// @ts-ignore: decorator
@inline
function length(dr7: u32, n: u32): u32 {
  const code = (dr7 >> (18 + (n << 2))) & 3;
  return code == 2 ? 8 : code + 1;
}

/** Bit of SY_WATCH: watchpoints of a debugger on the host. */
const WATCH_HOST: u32 = 4;

/** Recomputes what DR7 and the host's debugger ask for. Call after DR0..3, DR7 or CR4.DE changed. */
export function updateDebug(): void {
  const dr7 = dr(7);
  let watch: u32 = 0;
  let any: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(dr7, n)) continue;
    any = 1;
    const k = kind(dr7, n);
    if (k == RW_WRITE) watch |= 1;
    else if (k == RW_ANY) watch |= 2;
  }
  if (load<u32>(CPU_STATE_BASE + HD_WATCH_COUNT)) watch |= WATCH_HOST;
  const before = load<u32>(CPU_STATE_BASE + SY_WATCH);
  store<u32>(CPU_STATE_BASE + SY_WATCH, watch);
  store<u32>(CPU_STATE_BASE + SY_DEBUG_ACTIVE, any | (load<u32>(CPU_STATE_BASE + SY_DB_PENDING) ? 1 : 0));
  if (watch | before) tlbFlushAll();
}

/** A data breakpoint lies in (or reaches into) the page of `lin`. */
export function watchPage(lin: u64): bool {
  if (load<u32>(CPU_STATE_BASE + HD_WATCH_COUNT) && hostWatchPage(lin)) return true;
  const dr7 = dr(7);
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(dr7, n) || !(kind(dr7, n) & RW_WRITE)) continue;
    if (((dr64(n) ^ lin) & PAGE_MASK) == 0) return true;
  }
  return false;
}

/** Notes the data breakpoints that an access of `size` bytes at `lin` touches. */
export function watchHit(lin: u64, size: u32, write: bool): void {
  if (load<u32>(CPU_STATE_BASE + HD_WATCH_COUNT)) hostWatchHit(lin, size, write);
  const dr7 = dr(7);
  let hit: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(dr7, n)) continue;
    const k = kind(dr7, n);
    if (k != RW_ANY && !(k == RW_WRITE && write)) continue;
    const len = length(dr7, n);
    const at = dr64(n) & ~(<u64>len - 1);
    if (lin < at + len && at < lin + size) hit |= 1 << n;
  }
  if (hit) store<u32>(CPU_STATE_BASE + SY_DB_PENDING, load<u32>(CPU_STATE_BASE + SY_DB_PENDING) | hit);
}

/** Notes the I/O breakpoints that a port access touches (CR4.DE). */
export function watchPort(port: u32, size: u32): void {
  if (!load<u32>(CPU_STATE_BASE + SY_DEBUG_ACTIVE) || !(load<u64>(CPU_STATE_BASE + S_CR4) & CR4_DE)) return;
  const dr7 = dr(7);
  let hit: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(dr7, n) || kind(dr7, n) != RW_IO) continue;
    const len = length(dr7, n);
    const at = dr(n) & ~(len - 1);
    if (port < at + len && at < port + size) hit |= 1 << n;
  }
  if (hit) store<u32>(CPU_STATE_BASE + SY_DB_PENDING, load<u32>(CPU_STATE_BASE + SY_DB_PENDING) | hit);
}

/** DR6.B0 to B3. */
const DR6_TRAPS: u32 = 15;

/** Sets DR6 bits and raises #DB. B0 to B3 are of this exception only, the others stay until software clears them (SDM volume 3 section 17.2.3). */
export function raiseDebug(bits: u32): void {
  setDr(6, (dr(6) & ~DR6_TRAPS) | bits | DR6_ONES);
  raiseFault(VEC_DB);
}

/**
 * SYSCALL and SYSRET trap by what TF is after them: a system that masks it is not stepped into, and its return to a user who is stepped traps right behind
 * the call (found with processors: Linux, x86/entry, where SYSRET must not restore TF; SDM volume 2 says nothing of it).
 */
export function stepByNewFlags(): void {
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, SUPPRESS_STEP);
  if (rawEflags() & FL_TF) raiseDebug(DR6_BS);
}

/** Data breakpoints that MOV SS held back become part of the #DB that the next instruction raises by itself. */
export function mergePending(): void {
  const bits = load<u32>(CPU_STATE_BASE + SY_DB_PENDING);
  store<u32>(CPU_STATE_BASE + SY_DB_PENDING, 0);
  if (bits) setDr(6, (dr(6) & ~DR6_TRAPS) | bits | DR6_ONES);
}

/** A #DB is being delivered: general detect goes off. */
export function debugDelivered(): void {
  setDr(7, dr(7) & ~DR7_GD);
}

/** Instruction breakpoints at linear address `lin`: a fault, before the instruction. */
export function debugBefore(lin: u64): void {
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, 0);
  Run.repeats = false;
  const shadow = load<u32>(CPU_STATE_BASE + SY_SHADOW_SS);
  store<u32>(CPU_STATE_BASE + SY_SHADOW_SS, 0);
  if (!load<u32>(CPU_STATE_BASE + SY_DEBUG_ACTIVE) || rawEflags() & FL_RF) return;
  // Nor do Intel's processors break on the instruction after MOV SS.
  if (shadow && shadow == load<u32>(CPU_STATE_BASE + S_RIP) + 1) return;
  const dr7 = dr(7);
  let hit: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (enabled(dr7, n) && kind(dr7, n) == RW_EXECUTE && dr64(n) == lin) hit |= 1 << n;
  }
  if (hit) raiseDebug(hit);
}

/** Traps after a completed instruction; S_RIP is already that of the next. `tf`: EFLAGS.TF was set before the instruction. */
export function debugAfter(tf: u32): void {
  const suppress = load<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS);
  store<u32>(CPU_STATE_BASE + SY_STEP_SUPPRESS, 0);
  // Between elements of a repetition RF is set, so that its breakpoint does not strike again (section 17.3.1.1).
  if (Run.repeats) setEflags(FL_RF, FL_RF);
  else if (!(suppress & SUPPRESS_RF_CLEAR)) setEflags(0, FL_RF);
  // MOV SS holds data breakpoints back for one instruction and loses its own single step (SDM volume 3 section 6.8.3). debugBefore ends that.
  const shadow = load<u32>(CPU_STATE_BASE + SY_SHADOW_SS);
  if (shadow && shadow == load<u32>(CPU_STATE_BASE + S_RIP) + 1) return;
  let bits = load<u32>(CPU_STATE_BASE + SY_DB_PENDING);
  store<u32>(CPU_STATE_BASE + SY_DB_PENDING, 0);
  if (tf && !(suppress & SUPPRESS_STEP)) bits |= DR6_BS;
  if (bits) raiseDebug(bits);
}
