/**
 * x87 state of a region in locals: the registers it uses, as sign-and-exponent and significand, named by their distance from the top of the stack
 * at the entry (x87flow.ts); tags, condition codes and flags; and which instruction and operand the pointers will name. All of it is loaded at the
 * entry and stored when the region is left, so that nothing but values moves in between.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import {
  S_CR0,
  S_FPU_CW,
  S_FPU_FCS,
  S_FPU_FDP,
  S_FPU_FDS,
  S_FPU_FIP,
  S_FPU_FOP,
  S_FPU_ST,
  S_FPU_SW,
  S_FPU_TW,
  S_SEG,
  SEG_CS,
  SEG_DS,
  SEG_SELECTOR,
  SEG_SS,
  SEG_STRIDE,
} from '../interp/wasm/stateoffsets.ts';
import type { Insn } from './decode.ts';
import { PAGE } from './locals.ts';
import { WideMemoryEmitter } from './widememory.ts';
import { I32, I64, OP } from './wasmcode.ts';
import type { Effect } from './x87effects.ts';
import { START, type StackFlow, type StackState } from './x87flow.ts';

const S = CPU_STATE_BASE;
const RSP = 4;
const RBP = 5;
const CR0_EM_TS = 0xc;
/** Status word: C3 C2 C0; C1; ES; everything but TOP and the condition codes. */
const SW_CONDITIONS = 0x4500;
const SW_C1 = 0x200;
const SW_ES = 0x80;
const SW_REST = 0x80ff;
const EXCEPTIONS = 0x3f;
/** Rounding to nearest with PE masked: fields of the control word and their values. */
const CW_ROUNDING = 0xc20;
const CW_NEAREST = 0x20;
/** How many significand bits are rounded away in the four precisions, in bytes by PC: 24 bits, reserved (as 64), 53 bits, 64 bits. */
const PC_BITS = 0x000b_0028;
/** In the local `control`, whose low byte has these bits, when that is not so. */
export const NOT_NEAREST = 0x10000;

/** Two bits for every bit of a mask of eight. */
function spread(bits: number): number {
  let out = 0;
  for (let i = 0; i < 8; i++) if (bits & (1 << i)) out |= 3 << (2 * i);
  return out;
}

interface Locals {
  /** Tags that differ from those at the entry, and TOP since then in bits 18..16, wherever the region may be left. */
  state: number;
  /** TOP at the entry. */
  top: number;
  /** Tag word at the entry, turned so that the register at the top comes first. */
  tags: number;
  /** x87 instructions don't fault, and the stack is as the code needs it. */
  ready: number;
  /** NOT_NEAREST, and bits to round away (PC_BITS). */
  control: number;
  /** The last SJ_X87 word, for C1; and all of them, for the exception flags. */
  last: number;
  sticky: number;
  conditions: number;
  /** The last instruction that the pointers note: its offset in bits 31..12, 800h and its FOP; 0 when there was none. */
  pointer: number;
  /** Its operand's offset, and segment register + 1, 0 without any. */
  data: number;
  segment: number;
  exponent: number[];
  significand: number[];
}

export class X87Emitter extends WideMemoryEmitter {
  flow: StackFlow | undefined;
  stack: StackState = START;
  /** `ready` has been checked in this block. */
  private checked = false;
  private own!: Locals;

  /** Before the first run. */
  useX87(flow: StackFlow | undefined): void {
    this.flow = flow;
    if (flow) this.makeLocals();
  }

  override restart(): void {
    super.restart();
    this.stack = START;
    if (this.flow) this.makeLocals();
  }

  private makeLocals(): void {
    const registers = (type: number) => Array.from({ length: 8 }, (_, r) => (this.flow!.used & (1 << r) ? this.keep(type) : -1));
    this.own = {
      state: this.keep(I32),
      top: this.keep(I32),
      tags: this.keep(I32),
      ready: this.keep(I32),
      control: this.keep(I32),
      last: this.keep(I32),
      sticky: this.keep(I32),
      conditions: this.keep(I32),
      pointer: this.keep(I32),
      data: this.keep(this.word),
      segment: this.keep(I32),
      exponent: registers(I32),
      significand: registers(I64),
    };
  }

  /** At the start of a block. */
  enterBlock(block: number): void {
    this.checked = false;
    const state = this.flow?.at[block];
    if (state) this.stack = state;
  }

  // ---- State in memory and in locals ----------------------------------------------------------------------------------------------------

  /** Wherever the region may be left, what of the stack's state is known here goes to a local. */
  protected noteState(): void {
    if (!this.flow) return;
    const { top } = this.stack;
    this.c.i32((top << 16) | spread(this.flow.changedTags(this.stack))).set(this.own.state);
  }
  protected override setRip(offset: number): void {
    super.setRip(offset);
    this.noteState();
  }
  override exitToStack(): void {
    this.noteState();
    super.exitToStack();
  }
  override findEntry(calling: boolean): void {
    this.noteState();
    super.findEntry(calling);
  }
  override exitMissing(): void {
    this.noteState();
    super.exitMissing();
  }

