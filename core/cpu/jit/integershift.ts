/** Shifts and rotates (SDM volume 2: SHL to ROR, SHLD, SHRD) as WebAssembly. */
import { FLAG_ROL, FLAG_ROR, FLAG_SAR, FLAG_SHL, FLAG_SHLD, FLAG_SHR, FLAG_SHRD } from '../interp/wasm/jitoffsets.ts';
import type { Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { RCX, modifyModrm, narrow, pick, signExtend, toTemp, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';

/** Shifts and rotates: C0 C1 (immediate), D0 D1 (one), D2 D3 (CL). */
export const shift: Translation = (e, insn) => {
  const { c } = e;
  const width = widthOf(insn);
  const kind = insn.reg & 7;
  const mask = width === 8 ? 63 : 31;
  const byCl = insn.op >= 0xd2;
  if (kind === 2 || kind === 3) {
    e.interpret();
    return;
  }
  const rotate = kind < 2;
  if (!byCl) {
    const count = (insn.op >= 0xd0 ? 1 : insn.imm) & mask;
    if (count === 0) {
      // Nothing changes but the upper half of a 64-bit register; memory is still checked for writing.
      if (insn.memory) modifyModrm(e, insn, width, (old) => old);
      else {
        e.reg(insn.rm, width);
        e.setReg(insn.rm, width);
      }
      return;
    }
    modifyModrm(e, insn, width, (old) => {
      const result = e.temp(e.typeOf(width));
      shiftBy(e, kind, width, old, () => e.const(width, count));
      c.set(result);
      if (rotate) e.changeFlags(kind === 0 ? FLAG_ROL : FLAG_ROR, width, old, () => e.c.i32(count));
      else
        e.setFlags(
          kind === 7 ? FLAG_SAR : kind === 5 ? FLAG_SHR : FLAG_SHL,
          width,
          old,
          toTemp(e, width, () => e.const(width, count)),
        );
      return result;
    });
    return;
  }
  const count = e.temp(I32);
  e.reg(RCX, 1);
  c.i32(mask).op(OP.i32And).set(count);
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    shiftBy(e, kind, width, old, () => {
      c.get(count);
      if (width === 8) c.op(OP.i64ExtendI32U);
    });
    c.set(result);
    if (e.flagsDead) return result;
    // A count of zero leaves the flags alone.
    if (rotate) {
      e.changeFlags(kind === 0 ? FLAG_ROL : FLAG_ROR, width, old, () => c.get(count));
      return result;
    }
    c.get(count).if();
    const wide = toTemp(e, width, () => {
      c.get(count);
      if (width === 8) c.op(OP.i64ExtendI32U);
    });
    e.setFlags(kind === 7 ? FLAG_SAR : kind === 5 ? FLAG_SHR : FLAG_SHL, width, old, wide);
    c.end();
    e.forgetFlags();
    return result;
  });
};

/** The shifted value on the stack. A narrow value loses everything by itself to counts up to 31. */
function shiftBy(e: Emitter, kind: number, width: Width, old: number, count: () => void): void {
  const { c } = e;
  const wide = width === 8;
  if (kind < 2) {
    if (width >= 4) {
      c.get(old);
      count();
      c.op(kind === 0 ? pick(width, OP.i32Rotl, OP.i64Rotl) : pick(width, OP.i32Rotr, OP.i64Rotr));
      return;
    }
    // Two (or four) copies side by side turn a narrow rotate into a wide one.
    const bits = width * 8;
    c.get(old).get(old).i32(bits).op(OP.i32Shl, OP.i32Or);
    if (width === 1) {
      const twice = e.temp(I32);
      c.tee(twice).get(twice).i32(16).op(OP.i32Shl, OP.i32Or);
    }
    count();
    c.op(kind === 0 ? OP.i32Rotl : OP.i32Rotr);
    narrow(e, width);
    return;
  }
  c.get(old);
  if (kind === 7) signExtend(e, width);
  count();
  if (kind === 7) c.op(wide ? OP.i64ShrS : OP.i32ShrS);
  else if (kind === 5) c.op(wide ? OP.i64ShrU : OP.i32ShrU);
  else c.op(wide ? OP.i64Shl : OP.i32Shl);
  narrow(e, width);
}

/** SHLD, SHRD of 4 and 8 bytes. */
export const doubleShift: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const left = insn.op < 0x1a8;
  const mask = width === 8 ? 63 : 31;
  const byCl = (insn.op & 1) === 1;
  if (width === 2 || byCl || (insn.imm & mask) === 0) {
    e.interpret();
    return;
  }
  const count = insn.imm & mask;
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    c.get(old);
    e.const(width, count);
    c.op(left ? pick(width, OP.i32Shl, OP.i64Shl) : pick(width, OP.i32ShrU, OP.i64ShrU));
    c.get(b);
    e.const(width, width * 8 - count);
    c.op(left ? pick(width, OP.i32ShrU, OP.i64ShrU) : pick(width, OP.i32Shl, OP.i64Shl));
    c.op(pick(width, OP.i32Or, OP.i64Or)).set(result);
    e.setFlags(
      left ? FLAG_SHLD : FLAG_SHRD,
      width,
      old,
      b,
      toTemp(e, width, () => e.const(width, count)),
    );
    return result;
  });
};
