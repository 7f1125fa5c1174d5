/** Stack switch to an inner level through the task-state segment: call gates and interrupts. SDM volume 3 section 5.8.5. */
import { raiseFaultErr } from './fault';
import { linReadSys16, linReadSys32, linReadSys64 } from './memsystem';
import { isCanonical } from './slowaccess';
import { ATTR_P, attrDpl, descAttr, descHi, descLo, fetchDescriptor, isNull, isWritableData, markAccessed, segAttr, segBase, segLimit, segSelector } from './seg';
import { frameNew, frameNew64 } from './stack';
import { SEG_TR, VEC_SS, VEC_TS } from './stateoffsets';

/** Selector and descriptor of the new stack segment. */
export let innerSs: u32 = 0;
export let innerSsLo: u32 = 0;
export let innerSsHi: u32 = 0;

/** Reads and checks SS:ESP of `level` from the current TSS and makes it the frame. Raises #TS, #SS, #PF. */
export function innerStack(level: u32): void {
  const wide = (segAttr(SEG_TR) & 8) != 0;
  const at: u32 = wide ? 4 + (level << 3) : 2 + (level << 2);
  if (at + (wide ? 5 : 3) > segLimit(SEG_TR)) raiseFaultErr(VEC_TS, segSelector(SEG_TR) & 0xfffc);
  const base = segBase(SEG_TR) + at;
  const sp = wide ? linReadSys32(base & 0xffffffff) : linReadSys16(base & 0xffffffff);
  const ss = linReadSys16((base + (wide ? 4 : 2)) & 0xffffffff);
  const error = ss & 0xfffc;
  if (isNull(ss)) raiseFaultErr(VEC_TS, 0);
  fetchDescriptor(ss, VEC_TS);
  const attr = descAttr(descHi);
  if ((ss & 3) != level || attrDpl(attr) != level || !isWritableData(attr)) raiseFaultErr(VEC_TS, error);
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, error);
  markAccessed();
  innerSs = ss;
  innerSsLo = descLo;
  innerSsHi = descHi;
  frameNew(descLo, descHi, sp, level, error);
}

/** TSS offsets of the 64-bit TSS (SDM volume 3 figure 8-11): RSP0..2 at 4, IST1..7 at 36. */
const TSS64_RSP0: u32 = 4;
const TSS64_IST0: u32 = 28;

/**
 * Long mode: makes the stack of privilege `level`, or of interrupt-stack-table entry `ist` when that is not 0, the frame. SS is to become
 * null. With `align`, 16 bytes. Raises #TS, #SS, #PF.
 */
export function innerStack64(level: u32, ist: u32, align: bool): void {
  const at: u32 = ist ? TSS64_IST0 + (ist << 3) : TSS64_RSP0 + (level << 3);
  if (at + 7 > segLimit(SEG_TR)) raiseFaultErr(VEC_TS, segSelector(SEG_TR) & 0xfffc);
  const rsp = linReadSys64(segBase(SEG_TR) + at);
  if (!isCanonical(rsp)) raiseFaultErr(VEC_SS, 0);
  frameNew64(align ? rsp & ~(<u64>15) : rsp, level);
}
