/**
 * Segments that are not flat, for 32- and 16-bit code (modes `segments` and `segments16`): a local descriptor table with bases, limits, expand-down segments, read-only
 * ones, a 16-bit stack. Linux makes the same table for the host's run (native.c has the list again, and checks the size of this one).
 */
import { AF, ARITHMETIC, ZF } from '../flags.ts';
import type { Random } from '../fp/record.ts';
import { CODE16_BASE, USER_DS } from './layout.ts';

interface Descriptor {
  base: number;
  /** Of bytes. */
  limit: number;
  /** Bits 8..11 of the descriptor's upper half: 1 read-only, 3 writable, 5 and 7 the same expanding down, 9 code, 11 readable code. */
  type: 1 | 3 | 5 | 7 | 9 | 11;
  /** D or B. */
  big: boolean;
  present: boolean;
}
const entry = (base: number, limit: number, type: Descriptor['type'], big = true, present = true): Descriptor => ({
  base,
  limit,
  type,
  big,
  present,
});

/** Entry 0 is empty. */
export const TABLE: readonly (Descriptor | undefined)[] = [
  undefined,
  entry(0x200000, 0x2fbf, 3),
  entry(0x200000, 0x7ffff, 1),
  entry(0x200000, 0x14ff, 7),
  entry(0x200000, 0x27ff, 7, false),
  entry(0x200000, 0x5fff, 11),
  entry(0x200000, 0xffff, 9),
  entry(0x200000, 0xffff, 3, true, false),
  // Ends behind the last address of 32 bits.
  entry(0xffff0000, 0x2fffff, 3),
  entry(0x201400, 0xfa, 3),
  entry(0x200003, 0x5000, 3),
  // 16-bit stack, and 16-bit code.
  entry(0x200000, 0xffff, 3, false),
  entry(CODE16_BASE, 0xffff, 11, false),
];
export const selectorOf = (index: number): number => (index << 3) | 7;
export const USER_CS16 = selectorOf(12);

/** Quadword of a descriptor in memory: [low, high]. */
export function wordsOf(d: Descriptor): [low: number, high: number] {
  // For users, and accessed.
  const access = (d.present ? 0xf0 : 0x70) | d.type;
  const low = (((d.base & 0xffff) << 16) | (d.limit & 0xffff)) >>> 0;
  const high = ((d.base & 0xff000000) | (d.big ? 0x400000 : 0) | (d.limit & 0xf0000) | (access << 8) | ((d.base >>> 16) & 0xff)) >>> 0;
  return [low, high];
}

/** Selectors of DS, ES, FS, GS and SS with which a case begins. */
export type Selectors = readonly [ds: number, es: number, fs: number, gs: number, ss: number];

const DATA = [1, 2, 3, 4, 5, 8, 9, 10, 11].map(selectorOf);
const STACKS = [1, 3, 4, 8, 10, 11].map(selectorOf);

export function drawSelectors(random: Random): Selectors {
  const data = (): number => (random.chance(30) ? USER_DS : random.chance(5) ? 0 : random.pick(DATA));
  const ds = data();
  return [ds, random.chance(60) ? ds : data(), data(), data(), random.chance(35) ? USER_DS : random.pick(STACKS)];
}

/** IRET from 64-bit code leaves the upper half of ESP as it was when the stack is a 16-bit one: zero, in both systems' handlers. */
export const isNarrow = (selector: number): boolean => (selector & 4) !== 0 && TABLE[selector >> 3]?.big === false;
export const baseOf = (selector: number): number => (selector & 4 ? (TABLE[selector >> 3]?.base ?? 0) : 0);

/** Any selector that code may try to load or ask about; those of the system's own table differ between systems. */
const ANY = [0, 3, USER_DS, 4, 0x67, ...TABLE.map((_, i) => selectorOf(i)), ...DATA, ...DATA];

interface Piece {
  bytes: number[];
  name: string;
  settles?: number;
  leaves?: number;
}

/** MOV to a segment register, or LAR, LSL, VERR, VERW, of such a selector. */
export function segmentPiece(random: Random): Piece[] {
  const kind = random.below(10);
  // What is asked about is in the table of both; that of the system is nobody's business.
  const selector = kind < 7 ? random.pick(ANY) : random.pick(ANY) | 4;
  const load = { bytes: [0xb8, selector & 255, selector >> 8, 0, 0], name: 'mov eax,selector' };
  if (kind < 7) return [load, { bytes: [0x8e, 0xc0 | (random.pick([0, 0, 3, 3, 2, 4, 5]) << 3)], name: 'mov sreg,eax' }];
  if (kind < 8) return [load, { bytes: [0x0f, 3, 0xd0], name: 'lsl', settles: ZF }];
  // LAR leaves bits 16 to 19 undefined.
  const mask = { bytes: [0x81, 0xe2, 0xff, 0xff, 0xf0, 0xff], name: 'and edx,fff0ffff', settles: ARITHMETIC, leaves: AF };
  if (kind < 9) return [load, { bytes: [0x0f, 2, 0xd0], name: 'lar', settles: ZF }, mask];
  return [load, { bytes: [0x0f, 0x00, random.pick([0xe0, 0xe8])], name: 'verr or verw', settles: ZF }];
}
