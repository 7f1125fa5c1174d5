/**
 * What every translated instruction needs: guest registers in locals, lazy flags, guest memory through the TLB, ways out of the region. One
 * object emits one region; it is run twice, because what to load at the entry is known only at the end.
 */
import { CPU_STATE_BASE, DIRTY_MAP_BASE, JIT_LINKS_BASE, MAILBOX_BASE, TLB_BASE } from '../../memory/layout.ts';
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
  LINK_COUNT,
  LINK_TABLE_SIZE,
  SJ_CUT,
  SJ_EPOCH,
  SJ_FLAG_A,
  SJ_FLAG_B,
  SJ_FLAG_C,
  SJ_FLAG_KIND,
  SJ_LEFT,
  SJ_STEP,
} from '../interp/wasm/jitoffsets.ts';
import {
  S_CR0,
  S_CR4,
  S_EXIT,
  S_FEATURES,
  S_GPR,
  S_MXCSR,
  S_RIP,
  S_SEG,
  S_XMM,
  SEG_BASE,
  SEG_FLAGS,
  SEG_LIMIT,
  SEG_STRIDE,
  XMM_STRIDE,
} from '../interp/wasm/stateoffsets.ts';
import type { CodeMode, Insn, Width } from './decode.ts';
import { I32, I64, OP, SIMD, V128, VOID, WasmCode } from './wasmcode.ts';

/** Indices of the imported functions of a region module, in the order of its import section. */
export const HELPER = { read: 0, readW: 1, write: 2, writeV: 3, exec: 4, flags: 5, condition: 6, settle: 7 } as const;
export const HELPERS = Object.keys(HELPER) as (keyof typeof HELPER)[];

const S = CPU_STATE_BASE;
/** MB_EXIT_REQUEST of core/memory/mailbox.ts: another thread wants run() to return. */
const EXIT_REQUEST = MAILBOX_BASE + 4;
/** Index of the type of region functions in a region module. */
export const REGION_TYPE = 7;
const USER_TABLES = 0x30000;
const WRITE_TABLE = 0x10000;
const RSP = 4;

/** Parameters and fixed locals. */
const LEFT = 0;
const PAGE64 = 1;
const PAGE = 2;
const RIP = 3;
const KIND = 4;
const FA = 5;
const FB = 6;
const FC = 7;
/** The state is in memory: a fault must not store the locals over it. */
const INMEMORY = 8;
const GPR = 9;
const XMM = 25;
/** MXCSR is such that ordinary floating-point operations change nothing in it (FLOAT_FIELDS). */
const FLOAT = 41;
const TEMPS = 42;

/** CR0.EM and CR0.TS; CR4.OSFXSR: when SSE instructions fault. */
const CR0_EM_TS = 0xc;
const CR4_OSFXSR = 0x200;
/** MXCSR: RC, FTZ, DAZ, the masks and PE; and the only value with which the host's arithmetic is used (interp/wasm/simd/mxcsr.ts). */
const FLOAT_FIELDS = 0xffe0;
const FLOAT_VALUE = 0x1fa0;

/** What is known of the flags while emitting. */
export interface FlagState {
  /** FLAG_* without size; -1 = only the local knows. */
  kind: number;
  size: Width;
}
const UNKNOWN: FlagState = { kind: -1, size: 4 };
const IN_MEMORY: FlagState = { kind: FLAG_MEMORY, size: 1 };

interface Label {
  kind: 'exit' | 'block' | 'loop' | 'other';
  block: number;
}

export const log2 = (width: Width): number => (width === 1 ? 0 : width === 2 ? 1 : width === 4 ? 2 : 3);

