/** Flags of a region: lazy forms (interp/wasm/jitoffsets.ts) in locals, with what is known of them while emitting. */
import {
  FLAG_ADC,
  FLAG_ADD,
  FLAG_ARITH,
  FLAG_DEC,
  FLAG_INC,
  FLAG_LOGIC,
  FLAG_MEMORY,
  FLAG_PENDING,
  FLAG_SAR,
  FLAG_SBB,
  FLAG_SETCF,
  FLAG_SHL,
  FLAG_SHR,
  FLAG_SUB,
} from '../interp/wasm/jitoffsets.ts';
import type { Width } from './decode.ts';
import { HELPER } from './helpers.ts';
import { FA, FB, FC, KIND } from './locals.ts';
import { RegisterEmitter } from './registeremitter.ts';
import { I32, OP } from './wasmcode.ts';

/** What is known of the flags while emitting. */
export interface FlagState {
  /** FLAG_* without size; -1 = only the local knows. */
  kind: number;
  size: Width;
}
const UNKNOWN: FlagState = { kind: -1, size: 4 };
export const IN_MEMORY: FlagState = { kind: FLAG_MEMORY, size: 1 };

export const log2 = (width: Width): number => (width === 1 ? 0 : width === 2 ? 1 : width === 4 ? 2 : 3);

export class FlagEmitter extends RegisterEmitter {
  flags: FlagState = UNKNOWN;
  /** Nobody will see the flags of the current instruction: they are overwritten before any use, exit or fault. */
  flagsDead = false;

  /** Some form of flags in the region has a third operand. */
  protected carries = false;

  override restart(): void {
    super.restart();
    this.flags = UNKNOWN;
  }

  /**
   * Flags from now on are of form `kind` (FLAG_*) over values of `width` in temporaries. Values narrower than 8 bytes must be zero-extended.
   */
  setFlags(kind: number, width: Width, a: number, b = -1, c = -1): void {
    this.putFlags(kind, width, width, a, b, c);
  }

  /** The same with i32 values whatever the width. */
  setFlags32(kind: number, width: Width, a: number, b = -1): void {
    this.putFlags(kind, width, 4, a, b, -1);
  }

  /** Operands are temporaries of `from` bytes, -1 = not there. */
  private putFlags(kind: number, width: Width, from: Width, a: number, b: number, c: number): void {
    if (this.flagsDead) return;
    const put = (temp: number, local: number) => {
      if (temp < 0) return;
      this.c.get(temp);
      this.widthToWord(from);
      this.c.set(local);
    };
    put(a, FA);
    put(b, FB);
    put(c, FC);
    if (c >= 0) this.carries = true;
    this.c.i32(kind + log2(width)).set(KIND);
    this.flags = { kind, size: width };
  }

  /** Only the local KIND knows from here on. */
  forgetFlags(): void {
    this.flags = UNKNOWN;
  }

  private flagWord(local: number): void {
    this.c.get(local);
    if (this.mode !== 64) this.c.op(OP.i64ExtendI32U);
  }

  /** Brings the flags into memory in their canonical form. */
  flagsToMemory(): void {
    const { c } = this;
    if (this.flags.kind === FLAG_MEMORY) return;
    if (this.flags.kind < 0) c.get(KIND).if();
    c.get(KIND).i32(FLAG_PENDING).op(OP.i32Eq).if().call(HELPER.settle).else();
    c.get(KIND);
    this.flagWord(FA);
    this.flagWord(FB);
    this.flagWord(FC);
    c.call(HELPER.flags);
    c.end();
    c.i32(0).set(KIND);
    if (this.flags.kind < 0) c.end();
    this.flags = IN_MEMORY;
  }

  /** Changes a part of the flags (FLAG_ROL, FLAG_ROR): the others have to be known in memory first. `count` pushes an i32. */
  changeFlags(kind: number, width: Width, operand: number, count: () => void): void {
    if (this.flagsDead) return;
    this.flagsToMemory();
    this.c.i32(kind + log2(width)).get(operand);
    if (width !== 8) this.c.op(OP.i64ExtendI32U);
    count();
    this.c.op(OP.i64ExtendI32U).i64(0).call(HELPER.flags);
  }

  /** CF becomes the i32 temporary; the other flags stay. */
  setCarry(carry: number): void {
    if (this.flagsDead) return;
    this.flagsToMemory();
    this.c.i32(FLAG_SETCF).get(carry).op(OP.i64ExtendI32U).i64(0).i64(0).call(HELPER.flags);
  }

