/**
 * Operands of translated vector instructions (SDM volume 2, 2.1.2 and 2.3; volume 1, 10.2 and 14.1). One translation serves the legacy and the
 * VEX-encoded forms: those have a first source of their own (VEX.vvvv), take memory at any address, may work on both halves of a register, and
 * clear the upper half when they don't.
 */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import type { Translation } from './translation.ts';
import { OP, V128 } from './wasmcode.ts';

export type { Translation } from './translation.ts';
/** Leaves on the stack what comes of one half; `a` and `b` are locals with those of the sources. */
export type Compute = (e: Emitter, a: number, b: number) => void;

/** Bytes `from` up to `from + 15`: a whole vector of a shuffle, or `count` of them. */
export const bytes = (from: number, count = 16): number[] => Array.from({ length: count }, (_, i) => from + i);

/** Byte numbers of a shuffle from numbers of lanes of `size` bytes. */
export const lanes = (size: number, ...numbers: number[]): number[] => numbers.flatMap((n) => bytes(n * size, size));

/** The halves that the instruction works on. */
export const halvesOf = (insn: Insn): readonly number[] => (insn.wide ? [0, 1] : [0]);

/** Address of an operand of `size` bytes that must be aligned; a misaligned one is left to the interpreter, which raises #GP. */
export function alignedAddress(e: Emitter, insn: Insn, size = 16): number {
  const ea = e.address(insn);
  e.c.get(ea);
  e.fromWord();
  e.c.i32(size - 1).op(OP.i32And);
  e.openRare();
  e.exitStep();
  e.close();
  return ea;
}

/** On the stack is whether `quick` may be used; otherwise the interpreter executes the instruction. */
export function either(e: Emitter, quick: () => void, slow: () => void = () => e.interpretVector()): void {
  e.openIf();
  quick();
  e.c.else();
  slow();
  e.close();
}

/** The vector on the stack goes to a temporary. */
export function vectorTemp(e: Emitter): number {
  const temp = e.temp(V128);
  e.c.set(temp);
  return temp;
}

/** Local with a half of the first source. */
export const first = (e: Emitter, insn: Insn, half = 0): number => e.vectorLocal(insn.vvvv, half);

/** Locals with the halves of the source: register, or memory that is aligned without VEX. `once` as for Emitter.loadV(). */
export function source(e: Emitter, insn: Insn, once = false): number[] {
  if (!insn.memory) return halvesOf(insn).map((half) => e.vectorLocal(insn.rm, half));
  if (insn.wide) return e.loadWide(e.address(insn), once);
  return [source128(e, insn, once)];
}

/** Local with a 128-bit source, whatever the width of the instruction. */
export function source128(e: Emitter, insn: Insn, once = false): number {
  if (!insn.memory) return e.vectorLocal(insn.rm, 0);
  e.loadV(insn.vex ? e.address(insn) : alignedAddress(e, insn), once);
  return vectorTemp(e);
}

/** The same of the low 4 or 8 bytes of a register, or as much memory; the rest of it does not count. */
export function sourceLow(e: Emitter, insn: Insn, width: 4 | 8, once = false): number {
  if (!insn.memory) return e.vectorLocal(insn.rm, 0);
  e.loadLow(e.address(insn), width, once);
  return vectorTemp(e);
}

/** The vector on the stack becomes register `n`; the upper half is cleared by a VEX-encoded instruction, and left alone by others. */
export function setLow(e: Emitter, insn: Insn, n = insn.reg): void {
  e.setVector(n, 0);
  if (!insn.vex) return;
  e.c.simd64(0n);
  e.setVector(n, 1);
}

/** Register `n` becomes what `compute` leaves on the stack for each half. It must not look at the halves before the one that it makes. */
export function setHalves(e: Emitter, insn: Insn, compute: (half: number) => void, n = insn.reg): void {
  for (const half of halvesOf(insn)) {
    compute(half);
    if (insn.wide) e.setVector(n, half);
    else setLow(e, insn, n);
  }
}

/** Register = f(first source, source), half by half. */
export const binary =
  (compute: Compute): Translation =>
  (e, insn) => {
    const b = source(e, insn);
    setHalves(e, insn, (half) => compute(e, first(e, insn, half), b[half]!));
  };
/** Register = f(source). */
export const unary =
  (compute: (e: Emitter, b: number) => void): Translation =>
  (e, insn) => {
    const b = source(e, insn);
    setHalves(e, insn, (half) => compute(e, b[half]!));
  };

/** The translation of an instruction that came with a feature, FEAT_*. */
export const needing =
  (feature: number, translation: Translation): Translation =>
  (e, insn) => {
    e.features |= 1 << feature;
    translation(e, insn);
  };
