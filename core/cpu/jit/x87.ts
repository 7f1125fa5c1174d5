/**
 * x87 instructions (SDM volume 2) on the values that a region holds in locals (x87emitter.ts). What has no translation is executed by the
 * interpreter inside the region; what would raise an exception that is not masked, or a stack fault, is left to it outside.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { FEAT_SSE3 } from '../interp/wasm/features.ts';
import { FLAG_ARITH, SJ_X87 } from '../interp/wasm/jitoffsets.ts';
import { S_FEATURES, S_FPU_CW } from '../interp/wasm/stateoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { HELPERS, X87_HELPER, X87_HELPERS } from './helpers.ts';
import { I32, I64, OP } from './wasmcode.ts';
import { type Effect, isX87, x87Effect } from './x87effects.ts';
import { NOT_NEAREST } from './x87emitter.ts';
import {
  X87_ADD,
  X87_COMPARE,
  X87_COMPARE_QUIETLY,
  X87_DIVIDE,
  X87_FUNCTION,
  X87_MULTIPLY,
  X87_ROOT,
  X87_ROUND,
  X87_SCALE,
  X87_SUBTRACT,
} from './x87functions.ts';

type Translation = (e: Emitter, insn: Insn) => void;

const S = CPU_STATE_BASE;
const FUNCTIONS = HELPERS.length + X87_HELPERS.length + 1;
const BIAS = 0x3fff;
const SIGN = 0x8000;
const TOP_BIT = -(1n << 63n);
/** C1 and PE of a SJ_X87 word. */
const C1_SHIFT = 25;
const PE_SHIFT = 21;

/** An operand in two temporaries or locals. */
interface Operand {
  exponent: number;
  significand: number;
}

const stack = (e: Emitter, i: number): Operand => ({ exponent: e.exponent(e.st(i)), significand: e.significand(e.st(i)) });
const push = (e: Emitter, x: Operand): void => {
  e.c.get(x.exponent).get(x.significand);
};
/** The same value in locals of its own. */
const newOperand = (e: Emitter): Operand => ({ exponent: e.temp(I32), significand: e.temp(I64) });

/** Second result of a helper, in a temporary. */
function resultWord(e: Emitter): number {
  const word = e.temp(I32);
  e.c
    .i32(0)
    .memory(OP.i32Load, S + SJ_X87)
    .set(word);
  return word;
}

/** Puts a value into a register. */
function setRegister(e: Emitter, register: number, from: Operand): void {
  e.c.get(from.exponent).set(e.exponent(register)).get(from.significand).set(e.significand(register));
}

/** Moves the stack as the instruction does. */
function moveStack(e: Emitter, insn: Insn): void {
  e.stack = e.flow!.after(insn, e.stack);
}

// ---- Singles, doubles and integers --------------------------------------------------------------------------------------------------------

interface Format {
  width: 4 | 8;
  /** Significand bits with the integer bit. */
  bits: number;
  /** Exponent field of all ones, and what it is biased by less than ours. */
  top: number;
  rebias: number;
}
const SINGLE: Format = { width: 4, bits: 24, top: 0xff, rebias: BIAS - 0x7f };
const DOUBLE: Format = { width: 8, bits: 53, top: 0x7ff, rebias: BIAS - 0x3ff };

/** Loads and widens a single or double. `loads`: as FLD does, with its flags in the third local; else a denormal is marked (x87jit.ts). */
function widen(e: Emitter, ea: number, f: Format, loads: boolean): Operand & { word: number } {
  const { c } = e;
  const to = { ...newOperand(e), word: e.temp(I32) };
  const bits = e.temp(I64);
  const field = e.temp(I32);
  e.load(ea, f.width);
  if (f.width === 4) c.op(OP.i64ExtendI32U);
  c.tee(bits)
    .i64(f.bits - 1)
    .op(OP.i64ShrU, OP.i32WrapI64)
    .i32(f.top)
    .op(OP.i32And)
    .tee(field);
  c.i32(1)
    .op(OP.i32Sub)
    .i32(f.top - 1)
    .op(OP.i32LtU);
  e.openIf(0x40, true);
  c.get(bits)
    .i64(64 - f.bits)
    .op(OP.i64Shl)
    .i64(TOP_BIT)
    .op(OP.i64Or)
    .set(to.significand);
  c.get(field).i32(f.rebias).op(OP.i32Add);
  c.get(bits)
    .i64(f.width * 8 - 16)
    .op(OP.i64ShrU, OP.i32WrapI64)
    .i32(SIGN)
    .op(OP.i32And, OP.i32Or)
    .set(to.exponent);
  c.i32(0).set(to.word);
  c.else();
  c.get(bits)
    .i32((f.width === 8 ? 1 : 0) | (loads ? 2 : 0))
    .call(X87_HELPER.x87Widen)
    .set(to.significand);
  const word = resultWord(e);
  if (loads) {
    e.refuse(word);
    c.get(word).set(to.word);
    c.get(word).i32(0xffff).op(OP.i32And).set(to.exponent);
  } else c.get(word).set(to.exponent);
  e.close();
  return to;
}