export class Emitter {
  readonly c = new WasmCode();
  readonly mode: CodeMode;
  /** Word type of the mode. */
  readonly word: number;
  private readonly tables: number;
  private readonly user: number;
  private readonly labels: Label[] = [];
  private temps: { type: number; busy: boolean }[] = [];
  /** Bit masks of registers; filled by the first run, complete in the second. */
  usedGpr = 0;
  changedGpr = 0;
  usedXmm = 0;
  changedXmm = 0;
  /** Vector instructions are translated: the entry checks that they don't fault. `features` are bits FEAT_* that they need beyond SSE2. */
  usesSse = false;
  features = 0;
  private usesFloat = false;
  flags: FlagState = UNKNOWN;
  /** Nobody will see the flags of the current instruction: they are overwritten before any use, exit or fault. */
  flagsDead = false;
  /** Instructions of the block before the current one. */
  done = 0;
  insn!: Insn;
  /** Instructions handed to the interpreter, by offset in the page; their index is the record's place in the pool. */
  readonly fallbacks: number[] = [];

  constructor(mode: CodeMode, user: boolean) {
    this.mode = mode;
    this.word = mode === 64 ? I64 : I32;
    this.user = user ? 1 : 0;
    this.tables = TLB_BASE + (user ? USER_TABLES : 0);
  }

  /** Before the second run. */
  restart(): void {
    this.c.length = 0;
    this.c.hints.length = 0;
    this.temps = [];
    this.fallbacks.length = 0;
    this.flags = UNKNOWN;
  }

  // ---- Temporaries --------------------------------------------------------------------------------------------------------------------

  temp(type: number): number {
    let i = this.temps.findIndex((t) => !t.busy && t.type === type);
    if (i < 0) i = this.temps.push({ type, busy: false }) - 1;
    this.temps[i]!.busy = true;
    return TEMPS + i;
  }

  /** After each instruction. */
  freeTemps(): void {
    for (const temp of this.temps) temp.busy = false;
  }

  /** Declarations of all locals but the parameters, as wasm wants them. */
  locals(): WasmCode {
    const code = new WasmCode();
    const groups: [count: number, type: number][] = [
      [2, this.word],
      [1, I32],
      [3, this.word],
      [1, I32],
      [16, this.word],
      [16, V128],
      [1, I32],
    ];
    for (const { type } of this.temps) groups.push([1, type]);
    code.u32(groups.length);
    for (const [count, type] of groups) code.u32(count).byte(type);
    return code;
  }

  // ---- Word arithmetic: the mode's own width ---------------------------------------------------------------------------------------------

  wordConst(value: number): void {
    if (this.mode === 64) this.c.i64(value);
    else this.c.i32(value);
  }
  wordOp(op32: number, op64: number): void {
    this.c.op(this.mode === 64 ? op64 : op32);
  }
  wordAdd(): void {
    this.wordOp(OP.i32Add, OP.i64Add);
  }
  /** i32 on the stack becomes a zero-extended word. */
  toWord(): void {
    if (this.mode === 64) this.c.op(OP.i64ExtendI32U);
  }
  /** Word on the stack becomes an i32. */
  fromWord(): void {
    if (this.mode === 64) this.c.op(OP.i32WrapI64);
  }
  /** Value of `width` on the stack (i64 when 8 bytes, else i32) becomes a word. */
  widthToWord(width: Width): void {
    if (width !== 8) this.toWord();
  }
  typeOf(width: Width): number {
    return width === 8 ? I64 : I32;
  }
  const(width: Width, value: number): void {
    if (width === 8) this.c.i64(value);
    else this.c.i32(width === 1 ? value & 0xff : width === 2 ? value & 0xffff : value);
  }

  // ---- Registers ------------------------------------------------------------------------------------------------------------------------

  /** Word of a register. */
  gpr(n: number): void {
    this.usedGpr |= 1 << n;
    this.c.get(GPR + n);
  }
  /** Word on the stack becomes the register. */
  setGpr(n: number): void {
    this.usedGpr |= 1 << n;
    this.changedGpr |= 1 << n;
    this.c.set(GPR + n);
  }

  /** Number and shift of a byte register: AH CH DH BH without REX. */
  private byteRegister(n: number): [register: number, high: boolean] {
    return n >= 4 && n < 8 && !this.insn.rex ? [n - 4, true] : [n, false];
  }

  /** Zero-extended value of a register; i64 when 8 bytes wide. */
  reg(n: number, width: Width): void {
    const { c } = this;
    if (width === 8) {
      this.gpr(n);
      return;
    }
    if (width === 1) {
      const [r, high] = this.byteRegister(n);
      this.gpr(r);
      this.fromWord();
      if (high) c.i32(8).op(OP.i32ShrU);
      c.i32(0xff).op(OP.i32And);
      return;
    }
    this.gpr(n);
    this.fromWord();
    if (width === 2) c.i32(0xffff).op(OP.i32And);
  }