  /** Operand of the flags at its width: i64 for 8 bytes, else i32. */
  private flagOperand(local: number, width: Width): void {
    this.c.get(local);
    if (width !== 8) this.fromWord();
  }
  private signed(width: Width): void {
    if (width === 1) this.c.op(OP.i32Extend8S);
    else if (width === 2) this.c.op(OP.i32Extend16S);
  }

  /** Result of the flag operation, zero-extended to its width; undefined where it isn't a simple one. */
  private flagResult(): boolean {
    const { kind, size } = this.flags;
    const { c } = this;
    const wide = size === 8;
    const mask = () => {
      if (size === 1) c.i32(0xff).op(OP.i32And);
      else if (size === 2) c.i32(0xffff).op(OP.i32And);
    };
    switch (kind) {
      case FLAG_LOGIC:
        this.flagOperand(FA, size);
        return true;
      case FLAG_ADD:
      case FLAG_SUB:
        this.flagOperand(FA, size);
        this.flagOperand(FB, size);
        c.op(kind === FLAG_ADD ? (wide ? OP.i64Add : OP.i32Add) : wide ? OP.i64Sub : OP.i32Sub);
        mask();
        return true;
      case FLAG_INC:
      case FLAG_DEC:
        this.flagOperand(FA, size);
        this.const(size, 1);
        c.op(kind === FLAG_INC ? (wide ? OP.i64Add : OP.i32Add) : wide ? OP.i64Sub : OP.i32Sub);
        mask();
        return true;
      case FLAG_SHL:
      case FLAG_SHR:
      case FLAG_SAR:
        if (size < 4) return false;
        this.flagOperand(FA, size);
        this.flagOperand(FB, size);
        if (kind === FLAG_SHL) c.op(wide ? OP.i64Shl : OP.i32Shl);
        else if (kind === FLAG_SHR) c.op(wide ? OP.i64ShrU : OP.i32ShrU);
        else c.op(wide ? OP.i64ShrS : OP.i32ShrS);
        return true;
    }
    return false;
  }

  /** Condition `cc` (SDM volume 1 appendix B) as 0 or 1 on the stack. */
  condition(cc: number): void {
    if (this.fastCondition(cc)) return;
    this.flagsToMemory();
    this.c.i32(cc).call(HELPER.condition);
  }

  /** The same of the flags that the interpreter has in memory. */
  storedCondition(cc: number): void {
    this.c.i32(cc).call(HELPER.condition);
  }

  private fastCondition(cc: number): boolean {
    const { c } = this;
    const { kind, size } = this.flags;
    if (kind <= FLAG_MEMORY) return false;
    const wide = size === 8;
    const not = cc & 1;
    const invert = () => {
      if (not) c.op(OP.i32Eqz);
      return true;
    };
    if (kind === FLAG_ARITH) {
      const bit = [0x800, 0x001, 0x040, 0x041, 0x080, 0x004][cc >> 1];
      if (bit === undefined) return false;
      c.get(FA);
      this.fromWord();
      c.i32(bit).op(OP.i32And);
      if (not) c.op(OP.i32Eqz);
      else c.i32(0).op(OP.i32Ne);
      return true;
    }
    if (kind === FLAG_SUB) {
      const compare = (op32: number, op64: number, withSign: boolean) => {
        this.flagOperand(FA, size);
        if (withSign) this.signed(size);
        this.flagOperand(FB, size);
        if (withSign) this.signed(size);
        c.op(wide ? op64 : op32);
        return true;
      };
      switch (cc) {
        case 2:
          return compare(OP.i32LtU, OP.i64LtU, false);
        case 3:
          return compare(OP.i32GeU, OP.i64GeU, false);
        case 4:
          return compare(OP.i32Eq, OP.i64Eq, false);
        case 5:
          return compare(OP.i32Ne, OP.i64Ne, false);
        case 6:
          return compare(OP.i32LeU, OP.i64LeU, false);
        case 7:
          return compare(OP.i32GtU, OP.i64GtU, false);
        case 12:
          return compare(OP.i32LtS, OP.i64LtS, true);
        case 13:
          return compare(OP.i32GeS, OP.i64GeS, true);
        case 14:
          return compare(OP.i32LeS, OP.i64LeS, true);
        case 15:
          return compare(OP.i32GtS, OP.i64GtS, true);
      }
    }
    const zero = () => c.op(wide ? OP.i64Eqz : OP.i32Eqz);
    const negative = () => {
      this.signed(size);
      if (wide) c.i64(0).op(OP.i64LtS);
      else c.i32(0).op(OP.i32LtS);
    };
    switch (cc >> 1) {
      case 0:
        if (kind !== FLAG_LOGIC) return false;
        c.i32(0);
        return invert();
      case 1:
        if (!this.fastCarry()) return false;
        return invert();
      case 2:
        if (!this.flagResult()) return false;
        zero();
        return invert();
      case 3:
        if (kind === FLAG_LOGIC) {
          this.flagResult();
          zero();
          return invert();
        }
        if (kind !== FLAG_ADD) return false;
        this.fastCarry();
        this.flagResult();
        zero();
        c.op(OP.i32Or);
        return invert();
      case 4:
        if (!this.flagResult()) return false;
        negative();
        return invert();
      case 6:
        if (kind !== FLAG_LOGIC) return false;
        this.flagResult();
        negative();
        return invert();
      case 7:
        if (kind !== FLAG_LOGIC) return false;
        this.flagResult();
        this.signed(size);
        if (wide) c.i64(0).op(OP.i64LeS);
        else c.i32(0).op(OP.i32LeS);
        return invert();
    }
    return false;
  }

