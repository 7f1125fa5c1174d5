/** Moves (SDM volume 2: MOV and its relatives, LEA, CMOVcc, SETcc, BSWAP) as WebAssembly. */
import type { Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { RAX, RDX, readModrm, signExtend, storeModrm, toTemp, whole, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';

export const movToModrm: Translation = (e, insn) => {
  const width = widthOf(insn);
  if (insn.memory) {
    const value = toTemp(e, width, () => e.reg(insn.reg, width));
    e.store(e.address(insn, true), width, value);
  } else copy(e, insn.rm, insn.reg, width);
};
export const movToRegister: Translation = (e, insn) => {
  const width = widthOf(insn);
  if (!insn.memory) {
    copy(e, insn.reg, insn.rm, width);
    return;
  }
  readModrm(e, insn, width);
  e.setReg(insn.reg, width);
};
function copy(e: Emitter, to: number, from: number, width: Width): void {
  const value = e.valueOf(from);
  e.reg(from, width);
  e.setReg(to, width);
  if (whole(e, width)) e.named(to, value);
}
export const loadAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  e.load(e.address(insn), width);
  e.setReg(RAX, width);
};
export const storeAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  const ea = e.address(insn);
  e.store(
    ea,
    width,
    toTemp(e, width, () => e.reg(RAX, width)),
  );
};
export const movImmediate: Translation = (e, insn) => {
  const width = widthOf(insn);
  if (insn.memory) {
    const value = toTemp(e, width, () => e.const(width, insn.imm));
    e.store(e.address(insn, true), width, value);
  } else {
    e.const(width, insn.imm);
    e.setReg(insn.rm, width);
  }
};
export const movRegisterImmediate: Translation = (e, insn) => {
  if (insn.op < 0xb8) {
    e.const(1, insn.imm);
    e.setReg(insn.rm, 1);
  } else if (insn.osize === 8) {
    e.c.i64(insn.imm64);
    e.setGpr(insn.rm);
  } else {
    e.const(insn.osize, insn.imm);
    e.setReg(insn.rm, insn.osize);
  }
};

export const lea: Translation = (e, insn) => {
  const value = insn.base >= 0 && insn.index < 0 && whole(e, insn.osize) ? e.valueOf(insn.base) : undefined;
  e.offset(insn);
  if (insn.osize !== 8) e.fromWord();
  e.setReg(insn.reg, insn.osize);
  if (value) e.named(insn.reg, value, insn.disp);
};

export const movsxd: Translation = (e, insn) => {
  if (insn.osize === 8) {
    readModrm(e, insn, 4);
    e.c.op(OP.i64ExtendI32S);
    e.setGpr(insn.reg);
  } else {
    readModrm(e, insn, insn.osize);
    e.setReg(insn.reg, insn.osize);
  }
};

export const extend: Translation = (e, insn) => {
  const from: Width = insn.op & 1 ? 2 : 1;
  readModrm(e, insn, from);
  if (insn.op & 8) {
    signExtend(e, from);
    if (insn.osize === 8) e.c.op(OP.i64ExtendI32S);
  } else if (insn.osize === 8) e.c.op(OP.i64ExtendI32U);
  e.setReg(insn.reg, insn.osize);
};

export const signExtendAccumulator: Translation = (e, insn) => {
  if (insn.op === 0x98) {
    if (insn.osize === 8) {
      e.reg(RAX, 4);
      e.c.op(OP.i64ExtendI32S);
    } else {
      e.reg(RAX, insn.osize === 4 ? 2 : 1);
      if (insn.osize === 2) e.c.i32(24).op(OP.i32Shl).i32(24).op(OP.i32ShrS);
      else e.c.op(OP.i32Extend16S);
    }
    e.setReg(RAX, insn.osize);
    return;
  }
  const width = insn.osize;
  e.reg(RAX, width);
  signExtend(e, width);
  if (width === 8) e.c.i64(63).op(OP.i64ShrS);
  else e.c.i32(31).op(OP.i32ShrS);
  e.setReg(RDX, width);
};

/** Pushes the temporary with its bytes in reverse order. */
export function swapBytes(e: Emitter, width: Width, v: number): void {
  const { c } = e;
  if (width === 2) {
    c.get(v).i32(8).op(OP.i32ShrU).get(v).i32(8).op(OP.i32Shl, OP.i32Or).i32(0xffff).op(OP.i32And);
    return;
  }
  if (width === 4) {
    c.get(v).i32(8).op(OP.i32Rotl).i32(0x00ff00ff).op(OP.i32And);
    c.get(v)
      .i32(8)
      .op(OP.i32Rotr)
      .i32(0xff00ff00 | 0)
      .op(OP.i32And, OP.i32Or);
    return;
  }
  const word = (shift: number) => {
    c.get(v);
    if (shift) c.i64(32).op(OP.i64ShrU);
    c.op(OP.i32WrapI64);
  };
  const half = (shift: number) => {
    word(shift);
    c.i32(8).op(OP.i32Rotl).i32(0x00ff00ff).op(OP.i32And);
    word(shift);
    c.i32(8)
      .op(OP.i32Rotr)
      .i32(0xff00ff00 | 0)
      .op(OP.i32And, OP.i32Or, OP.i64ExtendI32U);
  };
  half(0);
  c.i64(32).op(OP.i64Shl);
  half(32);
  c.op(OP.i64Or);
}

export const byteSwap: Translation = (e, insn) => {
  const width = insn.osize;
  if (width === 2) {
    e.interpret();
    return;
  }
  swapBytes(
    e,
    width,
    toTemp(e, width, () => e.reg(insn.rm, width)),
  );
  e.setReg(insn.rm, width);
};

export const setCondition: Translation = (e, insn) => {
  const value = e.temp(I32);
  e.condition(insn.op & 15);
  e.c.set(value);
  storeModrm(e, insn, 1, value);
};

export const moveCondition: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const value = toTemp(e, width, () => readModrm(e, insn, width));
  const old = toTemp(e, width, () => e.reg(insn.reg, width));
  c.get(value).get(old);
  e.condition(insn.op & 15);
  c.op(OP.select);
  e.setReg(insn.reg, width);
};
