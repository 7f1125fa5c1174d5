/**
 * String instructions (SDM volume 2: MOVS, STOS, LODS, CMPS, SCAS) as WebAssembly. Single ones are plain accesses. REP MOVS and REP STOS are one copy or
 * fill where what they touch lies in one page on each side; everything else is the interpreter's (interp/wasm/string.ts), which also counts and
 * interrupts the long ones.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { S_EFLAGS } from '../interp/wasm/stateoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { arithmetic, CMP } from './integerarith.ts';
import { RAX, RCX, RDI, RSI, isWide, toTemp, widthOf } from './integeroperand.ts';
import type { Translation } from './translation.ts';
import { log2 } from './flagemitter.ts';
import { I32, OP, VOID } from './wasmcode.ts';

const DIRECTION = 0x400;
const ES = 0;
const CS = 1;
const DS = 3;
const PAGE_BYTES = 4096;
/** Elements that count as one instruction, as a shift (COUNT_STRETCH of interp/wasm/string.ts). */
const COUNT_STRETCH = 3;

/** On the stack: strings go down. */
function goesDown(e: Emitter): void {
  e.c
    .i32(0)
    .memory(OP.i32Load, CPU_STATE_BASE + S_EFLAGS)
    .i32(DIRECTION)
    .op(OP.i32And);
}

/** Linear address that the register points to, in a temporary: in 16-bit code in `segment`. */
function pointer(e: Emitter, register: number, insn?: Insn, segment = ES): number {
  const at = e.temp(e.word);
  if (insn?.real) {
    e.reg(register, insn.asize);
    e.inSegment(segment, at);
    return at;
  }
  e.gpr(register);
  e.c.set(at);
  return at;
}

/** Moves the pointer that was at `at` by the bytes in `by`, or a constant. */
function advanceTo(e: Emitter, register: number, at: number, by: Width | { local: number }): void {
  e.c.get(at);
  if (typeof by === 'number') e.wordConst(by);
  else {
    e.c.get(by.local);
    e.toWord();
  }
  e.wordAdd();
  e.setGpr(register);
}

/** The same in 16-bit code, whose pointers are as wide as addresses. */
function step(e: Emitter, register: number, by: Width, asize: Width): void {
  e.reg(register, asize);
  e.c.i32(by).op(OP.i32Add);
  e.setReg(register, asize);
}

function single(e: Emitter, insn: Insn, width: Width): void {
  goesDown(e);
  e.openRare();
  e.exitStep();
  e.close();
  const reads = insn.op < 0xa8 || (insn.op & ~1) === 0xac;
  const writes = (insn.op & ~1) !== 0xac;
  const source = reads || !insn.real ? pointer(e, RSI, insn, insn.override >= 0 ? insn.override : DS) : -1;
  const target = writes || !insn.real ? pointer(e, RDI, insn) : -1;
  const advance = (register: number, at: number) => (insn.real ? step(e, register, width, insn.asize) : advanceTo(e, register, at, width));
  const read = (at: number): number => toTemp(e, width, () => e.load(at, width));
  switch (insn.op & ~1) {
    case 0xa4:
      e.store(target, width, read(source), () => {
        advance(RSI, source);
        advance(RDI, target);
      });
      return;
    case 0xaa:
      e.store(
        target,
        width,
        toTemp(e, width, () => e.reg(RAX, width)),
        () => advance(RDI, target),
      );
      return;
    case 0xac:
      e.c.get(read(source));
      e.setReg(RAX, width);
      advance(RSI, source);
      return;
    case 0xa6: {
      const a = read(source);
      arithmetic(e, CMP, width, a, read(target));
      advance(RSI, source);
      advance(RDI, target);
      return;
    }
    default:
      arithmetic(
        e,
        CMP,
        width,
        toTemp(e, width, () => e.reg(RAX, width)),
        read(target),
      );
      advance(RDI, target);
  }
}

