/**
 * x87 register stack, status word and exception delivery (SDM volume 1, 8.1).
 *
 *   status word   15 B  14 C3  13..11 TOP  10 C2  9 C1  8 C0  7 ES  6 SF  5..0 PE UE OE ZE DE IE
 *   control word  11..10 RC  9..8 PC  5..0 masks
 *
 * In S_FPU_TW a tag is either 3 (empty) or 0; the finer tags of FNSTENV are worked out from the registers when they are stored.
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { raiseFault } from '../fault';
import {
  S_CR0, S_EXIT, S_FPU_CW, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP, S_FPU_ST, S_FPU_SW, S_FPU_TW, VEC_MF,
} from '../stateoffsets';
import { Ctl, F, indefinite80 } from './f80';
import { FP, FP_IE } from './unpacked';

const CW: usize = CPU_STATE_BASE + S_FPU_CW;
const SW: usize = CPU_STATE_BASE + S_FPU_SW;
const TW: usize = CPU_STATE_BASE + S_FPU_TW;
export const ST_BASE: usize = CPU_STATE_BASE + S_FPU_ST;

export const SW_SF: u32 = 0x0040;
export const SW_ES: u32 = 0x0080;
export const SW_C0: u32 = 0x0100;
export const SW_C1: u32 = 0x0200;
export const SW_C2: u32 = 0x0400;
export const SW_C3: u32 = 0x4000;
export const SW_B: u32 = 0x8000;
const CR0_NE: u32 = 0x20;

/** FNINIT, SDM volume 2: also the power-on state except for register contents. */
export function fpuInit(): void {
  store<u16>(CW, 0x037f);
  store<u16>(SW, 0);
  store<u16>(TW, 0xffff);
  store<u16>(CPU_STATE_BASE + S_FPU_FOP, 0);
  store<u64>(CPU_STATE_BASE + S_FPU_FIP, 0);
  store<u16>(CPU_STATE_BASE + S_FPU_FCS, 0);
  store<u16>(CPU_STATE_BASE + S_FPU_FDS, 0);
  store<u64>(CPU_STATE_BASE + S_FPU_FDP, 0);
}

// @ts-ignore: decorator
@inline
export function getCw(): u32 {
  return <u32>load<u16>(CW);
}
// @ts-ignore: decorator
@inline
export function getSw(): u32 {
  return <u32>load<u16>(SW);
}
// @ts-ignore: decorator
@inline
export function setSw(v: u32): void {
  store<u16>(SW, v);
}
// @ts-ignore: decorator
@inline
export function getTw(): u32 {
  return <u32>load<u16>(TW);
}
// @ts-ignore: decorator
@inline
export function setTw(v: u32): void {
  store<u16>(TW, v);
}

/** Physical register number of ST(i). */
// @ts-ignore: decorator
@inline
export function phys(i: u32): u32 {
  return (((<u32>load<u16>(SW) >> 11) & 7) + i) & 7;
}
// @ts-ignore: decorator
@inline
export function stPtr(i: u32): usize {
  return ST_BASE + (<usize>phys(i) << 4);
}
// @ts-ignore: decorator
@inline
export function isEmpty(i: u32): bool {
  return ((<u32>load<u16>(TW) >> (phys(i) << 1)) & 3) == 3;
}
// @ts-ignore: decorator
@inline
export function stSe(i: u32): u32 {
  return <u32>load<u16>(stPtr(i), 8);
}
// @ts-ignore: decorator
@inline
export function stSig(i: u32): u64 {
  return load<u64>(stPtr(i));
}
/** Writes ST(i) and marks it in use. */
export function setSt(i: u32, se: u32, sig: u64): void {
  const p = phys(i);
  const at = ST_BASE + (<usize>p << 4);
  store<u64>(at, sig);
  store<u16>(at, se, 8);
  store<u16>(TW, <u32>load<u16>(TW) & ~(3 << (p << 1)));
}
// @ts-ignore: decorator
@inline
export function setTop(top: u32): void {
  store<u16>(SW, (<u32>load<u16>(SW) & ~0x3800) | ((top & 7) << 11));
}
export function freeSt(i: u32): void {
  store<u16>(TW, <u32>load<u16>(TW) | (3 << (phys(i) << 1)));
}
export function pop(): void {
  freeSt(0);
  setTop(phys(1));
}
/** Moves TOP down and writes the new ST(0). */
export function push(se: u32, sig: u64): void {
  setTop(phys(7));
  setSt(0, se, sig);
}

