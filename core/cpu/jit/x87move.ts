/** x87 moves between registers, constants, and the control and status words (SDM volume 1, 8.3.3, 8.3.4 and 8.3.11). */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { S_FPU_CW } from '../interp/wasm/stateoffsets.ts';
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';
import { SIGN, moveStack, newOperand, push, pushValue, setRegister, stack } from './x87operand.ts';

export const loadStack =
  (i: number): Translation =>
  (e, insn) =>
    pushValue(e, insn, stack(e, i), -1);

export const exchange =
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

export const storeRegister =
  (i: number): Translation =>
  (e, insn) => {
    setRegister(e, e.st(i), stack(e, 0));
    e.clearC1();
    e.notePointers(insn);
    moveStack(e, insn);
  };

export const moveOnCondition =
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
export const changeSign: Translation = (e, insn) => {
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
export const loadConstant =
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
        .memory(OP.i32Load16U, CPU_STATE_BASE + S_FPU_CW)
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
export const onlyTags: Translation = (e, insn) => {
  e.clearC1();
  e.notePointers(insn);
  moveStack(e, insn);
};

export const statusToAx: Translation = (e) => {
  e.x87Status();
  e.setReg(0, 2);
};
const storeWord = (e: Emitter, insn: Insn, value: number): void => e.store(e.address(insn), 2, value);
export const storeStatus: Translation = (e, insn) => {
  const word = e.temp(I32);
  e.x87Status();
  e.c.set(word);
  storeWord(e, insn, word);
};
export const storeControl: Translation = (e, insn) => {
  const word = e.temp(I32);
  e.c
    .i32(0)
    .memory(OP.i32Load16U, CPU_STATE_BASE + S_FPU_CW)
    .set(word);
  storeWord(e, insn, word);
};
export const loadControl: Translation = (e, insn) => {
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
    .memory(OP.i32Store16, CPU_STATE_BASE + S_FPU_CW);
  e.loadControl();
};
export const noOperation: Translation = (e, insn) => e.notePointers(insn);
