/** Stack switch to an inner level through the task-state segment: call gates and interrupts. SDM volume 3 section 5.8.5. */
import { raiseFaultErr } from './fault';
import { linReadSys16, linReadSys32 } from './mem';
import { ATTR_P, attrDpl, descAttr, descHi, descLo, fetchDescriptor, isNull, isWritableData, markAccessed, segAttr, segBase, segLimit, segSelector } from './seg';
import { frameNew } from './stack';
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