/** Starts an instruction's arithmetic: control word to Ctl, no flags. */
export function begin(): void {
  const cw = <u32>load<u16>(CW);
  Ctl.rc = (cw >> 10) & 3;
  const pc = (cw >> 8) & 3;
  Ctl.bits = pc == 0 ? 24 : pc == 2 ? 53 : 64;
  Ctl.masks = cw & 0x3f;
  FP.flags = 0;
  FP.up = 0;
}

/** ES and B follow the flags and masks; a change of either goes through here. With CR0.NE clear FERR# reports it: see ferrPending. */
export function updateSummary(): void {
  const sw = <u32>load<u16>(SW);
  if (sw & ~<u32>load<u16>(CW) & 0x3f) {
    if (!(load<u32>(CPU_STATE_BASE + S_CR0) & CR0_NE)) store<u32>(CPU_STATE_BASE + S_EXIT, load<u32>(CPU_STATE_BASE + S_EXIT) | 1);
    store<u16>(SW, sw | SW_ES | SW_B);
  } else store<u16>(SW, sw & ~(SW_ES | SW_B));
}

/** Sticks the flags gathered in FP to the status word, C1 = rounded up. An unmasked IE, DE or ZE comes before anything is rounded. */
export function commitFlags(): void {
  if (FP.flags & 7 & ~Ctl.masks) {
    FP.flags &= 7;
    FP.up &= FP.flags & FP_IE;
  }
  const f = FP.flags;
  const sw = <u32>load<u16>(SW) & ~SW_C1;
  store<u16>(SW, sw | f | (FP.up << 9));
  if (f & ~Ctl.masks) updateSummary();
}
/** The same, and whether the destination may be written: not after an unmasked IE, DE or ZE. */
export function commit(): bool {
  commitFlags();
  return (FP.flags & 7 & ~Ctl.masks) == 0;
}

/** Stack fault: IE and SF, C1 = 1 for overflow. True when masked: the indefinite is then in F. */
export function stackFault(overflow: u32): bool {
  FP.flags = FP_IE;
  FP.up = overflow;
  store<u16>(SW, <u32>load<u16>(SW) | SW_SF);
  indefinite80();
  return commit();
}

/** Waiting instructions: a pending unmasked exception is reported now, if CR0.NE asks for #MF. Otherwise FERR# is already up. */
// @ts-ignore: decorator
@inline
export function checkPending(): void {
  if (<u32>load<u16>(SW) & SW_ES && load<u32>(CPU_STATE_BASE + S_CR0) & CR0_NE) raiseFault(VEC_MF);
}

/**
 * Level of the FERR# pin: 1 while an unmasked exception is pending and CR0.NE is clear. The host looks at it whenever run() returns (S_EXIT
 * is set when it rises) and drives IRQ 13; FNCLEX or FNINIT, or a write to port F0h at the board, takes it away (SDM volume 1, appendix D).
 */
export function ferrPending(): i32 {
  return <i32>(<u32>load<u16>(SW) & SW_ES && !(load<u32>(CPU_STATE_BASE + S_CR0) & CR0_NE));
}

/** The stored tag word of FNSTENV: valid 0, zero 1, special 2, empty 3. */
export function fullTags(): u32 {
  const tw = <u32>load<u16>(TW);
  let out: u32 = 0;
  for (let p: u32 = 0; p < 8; p++) {
    let tag: u32 = (tw >> (p << 1)) & 3;
    if (tag != 3) {
      const at = ST_BASE + (<usize>p << 4);
      const e = <u32>load<u16>(at, 8) & 0x7fff;
      const sig = load<u64>(at);
      tag = e == 0 ? (sig == 0 ? 1 : 2) : e == 0x7fff || <i64>sig >= 0 ? 2 : 0;
    }
    out |= tag << (p << 1);
  }
  return out;
}
/** Tags from a full tag word: only "empty" matters. */
export function loadTags(tw: u32): void {
  let out: u32 = 0;
  for (let s: u32 = 0; s < 16; s += 2) if (((tw >> s) & 3) == 3) out |= 3 << s;
  store<u16>(TW, out);
}

/** Control word as loaded: bit 6 always reads 1, bits 7 and 13..15 0. */
export function loadCw(v: u32): void {
  store<u16>(CW, (v & 0x1f3f) | 0x40);
}

/** MMX instructions: TOP = 0, all registers in use (SDM volume 1, 9.5). */
// @ts-ignore: decorator
@inline
export function clearTop(): void {
  store<u16>(SW, <u32>load<u16>(SW) & ~0x3800);
}
// @ts-ignore: decorator
@inline
export function enterMmx(): void {
  clearTop();
  store<u16>(TW, 0);
}
export function storeF(i: u32): void {
  setSt(i, F.se, F.sig);
}