  /** Value on the stack goes to a register. The upper bits of narrow values do not matter. */
  setReg(n: number, width: Width): void {
    const { c } = this;
    if (width === 8) {
      this.setGpr(n);
      return;
    }
    if (width === 4) {
      this.toWord();
      this.setGpr(n);
      return;
    }
    const [r, high] = width === 1 ? this.byteRegister(n) : [n, false];
    const mask = width === 2 ? 0xffff : 0xff;
    c.i32(mask).op(OP.i32And);
    if (high) c.i32(8).op(OP.i32Shl);
    this.toWord();
    this.gpr(r);
    const keep = ~(high ? 0xff00 : mask);
    this.wordConst(keep);
    this.wordOp(OP.i32And, OP.i64And);
    this.wordOp(OP.i32Or, OP.i64Or);
    this.setGpr(r);
  }

  xmm(n: number): void {
    this.usedXmm |= 1 << n;
    this.c.get(XMM + n);
  }
  setXmm(n: number): void {
    this.usedXmm |= 1 << n;
    this.changedXmm |= 1 << n;
    this.c.set(XMM + n);
  }

  private loadRegisters(gprs: number, xmms: number): void {
    for (let n = 0; n < 16; n++)
      if (gprs & (1 << n))
        this.c
          .i32(0)
          .memory(this.mode === 64 ? OP.i64Load : OP.i32Load, S + S_GPR + n * 8)
          .set(GPR + n);
    for (let n = 0; n < 16; n++)
      if (xmms & (1 << n))
        this.c
          .i32(0)
          .simdMemory(SIMD.load, S + S_XMM + n * XMM_STRIDE)
          .set(XMM + n);
  }

  private storeRegisters(gprs: number, xmms: number): void {
    for (let n = 0; n < 16; n++) {
      if (!(gprs & (1 << n))) continue;
      this.c.i32(0).get(GPR + n);
      if (this.mode === 32) this.c.op(OP.i64ExtendI32U);
      this.c.memory(OP.i64Store, S + S_GPR + n * 8);
    }
    for (let n = 0; n < 16; n++)
      if (xmms & (1 << n))
        this.c
          .i32(0)
          .get(XMM + n)
          .simdMemory(SIMD.store, S + S_XMM + n * XMM_STRIDE);
  }

  /** Changed registers and flags to memory, in whatever lazy form they are. */
  private spill(): void {
    const { c } = this;
    this.storeRegisters(this.changedGpr, this.changedXmm);
    const store = this.mode === 64 ? OP.i64Store : OP.i32Store;
    c.get(KIND).i32(FLAG_PENDING).op(OP.i32Ne).if();
    c.i32(0)
      .get(KIND)
      .memory(OP.i32Store, S + SJ_FLAG_KIND);
    c.i32(0)
      .get(FA)
      .memory(store, S + SJ_FLAG_A);
    c.i32(0)
      .get(FB)
      .memory(store, S + SJ_FLAG_B);
    c.i32(0)
      .get(FC)
      .memory(store, S + SJ_FLAG_C);
    c.end();
  }

  // ---- Flags ------------------------------------------------------------------------------------------------------------------------------

  /**
   * Flags from now on are of form `kind` (FLAG_*) over values of `width` in temporaries. Values narrower than 8 bytes must be zero-extended.
   */
  setFlags(kind: number, width: Width, a: number, b = -1, c = -1): void {
    if (this.flagsDead) return;
    const put = (temp: number, local: number) => {
      if (temp < 0) return;
      this.c.get(temp);
      this.widthToWord(width);
      this.c.set(local);
    };
    put(a, FA);
    put(b, FB);
    put(c, FC);
    this.c.i32(kind + log2(width)).set(KIND);
    this.flags = { kind, size: width };
  }

