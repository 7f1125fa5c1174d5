/** x87 loads and stores: singles, doubles, extended numbers and integers (SDM volume 1, 4.2 and 8.2). */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { FEAT_SSE3 } from '../interp/wasm/features.ts';
import { S_FEATURES } from '../interp/wasm/stateoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { X87_HELPER } from './helpers.ts';
import type { Translation } from './translation.ts';
import { I32, I64, OP } from './wasmcode.ts';
import { NOT_NEAREST } from './x87emitter.ts';
import { SIGN, low32, moveStack, newOperand, type Operand, push, pushValue, resultWord, stack } from './x87operand.ts';

const BIAS = 0x3fff;
const TOP_BIT = -(1n << 63n);
/** C1 and PE of a SJ_X87 word. */
const C1_SHIFT = 25;
const PE_SHIFT = 21;

export interface Format {
  width: 4 | 8;
  /** Significand bits with the integer bit. */
  bits: number;
  /** Exponent field of all ones, and what it is biased by less than ours. */
  top: number;
  rebias: number;
}
export const SINGLE: Format = { width: 4, bits: 24, top: 0xff, rebias: BIAS - 0x7f };
export const DOUBLE: Format = { width: 8, bits: 53, top: 0x7ff, rebias: BIAS - 0x3ff };

/** Loads and widens a single or double. `loads`: as FLD does, with its flags in the third local; else a denormal is marked (x87jit.ts). */
export function widen(e: Emitter, ea: number, f: Format, loads: boolean): Operand & { word: number } {
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
export function integer(e: Emitter, ea: number, width: Width): Operand {
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

export const loadFloat =
  (f: Format): Translation =>
  (e, insn) => {
    const ea = e.address(insn);
    const value = widen(e, ea, f, true);
    pushValue(e, insn, value, ea, value.word);
  };
export const loadInteger =
  (width: Width): Translation =>
  (e, insn) => {
    const ea = e.address(insn);
    pushValue(e, insn, integer(e, ea, width), ea);
  };
export const loadExtended: Translation = (e, insn) => {
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

/** Stores a temporary; nothing else changes before that has succeeded. */
function storeValue(e: Emitter, insn: Insn, ea: number, width: Width, value: number, word: number): void {
  const after = e.flow!.after(insn, e.stack);
  e.store(ea, width, value, () => {
    e.flagsX87(word);
    e.notePointers(insn, ea);
    e.stack = after;
  });
}
export const storeFloat =
  (f: Format): Translation =>
  (e, insn) => {
    const { value, word } = narrow(e, f);
    storeValue(e, insn, e.address(insn), f.width, value, word);
  };
export const storeExtended: Translation = (e, insn) => {
  const ea = e.address(insn);
  const from = stack(e, 0);
  e.store80(ea, from.significand, from.exponent);
  e.clearC1();
  e.notePointers(insn, ea);
  moveStack(e, insn);
};

export const storeInteger =
  (width: Width, truncate = false): Translation =>
  (e, insn) => {
    const { c } = e;
    if (truncate) {
      c.i32(0)
        .memory(OP.i32Load, CPU_STATE_BASE + S_FEATURES)
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
