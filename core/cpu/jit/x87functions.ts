/**
 * Functions that a region module with x87 instructions has beside the region: sums, products and comparisons of ordinary 80-bit numbers, rounded
 * to nearest (SDM volume 1, 4.8). They give what interp/wasm/fpu would give, and call that for everything else: zeros, denormals,
 * infinities, NaNs, exponents far from 0, other settings of the control word.
 *
 *   (sign and exponent, significand) x 2, control, operation -> significand, sign and exponent, SJ_X87 word
 *   (interp/wasm/fpu/x87jit.ts). The exponent comes by itself because it is known before the flags are, and the next sum waits for it.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_X87 } from '../interp/wasm/jitoffsets.ts';
import { X87_HELPER } from './helpers.ts';
import { I32, I64, OP, WasmCode } from './wasmcode.ts';
import { NOT_NEAREST } from './x87emitter.ts';

/** Operations of jitX87Arith. */
export const X87_ADD = 0;
export const X87_MULTIPLY = 1;
export const X87_SUBTRACT = 4;
export const X87_DIVIDE = 6;
export const X87_ROOT = 8;
export const X87_ROUND = 9;
export const X87_SCALE = 10;
export const X87_COMPARE = 16;
export const X87_COMPARE_QUIETLY = 17;

/** Exponents from here on, a power of two of them: no sum, product or quotient of two such numbers overflows or underflows. */
const LOWEST = 0x3000;
const RANGE = 0x2000;
const BIAS = 0x3fff;
/** Exponent, and the mark of a number widened from a denormal, which is not ordinary. */
const EXPONENT = 0x17fff;
const SIGN = 0x8000;
const TOP_BIT = -(1n << 63n);
/** PE and C1 in a SJ_X87 word. */
const PE_SHIFT = 21;
const C1_SHIFT = 25;

// Parameters.
const AE = 0;
const A = 1;
const BE = 2;
const B = 3;
const CONTROL = 4;
const OPERATION = 5;
// Locals.
const E = 6;
const SHIFT = 7;
const CARRY = 8;
const HI = 9;
const LO = 10;
const T = 11;
const U = 12;
const LOCALS: [count: number, type: number][] = [
  [3, I32],
  [4, I64],
];

/** i32: both operands are ordinary, and so is the control word. */
function ordinary(c: WasmCode): void {
  c.get(AE).i32(EXPONENT).op(OP.i32And).i32(LOWEST).op(OP.i32Sub);
  c.get(BE).i32(EXPONENT).op(OP.i32And).i32(LOWEST).op(OP.i32Sub, OP.i32Or);
  c.get(CONTROL).i32(NOT_NEAREST).op(OP.i32And, OP.i32Or).i32(RANGE).op(OP.i32LtU);
  c.get(A).get(B).op(OP.i64And).i64(0).op(OP.i64LtS, OP.i32And);
}

/** Leaves the function with what the interpreter's arithmetic gives. */
function otherwise(c: WasmCode): void {
  c.get(OPERATION).get(AE).get(A).get(BE).get(B).call(X87_HELPER.x87Arith);
  c.i32(0)
    .memory(OP.i32Load, CPU_STATE_BASE + SJ_X87)
    .tee(E)
    .i32(0xffff)
    .op(OP.i32And)
    .get(E)
    .byte(OP.return);
}

/** HI:LO, normalised, with exponent E and the sign on the stack (in place), becomes the result. */
function round(c: WasmCode): void {
  // Less precision: the bits to round away go to LO, and what was there makes it no tie.
  c.get(CONTROL).if();
  c.get(CONTROL).op(OP.i64ExtendI32U).set(T);
  c.get(HI).i64(0).get(T).op(OP.i64Sub, OP.i64Shl).get(LO).i64(0).op(OP.i64Ne, OP.i64ExtendI32U, OP.i64Or).set(LO);
  c.get(HI).get(T).op(OP.i64ShrU).set(HI);
  c.end();
  // To even: the addition carries when LO is more than half, or half and HI odd.
  c.get(LO).i64(0x7fff_ffff_ffff_ffffn).get(HI).i64(1).op(OP.i64And, OP.i64Add, OP.i64Add).get(LO).op(OP.i64LtU).set(CARRY);
  c.get(HI).get(CARRY).op(OP.i64ExtendI32U, OP.i64Add).set(HI);
  c.get(CONTROL).if();
  c.get(HI).get(T).op(OP.i64Shl).set(HI);
  c.end();
  c.get(HI).op(OP.i64Eqz);
  c.hintedIf(false);
  c.i64(TOP_BIT).set(HI);
  c.get(E).i32(1).op(OP.i32Add).set(E);
  c.end();
  // The sign waits below.
  c.get(E).op(OP.i32Or).set(E).get(HI).get(E);
  c.get(LO).i64(0).op(OP.i64Ne).i32(PE_SHIFT).op(OP.i32Shl);
  c.get(CARRY).i32(C1_SHIFT).op(OP.i32Shl, OP.i32Or);
}

