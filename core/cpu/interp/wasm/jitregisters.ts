/**
 * Segment registers and the flags register for compiled regions: the common cases of loads, PUSHF and POPF, which a system executes at every entry,
 * without the interpreter's way to an instruction. What is not common is left to that, with nothing changed.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { F_AC, F_ARITH, F_DF, F_ID, F_IF, F_IOPL, F_NT, F_RF, F_TF, F_VM, getEflags, rawEflags, setEflags } from './flags';
import { MODE_16, MODE_32, MODE_FLAT, Run } from './runstate';
import {
  ATTR_ACCESSED, ATTR_CODE, ATTR_DC, ATTR_P, ATTR_RW, ATTR_S, attrDpl, cpl, descAttr, descBase, descLimit, isNull, linearMask, paragraphMode,
  loadSegmentReal, setFromDescriptor, setNull,
} from './seg';
import { SEG_FS, S_GDTR_BASE, S_GDTR_LIMIT, S_INTR, S_NMI_PENDING } from './stateoffsets';
import { FEAT_SMAP } from './features';
import { hasFeature } from './model';
import { setAccess } from './sys64';
import { SY_USER_OPEN } from './sysstate';
import { PAGE_MASK, TLB_SUP, tlbSlot } from './tlb';

const S: usize = CPU_STATE_BASE;

/** Bits of a descriptor's attributes that an ordinary data segment has, and those looked at. */
const DATA: u32 = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED;
const DATA_MASK: u32 = DATA | ATTR_CODE | ATTR_DC;

/** Loads ES, DS, FS or GS with `selector`, of which the lower half counts. 0: the interpreter must do it. */
export function jitSegment(seg: i32, selector: u32): i32 {
  selector &= 0xffff;
  if (paragraphMode()) {
    if (Run.mode != MODE_16) return 0;
    loadSegmentReal(seg, selector);
    return 1;
  }
  // DS and ES stay what 32-bit regions take them for: all of the linear space.
  const flat = seg < SEG_FS && Run.mode == (MODE_32 | MODE_FLAT);
  if (isNull(selector)) {
    if (flat) return 0;
    setNull(seg, selector);
    return 1;
  }
  if (selector & 4 || (selector | 7) > load<u32>(S, S_GDTR_LIMIT)) return 0;
  const at = (load<u64>(S, S_GDTR_BASE) + (selector & 0xfff8)) & linearMask();
  const e = tlbSlot(TLB_SUP, at);
  if (load<u64>(e) != ((at + 7) & PAGE_MASK) || load<u32>(S, SY_USER_OPEN)) return 0;
  const host: usize = <usize>at + load<u32>(e, 8);
  const lo = load<u32>(host);
  const hi = load<u32>(host, 4);
  const attr = descAttr(hi);
  if ((attr & DATA_MASK) != DATA) return 0;
  if ((selector & 3) > attrDpl(attr) || cpl() > attrDpl(attr)) return 0;
  if (flat && (descBase(lo, hi) != 0 || descLimit(lo, hi) != 0xffff_ffff)) return 0;
  setFromDescriptor(seg, selector, lo, hi);
  return 1;
}

/** CLAC and STAC. 0: the interpreter must do it, which raises a fault. */
export function jitUserAccess(on: i32): i32 {
  if (!hasFeature(FEAT_SMAP) || cpl() != 0) return 0;
  setAccess(on != 0);
  return 1;
}

/** What PUSHF stores. */
export function jitPushFlags(): u32 {
  return getEflags() & ~(F_VM | F_RF);
}

/** POPF of `value`. 0: the interpreter must do it; 2: it is done, and the run loop is to look at an interrupt. */
export function jitPopFlags(value: u32): i32 {
  const flags = rawEflags();
  if (flags & F_VM) return 0;
  const level = cpl();
  const mask: u32 = F_ARITH | F_DF | F_ID | (level <= (flags & F_IOPL) >>> 12 ? F_IF : 0);
  if ((flags ^ value) & (F_TF | F_NT | F_AC | (level == 0 ? F_IOPL : 0))) return 0;
  setEflags(value, mask);
  return (rawEflags() & F_IF) != 0 && (load<u32>(S, S_INTR) | load<u32>(S, S_NMI_PENDING)) != 0 ? 2 : 1;
}