  /** The same with i32 values whatever the width. */
  setFlags32(kind: number, width: Width, a: number, b = -1, c = -1): void {
    if (this.flagsDead) return;
    const put = (temp: number, local: number) => {
      if (temp < 0) return;
      this.c.get(temp);
      this.toWord();
      this.c.set(local);
    };
    put(a, FA);
    put(b, FB);
    put(c, FC);
    this.c.i32(kind + log2(width)).set(KIND);
    this.flags = { kind, size: width };
  }

  /** Only the local KIND knows from here on. */
  forgetFlags(): void {
    this.flags = UNKNOWN;
  }

  private flagWord(local: number): void {
    this.c.get(local);
    if (this.mode === 32) this.c.op(OP.i64ExtendI32U);
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
    this.flagsToMemory();
    this.c.i32(2).call(HELPER.condition);
  }

  // ---- Leaving ----------------------------------------------------------------------------------------------------------------------------

  private depthOf(kind: Label['kind'], block: number): number {
    for (let i = this.labels.length - 1; i >= 0; i--) {
      const label = this.labels[i]!;
      if (label.kind === kind && label.block === block) return this.labels.length - 1 - i;
    }
    throw new Error(`no label for ${kind} ${block}`);
  }

  open(kind: Label['kind'], block = -1): void {
    this.labels.push({ kind, block });
    if (kind === 'loop') this.c.op(OP.loop, VOID);
    else if (kind !== 'other') this.c.op(OP.block, VOID);
  }
  /** An `if` whose condition is on the stack. */
  openIf(type: number = VOID, likely?: boolean): void {
    this.labels.push({ kind: 'other', block: -1 });
    if (likely === undefined) this.c.if(type);
    else this.c.hintedIf(likely, type);
  }
  /** An `if` for what hardly ever happens. */
  openRare(): void {
    this.openIf(VOID, false);
  }
  close(): void {
    this.labels.pop();
    this.c.end();
  }
  branchTo(kind: 'block' | 'loop', block: number): void {
    this.c.br(this.depthOf(kind, block));
  }

  /** Sets the instruction pointer to an offset of the page. */
  private setRip(offset: number): void {
    this.c.get(PAGE);
    this.wordConst(offset);
    this.wordAdd();
    this.c.set(RIP);
  }
  pushRip(offset: number): void {
    this.c.get(PAGE);
    this.wordConst(offset);
    this.wordAdd();
  }

  /** Leaves for the word on the stack. */
  exitToStack(): void {
    this.c.set(RIP);
    this.c.br(this.depthOf('exit', -1));
  }
  exitTo(offset: number): void {
    this.setRip(offset);
    this.c.br(this.depthOf('exit', -1));
  }
  /** Takes `count` instructions off the slice. */
  spend(count: number): void {
    if (count) this.c.get(LEFT).i32(count).op(OP.i32Sub).set(LEFT);
  }
  /** 1 on the stack when fewer than `count` instructions are left. */
  leftBelow(count: number): void {
    this.c.get(LEFT).i32(count).op(OP.i32LtS);
  }
  /** Leaves before the current instruction, which the interpreter must execute. */
  exitStep(): void {
    this.spend(this.done);
    this.c
      .i32(0)
      .i32(1)
      .memory(OP.i32Store, S + SJ_STEP);
    this.exitTo(this.insn.at);
  }
  /** Leaves after the current instruction, for the next one or for the word that `target` pushes. */
  private exitAfter(after: () => void, target?: () => void): void {
    after();
    this.spend(this.done + 1);
    if (target) {
      target();
      this.exitToStack();
    } else this.exitTo(this.insn.next);
  }

  /** What the slice has left before the current instruction. */
  private leftNow(): void {
    this.c.get(LEFT);
    if (this.done) this.c.i32(this.done).op(OP.i32Sub);
  }

  // ---- Memory -----------------------------------------------------------------------------------------------------------------------------

