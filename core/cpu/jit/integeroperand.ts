/** Operands of general-purpose instructions (SDM volume 2): registers, memory, widths. */
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { OP } from './wasmcode.ts';

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

export const isWide = (width: Width): boolean => width === 8;
export const pick = (width: Width, op32: number, op64: number): number => (isWide(width) ? op64 : op32);
/** Width of an instruction whose bit 0 tells byte from operand size. */
export const widthOf = (insn: Insn): Width => (insn.op & 1 ? insn.osize : 1);

/** Registers of this width are as wide as addresses: what was known of one goes over to another. */
export const whole = (e: Emitter, width: Width): boolean => width === (e.mode === 64 ? 8 : 4);

/** Keeps the low `width` bytes of the i32 on the stack. */
export function narrow(e: Emitter, width: Width): void {
  if (width === 1) e.c.i32(0xff).op(OP.i32And);
  else if (width === 2) e.c.i32(0xffff).op(OP.i32And);
}

/** Sign-extends the i32 or i64 on the stack from `width`. */
export function signExtend(e: Emitter, width: Width): void {
  if (width === 1) e.c.op(OP.i32Extend8S);
  else if (width === 2) e.c.op(OP.i32Extend16S);
}

export function toTemp(e: Emitter, width: Width, emit: () => void): number {
  emit();
  const temp = e.temp(e.typeOf(width));
  e.c.set(temp);
  return temp;
}

export function readModrm(e: Emitter, insn: Insn, width: Width): void {
  if (insn.memory) e.load(e.address(insn, true), width);
  else e.reg(insn.rm, width);
}

/** Reads, computes, writes the modrm operand. */
export function modifyModrm(e: Emitter, insn: Insn, width: Width, compute: (old: number) => number, after: () => void = () => {}): void {
  if (insn.memory) {
    e.modify(e.address(insn, true), width, compute, after);
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = compute(old);
  e.c.get(value);
  e.setReg(insn.rm, width);
  after();
}

export function storeModrm(e: Emitter, insn: Insn, width: Width, value: number): void {
  if (insn.memory) e.store(e.address(insn, true), width, value);
  else {
    e.c.get(value);
    e.setReg(insn.rm, width);
  }
}

/** REX.W wins over 66. */
export const stackWidth = (e: Emitter, insn: Insn): Width => (insn.osize === 2 ? 2 : e.mode === 64 ? 8 : 4);
