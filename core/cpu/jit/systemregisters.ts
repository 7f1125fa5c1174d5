/**
 * Loads of segment registers, PUSHF, POPF and RDTSC (SDM volume 2, by name), which a system executes at every entry: by small functions of the interpreter
 * (interp/wasm/jitregisters.ts, timestamp.ts), or like any other system instruction where these say no.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_EXACT } from '../interp/wasm/jitoffsets.ts';
import { S_EFLAGS, S_EXIT, S_SEG, SEG_SELECTOR, SEG_STRIDE } from '../interp/wasm/stateoffsets.ts';
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { IN_MEMORY } from './flagemitter.ts';
import { HELPER } from './helpers.ts';
import { RAX, RDX, readModrm, RSP, stackWidth, storeModrm } from './integeroperand.ts';
import { KIND } from './locals.ts';
import type { Translation } from './translation.ts';
import { I32, I64, OP, VOID } from './wasmcode.ts';

const EXIT = CPU_STATE_BASE + S_EXIT;
/** S_EXIT bit (interp/wasm/index.ts): the run loop is to look at interrupts. */
const EXIT_LOOK = 2;
/** What jitPopFlags() gives when an interrupt is due. */
const DUE = 2;

/** Loads `segment` with the i32 on the stack; `after` follows when that is done, `otherwise` is the whole instruction. */
function loadSegment(e: Emitter, segment: number, after: () => void, otherwise: () => void): void {
  const { c } = e;
  const selector = e.temp(I32);
  c.set(selector).i32(segment).get(selector).call(HELPER.segment);
  e.openIf(VOID, true);
  after();
  c.else();
  otherwise();
  e.close();
}

/** MOV to ES, DS, FS and GS. */
export const moveToSegment: Translation = (e, insn) => {
  readModrm(e, insn, 2);
  loadSegment(
    e,
    insn.reg & 7,
    () => {},
    () => e.interpretSystem(0, false),
  );
};

/** MOV from a segment register: 16 bits to memory, all of a wider register. */
export const moveFromSegment: Translation = (e, insn) => {
  const selector = e.temp(I32);
  e.c
    .i32(0)
    .memory(OP.i32Load16U, CPU_STATE_BASE + S_SEG + (insn.reg & 7) * SEG_STRIDE + SEG_SELECTOR)
    .set(selector);
  storeModrm(e, insn, insn.memory || insn.osize === 2 ? 2 : 4, selector);
};

/** POP of them. */
export const popToSegment =
  (segment: number): Translation =>
  (e, insn) => {
    const width = stackWidth(e, insn);
    e.top(width);
    if (width === 8) e.c.op(OP.i32WrapI64);
    loadSegment(
      e,
      segment,
      () => e.drop(width),
      () => e.interpretSystem(1 << RSP, false),
    );
  };

/** 66 in 32- and 64-bit code; in 16-bit code what virtual-8086 mode may forbid. */
const rare = (e: Emitter, insn: Insn): boolean => (insn.real ? e.runsUser : insn.opsize);

export const pushFlags: Translation = (e, insn) => {
  if (rare(e, insn)) {
    e.interpretSystem(1 << RSP, true);
    return;
  }
  const width = stackWidth(e, insn);
  const value = e.temp(e.typeOf(width));
  e.flagsToMemory();
  e.c.call(HELPER.pushFlags);
  if (width === 8) e.c.op(OP.i64ExtendI32U);
  e.c.set(value);
  e.push(value, width);
};

export const popFlags: Translation = (e, insn) => {
  const whole = () => e.interpretSystem(1 << RSP, true);
  if (rare(e, insn)) {
    whole();
    return;
  }
  const { c } = e;
  const width = stackWidth(e, insn);
  const before = e.flags;
  const done = e.temp(I32);
  e.top(width);
  if (width === 8) c.op(OP.i32WrapI64);
  // What a narrow one leaves alone.
  if (width === 2)
    c.i32(0)
      .memory(OP.i32Load, CPU_STATE_BASE + S_EFLAGS)
      .i32(-0x10000)
      .op(OP.i32And, OP.i32Or);
  c.call(HELPER.popFlags).tee(done);
  e.openIf(VOID, true);
  e.flags = IN_MEMORY;
  c.i32(0).set(KIND);
  e.drop(width);
  c.get(done).i32(DUE).op(OP.i32Eq);
  e.openRare();
  c.i32(0).i32(0).memory(OP.i32Load, EXIT).i32(EXIT_LOOK).op(OP.i32Or).memory(OP.i32Store, EXIT);
  e.exitAfter(() => {});
  e.close();
  c.else();
  e.flags = before;
  whole();
  e.close();
  e.flags = IN_MEMORY;
};

/** CLAC (0) and STAC (1): what the look into the TLB finds behind it differs from what was found before. */
export const userAccess =
  (on: number): Translation =>
  (e) => {
    e.c.i32(on).call(HELPER.userAccess).op(OP.i32Eqz);
    e.openRare();
    e.interpretSystem(0, false);
    e.close();
    e.forgetAddresses();
  };

export const readTimeStamp: Translation = (e) => {
  const { c } = e;
  const now = e.temp(I64);
  const half = (register: number, shift: number) => {
    c.get(now);
    if (shift) c.i64(shift).op(OP.i64ShrU);
    c.op(OP.i32WrapI64);
    e.setReg(register, 4);
  };
  // The clock of instructions is read at exactly this one.
  c.i32(0).memory(OP.i32Load, CPU_STATE_BASE + SJ_EXACT);
  e.openIf(I64, false);
  c.i64(-1).else();
  e.leftNow();
  c.call(HELPER.timeStamp);
  e.close();
  c.tee(now).i64(-1).op(OP.i64Ne);
  e.openIf(VOID, true);
  half(RAX, 0);
  half(RDX, 32);
  c.else();
  e.interpretSystem((1 << RAX) | (1 << RDX), false);
  e.close();
};
