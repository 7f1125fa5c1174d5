/** PUSH, POP and LEAVE (SDM volume 2) as WebAssembly. */
import { RBP, RSP, readModrm, stackWidth, toTemp } from './integeroperand.ts';
import type { Translation } from './translation.ts';

export const pushRegister: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.push(
    toTemp(e, width, () => e.reg(insn.rm, width)),
    width,
  );
};
export const popRegister: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.top(width);
  const value = e.temp(e.typeOf(width));
  e.c.set(value);
  // POP rSP: the loaded value wins.
  e.drop(width);
  e.c.get(value);
  e.setReg(insn.rm, width);
};
export const pushImmediate: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.push(
    toTemp(e, width, () => e.const(width, insn.imm)),
    width,
  );
};
export const leave: Translation = (e, insn) => {
  if (insn.real) {
    e.interpret();
    return;
  }
  const width = stackWidth(e, insn);
  const frame = e.temp(e.word);
  const known = e.valueOf(RBP);
  e.gpr(RBP);
  e.c.set(frame);
  e.nameValue(frame, known);
  e.load(frame, width);
  const value = e.temp(e.typeOf(width));
  e.c.set(value);
  e.c.get(frame);
  e.wordConst(width);
  e.wordAdd();
  e.setGpr(RSP);
  e.named(RSP, known, width);
  e.c.get(value);
  e.setReg(RBP, width);
};

/** FF /6. */
export const pushModrm: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.push(
    toTemp(e, width, () => readModrm(e, insn, width)),
    width,
  );
};
