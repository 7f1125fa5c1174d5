/**
 * What every translated instruction needs: guest registers in locals, lazy flags, guest memory through the TLB, ways out of the region (the classes
 * this one is built on), the interpreter's help, and the frame around it all. One object emits one region; it is run twice, because what to load
 * at the entry is known only at the end.
 */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { FLAG_PENDING, SJ_LEFT } from '../interp/wasm/jitoffsets.ts';
import {
  S_CPL,
  S_CR0,
  S_CR4,
  S_EFLAGS,
  S_EXIT,
  S_FEATURES,
  S_INTR,
  S_MSR_KERNEL_GS_BASE,
  S_MXCSR,
  S_NMI_PENDING,
  S_SEG,
  S_XCR0,
  SEG_BASE,
  SEG_FLAGS,
  SEG_GS,
  SEG_SELECTOR,
  SEG_STRIDE,
} from '../interp/wasm/stateoffsets.ts';
import { crosses } from './codepages.ts';
import { POOL_UNIT } from './dispatchemitter.ts';
import { IN_MEMORY } from './flagemitter.ts';
import { HELPER } from './helpers.ts';
import { LinkEmitter } from './linkemitter.ts';
import type { Insn, Width } from './decode.ts';
import { FLOAT, KIND, LEFT, PAGE, PAGE64 } from './locals.ts';
import { RC_FAULTS, RC_INTERPRETER } from './regioncounters.ts';
import { I32, I64, OP, VOID } from './wasmcode.ts';
import type { StackState } from './x87flow.ts';

const S = CPU_STATE_BASE;

/** CR0.EM and CR0.TS; CR4.OSFXSR: when SSE instructions fault. */
const CR0_EM_TS = 0xc;
const CR4_OSFXSR = 0x200;
/** When VEX-encoded vector instructions do (interp/wasm/simd/vex.ts). */
const CR0_PE = 1;
const CR0_PE_TS = 9;
const CR4_OSXSAVE = 0x40000;
const XCR0_AVX = 6;
/** MXCSR: RC, FTZ, DAZ, the masks and PE; and the only value with which the host's arithmetic is used (interp/wasm/simd/mxcsr.ts). */
const FLOAT_FIELDS = 0xffe0;
const FLOAT_VALUE = 0x1fa0;

/** Bits of SEG_FLAGS (interp/wasm/memsegment.ts): SF_READ and SF_WRITE; SF_FLAT_R and SF_FLAT_W. */
const SF_USABLE = 3;
const SF_FLAT = 48;
/** EFLAGS.IF. */
const FLAG_IF = 0x200;
/** S_EXIT bit (interp/wasm/index.ts): the run loop is to look at interrupts. */
const EXIT_LOOK = 2;
/** CVTPI2PS, CVTPS2PI and CVTTPS2PI with their relatives, MOVQ2DQ, MOVDQ2Q; integer ones without a mandatory prefix. */
const mayBeMmx = ({ vex, prefix, op }: Insn): boolean => {
  if (vex) return false;
  if (op === 0x12a || op === 0x12c || op === 0x12d) return prefix === 0 || prefix === 0x66;
  if (op === 0x1d6) return true;
  return prefix === 0 && ((op >= 0x160 && op <= 0x17f) || op === 0x1c4 || op === 0x1c5 || (op >= 0x1d0 && op < 0x20c) || op === 0x30f);
};

export class Emitter extends LinkEmitter {
  /**
   * Vector instructions are translated, legacy or VEX-encoded: the entry checks that they don't fault. `features` are bits FEAT_* that the
   * region's instructions need beyond SSE2, `absent` those that the processor must not have.
   */
  usesSse = false;
  usesAvx = false;
  /** The module has the functions of vexfma.ts. */
  usesFused = false;
  /** VEX-encoded instructions of general registers: they need protected mode only. */
  usesVex = false;
  features = 0;
  absent = 0;
  private usesFloat = false;
  /** Instructions handed to the interpreter, by offset in the page; their index is the record's place in the pool. */
  readonly fallbacks: number[] = [];

  override restart(): void {
    super.restart();
    this.fallbacks.length = 0;
  }

  /** A record holds an instruction of one page only: the run loop takes the others. */
  private leftBefore(): boolean {
    if (!crosses(this.insn)) return false;
    this.exitStep();
    return true;
  }

  /** Executes the current instruction in the interpreter, with everything in memory. `stack`: what becomes of the x87 stack. */
  interpret(stack: StackState = this.stack): void {
    const { c } = this;
    if (this.leftBefore()) {
      // Nothing behind it is executed, but it is emitted, with the stack that it was analysed with.
      this.stack = stack;
      return;
    }
    this.storeRegisters(this.changedGpr, this.changedXmm, this.changedUpper);
    this.flushX87();
    this.flagsToMemory();
    this.callExec();
    c.if();
    this.countExit(RC_INTERPRETER, () => c.i32(0).memory(OP.i32Load, S + SJ_LEFT));
    c.i32(0)
      .memory(OP.i32Load, S + SJ_LEFT)
      .byte(OP.return);
    c.end();
    // A repeated instruction counts every element.
    this.takeLeft();
    this.loadRegisters(this.usedGpr, this.usedXmm, this.usedUpper);
    this.stack = stack;
    this.loadX87();
    this.flags = IN_MEMORY;
    this.forgetAddresses();
  }

