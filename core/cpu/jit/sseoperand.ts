/** Operands of translated vector instructions (SDM volume 2, 2.1.2 and volume 1, 10.2). */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { OP, V128 } from './wasmcode.ts';

export type Translation = (e: Emitter, insn: Insn) => void;

/** Bytes `from` up to `from + 15`: a whole vector of a shuffle, or `count` of them. */
export const bytes = (from: number, count = 16): number[] => Array.from({ length: count }, (_, i) => from + i);

/** Byte numbers of a shuffle from numbers of lanes of `size` bytes. */
export const lanes = (size: number, ...numbers: number[]): number[] => numbers.flatMap((n) => bytes(n * size, size));

/** Address of a 16-byte operand that must be aligned; a misaligned one is left to the interpreter, which raises #GP. */
export function alignedAddress(e: Emitter, insn: Insn): number {
  const ea = e.address(insn);
  e.c.get(ea);
  e.fromWord();
  e.c.i32(15).op(OP.i32And);
  e.openIf();
  e.exitStep();
  e.close();
  return ea;
}

/** The vector on the stack goes to a temporary. */
export function vectorTemp(e: Emitter): number {
  const temp = e.temp(V128);
  e.c.set(temp);
  return temp;
}

/** Evaluates a 128-bit source: XMM register or aligned memory. The result pushes it. */
export function source128(e: Emitter, insn: Insn): () => void {
  if (!insn.memory) return () => e.xmm(insn.rm);
  e.loadV(alignedAddress(e, insn));
  const temp = vectorTemp(e);
  return () => e.c.get(temp);
}

/** The same of the low 4 or 8 bytes of a register, or as much memory; the rest of what is pushed does not count. */
export function sourceLow(e: Emitter, insn: Insn, width: 4 | 8): () => void {
  if (!insn.memory) return () => e.xmm(insn.rm);
  e.loadLow(e.address(insn), width);
  const temp = vectorTemp(e);
  return () => e.c.get(temp);
}
