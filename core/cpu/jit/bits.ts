/**
 * Bit manipulation and other general-register extensions (SDM volume 2): POPCNT, LZCNT, TZCNT, MOVBE, CRC32, ADX, BMI1, BMI2. Same results,
 * undefined flags included, as interp/wasm/bitmanip.ts.
 */
import { FLAG_ARITH } from '../interp/wasm/jitoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { swapBytes } from './integermove.ts';
import { multiplyHigh } from './integermuldiv.ts';
import type { Translation } from './sseoperand.ts';
import { I32, I64, OP } from './wasmcode.ts';

const RDX = 2;
/** Bit numbers of RFLAGS. */
const ZF = 6;
const SF = 7;

/** The modrm operand, zero-extended, in a temporary of its width. */
function source(e: Emitter, insn: Insn, width: Width): number {
  const temp = e.temp(e.typeOf(width));
  if (insn.memory) e.load(e.address(insn), width);
  else e.reg(insn.rm, width);
  e.c.set(temp);
  return temp;
}
function register(e: Emitter, n: number, width: Width): number {
  const temp = e.temp(e.typeOf(width));
  e.reg(n, width);
  e.c.set(temp);
  return temp;
}
const pick = (width: Width, op32: number, op64: number): number => (width === 8 ? op64 : op32);

/** Flags from parts: each pushes 0 or 1, for a bit number. The others are cleared. */
function setFlags(e: Emitter, ...parts: [bit: number, push: () => void][]): void {
  if (e.flagsDead) return;
  parts.forEach(([bit, push], i) => {
    push();
    if (bit) e.c.i32(bit).op(OP.i32Shl);
    if (i) e.c.op(OP.i32Or);
  });
  const flags = e.temp(I32);
  e.c.set(flags);
  e.setFlags32(FLAG_ARITH, 1, flags);
}
const isZero = (e: Emitter, v: number, width: Width) => () => e.c.get(v).op(pick(width, OP.i32Eqz, OP.i64Eqz));
const isNegative = (e: Emitter, v: number, width: Width) => (): void => {
  e.c.get(v);
  if (width === 8) e.c.i64(63).op(OP.i64ShrU, OP.i32WrapI64);
  else e.c.i32(31).op(OP.i32ShrU);
};

/** The value on the stack goes to the register, and to a temporary. */
function result(e: Emitter, n: number, width: Width): number {
  const temp = e.temp(e.typeOf(width));
  e.c.tee(temp);
  e.setReg(n, width);
  return temp;
}

const popcnt: Translation = (e, insn) => {
  const width = insn.osize;
  const v = source(e, insn, width);
  e.c.get(v).op(pick(width, OP.i32Popcnt, OP.i64Popcnt));
  e.setReg(insn.reg, width);
  setFlags(e, [ZF, isZero(e, v, width)]);
};

const countZeros: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const v = source(e, insn, width);
  c.get(v);
  if (insn.op === 0x1bc) {
    if (width === 2) c.i32(0x10000).op(OP.i32Or);
    c.op(pick(width, OP.i32Ctz, OP.i64Ctz));
  } else {
    c.op(pick(width, OP.i32Clz, OP.i64Clz));
    if (width === 2) c.i32(16).op(OP.i32Sub);
  }
  const r = result(e, insn.reg, width);
  setFlags(e, [0, isZero(e, v, width)], [ZF, isZero(e, r, width)]);
};

const movbeLoad: Translation = (e, insn) => {
  swapBytes(e, insn.osize, source(e, insn, insn.osize));
  e.setReg(insn.reg, insn.osize);
};
const movbeStore: Translation = (e, insn) => {
  const ea = e.address(insn);
  const value = e.temp(e.typeOf(insn.osize));
  swapBytes(e, insn.osize, register(e, insn.reg, insn.osize));
  e.c.set(value);
  e.store(ea, insn.osize, value);
};

