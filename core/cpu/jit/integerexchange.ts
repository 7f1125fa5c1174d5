/** Instructions that read and write two places at once (SDM volume 2: XCHG, XADD, CMPXCHG) as WebAssembly. */
import { FLAG_SUB } from '../interp/wasm/jitoffsets.ts';
import { ADD, arithmetic } from './integerarith.ts';
import { RAX, modifyModrm, pick, toTemp, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';

export const xchg: Translation = (e, insn) => {
  const width = widthOf(insn);
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  let before = -1;
  modifyModrm(
    e,
    insn,
    width,
    (old) => {
      before = old;
      return b;
    },
    () => {
      e.c.get(before);
      e.setReg(insn.reg, width);
    },
  );
};

export const xchgAccumulator: Translation = (e, insn) => {
  if (insn.rm === RAX) return;
  const width = insn.osize;
  const a = toTemp(e, width, () => e.reg(RAX, width));
  e.reg(insn.rm, width);
  e.setReg(RAX, width);
  e.c.get(a);
  e.setReg(insn.rm, width);
};

export const exchangeAdd: Translation = (e, insn) => {
  const width = widthOf(insn);
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  if (insn.memory) {
    let before = -1;
    e.modify(
      e.address(insn),
      width,
      (old) => {
        before = old;
        return arithmetic(e, ADD, width, old, b);
      },
      () => {
        e.c.get(before);
        e.setReg(insn.reg, width);
      },
    );
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const sum = arithmetic(e, ADD, width, old, b);
  e.c.get(old);
  e.setReg(insn.reg, width);
  e.c.get(sum);
  e.setReg(insn.rm, width);
};

export const compareExchange: Translation = (e, insn) => {
  const { c } = e;
  const width = widthOf(insn);
  const accumulator = toTemp(e, width, () => e.reg(RAX, width));
  const replacement = toTemp(e, width, () => e.reg(insn.reg, width));
  const equal = e.temp(I32);
  let before = -1;
  const choose = (old: number): number => {
    before = old;
    const result = e.temp(e.typeOf(width));
    c.get(accumulator)
      .get(old)
      .op(pick(width, OP.i32Eq, OP.i64Eq))
      .set(equal);
    c.get(replacement).get(old).get(equal).op(OP.select).set(result);
    e.setFlags(FLAG_SUB, width, accumulator, old);
    return result;
  };
  const loadAccumulator = () => {
    c.get(equal).op(OP.i32Eqz).if();
    c.get(before);
    e.setReg(RAX, width);
    c.end();
  };
  if (insn.memory) {
    e.modify(e.address(insn), width, choose, loadAccumulator);
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = choose(old);
  // A failed exchange writes the accumulator only.
  c.get(equal).if();
  c.get(value);
  e.setReg(insn.rm, width);
  c.end();
  loadAccumulator();
};