/** HI:LO shifted left by the i64 in T, 0..63. */
function shiftLeft(c: WasmCode): void {
  c.get(HI).get(T).op(OP.i64Shl);
  c.get(LO).i64(1).op(OP.i64ShrU).i64(63).get(T).op(OP.i64Sub, OP.i64ShrU, OP.i64Or).set(HI);
  c.get(LO).get(T).op(OP.i64Shl).set(LO);
}

function multiply(c: WasmCode): void {
  const low = () => c.i64(0xffff_ffffn).op(OP.i64And);
  const high = () => c.i64(32).op(OP.i64ShrU);
  ordinary(c);
  c.hintedIf(true);
  // 32 bits at a time: T = a1 b0 + (a0 b0 >> 32), U = a0 b1 + low half of T.
  c.get(A);
  high();
  c.get(B);
  low();
  c.op(OP.i64Mul);
  c.get(A);
  low();
  c.tee(HI).get(B);
  low();
  c.op(OP.i64Mul);
  high();
  c.op(OP.i64Add).set(T);
  c.get(HI).get(B);
  high();
  c.tee(LO).op(OP.i64Mul).get(T);
  low();
  c.op(OP.i64Add).set(U);
  c.get(A);
  high();
  c.get(LO).op(OP.i64Mul).get(T);
  high();
  c.op(OP.i64Add).get(U);
  high();
  c.op(OP.i64Add).set(HI);
  c.get(A).get(B).op(OP.i64Mul).set(LO);
  // The product of two numbers from 1 up to 2 may be below 2.
  c.get(HI).i64(0).op(OP.i64LtS).set(CARRY);
  c.get(HI).get(HI).i64(1).op(OP.i64Shl).get(LO).i64(63).op(OP.i64ShrU, OP.i64Or).get(CARRY).op(OP.select).set(HI);
  c.get(LO).get(LO).i64(1).op(OP.i64Shl).get(CARRY).op(OP.select).set(LO);
  c.get(AE).i32(0x7fff).op(OP.i32And).get(BE).i32(0x7fff).op(OP.i32And, OP.i32Add);
  c.i32(BIAS).op(OP.i32Sub).get(CARRY).op(OP.i32Add).set(E);
  c.get(AE).get(BE).op(OP.i32Xor).i32(SIGN).op(OP.i32And);
  round(c);
  c.byte(OP.return).end();
  otherwise(c);
}