/** By the interpreter, whose table for CRC32 and loops for PDEP and PEXT are no slower than code made here. No flags. */
const helped: Translation = (e, insn) => e.interpretVector({ writes: 1 << insn.reg });

/** ADCX: only CF changes. */
const adcx: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize === 8 ? 8 : 4;
  const b = source(e, insn, width);
  const a = register(e, insn.reg, width);
  const carry = e.temp(I32);
  const add = pick(width, OP.i32Add, OP.i64Add);
  e.carry();
  c.set(carry);
  c.get(a).get(b).op(add).get(carry);
  if (width === 8) c.op(OP.i64ExtendI32U);
  c.op(add);
  const r = result(e, insn.reg, width);
  // Carried when the sum is below an operand, or equals it with a carry in.
  c.get(r)
    .get(a)
    .op(pick(width, OP.i32LtU, OP.i64LtU));
  c.get(r)
    .get(a)
    .op(pick(width, OP.i32Eq, OP.i64Eq))
    .get(carry)
    .op(OP.i32And, OP.i32Or)
    .set(carry);
  e.setCarry(carry);
};
const interpret: Translation = (e) => e.interpret();

const andn: Translation = (e, insn) => {
  const width = insn.osize;
  const b = source(e, insn, width);
  e.c.get(b).get(register(e, insn.vvvv, width));
  e.const(width, -1);
  e.c.op(pick(width, OP.i32Xor, OP.i64Xor), pick(width, OP.i32And, OP.i64And));
  const r = result(e, insn.reg, width);
  setFlags(e, [ZF, isZero(e, r, width)], [SF, isNegative(e, r, width)]);
};

/** BLSR (1), BLSMSK (2), BLSI (3). */
const lowestBit: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const kind = insn.reg & 7;
  const v = source(e, insn, width);
  if (kind === 3) {
    c.get(v);
    e.const(width, 0);
    c.get(v).op(pick(width, OP.i32Sub, OP.i64Sub), pick(width, OP.i32And, OP.i64And));
  } else {
    c.get(v).get(v);
    e.const(width, 1);
    c.op(pick(width, OP.i32Sub, OP.i64Sub), kind === 1 ? pick(width, OP.i32And, OP.i64And) : pick(width, OP.i32Xor, OP.i64Xor));
  }
  const r = result(e, insn.vvvv, width);
  setFlags(
    e,
    [
      0,
      () => {
        isZero(e, v, width)();
        if (kind === 3) c.op(OP.i32Eqz);
      },
    ],
    [ZF, isZero(e, r, width)],
    [SF, isNegative(e, r, width)],
  );
};

/** The register of VEX.vvvv, its low 32 bits as i32. */
function control(e: Emitter, insn: Insn): number {
  return register(e, insn.vvvv, 4);
}
/** `(1 << count) - 1` of i64; `count` pushes an i32 below 64. */
function mask64(e: Emitter, count: () => void): void {
  e.c.i64(1);
  count();
  e.c.op(OP.i64ExtendI32U, OP.i64Shl).i64(1).op(OP.i64Sub);
}
/** Zero-extended to 64 bits, in a temporary. */
function extended(e: Emitter, v: number, width: Width): number {
  if (width === 8) return v;
  const wide = e.temp(I64);
  e.c.get(v).op(OP.i64ExtendI32U).set(wide);
  return wide;
}

const bzhi: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const v = extended(e, source(e, insn, width), width);
  const index = e.temp(I32);
  const beyond = e.temp(I32);
  c.get(control(e, insn)).i32(0xff).op(OP.i32And).tee(index);
  c.i32(width * 8)
    .op(OP.i32GeU)
    .set(beyond);
  c.get(v).get(v);
  mask64(e, () => c.get(index));
  c.op(OP.i64And).get(beyond).op(OP.select);
  if (width !== 8) c.op(OP.i32WrapI64);
  const r = result(e, insn.reg, width);
  setFlags(e, [0, () => c.get(beyond)], [ZF, isZero(e, r, width)], [SF, isNegative(e, r, width)]);
};

