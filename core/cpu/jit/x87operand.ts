/** Operands of translated x87 instructions: registers of the stack in locals (x87emitter.ts), and what the interpreter's helpers give. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_X87 } from '../interp/wasm/jitoffsets.ts';
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { HELPERS, X87_HELPERS } from './helpers.ts';
import { I32, I64, OP } from './wasmcode.ts';

/** Index of the first function of x87functions.ts in a region module: right after the imports. */
export const FUNCTIONS = HELPERS.length + X87_HELPERS.length;
export const SIGN = 0x8000;

/** An operand in two temporaries or locals. */
export interface Operand {
  exponent: number;
  significand: number;
}

export const stack = (e: Emitter, i: number): Operand => ({ exponent: e.exponent(e.st(i)), significand: e.significand(e.st(i)) });
export const push = (e: Emitter, x: Operand): void => {
  e.c.get(x.exponent).get(x.significand);
};
/** The same value in locals of its own. */
export const newOperand = (e: Emitter): Operand => ({ exponent: e.temp(I32), significand: e.temp(I64) });

/** Second result of a helper, in a temporary. */
export function resultWord(e: Emitter): number {
  const word = e.temp(I32);
  e.c
    .i32(0)
    .memory(OP.i32Load, CPU_STATE_BASE + SJ_X87)
    .set(word);
  return word;
}

/** Puts a value into a register. */
export function setRegister(e: Emitter, register: number, from: Operand): void {
  e.c.get(from.exponent).set(e.exponent(register)).get(from.significand).set(e.significand(register));
}

/** Moves the stack as the instruction does. */
export function moveStack(e: Emitter, insn: Insn): void {
  e.stack = e.flow!.after(insn, e.stack);
}

export function low32(e: Emitter, value: number): number {
  const low = e.temp(I32);
  e.c.get(value).op(OP.i32WrapI64).set(low);
  return low;
}

/** Pushes a value; C1 and flags come from `word`, if there is one. */
export function pushValue(e: Emitter, insn: Insn, value: Operand, ea: number, word = -1): void {
  setRegister(e, e.st(7), value);
  if (word >= 0) e.flagsX87(word);
  else e.clearC1();
  e.notePointers(insn, ea);
  moveStack(e, insn);
}