/** An integer operand. */
function integer(e: Emitter, ea: number, width: Width): Operand {
  const { c } = e;
  const to = newOperand(e);
  const value = e.temp(I64);
  const count = e.temp(I64);
  e.load(ea, width);
  if (width === 2) c.op(OP.i32Extend16S);
  if (width !== 8) c.op(OP.i64ExtendI32S);
  c.tee(value).i64(63).op(OP.i64ShrS).tee(count).get(value).op(OP.i64Xor).get(count).op(OP.i64Sub).tee(to.significand);
  c.op(OP.i64Clz).set(count);
  c.get(to.significand).get(count).op(OP.i64Shl).set(to.significand);
  c.i32(BIAS + 63)
    .get(count)
    .op(OP.i32WrapI64, OP.i32Sub);
  c.get(value).i64(48).op(OP.i64ShrU, OP.i32WrapI64).i32(SIGN).op(OP.i32And, OP.i32Or);
  c.i32(0).get(value).op(OP.i64Eqz, OP.i32Eqz, OP.select).set(to.exponent);
  return to;
}

/** Pushes a value; C1 and flags come from `word`, if there is one. */
function pushValue(e: Emitter, insn: Insn, value: Operand, ea: number, word = -1): void {
  setRegister(e, e.st(7), value);
  if (word >= 0) e.flagsX87(word);
  else e.clearC1();
  e.notePointers(insn, ea);
  moveStack(e, insn);
}

const loadFloat =
  (f: Format): Translation =>
  (e, insn) => {
    const ea = e.address(insn);
    const value = widen(e, ea, f, true);
    pushValue(e, insn, value, ea, value.word);
  };
const loadInteger =
  (width: Width): Translation =>
  (e, insn) => {
    const ea = e.address(insn);
    pushValue(e, insn, integer(e, ea, width), ea);
  };
const loadExtended: Translation = (e, insn) => {
  const { c } = e;
  const ea = e.address(insn);
  const value = newOperand(e);
  e.load(ea, 8);
  c.set(value.significand);
  e.load(plus8(e, ea), 2);
  c.set(value.exponent);
  pushValue(e, insn, value, ea);
};

function plus8(e: Emitter, ea: number): number {
  const high = e.temp(e.word);
  e.c.get(ea);
  e.wordConst(8);
  e.wordAdd();
  e.c.set(high);
  return high;
}

