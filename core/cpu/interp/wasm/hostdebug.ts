/**
 * Breakpoints, watchpoints and single step of a debugger on the host (core/cpu/debugcontrol.ts), invisible to the guest.
 *
 * Breakpoints: no decoded run is ever entered through a linear page that has one (find() in branch.ts asks), so code there is stepped, and
 * the run loop looks before each step. Code elsewhere runs at full speed.
 *
 * Watchpoints: watched pages stay out of the TLB, so accesses to them come to the slow paths (slowaccess.ts). A hit in the middle of a decoded
 * run leaves the instruction as a page fault would, before it changed anything, and the run loop executes it again alone and stops after
 * it. An access outside an instruction's restartable part (delivery of an interrupt, a far transfer under way) is only noted: those come
 * back to the run loop anyway.
 *
 * Single step: one instruction, or one element of a repeated string instruction, or the delivery of the fault it raised. Interrupts wait
 * meanwhile, unless the processor is halted.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { clearCache } from './codecache';
import { updateDebug } from './debug';
import { raise } from './imports';
import { Run } from './runstate';
import {
  HD_ACTIVE, HD_ADDRESS, HD_BREAK_COUNT, HD_BREAKS, HD_CAUSE, HD_HIT, HD_ONE, HD_REPLAY, HD_STEP, HD_WATCH_COUNT, HD_WATCHES, S_EXIT, S_FAULT_VECTOR,
} from './stateoffsets';
import { SY_DB_PENDING } from './sysstate';
import { tlbFlushAll } from './tlb';

const S: usize = CPU_STATE_BASE;
const PAGE_SHIFT: u64 = 12;

/** HD_CAUSE values. */
const CAUSE_BREAKPOINT: u32 = 1;
const CAUSE_WATCHPOINT: u32 = 2;
const CAUSE_STEP: u32 = 3;

/** HD_STEP values. */
const STEP_ARMED: u32 = 1;
const STEP_DONE: u32 = 2;

/** HD_REPLAY values. */
const REPLAY_RAISED: u32 = 1;
const REPLAY_WANTED: u32 = 2;

/** Fault number of a replay; no exception has it. */
const VECTOR_NONE: u32 = 0xff;
/** S_EXIT: look at things at the next opportunity. */
const EXIT_LOOK: u32 = 2;

/** An entry of HD_WATCHES: u64 address, u32 length, u32 bits: 1 = writes, 2 = reads. */
const WATCH_SIZE: usize = 16;
const WATCH_WRITES: u32 = 1;
const WATCH_READS: u32 = 2;

/** The lists in the state block changed: everything derived from the old ones goes. */
export function hostDebugChanged(): void {
  // Links inside pages, and ways into them, that pass over a breakpoint.
  clearCache();
  updateDebug();
  tlbFlushAll();
  updateActive();
  store<u32>(S, load<u32>(S, S_EXIT) | EXIT_LOOK, S_EXIT);
}

/** Executes one instruction at the next run(). */
export function hostStep(): void {
  store<u32>(S, STEP_ARMED, HD_STEP);
  updateActive();
}

/** Forgets an armed step and unreported hits: the debugger stopped the machine in another way. */
export function hostForget(): void {
  store<u32>(S, 0, HD_STEP);
  store<u32>(S, 0, HD_HIT);
  store<u32>(S, 0, HD_ONE);
  store<u32>(S, 0, HD_REPLAY);
  store<u32>(S, 0, HD_CAUSE);
  updateActive();
}

function updateActive(): void {
  store<u32>(S, load<u32>(S, HD_BREAK_COUNT) | load<u32>(S, HD_WATCH_COUNT) | load<u32>(S, HD_STEP) | load<u32>(S, HD_HIT), HD_ACTIVE);
}

/** True when the linear page of `lin` has a breakpoint. */
export function hostBreakPage(lin: u64): bool {
  const count = load<u32>(S, HD_BREAK_COUNT);
  for (let i: u32 = 0; i < count; i++) if ((load<u64>(S + HD_BREAKS + (<usize>i << 3)) ^ lin) >> PAGE_SHIFT == 0) return true;
  return false;
}

