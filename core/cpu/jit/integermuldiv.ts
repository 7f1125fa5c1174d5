/** Products and quotients (SDM volume 2: MUL, IMUL, DIV, IDIV, and NOT and NEG that share their opcode) as WebAssembly. */
import { FLAG_IMUL, FLAG_MUL } from '../interp/wasm/jitoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { arithmetic, SUB, testFlags } from './integerarith.ts';
import { RAX, RDX, modifyModrm, narrow, pick, readModrm, signExtend, toTemp, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, I64, OP } from './wasmcode.ts';

/** High half of the product of two i64 temporaries; `signed` as IMUL. The result is on the stack. */
export function multiplyHigh(e: Emitter, a: number, b: number, signed: boolean): void {
  const { c } = e;
  // Schoolbook over 32-bit halves (Hacker's Delight, 8-2).
  const half = (v: number, high: boolean, extend: boolean) => {
    c.get(v);
    if (high) c.i64(32).op(extend ? OP.i64ShrS : OP.i64ShrU);
    else c.i64(0xffffffffn).op(OP.i64And);
  };
  const t = e.temp(I64);
  const w = e.temp(I64);
  half(a, false, false);
  half(b, false, false);
  c.op(OP.i64Mul).i64(32).op(OP.i64ShrU);
  half(a, true, signed);
  half(b, false, false);
  c.op(OP.i64Mul, OP.i64Add).set(t);
  c.get(t).i64(0xffffffffn).op(OP.i64And);
  half(a, false, false);
  half(b, true, signed);
  c.op(OP.i64Mul, OP.i64Add).set(w);
  half(a, true, signed);
  half(b, true, signed);
  c.op(OP.i64Mul);
  c.get(t)
    .i64(32)
    .op(signed ? OP.i64ShrS : OP.i64ShrU, OP.i64Add);
  c.get(w)
    .i64(32)
    .op(signed ? OP.i64ShrS : OP.i64ShrU, OP.i64Add);
}

/** One-operand MUL and IMUL. */
function multiply(e: Emitter, insn: Insn, width: Width, signed: boolean): void {
  const { c } = e;
  const b = toTemp(e, width, () => readModrm(e, insn, width));
  const a = toTemp(e, width, () => e.reg(RAX, width));
  const significant = e.temp(I32);
  if (width === 8) {
    const high = e.temp(I64);
    const low = e.temp(I64);
    multiplyHigh(e, a, b, signed);
    c.set(high);
    c.get(a).get(b).op(OP.i64Mul).set(low);
    c.get(low);
    e.setGpr(RAX);
    c.get(high);
    e.setGpr(RDX);
    c.get(high);
    if (signed) c.get(low).i64(63).op(OP.i64ShrS);
    else c.i64(0);
    c.op(OP.i64Ne).set(significant);
    const wide = e.temp(I64);
    c.get(significant).op(OP.i64ExtendI32U).set(wide);
    e.setFlags(FLAG_MUL, 8, low, wide);
    return;
  }
  const product = e.temp(I64);
  const low = e.temp(I32);
  const operand = (v: number) => {
    c.get(v);
    if (signed) {
      signExtend(e, width);
      c.op(OP.i64ExtendI32S);
    } else c.op(OP.i64ExtendI32U);
  };
  operand(a);
  operand(b);
  c.op(OP.i64Mul).set(product);
  c.get(product).op(OP.i32WrapI64);
  narrow(e, width);
  c.set(low);
  if (width === 1) {
    c.get(product).op(OP.i32WrapI64);
    e.setReg(RAX, 2);
  } else {
    c.get(low);
    e.setReg(RAX, width);
    c.get(product)
      .i64(width * 8)
      .op(OP.i64ShrU, OP.i32WrapI64);
    e.setReg(RDX, width);
  }
  c.get(product);
  if (signed) {
    c.get(low);
    signExtend(e, width);
    c.op(OP.i64ExtendI32S, OP.i64Ne);
  } else
    c.i64(width * 8)
      .op(OP.i64ShrU)
      .i64(0)
      .op(OP.i64Ne);
  c.set(significant);
  e.setFlags32(FLAG_MUL, width, low, significant);
}

