/**
 * The time stamp counter (SDM volume 3 section 18.17). The host's clock costs a call into JavaScript, which for a system that reads the counter at every
 * system call is a tenth of its time: compiled regions go on from the last look at the clock for a few thousand instructions, at somewhat less than
 * the speed measured before, so that the clock is never ahead of its next look. Nobody ever sees the counter go back.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { readTsc } from './imports';
import { Run } from './runstate';
import { S_CPL, S_CR4, S_MSR_TSC_OFFSET } from './stateoffsets';
import { CR4_TSD } from './sysstate';

/** Instructions until the clock is looked at again: some microseconds. */
const TRUSTED: u64 = 4096;
/** Of the measured speed. */
const CAUTION: f64 = 0.75;
/** Ticks, which are nanoseconds, for one instruction at most: the time of a pause is not that of an instruction. */
const SLOWEST: f64 = 8;
/** A clock that is farther back than this many ticks was set back, as by a restored state. */
const SET_BACK: u64 = 50_000_000;

/** Clock and count of instructions at the last look, ticks for an instruction, and the last value that anybody saw. */
let seenAt: u64 = 0;
let seenCount: u64 = 0;
let speed: f64 = 0;
let last: u64 = 0;

/** The clock must be looked at: time passed in which no instruction was executed. */
export function distrustTime(): void {
  seenCount = 0;
}

/** `ticks`, or the last value if that is later. */
function forward(ticks: u64): u64 {
  if (ticks >= last || last - ticks > SET_BACK) last = ticks;
  return last + load<u64>(CPU_STATE_BASE, S_MSR_TSC_OFFSET);
}

/** As RDTSC reads it. */
export function timeStamp(): u64 {
  return forward(<u64>readTsc());
}

/** RDTSC of a region that has `left` instructions of its slice left, which need not end exactly; all ones when the interpreter must execute it. */
export function jitTimeStamp(left: i32): u64 {
  if (load<u32>(CPU_STATE_BASE, S_CPL) != 0 && (load<u64>(CPU_STATE_BASE, S_CR4) & CR4_TSD) != 0) return ~(<u64>0);
  const count = Run.countEnd - <u64>(<i64>left);
  const since = count - seenCount;
  if (since < TRUSTED) return forward(seenAt + <u64>(<f64>since * speed));
  const now = <u64>readTsc();
  if (seenCount != 0) speed = min((<f64>(now - seenAt) / <f64>since) * CAUTION, SLOWEST);
  seenAt = now;
  seenCount = count;
  return forward(now);
}