  /**
   * The same for a vector instruction. It may change the vector registers of its modrm and VEX.vvvv, and MXCSR; what else it touches is told: general
   * registers that it writes, as bits. When it changes flags, `after` must set them anew.
   */
  interpretVector(also: { writes?: number; after?: () => void } = {}): void {
    const { insn } = this;
    if (this.flow && mayBeMmx(insn)) {
      // It changes the x87 state, also when it faults then: locals must not go over that.
      this.usedGpr |= also.writes ?? 0;
      this.changedGpr |= also.writes ?? 0;
      this.interpret();
      also.after?.();
      return;
    }
    if (this.leftBefore()) return;
    let xmms = 1 << insn.reg;
    if (!insn.memory) xmms |= 1 << insn.rm;
    // VEX.128 clears upper halves; legacy instructions leave them alone.
    if (insn.vex) xmms |= 1 << insn.vvvv;
    const uppers = insn.vex ? xmms : 0;
    this.save();
    this.callExec();
    this.loadX87();
    this.loadRegisters(also.writes ?? 0, xmms & this.usedXmm, uppers & this.usedUpper);
    this.usedGpr |= also.writes ?? 0;
    this.changedGpr |= also.writes ?? 0;
    if (insn.memory)
      // A device may have moved the end of the slice.
      this.takeLeft();
    this.floatRefresh();
    also.after?.();
    this.forgetAddresses();
    this.openIf();
    this.exitAfter(() => {});
    this.close();
  }

  /**
   * Executes the current system instruction in the interpreter. `writes` are general registers as bits; `flags`: it reads or writes arithmetic flags.
   */
  interpretSystem(writes: number, flags: boolean): void {
    if (this.leftBefore()) return;
    if (flags) this.flagsToMemory();
    this.save();
    this.callExec(HELPER.system);
    this.loadRegisters(writes, 0, 0);
    this.usedGpr |= writes;
    this.changedGpr |= writes;
    this.forgetAddresses();
    this.takeLeft();
    this.openIf();
    this.exitAfter(() => {});
    this.close();
  }

  /** The same for one behind which the region ends. */
  interpretLast(): void {
    if (this.leftBefore()) return;
    this.storeRegisters(this.changedGpr, this.changedXmm, this.changedUpper);
    this.flushX87();
    this.flagsToMemory();
    this.callExec(HELPER.leave);
    this.leaveFor();
  }

  /** Puts everything into memory: what comes next may raise an exception, which goes past the region as a throw. */
  private save(): void {
    this.noteState();
    this.spill();
    this.setRip(this.insn.at);
    this.storeRip();
  }

  /** CLI of a region that runs at CPL 0 to 2: the interpreter checks IOPL at the others. */
  disableInterrupts(): void {
    this.needCpl0();
    this.c
      .i32(0)
      .i32(0)
      .memory(OP.i32Load, S + S_EFLAGS)
      .i32(~FLAG_IF)
      .op(OP.i32And)
      .memory(OP.i32Store, S + S_EFLAGS);
  }

  /** STI. When IF was clear, interrupts wait for one more instruction: the next of the block, or the next that the run loop executes. */
  enableInterrupts(): void {
    const { c } = this;
    this.needCpl0();
    c.i32(0)
      .memory(OP.i32Load, S + S_EFLAGS)
      .i32(FLAG_IF)
      .op(OP.i32And, OP.i32Eqz);
    this.openIf();
    c.i32(0)
      .i32(0)
      .memory(OP.i32Load, S + S_EFLAGS)
      .i32(FLAG_IF)
      .op(OP.i32Or)
      .memory(OP.i32Store, S + S_EFLAGS);
    if (!this.last) {
      c.i32(0)
        .memory(OP.i32Load, S + S_INTR)
        .i32(0)
        .memory(OP.i32Load, S + S_NMI_PENDING)
        .op(OP.i32Or);
      this.openRare();
    }
    this.holdInterrupts();
    c.i32(0)
      .i32(0)
      .memory(OP.i32Load, S + S_EXIT)
      .i32(EXIT_LOOK)
      .op(OP.i32Or)
      .memory(OP.i32Store, S + S_EXIT);
    this.exitAfter(() => {});
    if (!this.last) this.close();
    this.close();
  }