/** FST and FSTP: rounds ST(0) to a format. The temporary with the bits, and one with the SJ_X87 word. */
function narrow(e: Emitter, f: Format): { value: number; word: number } {
  const { c } = e;
  const from = stack(e, 0);
  const drop = 64 - f.bits;
  const bits = e.temp(I64);
  const rest = e.temp(I64);
  const field = e.temp(I32);
  const word = e.temp(I32);
  // The largest exponent might overflow.
  c.get(from.exponent)
    .i32(0x7fff)
    .op(OP.i32And)
    .i32(f.rebias + 1)
    .op(OP.i32Sub)
    .tee(field)
    .i32(f.top - 2)
    .op(OP.i32LtU);
  c.get(from.significand).i64(0).op(OP.i64LtS, OP.i32And);
  c.get(e.control).i32(NOT_NEAREST).op(OP.i32And, OP.i32Eqz, OP.i32And);
  e.openIf(0x40, true);
  // To even: the bits that go, plus half less one, plus the lowest that stays, carry into that one.
  c.get(from.significand)
    .i64((1n << BigInt(drop)) - 1n)
    .op(OP.i64And)
    .set(rest);
  c.get(from.significand).i64(drop).op(OP.i64ShrU).tee(bits);
  c.get(bits).i64(1).op(OP.i64And);
  c.get(rest)
    .op(OP.i64Add)
    .i64((1n << BigInt(drop - 1)) - 1n)
    .op(OP.i64Add)
    .i64(drop)
    .op(OP.i64ShrU);
  const up = e.temp(I64);
  c.tee(up).op(OP.i64Add);
  // The integer bit adds one to the exponent.
  c.get(field)
    .op(OP.i64ExtendI32U)
    .i64(f.bits - 1)
    .op(OP.i64Shl, OP.i64Add);
  c.get(from.exponent)
    .i32(15)
    .op(OP.i32ShrU, OP.i64ExtendI32U)
    .i64(f.width * 8 - 1)
    .op(OP.i64Shl, OP.i64Or)
    .set(bits);
  c.get(rest).i64(0).op(OP.i64Ne).i32(PE_SHIFT).op(OP.i32Shl);
  c.get(up).op(OP.i32WrapI64).i32(C1_SHIFT).op(OP.i32Shl, OP.i32Or).set(word);
  c.else();
  push(e, from);
  c.i32(f.bits).call(X87_HELPER.x87Narrow).set(bits);
  const other = resultWord(e);
  e.refuse(other);
  c.get(other).set(word);
  e.close();
  return { value: f.width === 4 ? low32(e, bits) : bits, word };
}

function low32(e: Emitter, value: number): number {
  const low = e.temp(I32);
  e.c.get(value).op(OP.i32WrapI64).set(low);
  return low;
}

/** Stores a temporary; nothing else changes before that has succeeded. */
function storeValue(e: Emitter, insn: Insn, ea: number, width: Width, value: number, word: number): void {
  const after = e.flow!.after(insn, e.stack);
  e.store(ea, width, value, () => {
    e.flagsX87(word);
    e.notePointers(insn, ea);
    e.stack = after;
  });
}
const storeFloat =
  (f: Format): Translation =>
  (e, insn) => {
    const { value, word } = narrow(e, f);
    storeValue(e, insn, e.address(insn), f.width, value, word);
  };
const storeExtended: Translation = (e, insn) => {
  const ea = e.address(insn);
  const from = stack(e, 0);
  e.store80(ea, from.significand, from.exponent);
  e.clearC1();
  e.notePointers(insn, ea);
  moveStack(e, insn);
};

const storeInteger =
  (width: Width, truncate = false): Translation =>
  (e, insn) => {
    const { c } = e;
    if (truncate) {
      c.i32(0)
        .memory(OP.i32Load, S + S_FEATURES)
        .i32(1 << FEAT_SSE3)
        .op(OP.i32And, OP.i32Eqz);
      e.openRare();
      e.exitStep();
      e.close();
    }
    const value = e.temp(I64);
    push(e, stack(e, 0));
    c.i32(width * 8 + (truncate ? 0x80 : 0))
      .call(X87_HELPER.x87Integer)
      .set(value);
    const word = resultWord(e);
    e.refuse(word);
    storeValue(e, insn, e.address(insn), width, width === 8 ? value : low32(e, value), word);
  };

// ---- Arithmetic ---------------------------------------------------------------------------------------------------------------------------

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
    .memory(OP.i32Load, S + SJ_X87)
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

const arithmeticRegister =
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
const arithmeticMemory: Translation = (e, insn) => {
  const ea = e.address(insn);
  const operand = memoryOperand(e, insn, ea);
  deliver(e, insn, compute(e, insn.reg & 7, stack(e, 0), operand), e.st(0), ea);
};

/** FSQRT, FRNDINT, FSCALE. */
const viaHelper =
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
const compareRegister =
  (i: number, quiet = false): Translation =>
  (e, insn) =>
    compareInto(e, insn, stack(e, i), quiet);
const compareMemory: Translation = (e, insn) => {
  const ea = e.address(insn);
  compareInto(e, insn, memoryOperand(e, insn, ea), false, ea);
};
const testZero: Translation = (e, insn) => compareInto(e, insn, undefined, false);

/** FCOMI and the like: into ZF, PF, CF; C1 and the condition codes stay. */
const compareFlags =
  (i: number, quiet: boolean): Translation =>
  (e, insn) => {
    const [rel, word] = relation(e, stack(e, i), quiet);
    e.flagsX87(word, false);
    e.setFlags32(FLAG_ARITH, 1, rel);
    e.notePointers(insn);
    moveStack(e, insn);
  };