/** DIV and IDIV of 2 and 4 bytes, DIV and IDIV of 8 when the dividend fits in 64 bits; otherwise the interpreter divides, and raises #DE. */
function divide(e: Emitter, insn: Insn, width: Width, signed: boolean): void {
  const { c } = e;
  if (width === 1) {
    e.interpret();
    return;
  }
  const divisor = toTemp(e, width, () => readModrm(e, insn, width));
  const n = e.temp(I64);
  const d = e.temp(I64);
  const q = e.temp(I64);
  if (width === 8) {
    c.get(divisor).set(d);
    e.gpr(RAX);
    c.set(n);
    // The upper half must be the (sign or zero) extension of the lower one.
    e.gpr(RDX);
    if (signed) c.get(n).i64(63).op(OP.i64ShrS);
    else c.i64(0);
    c.op(OP.i64Ne);
    c.get(d).op(OP.i64Eqz, OP.i32Or);
    if (signed) c.get(d).i64(-1).op(OP.i64Eq).op(OP.i32Or);
  } else {
    c.get(divisor);
    if (signed) {
      signExtend(e, width);
      c.op(OP.i64ExtendI32S);
    } else c.op(OP.i64ExtendI32U);
    c.set(d);
    e.reg(RDX, width);
    c.op(OP.i64ExtendI32U)
      .i64(width * 8)
      .op(OP.i64Shl);
    e.reg(RAX, width);
    c.op(OP.i64ExtendI32U, OP.i64Or);
    if (signed && width === 2) c.op(OP.i32WrapI64, OP.i64ExtendI32S);
    c.set(n);
    c.get(d).op(OP.i64Eqz);
    if (signed && width === 4) c.get(d).i64(-1).op(OP.i64Eq).op(OP.i32Or);
  }
  // Divisors with a special case (0, and -1 whose quotient may overflow) and wide dividends are the interpreter's.
  e.openRare();
  e.exitStep();
  e.close();
  c.get(n)
    .get(d)
    .op(signed ? OP.i64DivS : OP.i64DivU)
    .set(q);
  if (width !== 8) {
    c.get(q);
    if (signed) {
      c.op(OP.i32WrapI64);
      signExtend(e, width);
      c.op(OP.i64ExtendI32S).get(q).op(OP.i64Ne);
    } else
      c.i64(width * 8)
        .op(OP.i64ShrU)
        .i64(0)
        .op(OP.i64Ne);
    e.openRare();
    e.exitStep();
    e.close();
  }
  c.get(n)
    .get(d)
    .op(signed ? OP.i64RemS : OP.i64RemU);
  if (width !== 8) c.op(OP.i32WrapI64);
  e.setReg(RDX, width);
  c.get(q);
  if (width !== 8) c.op(OP.i32WrapI64);
  e.setReg(RAX, width);
}

export const group3: Translation = (e, insn) => {
  const width = widthOf(insn);
  switch (insn.reg & 7) {
    case 0:
    case 1:
      testFlags(
        e,
        width,
        () => readModrm(e, insn, width),
        () => e.const(width, insn.imm),
      );
      return;
    case 2:
      modifyModrm(e, insn, width, (old) => {
        const result = e.temp(e.typeOf(width));
        e.c.get(old);
        e.const(width, -1);
        e.c.op(pick(width, OP.i32Xor, OP.i64Xor)).set(result);
        return result;
      });
      return;
    case 3:
      modifyModrm(e, insn, width, (old) =>
        arithmetic(
          e,
          SUB,
          width,
          toTemp(e, width, () => e.const(width, 0)),
          old,
        ),
      );
      return;
    case 4:
      multiply(e, insn, width, false);
      return;
    case 5:
      multiply(e, insn, width, true);
      return;
    case 6:
      divide(e, insn, width, false);
      return;
    default:
      divide(e, insn, width, true);
  }
};

export const imul: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const a = toTemp(e, width, () => readModrm(e, insn, width));
  const b = toTemp(e, width, () => (insn.op === 0x1af ? e.reg(insn.reg, width) : e.const(width, insn.imm)));
  const result = e.temp(e.typeOf(width));
  c.get(a)
    .get(b)
    .op(pick(width, OP.i32Mul, OP.i64Mul));
  narrow(e, width);
  c.set(result);
  e.setFlags(FLAG_IMUL, width, a, b);
  c.get(result);
  e.setReg(insn.reg, width);
};