/** BEXTR: bits 0..7 of the control are the first bit, 8..15 the length. */
const bextr: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const v = extended(e, source(e, insn, width), width);
  const start = e.temp(I32);
  const length = e.temp(I32);
  const shifted = e.temp(I64);
  const from = control(e, insn);
  c.get(from).i32(0xff).op(OP.i32And).set(start);
  c.get(from).i32(8).op(OP.i32ShrU).i32(0xff).op(OP.i32And).set(length);
  c.get(v).get(start).op(OP.i64ExtendI32U, OP.i64ShrU).i64(0).get(start).i32(64).op(OP.i32LtU, OP.select).set(shifted);
  c.get(shifted);
  mask64(e, () => c.get(length));
  c.i64(-1).get(length).i32(64).op(OP.i32LtU, OP.select, OP.i64And);
  if (width !== 8) c.op(OP.i32WrapI64);
  const r = result(e, insn.reg, width);
  setFlags(e, [ZF, isZero(e, r, width)]);
};

/** SHLX, SARX, SHRX, RORX: no flags. */
const shiftX: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  c.get(source(e, insn, width));
  if (insn.op === 0x3f0) e.const(width, insn.imm & (width * 8 - 1));
  else e.reg(insn.vvvv, width);
  // The host takes the count modulo the width as well.
  if (insn.op === 0x3f0) c.op(pick(width, OP.i32Rotr, OP.i64Rotr));
  else if (insn.prefix === 0x66) c.op(pick(width, OP.i32Shl, OP.i64Shl));
  else c.op(insn.prefix === 0xf3 ? pick(width, OP.i32ShrS, OP.i64ShrS) : pick(width, OP.i32ShrU, OP.i64ShrU));
  e.setReg(insn.reg, width);
};

/** MULX: EDX times the source; the same register twice gets the high half. */
const mulx: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const b = source(e, insn, width);
  const a = register(e, RDX, width);
  const high = e.temp(I64);
  const low = e.temp(I64);
  if (width === 8) {
    multiplyHigh(e, a, b, false);
    c.set(high).get(a).get(b).op(OP.i64Mul).set(low);
  } else {
    c.get(a).op(OP.i64ExtendI32U).get(b).op(OP.i64ExtendI32U, OP.i64Mul).tee(low).i64(32).op(OP.i64ShrU).set(high);
  }
  for (const [n, v] of [
    [insn.vvvv, low],
    [insn.reg, high],
  ] as const) {
    c.get(v);
    if (width !== 8) c.op(OP.i32WrapI64);
    e.setReg(n, width);
  }
};

/** Legacy encodings; undefined for what is none of these instructions. */
export function bitTranslation(insn: Insn): Translation | undefined {
  const { op, prefix } = insn;
  if (insn.lock) return undefined;
  if (prefix === 0xf3) {
    if (op === 0x1b8) return popcnt;
    if (op === 0x1bc || op === 0x1bd) return countZeros;
    return op === 0x2f6 ? interpret : undefined;
  }
  if (op === 0x2f6) return prefix === 0x66 ? adcx : undefined;
  if (op !== 0x2f0 && op !== 0x2f1) return undefined;
  if (prefix === 0xf2) return helped;
  if (!insn.memory) return undefined;
  return op === 0x2f0 ? movbeLoad : movbeStore;
}

/** VEX-encoded ones, their opcode without VEX_OP, in the form that the table has. */
export function bitVexTranslation(insn: Insn): Translation | undefined {
  switch (insn.op) {
    case 0x2f2:
      return andn;
    case 0x2f3:
      return lowestBit;
    case 0x2f5:
      return insn.prefix ? helped : bzhi;
    case 0x2f6:
      return mulx;
    case 0x2f7:
      return insn.prefix ? shiftX : bextr;
    case 0x3f0:
      return shiftX;
  }
  return undefined;
}