// ---- Moves --------------------------------------------------------------------------------------------------------------------------------

const loadStack =
  (i: number): Translation =>
  (e, insn) =>
    pushValue(e, insn, stack(e, i), -1);

const exchange =
  (i: number): Translation =>
  (e, insn) => {
    const a = stack(e, 0);
    const b = stack(e, i);
    push(e, a);
    push(e, b);
    e.c.set(a.significand).set(a.exponent).set(b.significand).set(b.exponent);
    e.clearC1();
    e.notePointers(insn);
  };

const storeRegister =
  (i: number): Translation =>
  (e, insn) => {
    setRegister(e, e.st(i), stack(e, 0));
    e.clearC1();
    e.notePointers(insn);
    moveStack(e, insn);
  };

const moveOnCondition =
  (i: number): Translation =>
  (e, insn) => {
    const { c } = e;
    const to = stack(e, 0);
    const from = stack(e, i);
    const holds = e.temp(I32);
    // B, E, BE, U; DB negates.
    e.condition([2, 4, 6, 10][insn.reg & 3]! ^ (insn.op & 1));
    c.set(holds);
    c.get(from.exponent).get(to.exponent).get(holds).op(OP.select).set(to.exponent);
    c.get(from.significand).get(to.significand).get(holds).op(OP.select).set(to.significand);
    e.notePointers(insn);
  };

/** FCHS, FABS. */
const changeSign: Translation = (e, insn) => {
  const { exponent } = stack(e, 0);
  const negate = insn.modrm === 0xe0;
  e.c
    .get(exponent)
    .i32(negate ? SIGN : 0x7fff)
    .op(negate ? OP.i32Xor : OP.i32And)
    .set(exponent);
  e.clearC1();
  e.notePointers(insn);
};

/** Significands of FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 rounded down, and their exponents (interp/wasm/fpu/x87move.ts). */
const CONSTANTS: [exponent: number, significand: bigint][] = [
  [0x3fff, 0x8000_0000_0000_0000n],
  [0x4000, 0xd49a_784b_cd1b_8afen],
  [0x3fff, 0xb8aa_3b29_5c17_f0bbn],
  [0x4000, 0xc90f_daa2_2168_c234n],
  [0x3ffd, 0x9a20_9a84_fbcf_f798n],
  [0x3ffe, 0xb172_17f7_d1cf_79abn],
  [0, 0n],
];
const loadConstant =
  (n: number): Translation =>
  (e, insn) => {
    const { c } = e;
    const value = newOperand(e);
    const [exponent, significand] = CONSTANTS[n]!;
    c.i32(exponent).set(value.exponent);
    c.i64(significand);
    if (n >= 1 && n <= 5) {
      // Rounding control 0 or 2, nearest or up, takes the next one; log2 of 10 is nearest as it is.
      c.i32(0)
        .memory(OP.i32Load16U, S + S_FPU_CW)
        .i32(n === 1 ? 0xc00 : 0x400)
        .op(OP.i32And);
      if (n === 1) c.i32(0x800).op(OP.i32Eq);
      else c.op(OP.i32Eqz);
      c.op(OP.i64ExtendI32U, OP.i64Add);
    }
    c.set(value.significand);
    pushValue(e, insn, value, -1);
  };

/** FFREE, FFREEP, FINCSTP, FDECSTP. */
const onlyTags: Translation = (e, insn) => {
  e.clearC1();
  e.notePointers(insn);
  moveStack(e, insn);
};

// ---- Control ------------------------------------------------------------------------------------------------------------------------------

const statusToAx: Translation = (e) => {
  e.x87Status();
  e.setReg(0, 2);
};
const storeWord = (e: Emitter, insn: Insn, value: number): void => e.store(e.address(insn), 2, value);
const storeStatus: Translation = (e, insn) => {
  const word = e.temp(I32);
  e.x87Status();
  e.c.set(word);
  storeWord(e, insn, word);
};
const storeControl: Translation = (e, insn) => {
  const word = e.temp(I32);
  e.c
    .i32(0)
    .memory(OP.i32Load16U, S + S_FPU_CW)
    .set(word);
  storeWord(e, insn, word);
};
const loadControl: Translation = (e, insn) => {
  const { c } = e;
  const word = e.temp(I32);
  e.load(e.address(insn), 2);
  c.set(word);
  e.unmasks(word);
  e.openRare();
  e.exitStep();
  e.close();
  // Bit 6 always reads 1, bits 7 and 13..15 0.
  c.i32(0)
    .get(word)
    .i32(0x1f3f)
    .op(OP.i32And)
    .i32(0x40)
    .op(OP.i32Or)
    .memory(OP.i32Store16, S + S_FPU_CW);
  e.loadControl();
};
const noOperation: Translation = (e, insn) => e.notePointers(insn);
const nothing: Translation = () => {};