/** Between instructions: true when a step was completed or a watchpoint hit, which HD_CAUSE then tells. */
export function hostStopped(): bool {
  store<u32>(S, 0, HD_ONE);
  const hit = load<u32>(S, HD_HIT) != 0;
  const stepped = load<u32>(S, HD_STEP) == STEP_DONE;
  if (!hit && !stepped) return false;
  store<u32>(S, hit ? CAUSE_WATCHPOINT : CAUSE_STEP, HD_CAUSE);
  // HD_HIT and HD_ADDRESS are for the host to read; it calls hostForget().
  store<u32>(S, 0, HD_STEP);
  return true;
}

/** Before the instruction at linear address `lin`: true when a breakpoint is there. */
export function hostBreak(lin: u64): bool {
  if (load<u32>(S, HD_STEP) == STEP_ARMED) return false;
  const count = load<u32>(S, HD_BREAK_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    if (load<u64>(S + HD_BREAKS + (<usize>i << 3)) != lin) continue;
    store<u32>(S, CAUSE_BREAKPOINT, HD_CAUSE);
    return true;
  }
  return false;
}

/** An instruction, or the delivery of an interrupt, is about to happen: nonzero when nothing may follow it unseen. */
export function hostArm(): u32 {
  if (load<u32>(S, HD_STEP) == STEP_ARMED) {
    store<u32>(S, STEP_DONE, HD_STEP);
    store<u32>(S, 1, HD_ONE);
  }
  if (load<u32>(S, HD_REPLAY)) {
    store<u32>(S, 0, HD_REPLAY);
    store<u32>(S, 1, HD_ONE);
  }
  return load<u32>(S, HD_ONE);
}

/** Interrupts wait while an instruction is to be stepped. */
// @ts-ignore: decorator
@inline
export function hostHoldsInterrupts(): bool {
  return load<u32>(S, HD_STEP) == STEP_ARMED;
}

/** One string element at a time. */
// @ts-ignore: decorator
@inline
export function hostOne(): bool {
  return load<u32>(S, HD_ONE) != 0;
}

/** A watchpoint lies in, or reaches into, the page of `lin`. */
export function hostWatchPage(lin: u64): bool {
  const count = load<u32>(S, HD_WATCH_COUNT);
  const page = lin >> PAGE_SHIFT;
  for (let i: u32 = 0; i < count; i++) {
    const at = S + HD_WATCHES + <usize>i * WATCH_SIZE;
    const first = load<u64>(at);
    if (first >> PAGE_SHIFT <= page && (first + load<u32>(at, 8) - 1) >> PAGE_SHIFT >= page) return true;
  }
  return false;
}

/** Index + 1 of the watchpoint that an access touches, 0 when none. */
function touched(lin: u64, size: u32, write: bool): u32 {
  const count = load<u32>(S, HD_WATCH_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    const at = S + HD_WATCHES + <usize>i * WATCH_SIZE;
    const first = load<u64>(at);
    if (!(load<u32>(at, 12) & (write ? WATCH_WRITES : WATCH_READS))) continue;
    if (lin < first + load<u32>(at, 8) && first < lin + size) return i + 1;
  }
  return 0;
}

/** Leaves the instruction to execute it again alone, where that is possible. */
function replay(): void {
  if (!Run.rec || Run.step) return;
  store<u32>(S, REPLAY_RAISED, HD_REPLAY);
  store<u32>(S, VECTOR_NONE, S_FAULT_VECTOR);
  raise();
  unreachable();
}

/** An access of `size` bytes at `lin` is about to happen. */
export function hostWatchHit(lin: u64, size: u32, write: bool): void {
  const hit = touched(lin, size, write);
  if (!hit) return;
  replay();
  if (load<u32>(S, HD_HIT)) return;
  store<u32>(S, hit, HD_HIT);
  const first = load<u64>(S + HD_WATCHES + <usize>(hit - 1) * WATCH_SIZE);
  store<u64>(S, first > lin ? first : lin, HD_ADDRESS);
  updateActive();
}

/** The same for an access that an instruction makes sure of, before it changes anything; the access itself comes later. */
export function hostWatchProbe(lin: u64, size: u32, write: bool): void {
  if (touched(lin, size, write)) replay();
}

/** After a throw: true when it was no fault but a replay. */
export function hostTakeReplay(): bool {
  if (load<u32>(S, HD_REPLAY) != REPLAY_RAISED) return false;
  store<u32>(S, REPLAY_WANTED, HD_REPLAY);
  store<u32>(S, 0, SY_DB_PENDING);
  return true;
}