  /** Effective offset of the memory operand, without segment base, as a word on the stack. */
  offset(insn: Insn): void {
    const { c } = this;
    if (insn.ripRelative) {
      c.get(PAGE);
      this.wordConst(insn.next + insn.disp);
      this.wordAdd();
      return;
    }
    let some = false;
    if (insn.base >= 0) {
      this.gpr(insn.base);
      some = true;
    }
    if (insn.index >= 0) {
      this.gpr(insn.index);
      if (insn.scale) {
        this.wordConst(insn.scale);
        this.wordOp(OP.i32Shl, OP.i64Shl);
      }
      if (some) this.wordAdd();
      some = true;
    }
    if (!some) this.wordConst(insn.disp);
    else if (insn.disp) {
      this.wordConst(insn.disp);
      this.wordAdd();
    }
  }

  /** Linear address of the memory operand in a temporary. */
  address(insn: Insn): number {
    const { c } = this;
    const ea = this.temp(this.word);
    if (insn.segment >= 0) {
      const at = S + S_SEG + insn.segment * SEG_STRIDE;
      if (this.mode === 32) {
        // Thread-local storage: a base, but no limit. Anything else is the interpreter's.
        c.i32(0)
          .memory(OP.i32Load, at + SEG_LIMIT)
          .i32(-1)
          .op(OP.i32Ne);
        c.i32(0)
          .memory(OP.i32Load, at + SEG_FLAGS)
          .i32(7)
          .op(OP.i32And)
          .i32(3)
          .op(OP.i32Ne, OP.i32Or);
        this.openRare();
        this.exitStep();
        this.close();
      }
      c.i32(0).memory(this.mode === 64 ? OP.i64Load : OP.i32Load, at + SEG_BASE);
      this.offset(insn);
      this.wordAdd();
    } else this.offset(insn);
    c.set(ea);
    return ea;
  }

  /** Address of the TLB entry of `ea` in the read or write tables, and whether it hits (i32 on the stack). */
  private probe(ea: number, size: number, table: number): number {
    const { c } = this;
    const entry = this.temp(I32);
    c.get(ea);
    if (this.mode === 64) c.i64(8).op(OP.i64ShrU, OP.i32WrapI64);
    else c.i32(8).op(OP.i32ShrU);
    c.i32(0xfff0).op(OP.i32And).tee(entry);
    c.memory(this.mode === 64 ? OP.i64Load : OP.i32Load, table);
    c.get(ea);
    if (size > 1) {
      this.wordConst(size - 1);
      this.wordAdd();
    }
    this.wordConst(-4096);
    this.wordOp(OP.i32And, OP.i64And);
    this.wordOp(OP.i32Eq, OP.i64Eq);
    return entry;
  }

  /** Host address after a hit. */
  private host(ea: number, entry: number, table: number): void {
    this.c.get(ea);
    this.fromWord();
    this.c
      .get(entry)
      .memory(OP.i32Load, table + 8)
      .op(OP.i32Add);
  }

  private ea64(ea: number): void {
    this.c.get(ea);
    if (this.mode === 32) this.c.op(OP.i64ExtendI32U);
  }

  private slowRead(helper: number, ea: number, size: number): void {
    this.setRip(this.insn.at);
    this.ea64(ea);
    this.c.i32(size).i32(this.user);
    this.leftNow();
    this.c.call(helper);
    this.cut();
  }

  /** After a call that may have reached a device: it may have moved the end of the slice. */
  private cut(): void {
    this.c
      .get(LEFT)
      .i32(0)
      .memory(OP.i32Load, S + SJ_CUT)
      .op(OP.i32Sub)
      .set(LEFT);
  }

  private plainLoad(width: Width): void {
    this.c.memory(width === 1 ? OP.i32Load8U : width === 2 ? OP.i32Load16U : width === 4 ? OP.i32Load : OP.i64Load, 0);
  }

  /** Zero-extended value at `ea`. */
  load(ea: number, width: Width): void {
    const { c } = this;
    const entry = this.probe(ea, width, this.tables);
    c.hintedIf(true, this.typeOf(width));
    this.host(ea, entry, this.tables);
    this.plainLoad(width);
    c.else();
    this.slowRead(HELPER.read, ea, width);
    if (width !== 8) c.op(OP.i32WrapI64);
    c.end();
  }

