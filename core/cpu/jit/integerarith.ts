/** Sums, differences, logic and comparisons (SDM volume 2: ADD to CMP, TEST, INC, DEC) as WebAssembly. */
import { FLAG_ADC, FLAG_ADD, FLAG_DEC, FLAG_INC, FLAG_LOGIC, FLAG_SBB, FLAG_SUB } from '../interp/wasm/jitoffsets.ts';
import type { Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { RAX, isWide, modifyModrm, narrow, pick, readModrm, toTemp, whole, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, I64, OP } from './wasmcode.ts';

export const ADD = 0;
const OR = 1;
const ADC = 2;
const SBB = 3;
const AND = 4;
export const SUB = 5;
const XOR = 6;
export const CMP = 7;

/** `a kind b`: the result's temporary; -1 for CMP. Sets flags. */
export function arithmetic(e: Emitter, kind: number, width: Width, a: number, b: number): number {
  const { c } = e;
  const result = e.temp(e.typeOf(width));
  switch (kind) {
    case ADD:
    case SUB:
      c.get(a)
        .get(b)
        .op(kind === ADD ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      narrow(e, width);
      c.set(result);
      e.setFlags(kind === ADD ? FLAG_ADD : FLAG_SUB, width, a, b);
      return result;
    case CMP:
      e.setFlags(FLAG_SUB, width, a, b);
      return -1;
    case ADC:
    case SBB: {
      const carry = e.temp(I32);
      e.carry();
      c.set(carry);
      c.get(a)
        .get(b)
        .op(kind === ADC ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      c.get(carry);
      if (isWide(width)) c.op(OP.i64ExtendI32U);
      c.op(kind === ADC ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      narrow(e, width);
      c.set(result);
      let wide = carry;
      if (isWide(width)) {
        wide = e.temp(I64);
        c.get(carry).op(OP.i64ExtendI32U).set(wide);
      }
      e.setFlags(kind === ADC ? FLAG_ADC : FLAG_SBB, width, a, b, wide);
      return result;
    }
    default: {
      const op =
        kind === OR
          ? pick(width, OP.i32Or, OP.i64Or)
          : kind === AND
            ? pick(width, OP.i32And, OP.i64And)
            : pick(width, OP.i32Xor, OP.i64Xor);
      c.get(a).get(b).op(op).set(result);
      e.setFlags(FLAG_LOGIC, width, result);
      return result;
    }
  }
}

export const aluModrmReg: Translation = (e, insn) => {
  const kind = (insn.op >> 3) & 7;
  const width = widthOf(insn);
  const toRegister = (insn.op & 2) !== 0;
  if (!toRegister && kind !== CMP) {
    const b = toTemp(e, width, () => e.reg(insn.reg, width));
    modifyModrm(e, insn, width, (old) => arithmetic(e, kind, width, old, b));
    return;
  }
  // XOR r, r and SUB r, r do not depend on r.
  if (!insn.memory && insn.rm === insn.reg && kind === XOR && width >= 4) {
    const zero = toTemp(e, width, () => e.const(width, 0));
    e.c.get(zero);
    e.setReg(insn.reg, width);
    e.setFlags(FLAG_LOGIC, width, zero);
    return;
  }
  const modrm = toTemp(e, width, () => readModrm(e, insn, width));
  const register = toTemp(e, width, () => e.reg(insn.reg, width));
  const result = toRegister ? arithmetic(e, kind, width, register, modrm) : arithmetic(e, kind, width, modrm, register);
  if (result >= 0) {
    e.c.get(result);
    e.setReg(insn.reg, width);
  }
};

export const aluAccumulator: Translation = (e, insn) => {
  const kind = (insn.op >> 3) & 7;
  const width = widthOf(insn);
  const a = toTemp(e, width, () => e.reg(RAX, width));
  const b = toTemp(e, width, () => e.const(width, insn.imm));
  const result = arithmetic(e, kind, width, a, b);
  if (result >= 0) {
    e.c.get(result);
    e.setReg(RAX, width);
  }
};

export const aluImmediate: Translation = (e, insn) => {
  const kind = insn.reg & 7;
  const width: Width = insn.op === 0x80 ? 1 : insn.osize;
  const b = toTemp(e, width, () => e.const(width, insn.imm));
  if (kind === CMP) {
    const a = toTemp(e, width, () => readModrm(e, insn, width));
    arithmetic(e, CMP, width, a, b);
    return;
  }
  const value = !insn.memory && (kind === ADD || kind === SUB) && whole(e, width) ? e.valueOf(insn.rm) : undefined;
  modifyModrm(e, insn, width, (old) => arithmetic(e, kind, width, old, b));
  if (value) e.named(insn.rm, value, kind === ADD ? insn.imm : -insn.imm);
};

export function testFlags(e: Emitter, width: Width, a: () => void, b: () => void): void {
  const result = e.temp(e.typeOf(width));
  a();
  b();
  e.c.op(pick(width, OP.i32And, OP.i64And)).set(result);
  e.setFlags(FLAG_LOGIC, width, result);
}

export const test: Translation = (e, insn) => {
  const width = widthOf(insn);
  testFlags(
    e,
    width,
    () => readModrm(e, insn, width),
    () => e.reg(insn.reg, width),
  );
};
export const testAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  testFlags(
    e,
    width,
    () => e.reg(RAX, width),
    () => e.const(width, insn.imm),
  );
};

function increment(e: Emitter, width: Width, old: number, up: boolean): number {
  const { c } = e;
  const carry = e.temp(I32);
  if (!e.flagsDead) {
    e.carry();
    c.set(carry);
  }
  const result = e.temp(e.typeOf(width));
  c.get(old);
  e.const(width, 1);
  c.op(up ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
  narrow(e, width);
  c.set(result);
  let kept = carry;
  if (isWide(width)) {
    kept = e.temp(I64);
    c.get(carry).op(OP.i64ExtendI32U).set(kept);
  }
  e.setFlags(up ? FLAG_INC : FLAG_DEC, width, old, kept);
  return result;
}
export const incDecRegister: Translation = (e, insn) => {
  const width = insn.osize;
  const known = e.valueOf(insn.rm);
  const up = insn.op < 0x48;
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = increment(e, width, old, up);
  e.c.get(value);
  e.setReg(insn.rm, width);
  if (whole(e, width)) e.named(insn.rm, known, up ? 1 : -1);
};

/** FE and FF /0 and /1. */
export const incDecModrm: Translation = (e, insn) => {
  const width = widthOf(insn);
  modifyModrm(e, insn, width, (old) => increment(e, width, old, (insn.reg & 7) === 0));
};