  /** Leaves the address of a register, less S + S_FPU_ST, on the stack. */
  private registerAddress(r: number): void {
    this.c.get(this.own.top).i32(r).op(OP.i32Add).i32(7).op(OP.i32And).i32(4).op(OP.i32Shl);
  }

  /** At the entry, and after the interpreter had the state. */
  protected loadX87(): void {
    const { c, flow, own, stack } = this;
    if (!flow) return;
    this.checked = false;
    const word = this.temp(I32);
    c.i32(0)
      .memory(OP.i32Load16U, S + S_FPU_SW)
      .tee(word)
      .i32(SW_CONDITIONS)
      .op(OP.i32And)
      .set(own.conditions);
    c.get(word).i32(SW_C1).op(OP.i32And).i32(16).op(OP.i32Shl).set(own.last);
    c.get(word).i32(11).op(OP.i32ShrU).i32(stack.top).op(OP.i32Sub).i32(7).op(OP.i32And).set(own.top);
    const tags = this.temp(I32);
    c.i32(0)
      .memory(OP.i32Load16U, S + S_FPU_TW)
      .tee(tags)
      .i32(16)
      .op(OP.i32Shl)
      .get(tags)
      .op(OP.i32Or);
    c.get(own.top).i32(1).op(OP.i32Shl, OP.i32ShrU).i32(0xffff).op(OP.i32And);
    c.i32(spread(flow.changedTags(stack)))
      .op(OP.i32Xor)
      .set(own.tags);
    c.get(own.tags)
      .i32(spread(flow.demandValid | flow.demandEmpty))
      .op(OP.i32And)
      .i32(spread(flow.demandEmpty))
      .op(OP.i32Xor);
    c.get(word).i32(SW_ES).op(OP.i32And, OP.i32Or);
    c.i32(0)
      .memory(OP.i32Load, S + S_CR0)
      .i32(CR0_EM_TS)
      .op(OP.i32And, OP.i32Or, OP.i32Eqz)
      .set(own.ready);
    this.loadControl();
    c.i32(0).set(own.sticky).i32(0).set(own.pointer).i32(0).set(own.segment);
    const at = this.temp(I32);
    for (let r = 0; r < 8; r++) {
      if (!(flow.used & (1 << r))) continue;
      this.registerAddress(r);
      c.tee(at)
        .memory(OP.i64Load, S + S_FPU_ST)
        .set(own.significand[r]!);
      c.get(at)
        .memory(OP.i32Load16U, S + S_FPU_ST + 8)
        .set(own.exponent[r]!);
    }
  }

  /** After a change of the control word. */
  loadControl(): void {
    const { c, own } = this;
    const word = this.temp(I32);
    c.i32(0)
      .memory(OP.i32Load16U, S + S_FPU_CW)
      .tee(word)
      .i32(CW_ROUNDING)
      .op(OP.i32And)
      .i32(CW_NEAREST)
      .op(OP.i32Ne)
      .i32(16)
      .op(OP.i32Shl);
    c.i32(PC_BITS).get(word).i32(5).op(OP.i32ShrU).i32(0x18).op(OP.i32And, OP.i32ShrU).i32(0xff).op(OP.i32And, OP.i32Or).set(own.control);
  }

  /** The status word, but for ES and B, on the stack; `top` pushes TOP. */
  private statusWord(top: () => void): void {
    const { c, own } = this;
    c.i32(0)
      .memory(OP.i32Load16U, S + S_FPU_SW)
      .i32(SW_REST)
      .op(OP.i32And);
    c.get(own.conditions).op(OP.i32Or);
    c.get(own.last).i32(16).op(OP.i32ShrU).i32(SW_C1).op(OP.i32And, OP.i32Or);
    c.get(own.sticky).i32(16).op(OP.i32ShrU).i32(EXCEPTIONS).op(OP.i32And, OP.i32Or);
    c.get(own.top);
    top();
    c.op(OP.i32Add).i32(7).op(OP.i32And).i32(11).op(OP.i32Shl, OP.i32Or);
  }
  /** The status word on the stack; an exception that is not masked is never pending in a region. */
  x87Status(): void {
    this.statusWord(() => this.c.i32(this.stack.top));
  }