  /** 16 bytes at `ea`. */
  loadV(ea: number): void {
    const { c } = this;
    const entry = this.probe(ea, 16, this.tables);
    c.hintedIf(true, V128);
    this.host(ea, entry, this.tables);
    c.simdMemory(SIMD.load, 0);
    c.else();
    this.slowRead(HELPER.read, ea, 8);
    c.simd(SIMD.i64x2Splat);
    const high = this.temp(this.word);
    c.get(ea);
    this.wordConst(8);
    this.wordAdd();
    c.set(high);
    this.slowRead(HELPER.read, high, 8);
    c.simd(SIMD.i64x2ReplaceLane).byte(1);
    c.end();
  }

  /** 4 or 8 bytes at `ea` as the low part of a vector that is zero otherwise. */
  loadLow(ea: number, width: 4 | 8): void {
    const { c } = this;
    const entry = this.probe(ea, width, this.tables);
    c.if(V128);
    this.host(ea, entry, this.tables);
    c.simdMemory(width === 4 ? SIMD.load32Zero : SIMD.load64Zero, 0);
    c.else().simd64(0n);
    this.slowRead(HELPER.read, ea, width);
    c.simd(SIMD.i64x2ReplaceLane).byte(0);
    c.end();
  }

  private markDirty(host: number): void {
    this.c.get(host).i32(12).op(OP.i32ShrU).i32(0xff).memory(OP.i32Store8, DIRTY_MAP_BASE);
  }

  private plainStore(width: Width): void {
    this.c.memory(width === 1 ? OP.i32Store8 : width === 2 ? OP.i32Store16 : width === 4 ? OP.i32Store : OP.i64Store, 0);
  }

  private slowWrite(ea: number, width: Width, value: number, after: () => void, target?: () => void): void {
    const { c } = this;
    this.setRip(this.insn.at);
    this.ea64(ea);
    c.get(value);
    if (width !== 8) c.op(OP.i64ExtendI32U);
    c.i32(width).i32(this.user);
    this.leftNow();
    c.call(HELPER.write);
    this.cut();
    this.openRare();
    this.exitAfter(after, target);
    this.close();
  }

  /** Stores the temporary `value`. `after` emits what else the instruction changes; it must not fault. */
  store(ea: number, width: Width, value: number, after: () => void = () => {}): void {
    this.storeThen(ea, width, value, after);
  }