/** a + b, or a - b for operation 4. */
function add(c: WasmCode): void {
  const swap = (x: number, y: number) => {
    c.get(y).get(x).get(CARRY).op(OP.select);
    c.get(x).get(y).get(CARRY).op(OP.select);
    c.set(y).set(x);
  };
  ordinary(c);
  c.hintedIf(true);
  c.get(BE).get(OPERATION).i32(13).op(OP.i32Shl, OP.i32Xor).set(BE);
  // The larger exponent first, and how far apart they are.
  c.get(AE).i32(0x7fff).op(OP.i32And).tee(E).get(BE).i32(0x7fff).op(OP.i32And).tee(SHIFT).op(OP.i32LtU).set(CARRY);
  c.get(SHIFT).get(E).op(OP.i32Sub).get(E).get(SHIFT).op(OP.i32Sub).get(CARRY).op(OP.select);
  c.get(SHIFT).get(E).get(CARRY).op(OP.select).set(E);
  c.tee(SHIFT);
  swap(AE, BE);
  swap(A, B);
  // B becomes B:LO, shifted right. Below 2^-64 only whether there is something counts.
  c.i32(64).op(OP.i32GeU);
  c.hintedIf(false);
  c.get(B).i64(63).get(SHIFT).i32(64).op(OP.i32Sub, OP.i64ExtendI32U).tee(T).get(T).i64(63).op(OP.i64GtU, OP.select, OP.i64ShrU).set(LO);
  c.i64(0).set(B);
  c.else();
  c.get(SHIFT).op(OP.i64ExtendI32U).set(T);
  c.get(B).i64(1).op(OP.i64Shl).i64(63).get(T).op(OP.i64Sub, OP.i64Shl).set(LO);
  c.get(B).get(T).op(OP.i64ShrU).set(B);
  c.end();
  c.get(AE).get(BE).op(OP.i32Xor).i32(SIGN).op(OP.i32And);
  c.if();
  c.get(A).get(B).op(OP.i64Sub).get(LO).i64(0).op(OP.i64Ne, OP.i64ExtendI32U, OP.i64Sub).set(HI);
  c.i64(0).get(LO).op(OP.i64Sub).set(LO);
  c.get(SHIFT).op(OP.i32Eqz).get(A).get(B).op(OP.i64LtU, OP.i32And);
  c.hintedIf(false);
  c.i64(0).get(HI).op(OP.i64Sub).set(HI);
  c.get(AE).i32(SIGN).op(OP.i32Xor).set(AE);
  c.end();
  c.get(HI).op(OP.i64Eqz);
  c.hintedIf(false);
  c.get(LO).tee(HI).op(OP.i64Eqz).if();
  // Nothing is left: +0.
  c.i64(0).i32(0).i32(0).byte(OP.return);
  c.end();
  c.i64(0).set(LO);
  c.get(E).i32(64).op(OP.i32Sub).set(E);
  c.end();
  c.get(HI).op(OP.i64Clz).set(T);
  shiftLeft(c);
  c.get(E).get(T).op(OP.i32WrapI64, OP.i32Sub).set(E);
  c.else();
  c.get(A).get(B).op(OP.i64Add).tee(HI).get(A).op(OP.i64LtU).set(CARRY);
  c.get(HI).i64(63).op(OP.i64Shl).get(LO).i64(1).op(OP.i64ShrU, OP.i64Or).get(LO).i64(1).op(OP.i64And, OP.i64Or);
  c.get(LO).get(CARRY).op(OP.select).set(LO);
  c.get(HI).i64(1).op(OP.i64ShrU).i64(TOP_BIT).op(OP.i64Or).get(HI).get(CARRY).op(OP.select).set(HI);
  c.get(E).get(CARRY).op(OP.i32Add).set(E);
  c.end();
  c.get(AE).i32(SIGN).op(OP.i32And);
  round(c);
  c.byte(OP.return).end();
  otherwise(c);
}

/** The relation of a to b; the last result is a SJ_X87 word as well. Zeros and all exponents but that of infinity are ordinary here. */
function compare(c: WasmCode): void {
  const comparable = (exponent: number, significand: number) => {
    c.get(exponent).i32(EXPONENT).op(OP.i32And).i32(1).op(OP.i32Sub).i32(0x7ffe).op(OP.i32LtU);
    c.get(significand).i64(0).op(OP.i64LtS, OP.i32And);
    c.get(exponent).i32(EXPONENT).op(OP.i32And, OP.i64ExtendI32U).get(significand).op(OP.i64Or, OP.i64Eqz, OP.i32Or);
  };
  comparable(AE, A);
  comparable(BE, B);
  c.op(OP.i32And);
  c.hintedIf(true);
  // Magnitudes first: less in CARRY.
  c.get(AE).i32(0x7fff).op(OP.i32And).tee(E).get(BE).i32(0x7fff).op(OP.i32And).tee(SHIFT).op(OP.i32LtU);
  c.get(E).get(SHIFT).op(OP.i32Eq).get(A).get(B).op(OP.i64LtU, OP.i32And, OP.i32Or).set(CARRY);
  // Equal: the same, or both zero.
  c.get(A).get(B).op(OP.i64Eq).get(AE).get(BE).op(OP.i32Eq).get(A).op(OP.i64Eqz, OP.i32Or, OP.i32And);
  c.if(I64).i64(0x40).else();
  c.get(AE).i32(15).op(OP.i32ShrU, OP.i64ExtendI32U);
  c.get(CARRY).get(AE).i32(15).op(OP.i32ShrU, OP.i32Xor, OP.i64ExtendI32U);
  c.get(AE).get(BE).op(OP.i32Xor).i32(SIGN).op(OP.i32And, OP.select);
  c.end();
  c.i32(0).i32(0).byte(OP.return).end();
  otherwise(c);
}

const BODIES = [add, multiply, compare];
/** Numbers of the functions, from the first after the imports. */
export const X87_FUNCTION = { add: 0, multiply: 1, compare: 2 } as const;
export const X87_FUNCTION_COUNT = BODIES.length;
export const X87_FUNCTION_TYPE: [parameters: number[], results: number[]] = [
  [I32, I64, I32, I64, I32, I32],
  [I64, I32, I32],
];

/** Appends the bodies to a code section. */
export function x87Bodies(section: WasmCode): void {
  for (const body of BODIES) {
    const c = new WasmCode();
    c.u32(LOCALS.length);
    for (const [count, type] of LOCALS) c.u32(count).byte(type);
    body(c);
    c.end();
    section.u32(c.length).raw(c.view());
  }
}
