/**
 * MXCSR and SIMD floating-point exceptions (SDM volume 1, 10.2.3 and 11.5).
 *
 *   15 FTZ   14..13 RC   12..7 masks PM UM OM ZM DM IM   6 DAZ   5..0 flags PE UE OE ZE DE IE
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { raiseFault } from '../fault';
import { FP } from '../fpu/unpacked';
import { S_CR4, S_MXCSR, VEC_UD, VEC_XM } from '../stateoffsets';

/** Bits that can be set; the value FXSAVE stores as MXCSR_MASK. */
export const MXCSR_MASK: u32 = 0xffff;
const MXCSR_DAZ: u32 = 0x40;
const MXCSR_FTZ: u32 = 0x8000;
const CR4_OSXMMEXCPT: u32 = 0x400;
/** All of RC, FTZ, DAZ, the masks and PE. */
const FAST_FIELDS: u32 = 0xffe0;
/** Everything masked, round to nearest, and PE already set: an ordinary result of ordinary operands changes nothing. */
const FAST_VALUE: u32 = 0x1fa0;

/** Set-up of the current instruction. */
export class M {
  static fast: bool = false;
  static rc: u32 = 0;
  static masks: u32 = 0x3f;
  static daz: bool = false;
  static ftz: bool = false;
}

/** Whether M.fast would be set: asked before beginSse where the quick way needs nothing else of it. */
// @ts-ignore: decorator
@inline
export function fastMode(): bool {
  return (load<u32>(CPU_STATE_BASE + S_MXCSR) & FAST_FIELDS) == FAST_VALUE;
}

export function beginSse(): void {
  const mx = load<u32>(CPU_STATE_BASE + S_MXCSR);
  M.fast = (mx & FAST_FIELDS) == FAST_VALUE;
  M.rc = (mx >> 13) & 3;
  M.masks = (mx >> 7) & 0x3f;
  M.daz = (mx & MXCSR_DAZ) != 0;
  M.ftz = (mx & MXCSR_FTZ) != 0;
  FP.flags = 0;
}

/** Sticks the gathered flags and raises #XM for an unmasked one. Call before anything is written. */
export function endSse(): void {
  let f = FP.flags;
  if (f == 0) return;
  // IE, DE and ZE are found before anything is computed: an unmasked one keeps the others from being raised.
  if (f & 7 & ~M.masks) f &= 7;
  const at = CPU_STATE_BASE + S_MXCSR;
  store<u32>(at, load<u32>(at) | f);
  if (f & ~M.masks) raiseFault(load<u32>(CPU_STATE_BASE + S_CR4) & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}