  /** By the local `state`, wherever the region is left. */
  protected storeX87(): void {
    const { c, flow, own } = this;
    if (!flow) return;
    c.i32(0);
    this.statusWord(() => c.get(own.state).i32(16).op(OP.i32ShrU));
    c.memory(OP.i32Store16, S + S_FPU_SW);
    const tags = this.temp(I32);
    c.i32(0);
    c.get(own.tags).get(own.state).i32(0xffff).op(OP.i32And, OP.i32Xor).get(own.top).i32(1).op(OP.i32Shl, OP.i32Shl);
    c.tee(tags)
      .get(tags)
      .i32(16)
      .op(OP.i32ShrU, OP.i32Or)
      .memory(OP.i32Store16, S + S_FPU_TW);
    const at = this.temp(I32);
    for (let r = 0; r < 8; r++) {
      if (!(flow.changed & (1 << r))) continue;
      this.registerAddress(r);
      c.tee(at)
        .get(own.significand[r]!)
        .memory(OP.i64Store, S + S_FPU_ST);
      c.get(at)
        .get(own.exponent[r]!)
        .memory(OP.i32Store16, S + S_FPU_ST + 8);
    }
    this.storePointers();
  }
  private storePointers(): void {
    const { c, own } = this;
    const extend = () => {
      if (this.mode !== 64) c.op(OP.i64ExtendI32U);
    };
    c.get(own.pointer).if();
    c.i32(0)
      .get(own.pointer)
      .i32(0x7ff)
      .op(OP.i32And)
      .memory(OP.i32Store16, S + S_FPU_FOP);
    c.i32(0).get(PAGE).get(own.pointer).i32(12).op(OP.i32ShrS);
    if (this.mode === 64) c.op(OP.i64ExtendI32S);
    this.wordAdd();
    extend();
    c.memory(OP.i64Store, S + S_FPU_FIP);
    c.i32(0)
      .i32(0)
      .memory(OP.i32Load16U, S + S_SEG + SEG_CS * SEG_STRIDE + SEG_SELECTOR)
      .memory(OP.i32Store16, S + S_FPU_FCS);
    c.get(own.segment).if();
    c.i32(0).get(own.data);
    extend();
    c.memory(OP.i64Store, S + S_FPU_FDP);
    c.i32(0)
      .get(own.segment)
      .i32(Math.log2(SEG_STRIDE))
      .op(OP.i32Shl)
      .memory(OP.i32Load16U, S + S_SEG - SEG_STRIDE + SEG_SELECTOR)
      .memory(OP.i32Store16, S + S_FPU_FDS);
    c.end();
    c.end();
  }

  /** Before the interpreter gets the state. */
  protected flushX87(): void {
    this.noteState();
    this.storeX87();
  }

  // ---- What instructions need -----------------------------------------------------------------------------------------------------------

  /** Makes sure that the instruction doesn't fault and finds the stack as it needs it; else leaves it to the interpreter. */
  beginX87(effect: Effect): void {
    const { c } = this;
    if (!this.checked) {
      c.get(this.own.ready).op(OP.i32Eqz);
      this.openRare();
      this.exitStep();
      this.close();
      this.checked = true;
    }
    if (!this.flow!.holds(effect, this.stack)) this.exitStep();
  }

  /** The register that is ST(i); 7 is the one below the top. */
  st(i: number): number {
    return (this.stack.top + i) & 7;
  }
  exponent(r: number): number {
    return this.own.exponent[r]!;
  }
  significand(r: number): number {
    return this.own.significand[r]!;
  }
  /** Pushes sign-and-exponent and significand of a register. */
  x87Register(r: number): void {
    this.c.get(this.exponent(r)).get(this.significand(r));
  }
  get control(): number {
    return this.own.control;
  }

  /** Leaves the instruction to the interpreter when the SJ_X87 word in the local `word` says so. */
  refuse(word: number): void {
    this.c.get(word).i32(0).op(OP.i32LtS);
    this.openRare();
    this.exitStep();
    this.close();
  }
  /** Flags and C1 of an SJ_X87 word; without `c1` that stays. */
  flagsX87(word: number, c1 = true): void {
    const { c, own } = this;
    c.get(own.sticky).get(word).op(OP.i32Or).set(own.sticky);
    if (c1) c.get(word).set(own.last);
  }
  /** C1 = 0. */
  clearC1(): void {
    this.c.i32(0).set(this.own.last);
  }
  /** C3, C2 and C0 from a relation (compare80 of interp/wasm/fpu/f80misc.ts) in the low byte of a local. */
  setConditions(relation: number): void {
    this.c.get(relation).i32(0x45).op(OP.i32And).i32(8).op(OP.i32Shl).set(this.own.conditions);
  }
  /** FNCLEX. */
  clearExceptions(): void {
    const { c, own } = this;
    c.i32(0).set(own.sticky);
    c.i32(0)
      .i32(0)
      .memory(OP.i32Load16U, S + S_FPU_SW)
      .i32(0x7f00)
      .op(OP.i32And)
      .memory(OP.i32Store16, S + S_FPU_SW);
  }
  /** On the stack: nonzero when the control word in a local would not mask an exception whose flag is set. */
  unmasks(word: number): void {
    this.x87Status();
    this.c.get(word).i32(-1).op(OP.i32Xor, OP.i32And).i32(EXCEPTIONS).op(OP.i32And);
  }

  /** Notes instruction and operand, whose linear address is in `ea` (-1 without any). */
  notePointers(insn: Insn, ea = -1): void {
    const { c, own } = this;
    c.i32((insn.at << 12) | 0x800 | ((insn.op & 7) << 8) | insn.modrm).set(own.pointer);
    if (ea < 0) return;
    if (insn.segment < 0) c.get(ea);
    else this.offset(insn);
    c.set(own.data);
    const usual = insn.base === RSP || insn.base === RBP ? SEG_SS : SEG_DS;
    c.i32((insn.override >= 0 ? insn.override : usual) + 1).set(own.segment);
  }
}