  /** SWAPGS, of which 32-bit code has none. */
  swapGs(): void {
    const { c } = this;
    if (this.mode !== 64) {
      this.interpretSystem(0, false);
      return;
    }
    this.needCpl0();
    const gs = S + S_SEG + SEG_GS * SEG_STRIDE;
    const base = this.temp(I64);
    c.i32(0)
      .memory(OP.i64Load, S + S_MSR_KERNEL_GS_BASE)
      .set(base);
    c.i32(0)
      .i32(0)
      .memory(OP.i64Load, gs + SEG_BASE)
      .memory(OP.i64Store, S + S_MSR_KERNEL_GS_BASE);
    c.i32(0)
      .get(base)
      .memory(OP.i64Store, gs + SEG_BASE);
    // What updateSegFlags() of seg.ts makes of it: readable and writable, flat without a base. Alignment is not checked at CPL 0.
    c.i32(0)
      .get(base)
      .op(OP.i64Eqz)
      .i32(SF_FLAT)
      .op(OP.i32Mul)
      .i32(SF_USABLE)
      .op(OP.i32Or)
      .memory(OP.i32Store, gs + SEG_FLAGS);
  }

  /** PUSH of a segment register in 16- and 32-bit code: two bytes are written, `width` taken. */
  pushSegment(segment: number, width: Width): void {
    const { c } = this;
    const selector = this.temp(I32);
    c.i32(0)
      .memory(OP.i32Load16U, S + S_SEG + segment * SEG_STRIDE + SEG_SELECTOR)
      .set(selector);
    const top = this.below(width);
    this.store(top, 2, selector, () => this.lowerStack(top));
  }

  private needCpl0(): void {
    this.c.i32(0).memory(OP.i32Load, S + S_CPL);
    this.openRare();
    this.exitStep();
    this.close();
  }

  /** On the stack: MXCSR allows the host's arithmetic on ordinary values. */
  floatAllowed(): void {
    this.usesFloat = true;
    this.c.get(FLOAT);
  }

  /** At the entry, and after everything that may change MXCSR. */
  floatRefresh(): void {
    if (this.usesFloat)
      this.c
        .i32(0)
        .memory(OP.i32Load, S + S_MXCSR)
        .i32(FLOAT_FIELDS)
        .op(OP.i32And)
        .i32(FLOAT_VALUE)
        .op(OP.i32Eq)
        .set(FLOAT);
  }

  /** At the entry: the i32 on the stack, or instructions of the region fault, or mean something else, here. */
  vectorConditions(): void {
    const { c } = this;
    this.floatRefresh();
    const differs = (at: number, mask: number, value: number) =>
      c
        .i32(0)
        .memory(OP.i32Load, S + at)
        .i32(mask)
        .op(OP.i32And)
        .i32(value)
        .op(OP.i32Ne, OP.i32Or);
    if (this.usesSse) {
      differs(S_CR0, CR0_EM_TS, 0);
      differs(S_CR4, CR4_OSFXSR, CR4_OSFXSR);
    }
    if (this.usesAvx) {
      differs(S_CR0, CR0_PE_TS, CR0_PE);
      differs(S_CR4, CR4_OSXSAVE, CR4_OSXSAVE);
      differs(S_XCR0, XCR0_AVX, XCR0_AVX);
    }
    if (this.usesVex) differs(S_CR0, CR0_PE, CR0_PE);
    const features = this.features | this.absent;
    if (features) differs(S_FEATURES, features, this.features);
  }

  /** Takes over what the interpreter left of the slice; the block will be charged for the instruction once more. */
  private takeLeft(): void {
    this.c
      .i32(0)
      .memory(OP.i32Load, S + SJ_LEFT)
      .i32(this.done + 1)
      .op(OP.i32Add)
      .set(LEFT);
  }

  private callExec(helper: number = HELPER.exec): void {
    const { c, insn } = this;
    const index = this.fallbacks.push(insn.at) - 1;
    this.pool();
    c.i32(this.poolOffset + this.notesSize() + index * POOL_UNIT).op(OP.i32Add);
    this.leftNow();
    c.get(PAGE64);
    if (insn.at >> 12) c.i64((insn.at >> 12) * 4096).op(OP.i64Add);
    c.call(helper);
  }

  /** Everything around `body`: registers in at the front, out at the back. */
  frame(body: () => void): void {
    const { c } = this;
    c.get(PAGE64);
    if (this.mode !== 64) c.op(OP.i32WrapI64);
    c.set(PAGE);
    this.countEntry();
    c.i32(FLAG_PENDING).set(KIND);
    this.loadRegisters(this.usedGpr, this.usedXmm, this.usedUpper);
    this.loadX87();
    if (this.leaves) this.open('gone');
    if (this.counters) {
      c.op(OP.try, VOID);
      this.labels.push({ kind: 'other', block: -1 });
    }
    this.open('exit');
    body();
    c.op(OP.unreachable);
    this.close();
    if (this.counters) {
      c.op(OP.catchAll);
      this.countExit(RC_FAULTS, () => c.get(LEFT));
      c.op(OP.rethrow, 0);
      this.close();
    }
    this.spill();
    this.countEnd();
    if (this.mode !== 16) this.followLink();
    // The next region knows where it begins.
    this.storeRip();
    c.get(LEFT);
    if (this.leaves) {
      c.byte(OP.return);
      this.close();
      this.leaveLink();
    }
    c.end();
  }
}