  /** The same for an instruction after which control goes elsewhere: `target` pushes the address. */
  storeThen(ea: number, width: Width, value: number, after: () => void, target?: () => void): void {
    const { c } = this;
    const table = this.tables + WRITE_TABLE;
    const entry = this.probe(ea, width, table);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, table);
    c.tee(host).get(value);
    this.plainStore(width);
    this.markDirty(host);
    c.else();
    this.slowWrite(ea, width, value, after, target);
    this.close();
    after();
  }

  /** Stores 16 bytes. */
  storeV(ea: number, value: number): void {
    const { c } = this;
    const table = this.tables + WRITE_TABLE;
    const entry = this.probe(ea, 16, table);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, table);
    c.tee(host).get(value).simdMemory(SIMD.store, 0);
    this.markDirty(host);
    c.else();
    this.setRip(this.insn.at);
    this.ea64(ea);
    c.get(value).simd(SIMD.i64x2ExtractLane).byte(0).get(value).simd(SIMD.i64x2ExtractLane).byte(1);
    c.i32(this.user);
    this.leftNow();
    c.call(HELPER.writeV);
    this.cut();
    this.openRare();
    this.exitAfter(() => {});
    this.close();
    this.close();
  }

  /**
   * Read-modify-write. `compute` finds the old value in the temporary it is given and gives back the temporary with the new one; nothing in it
   * may fault. `after` as for store().
   */
  modify(ea: number, width: Width, compute: (old: number) => number, after: () => void = () => {}): void {
    const { c } = this;
    const table = this.tables + WRITE_TABLE;
    const host = this.temp(I32);
    const old = this.temp(this.typeOf(width));
    const entry = this.probe(ea, width, table);
    c.hintedIf(true);
    this.host(ea, entry, table);
    c.tee(host);
    this.plainLoad(width);
    c.set(old).else();
    c.i32(0).set(host);
    this.slowRead(HELPER.readW, ea, width);
    if (width !== 8) c.op(OP.i32WrapI64);
    c.set(old).end();
    const value = compute(old);
    c.get(host);
    this.openIf(VOID, true);
    c.get(host).get(value);
    this.plainStore(width);
    this.markDirty(host);
    c.else();
    this.slowWrite(ea, width, value, after);
    this.close();
    after();
  }

  // ---- Stack --------------------------------------------------------------------------------------------------------------------------------

  /** Stack pointer less `size`, in a temporary. */
  below(size: number): number {
    const top = this.temp(this.word);
    this.gpr(RSP);
    this.wordConst(size);
    this.wordOp(OP.i32Sub, OP.i64Sub);
    this.c.set(top);
    return top;
  }

  /** Pushes the temporary `value`. */
  push(value: number, width: Width): void {
    const top = this.below(width);
    this.store(top, width, value, () => {
      this.c.get(top);
      this.setGpr(RSP);
    });
  }

  /** Loads the top of the stack; does not move the pointer. */
  top(width: Width): void {
    const at = this.temp(this.word);
    this.gpr(RSP);
    this.c.set(at);
    this.load(at, width);
  }

  /** Moves the stack pointer up. */
  drop(bytes: number): void {
    this.gpr(RSP);
    this.wordConst(bytes);
    this.wordAdd();
    this.setGpr(RSP);
  }

  // ---- The interpreter's help ----------------------------------------------------------------------------------------------------------------

  /** Executes the current instruction in the interpreter, with everything in memory. */
  interpret(): void {
    const { c } = this;
    this.storeRegisters(this.changedGpr, this.changedXmm);
    this.flagsToMemory();
    c.i32(1).set(INMEMORY);
    this.callExec();
    c.if();
    c.i32(0)
      .memory(OP.i32Load, S + SJ_LEFT)
      .byte(OP.return);
    c.end();
    c.i32(0).set(INMEMORY);
    // A repeated instruction counts every element.
    c.i32(0)
      .memory(OP.i32Load, S + SJ_LEFT)
      .i32(this.done + 1)
      .op(OP.i32Add)
      .set(LEFT);
    this.loadRegisters(this.usedGpr, this.usedXmm);
    this.flags = IN_MEMORY;
  }

  /** The same for one that neither changes general registers nor touches flags, and reads only the registers of its memory operand. */
  interpretLight(): void {
    let needed = 0;
    if (this.insn.base >= 0) needed |= 1 << this.insn.base;
    if (this.insn.index >= 0) needed |= 1 << this.insn.index;
    this.storeRegisters(this.changedGpr & needed, 0);
    this.setRip(this.insn.at);
    this.callExec();
    this.openRare();
    this.exitAfter(() => {});
    this.close();
  }

  /**
   * The same for a vector instruction. It may change the vector registers of its modrm, and MXCSR; what else it touches is told: general
   * registers that it reads and writes, further vector registers that it reads, as bits. When it changes flags, `after` must set them anew.
   */
  interpretVector(also: { reads?: number; writes?: number; xmms?: number; after?: () => void } = {}): void {
    const { c, insn } = this;
    let reads = also.reads ?? 0;
    if (insn.base >= 0) reads |= 1 << insn.base;
    if (insn.index >= 0) reads |= 1 << insn.index;
    let xmms = 1 << insn.reg;
    if (!insn.memory) xmms |= 1 << insn.rm;
    this.storeRegisters(this.changedGpr & reads, this.changedXmm & (xmms | (also.xmms ?? 0)));
    this.setRip(insn.at);
    this.callExec();
    this.loadRegisters(also.writes ?? 0, xmms & this.usedXmm);
    this.usedGpr |= also.writes ?? 0;
    this.changedGpr |= also.writes ?? 0;
    if (insn.memory)
      // A device may have moved the end of the slice.
      c.i32(0)
        .memory(OP.i32Load, S + SJ_LEFT)
        .i32(this.done + 1)
        .op(OP.i32Add)
        .set(LEFT);
    this.floatRefresh();
    also.after?.();
    this.openIf();
    this.exitAfter(() => {});
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

  /** At the entry: the i32 on the stack, or vector instructions fault here. */
  vectorConditions(): void {
    const { c } = this;
    this.floatRefresh();
    if (!this.usesSse) return;
    c.i32(0)
      .memory(OP.i32Load, S + S_CR0)
      .i32(CR0_EM_TS)
      .op(OP.i32And, OP.i32Or);
    c.i32(0)
      .memory(OP.i32Load, S + S_CR4)
      .i32(CR4_OSFXSR)
      .op(OP.i32And, OP.i32Eqz, OP.i32Or);
    if (this.features)
      c.i32(0)
        .memory(OP.i32Load, S + S_FEATURES)
        .i32(this.features)
        .op(OP.i32And)
        .i32(this.features)
        .op(OP.i32Ne, OP.i32Or);
  }

  private callExec(): void {
    const { c } = this;
    const index = this.fallbacks.push(this.insn.at) - 1;
    c.byte(OP.globalGet)
      .u32(0)
      .i32(index * 64)
      .op(OP.i32Add);
    this.leftNow();
    c.get(PAGE64).call(HELPER.exec);
  }

  // ---- Frame ----------------------------------------------------------------------------------------------------------------------------------

  /** Everything around `body`: registers in at the front, out at the back and at a fault. */
  frame(body: () => void): void {
    const { c } = this;
    c.get(PAGE64);
    if (this.mode === 32) c.op(OP.i32WrapI64);
    c.set(PAGE);
    c.i32(FLAG_PENDING).set(KIND);
    this.loadRegisters(this.usedGpr, this.usedXmm);
    c.op(OP.try, VOID);
    this.labels.push({ kind: 'other', block: -1 });
    this.open('exit');
    body();
    c.op(OP.unreachable);
    this.close();
    c.op(OP.catchAll);
    c.get(INMEMORY).op(OP.i32Eqz).if();
    this.spill();
    this.storeRip();
    c.end();
    c.op(OP.rethrow, 0);
    this.close();
    this.spill();
    this.storeRip();
    this.followLink();
    c.get(LEFT).end();
  }

  /** At the very end: goes straight on to the region at the new address when it is known, and nothing wants attention. */
  private followLink(): void {
    const { c } = this;
    const table = JIT_LINKS_BASE + ((this.mode === 64 ? 2 : 0) + this.user) * LINK_TABLE_SIZE;
    const entry = this.temp(I32);
    c.get(LEFT).i32(0).op(OP.i32GtS);
    c.i32(0)
      .memory(OP.i32Load, S + S_EXIT)
      .i32(0)
      .memory(OP.i32Load, EXIT_REQUEST)
      .op(OP.i32Or);
    c.i32(0)
      .memory(OP.i32Load, S + SJ_STEP)
      .op(OP.i32Or, OP.i32Eqz, OP.i32And)
      .if();
    c.get(RIP);
    c.get(RIP);
    this.wordConst(12);
    this.wordOp(OP.i32ShrU, OP.i64ShrU);
    this.wordOp(OP.i32Xor, OP.i64Xor);
    this.fromWord();
    c.i32(LINK_COUNT - 1)
      .op(OP.i32And)
      .i32(4)
      .op(OP.i32Shl)
      .tee(entry);
    c.memory(this.mode === 64 ? OP.i64Load : OP.i32Load, table).get(RIP);
    this.wordOp(OP.i32Eq, OP.i64Eq);
    c.get(entry)
      .memory(OP.i32Load, table + 8)
      .i32(0)
      .memory(OP.i32Load, S + SJ_EPOCH)
      .op(OP.i32Eq, OP.i32And)
      .if();
    c.get(LEFT).get(RIP);
    this.wordConst(-4096);
    this.wordOp(OP.i32And, OP.i64And);
    if (this.mode === 32) c.op(OP.i64ExtendI32U);
    c.get(entry).memory(OP.i32Load, table + 12);
    c.byte(OP.returnCallIndirect).u32(REGION_TYPE).u32(0);
    c.end();
    c.end();
  }

  private storeRip(): void {
    this.c.i32(0).get(RIP);
    if (this.mode === 32) this.c.op(OP.i64ExtendI32U);
    this.c.memory(OP.i64Store, S + S_RIP);
  }
}
