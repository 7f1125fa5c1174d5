/** Single bits (SDM volume 2: BT to BTC, BSF, BSR) as WebAssembly. */
import { FLAG_SCAN } from '../interp/wasm/jitoffsets.ts';
import { modifyModrm, pick, readModrm, toTemp } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';

/** BT, BTS, BTR, BTC with an immediate, or of a register. A bit string in memory is the interpreter's. */
export const bitTest: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const immediate = insn.op === 0x1ba;
  if ((insn.memory && !immediate) || width === 2) {
    e.interpret();
    return;
  }
  const kind = immediate ? (insn.reg & 7) - 4 : insn.op === 0x1a3 ? 0 : insn.op === 0x1ab ? 1 : insn.op === 0x1b3 ? 2 : 3;
  const bits = width * 8;
  const bit = toTemp(e, width, () => {
    if (immediate) e.const(width, insn.imm & (bits - 1));
    else {
      e.reg(insn.reg, width);
      e.const(width, bits - 1);
      c.op(pick(width, OP.i32And, OP.i64And));
    }
  });
  const flag = (old: number) => {
    const carry = e.temp(I32);
    c.get(old)
      .get(bit)
      .op(pick(width, OP.i32ShrU, OP.i64ShrU));
    if (width === 8) c.op(OP.i32WrapI64);
    c.i32(1).op(OP.i32And).set(carry);
    e.setCarry(carry);
  };
  if (kind === 0) {
    flag(toTemp(e, width, () => readModrm(e, insn, width)));
    return;
  }
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    c.get(old);
    e.const(width, 1);
    c.get(bit).op(pick(width, OP.i32Shl, OP.i64Shl));
    if (kind === 2) {
      e.const(width, -1);
      c.op(pick(width, OP.i32Xor, OP.i64Xor), pick(width, OP.i32And, OP.i64And));
    } else c.op(kind === 1 ? pick(width, OP.i32Or, OP.i64Or) : pick(width, OP.i32Xor, OP.i64Xor));
    c.set(result);
    flag(old);
    return result;
  });
};

/** BSF, BSR. A source of zero leaves the destination alone. */
export const bitScan: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  if (width === 2) {
    e.interpret();
    return;
  }
  const reverse = insn.op === 0x1bd;
  const source = toTemp(e, width, () => readModrm(e, insn, width));
  const index = e.temp(I32);
  const zero = e.temp(I32);
  c.get(source)
    .op(pick(width, OP.i32Eqz, OP.i64Eqz))
    .set(zero);
  if (reverse) e.const(width, width * 8 - 1);
  c.get(source).op(reverse ? pick(width, OP.i32Clz, OP.i64Clz) : pick(width, OP.i32Ctz, OP.i64Ctz));
  if (reverse) c.op(pick(width, OP.i32Sub, OP.i64Sub));
  if (width === 8) c.op(OP.i32WrapI64);
  c.set(index);
  c.get(zero).op(OP.i32Eqz).if();
  c.get(index);
  if (width === 8) c.op(OP.i64ExtendI32U);
  e.setReg(insn.reg, width);
  c.end();
  e.setFlags32(FLAG_SCAN, width, index, zero);
};