  /** CF as 0 or 1, when it is easily had. */
  private fastCarry(): boolean {
    const { c } = this;
    const { kind, size } = this.flags;
    const wide = size === 8;
    switch (kind) {
      case FLAG_SUB:
        this.flagOperand(FA, size);
        this.flagOperand(FB, size);
        c.op(wide ? OP.i64LtU : OP.i32LtU);
        return true;
      case FLAG_ADD:
        this.flagResult();
        this.flagOperand(FA, size);
        c.op(wide ? OP.i64LtU : OP.i32LtU);
        return true;
      case FLAG_LOGIC:
        c.i32(0);
        return true;
      case FLAG_INC:
      case FLAG_DEC:
        c.get(FB);
        this.fromWord();
        return true;
      case FLAG_ARITH:
        c.get(FA);
        this.fromWord();
        c.i32(1).op(OP.i32And);
        return true;
      case FLAG_ADC:
      case FLAG_SBB: {
        if (size < 4) return false;
        // With a carry in, a sum that equals an operand has carried too.
        const add = kind === FLAG_ADC;
        const left = () => {
          this.flagOperand(FA, size);
          this.flagOperand(FB, size);
          if (add) c.op(wide ? OP.i64Add : OP.i32Add);
        };
        const right = () => {
          if (add) this.flagOperand(FA, size);
        };
        // add: a+b+1 <= a or a+b < a; sub: a <= b or a < b.
        left();
        if (add) {
          this.const(size, 1);
          c.op(wide ? OP.i64Add : OP.i32Add);
        }
        right();
        c.op(wide ? OP.i64LeU : OP.i32LeU);
        left();
        right();
        c.op(wide ? OP.i64LtU : OP.i32LtU);
        c.get(FC);
        this.fromWord();
        c.op(OP.select);
        return true;
      }
    }
    return false;
  }

  /** CF as 0 or 1. */
  carry(): void {
    if (this.flags.kind > FLAG_MEMORY && this.fastCarry()) return;
    if (this.flags.kind < 0) {
      this.unknownCarry();
      return;
    }
    this.flagsToMemory();
    this.c.i32(2).call(HELPER.condition);
  }

  /** The same where only the local KIND knows the form: the frequent ones without a call. What is known of the flags stays unknown. */
  private unknownCarry(): void {
    const { c } = this;
    const form = this.temp(I32);
    const is = (kind: number) => {
      c.get(form)
        .i32(kind >> 2)
        .op(OP.i32Eq)
        .if(I32);
    };
    c.get(KIND).i32(2).op(OP.i32ShrU).set(form);
    is(FLAG_SUB);
    c.get(FA).get(FB);
    this.wordOp(OP.i32LtU, OP.i64LtU);
    c.else();
    is(FLAG_LOGIC);
    c.i32(0).else();
    // FLAG_INC and FLAG_DEC keep the carry.
    c.get(form)
      .i32(~1)
      .op(OP.i32And)
      .i32(FLAG_INC >> 2)
      .op(OP.i32Eq)
      .if(I32);
    c.get(FB);
    this.fromWord();
    c.else();
    const known = this.flags;
    this.flagsToMemory();
    this.flags = known;
    c.i32(2).call(HELPER.condition).end().end().end();
  }
}
