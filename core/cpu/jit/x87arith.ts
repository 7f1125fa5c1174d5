/** x87 arithmetic and comparisons (SDM volume 1, 8.3.5 to 8.3.7). */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { FLAG_ARITH, SJ_X87 } from '../interp/wasm/jitoffsets.ts';
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { X87_HELPER } from './helpers.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';
import {
  X87_ADD,
  X87_COMPARE,
  X87_COMPARE_QUIETLY,
  X87_DIVIDE,
  X87_FUNCTION,
  X87_MULTIPLY,
  X87_SCALE,
  X87_SUBTRACT,
} from './x87functions.ts';
import { DOUBLE, SINGLE, integer, widen } from './x87memory.ts';
import { newOperand, FUNCTIONS, moveStack, type Operand, push, setRegister, stack } from './x87operand.ts';

interface Result extends Operand {
  /** SJ_X87. */
  word: number;
}
const newResult = (e: Emitter): Result => ({ ...newOperand(e), word: e.temp(I32) });

/** After a call of jitX87Arith: its significand is on the stack. */
function takeResult(e: Emitter, result: Result): void {
  e.c.set(result.significand);
  e.c
    .i32(0)
    .memory(OP.i32Load, CPU_STATE_BASE + SJ_X87)
    .tee(result.word)
    .i32(0xffff)
    .op(OP.i32And)
    .set(result.exponent);
}

/** The operation by modrm.reg: 0 add, 1 multiply, 4 a - b, 5 b - a, 6 a / b, 7 b / a. */
function compute(e: Emitter, reg: number, a: Operand, b: Operand): Result {
  const { c } = e;
  const result = newResult(e);
  const [x, y] = reg === 5 || reg === 7 ? [b, a] : [a, b];
  if (reg >= 6) {
    c.i32(X87_DIVIDE);
    push(e, x);
    push(e, y);
    c.call(X87_HELPER.x87Arith);
    takeResult(e, result);
  } else {
    push(e, x);
    push(e, y);
    c.get(e.control).i32(reg === 0 ? X87_ADD : reg === 1 ? X87_MULTIPLY : X87_SUBTRACT);
    c.call(FUNCTIONS + (reg === 1 ? X87_FUNCTION.multiply : X87_FUNCTION.add));
    c.set(result.word).set(result.exponent).set(result.significand);
  }
  return result;
}

/** Delivers a result to a register. */
function deliver(e: Emitter, insn: Insn, result: Result, register: number, ea = -1): void {
  e.refuse(result.word);
  e.flagsX87(result.word);
  setRegister(e, register, result);
  e.notePointers(insn, ea);
  moveStack(e, insn);
}

export const arithmeticRegister =
  (i: number, to: number): Translation =>
  (e, insn) => {
    deliver(e, insn, compute(e, insn.reg & 7, stack(e, 0), stack(e, i)), e.st(to));
  };

/** D8 m32, DA m32int, DC m64, DE m16int. */
function memoryOperand(e: Emitter, insn: Insn, ea: number): Operand {
  if (insn.op === 0xd8) return widen(e, ea, SINGLE, false);
  if (insn.op === 0xdc) return widen(e, ea, DOUBLE, false);
  return integer(e, ea, insn.op === 0xda ? 4 : 2);
}
export const arithmeticMemory: Translation = (e, insn) => {
  const ea = e.address(insn);
  const operand = memoryOperand(e, insn, ea);
  deliver(e, insn, compute(e, insn.reg & 7, stack(e, 0), operand), e.st(0), ea);
};

/** FSQRT, FRNDINT, FSCALE. */
export const viaHelper =
  (operation: number): Translation =>
  (e, insn) => {
    const { c } = e;
    const result = newResult(e);
    c.i32(operation);
    push(e, stack(e, 0));
    if (operation === X87_SCALE) push(e, stack(e, 1));
    else c.i32(0).i64(0);
    c.call(X87_HELPER.x87Arith);
    takeResult(e, result);
    deliver(e, insn, result, e.st(0));
  };

// ---- Comparisons --------------------------------------------------------------------------------------------------------------------------

/** Compares; the relation is in the first temporary, the SJ_X87 word in the second. */
function relation(e: Emitter, b: Operand | undefined, quiet: boolean): [relation: number, word: number] {
  const { c } = e;
  const rel = e.temp(I32);
  const word = e.temp(I32);
  push(e, stack(e, 0));
  if (b) push(e, b);
  else c.i32(0).i64(0);
  c.i32(0).i32(quiet ? X87_COMPARE_QUIETLY : X87_COMPARE);
  c.call(FUNCTIONS + X87_FUNCTION.compare)
    .set(word)
    .op(OP.drop, OP.i32WrapI64)
    .set(rel);
  e.refuse(word);
  return [rel, word];
}

function compareInto(e: Emitter, insn: Insn, b: Operand | undefined, quiet: boolean, ea = -1): void {
  const [rel, word] = relation(e, b, quiet);
  // Only flags count in the word.
  e.flagsX87(word, false);
  e.clearC1();
  e.setConditions(rel);
  e.notePointers(insn, ea);
  moveStack(e, insn);
}
export const compareRegister =
  (i: number, quiet = false): Translation =>
  (e, insn) =>
    compareInto(e, insn, stack(e, i), quiet);
export const compareMemory: Translation = (e, insn) => {
  const ea = e.address(insn);
  compareInto(e, insn, memoryOperand(e, insn, ea), false, ea);
};
export const testZero: Translation = (e, insn) => compareInto(e, insn, undefined, false);

/** FCOMI and the like: into ZF, PF, CF; C1 and the condition codes stay. */
export const compareFlags =
  (i: number, quiet: boolean): Translation =>
  (e, insn) => {
    const [rel, word] = relation(e, stack(e, i), quiet);
    e.flagsX87(word, false);
    e.setFlags32(FLAG_ARITH, 1, rel);
    e.notePointers(insn);
    moveStack(e, insn);
  };