/** Fills `bytes` at `host` with the accumulator. */
function fill(e: Emitter, width: Width, host: number, bytes: number): void {
  const { c } = e;
  const value = toTemp(e, width, () => e.reg(RAX, width));
  const whole = () => {
    c.get(host).get(value);
    if (isWide(width)) c.op(OP.i32WrapI64);
    c.get(bytes).memoryFill();
  };
  if (width === 1) {
    whole();
    return;
  }
  // The same byte everywhere, as nearly always.
  c.get(value);
  if (isWide(width)) c.get(value).i64(0xff).op(OP.i64And).i64(0x0101010101010101n).op(OP.i64Mul, OP.i64Eq);
  else
    c.get(value)
      .i32(0xff)
      .op(OP.i32And)
      .i32(width === 2 ? 0x0101 : 0x01010101)
      .op(OP.i32Mul, OP.i32Eq);
  e.openIf();
  whole();
  c.else();
  const at = e.temp(I32);
  c.i32(0).set(at);
  c.op(OP.loop, VOID);
  c.get(host).get(at).op(OP.i32Add).get(value);
  c.memory(isWide(width) ? OP.i64Store : width === 4 ? OP.i32Store : OP.i32Store16, 0);
  c.get(at).i32(width).op(OP.i32Add).tee(at).get(bytes).op(OP.i32LtU).brIf(0);
  c.end();
  e.close();
}

function repeated(e: Emitter, insn: Insn, width: Width): void {
  const { c } = e;
  const moves = insn.op < 0xa6;
  const shift = log2(width);
  const count = e.temp(e.word);
  const bytes = e.temp(I32);
  const charge = e.temp(I32);
  e.gpr(RCX);
  c.set(count);
  // Two blocks: out of the outer one what is done, out of the inner one what the interpreter has to do.
  e.openBlock();
  e.openBlock();
  c.get(count);
  e.wordOp(OP.i32Eqz, OP.i64Eqz);
  c.brIf(1);
  c.get(count);
  e.wordConst(PAGE_BYTES >> shift);
  e.wordOp(OP.i32GtU, OP.i64GtU);
  goesDown(e);
  c.op(OP.i32Or).brIf(0);
  c.get(count);
  e.fromWord();
  c.tee(bytes).i32(COUNT_STRETCH).op(OP.i32ShrU).set(charge);
  if (shift) c.get(bytes).i32(shift).op(OP.i32Shl).set(bytes);
  // The slice has to be long enough: the interpreter stops in the middle of what goes beyond it.
  e.leftNow();
  c.get(charge).op(OP.i32LeS).brIf(0);
  const target = pointer(e, RDI);
  const to = e.stretch(target, bytes, true);
  c.op(OP.i32Eqz).brIf(0);
  const host = toTemp(e, 4, to);
  if (moves) {
    const source = pointer(e, RSI);
    const from = e.stretch(source, bytes, false);
    c.op(OP.i32Eqz).brIf(0);
    const origin = toTemp(e, 4, from);
    // An overlapping move upwards repeats what it wrote.
    c.get(host).get(origin).op(OP.i32Sub).get(bytes).op(OP.i32LtU).brIf(0);
    c.get(host).get(origin).get(bytes).memoryCopy();
    advanceTo(e, RSI, source, { local: bytes });
  } else fill(e, width, host, bytes);
  e.markDirty(host);
  advanceTo(e, RDI, target, { local: bytes });
  e.wordConst(0);
  e.setGpr(RCX);
  e.spendLocal(charge);
  c.br(1);
  e.close();
  e.interpret();
  e.close();
  // Which of them it was decides where the flags are.
  e.forgetFlags();
}

/** A4 to A7 and AA to AF. */
export const string: Translation = (e, insn) => {
  const width = widthOf(insn);
  const writes = insn.op < 0xa6 || (insn.op & ~1) === 0xaa;
  const based = insn.segment >= 0 || insn.override === CS;
  if (insn.real) {
    if (insn.prefix === 0xf2 || insn.prefix === 0xf3) e.interpret();
    else single(e, insn, width);
  } else if (based && insn.op !== 0xaa && insn.op !== 0xab && insn.op < 0xae) e.interpret();
  else if (insn.prefix !== 0xf2 && insn.prefix !== 0xf3) single(e, insn, width);
  else if (writes) repeated(e, insn, width);
  else e.interpret();
};
