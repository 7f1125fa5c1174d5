/**
 * RFLAGS with the six arithmetic flags kept lazily (SDM volume 1, 3.4.3). An arithmetic instruction stores two words and no flag:
 *
 *   RES  i64 at S_LAZY      result, sign-extended from the operand size
 *   AUX  u64 at S_LAZY + 8  low half: carry vector, bit 31 carry out of the top bit, bit 30 carry into it, bit 3 carry out of bit 3
 *                           high half, FIX: what RES cannot say; 0 after every arithmetic instruction
 *
 *   CF = AUX[31]   OF = AUX[31] ^ AUX[30]   AF = AUX[3]
 *   ZF = RES == 0 (all 64 bits)   SF = RES[63] ^ FIX[31]   PF = even parity of RES[7:0] ^ FIX[7:0]
 *
 * One format for every operand size: whoever stores a result stores AUX as 64 bits, which clears FIX at no cost. Only arbitrary flags
 * (POPF, SAHF, a return from an interrupt) can need FIX: no result is zero and negative, or zero with odd parity.
 * Every other bit of RFLAGS lives in S_EFLAGS.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { S_EFLAGS, S_LAZY } from './stateoffsets';

export const F_CF: u32 = 0x0001;
export const F_PF: u32 = 0x0004;
export const F_AF: u32 = 0x0010;
export const F_ZF: u32 = 0x0040;
export const F_SF: u32 = 0x0080;
export const F_TF: u32 = 0x0100;
export const F_IF: u32 = 0x0200;
export const F_DF: u32 = 0x0400;
export const F_OF: u32 = 0x0800;
export const F_IOPL: u32 = 0x3000;
export const F_NT: u32 = 0x4000;
export const F_RF: u32 = 0x0001_0000;
export const F_VM: u32 = 0x0002_0000;
export const F_AC: u32 = 0x0004_0000;
export const F_VIF: u32 = 0x0008_0000;
export const F_VIP: u32 = 0x0010_0000;
export const F_ID: u32 = 0x0020_0000;
/** CF PF AF ZF SF OF. */
export const F_ARITH: u32 = 0x08d5;
/** Bits that exist; the others read as 0 (bit 1 as 1). */
export const F_KNOWN: u32 = 0x003f_7fd7;

export const LAZY_RES: usize = CPU_STATE_BASE + S_LAZY;
export const LAZY_AUX: usize = CPU_STATE_BASE + S_LAZY + 8;
const LAZY_FIX: usize = CPU_STATE_BASE + S_LAZY + 12;
const EFLAGS: usize = CPU_STATE_BASE + S_EFLAGS;

// @ts-ignore: decorator
@inline
export function setLazy(res: i32, aux: u32): void {
  store<i64>(LAZY_RES, <i64>res);
  store<u64>(LAZY_AUX, <u64>aux);
}

// @ts-ignore: decorator
@inline
export function getCF(): u32 {
  return load<u32>(LAZY_AUX) >>> 31;
}
// @ts-ignore: decorator
@inline
export function getOF(): u32 {
  const aux = load<u32>(LAZY_AUX);
  return (aux ^ (aux << 1)) >>> 31;
}
// @ts-ignore: decorator
@inline
export function getAF(): u32 {
  return (load<u32>(LAZY_AUX) >>> 3) & 1;
}
// @ts-ignore: decorator
@inline
export function getZF(): u32 {
  return <u32>(load<u64>(LAZY_RES) == 0);
}
// @ts-ignore: decorator
@inline
export function getSF(): u32 {
  return (load<u32>(LAZY_RES + 4) ^ load<u32>(LAZY_FIX)) >>> 31;
}
// @ts-ignore: decorator
@inline
export function getPF(): u32 {
  const parity = (load<u32>(LAZY_RES) ^ load<u32>(LAZY_FIX)) & 0xff;
  return ~popcnt<u32>(parity) & 1;
}
/** SF != OF: the signed "less" condition. */
// @ts-ignore: decorator
@inline
export function getLess(): u32 {
  const aux = load<u32>(LAZY_AUX);
  return (load<u32>(LAZY_RES + 4) ^ load<u32>(LAZY_FIX) ^ aux ^ (aux << 1)) >>> 31;
}

/** Changes CF only; OF keeps its value. */
// @ts-ignore: decorator
@inline
export function setCF(cf: u32): void {
  const aux = load<u32>(LAZY_AUX);
  // Flipping both top bits changes CF and leaves OF, their difference, alone.
  store<u32>(LAZY_AUX, aux ^ (((aux >>> 31) ^ cf) * 0xc000_0000));
}
/** CF and OF; the other four keep their values. */
// @ts-ignore: decorator
@inline
export function setCFOF(cf: u32, over: u32): void {
  store<u32>(LAZY_AUX, (load<u32>(LAZY_AUX) & 8) | (cf << 31) | ((cf ^ over) << 30));
}

/** The six arithmetic flags in their RFLAGS places. */
export function arithFlags(): u32 {
  return getCF() | (getPF() << 2) | (getAF() << 4) | (getZF() << 6) | (getSF() << 7) | (getOF() << 11);
}

/** Full 32-bit EFLAGS. */
export function getEflags(): u32 {
  return (load<u32>(EFLAGS) & F_KNOWN & ~F_ARITH) | 2 | arithFlags();
}

/** Writes the bits of `mask` from `value`. Callers decide which bits privilege allows. */
export function setEflags(value: u32, mask: u32): void {
  mask &= F_KNOWN;
  if (mask & F_ARITH) setArith((arithFlags() & ~mask) | (value & mask));
  const other = mask & ~F_ARITH;
  store<u32>(EFLAGS, (load<u32>(EFLAGS) & ~other) | (value & other) | 2);
}

/** All six arithmetic flags from their RFLAGS places. */
export function setArith(f: u32): void {
  const cf = f & 1;
  const zf = (f >>> 6) & 1;
  const pf = (f >>> 2) & 1;
  // RES = 1 has odd parity, RES = 0 even: bit 0 of FIX makes up for the difference.
  store<u64>(LAZY_RES, <u64>(zf ^ 1));
  store<u32>(LAZY_AUX, (cf << 31) | ((cf ^ ((f >>> 11) & 1)) << 30) | (((f >>> 4) & 1) << 3));
  store<u32>(LAZY_FIX, (pf ^ zf) | ((f & F_SF) << 24));
}

/** Bits of S_EFLAGS that are not lazy: IF, DF, TF, IOPL, VM... */
// @ts-ignore: decorator
@inline
export function rawEflags(): u32 {
  return load<u32>(EFLAGS);
}
// @ts-ignore: decorator
@inline
export function setRawEflags(v: u32): void {
  store<u32>(EFLAGS, v);
}