function memoryTranslation(insn: Insn): Translation {
  const reg = insn.reg & 7;
  if (!(insn.op & 1)) return reg === 2 || reg === 3 ? compareMemory : arithmeticMemory;
  switch (((insn.op & 6) << 2) | reg) {
    case 0o00:
      return loadFloat(SINGLE);
    case 0o20:
      return loadFloat(DOUBLE);
    case 0o15:
      return loadExtended;
    case 0o30:
      return loadInteger(2);
    case 0o10:
      return loadInteger(4);
    case 0o35:
      return loadInteger(8);
    case 0o02:
    case 0o03:
      return storeFloat(SINGLE);
    case 0o22:
    case 0o23:
      return storeFloat(DOUBLE);
    case 0o17:
      return storeExtended;
    case 0o32:
    case 0o33:
      return storeInteger(2);
    case 0o12:
    case 0o13:
      return storeInteger(4);
    case 0o37:
      return storeInteger(8);
    case 0o31:
      return storeInteger(2, true);
    case 0o11:
      return storeInteger(4, true);
    case 0o21:
      return storeInteger(8, true);
    case 0o05:
      return loadControl;
    case 0o07:
      return storeControl;
    default:
      return storeStatus;
  }
}

function unaryTranslation(modrm: number): Translation {
  switch (modrm) {
    case 0xe0:
    case 0xe1:
      return changeSign;
    case 0xe4:
      return testZero;
    case 0xfa:
      return viaHelper(X87_ROOT);
    case 0xfc:
      return viaHelper(X87_ROUND);
    case 0xfd:
      return viaHelper(X87_SCALE);
    case 0xf6:
    case 0xf7:
      return onlyTags;
  }
  return loadConstant(modrm - 0xe8);
}

function registerTranslation(insn: Insn): Translation {
  const i = insn.rm & 7;
  const reg = insn.reg & 7;
  const comparison = reg === 2 || reg === 3;
  switch (insn.op & 7) {
    case 0:
      return comparison ? compareRegister(i) : arithmeticRegister(i, 0);
    case 1:
      if (reg === 0) return loadStack(i);
      if (reg === 1) return exchange(i);
      if (reg === 2) return noOperation;
      return reg === 3 ? storeRegister(i) : unaryTranslation(insn.modrm);
    case 2:
      return reg < 4 ? moveOnCondition(i) : compareRegister(1, true);
    case 3:
      if (reg < 4) return moveOnCondition(i);
      if (reg === 4) return i === 2 ? (e) => e.clearExceptions() : nothing;
      return compareFlags(i, reg === 5);
    case 4:
      return comparison ? compareRegister(i) : arithmeticRegister(i, i);
    case 5:
      if (reg === 0) return onlyTags;
      if (reg === 1) return exchange(i);
      return reg < 4 ? storeRegister(i) : compareRegister(i, true);
    case 6:
      return comparison ? compareRegister(i) : arithmeticRegister(i, i);
    default:
      if (reg === 0) return onlyTags;
      if (reg === 1) return exchange(i);
      if (reg < 4) return storeRegister(i);
      return reg === 4 ? statusToAx : compareFlags(i, reg === 5);
  }
}

function checked(effect: Effect, translation: Translation): Translation {
  return (e, insn) => {
    e.beginX87(effect);
    translation(e, insn);
  };
}

/** The translation of an x87 instruction; undefined when it is none, or ends a region. */
export function x87Translation(insn: Insn): Translation | undefined {
  const effect = isX87(insn) ? x87Effect(insn) : undefined;
  if (!effect) return undefined;
  if (!effect.own) return (e, i) => e.interpret(e.flow!.after(i, e.stack));
  return checked(effect, insn.op < 0xd8 ? nothing : insn.memory ? memoryTranslation(insn) : registerTranslation(insn));
}
