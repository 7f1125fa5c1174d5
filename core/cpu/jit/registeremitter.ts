/** Guest registers in locals, temporaries, and arithmetic in words of the code's mode. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { S_GPR, S_XMM, XMM_STRIDE } from '../interp/wasm/stateoffsets.ts';
import type { CodeMode, Insn, Width } from './decode.ts';
import { GPR, TEMPS, XMM } from './locals.ts';
import { I32, I64, OP, SIMD, V128, WasmCode } from './wasmcode.ts';

const S = CPU_STATE_BASE;
/** Bits 255..128 of a vector register, from its XMM half. */
const UPPER = XMM_STRIDE / 2;
/** Room for the code of most regions. */
const CODE_BYTES = 1 << 14;

/** What is in a general register: `add` more than something that has a number of its own. */
export interface Value {
  id: number;
  add: number;
}

export class RegisterEmitter {
  /** To be released by whoever copied it. */
  readonly c = WasmCode.scratch(CODE_BYTES);
  readonly mode: CodeMode;
  /** Word type of the mode. */
  readonly word: number;
  private temps: { type: number; busy: boolean; held: boolean }[] = [];
  /** Locals of the upper halves of vector registers (YMM), by register; -1 = none so far. Few regions need any. */
  private uppers: number[] = [];
  /** Bit masks of registers; filled by the first run, complete in the second. */
  usedGpr = 0;
  changedGpr = 0;
  usedXmm = 0;
  changedXmm = 0;
  usedUpper = 0;
  changedUpper = 0;
  /** Those that clearVectors clears, whether they have locals or not. */
  private clearedXmm = 0;
  private clearedUpper = 0;
  insn!: Insn;
  /** By general register. */
  protected values: Value[] = [];
  private nextValue = 0;

  constructor(mode: CodeMode) {
    this.mode = mode;
    this.word = mode === 64 ? I64 : I32;
    this.freshValues();
  }

  /** Nothing is known of the registers. */
  protected freshValues(): void {
    const values: Value[] = [];
    for (let i = 0; i < 16; i++) values.push(this.freshValue());
    this.values = values;
  }
  private freshValue(): Value {
    return { id: this.nextValue++, add: 0 };
  }
  /** What a register holds. */
  valueOf(n: number): Value {
    return this.values[n]!;
  }
  /** The register was just set to `value`, as wide as words are. */
  named(n: number, { id, add }: Value, by = 0): void {
    this.values[n] = { id, add: add + by };
  }

  /** Before the second run. */
  restart(): void {
    // What was cleared before its first use was known has a local from here on.
    this.changedXmm |= this.clearedXmm & this.usedXmm;
    this.changedUpper |= this.clearedUpper & this.usedUpper;
    this.c.length = 0;
    this.c.hints.length = 0;
    this.temps = [];
    this.uppers = [];
    this.freshValues();
  }

  temp(type: number): number {
    const { temps } = this;
    for (let i = 0; i < temps.length; i++) {
      const temp = temps[i]!;
      if (temp.busy || temp.type !== type) continue;
      temp.busy = true;
      return TEMPS + i;
    }
    return TEMPS + temps.push({ type, busy: true, held: false }) - 1;
  }

  /** A local for the whole of this run. */
  protected keep(type: number): number {
    return TEMPS + this.temps.push({ type, busy: true, held: true }) - 1;
  }

  /** After each instruction. */
  freeTemps(): void {
    for (const temp of this.temps) temp.busy = temp.held;
  }

  /** Declarations of all locals but the parameters, as wasm wants them. */
  locals(): WasmCode {
    const code = new WasmCode();
    const groups: [count: number, type: number][] = [
      [2, this.word],
      [1, I32],
      [3, this.word],
      [16, this.word],
      [16, V128],
      [3, I32],
    ];
    for (const { type } of this.temps) groups.push([1, type]);
    code.u32(groups.length);
    for (const [count, type] of groups) code.u32(count).byte(type);
    return code;
  }

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

  /** Word of a register. */
  gpr(n: number): void {
    this.usedGpr |= 1 << n;
    this.c.get(GPR + n);
  }
  /** Word on the stack becomes the register. */
  setGpr(n: number): void {
    this.usedGpr |= 1 << n;
    this.changedGpr |= 1 << n;
    this.values[n] = this.freshValue();
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

  /** The local of half 0 or 1 of a vector register. */
  vectorLocal(n: number, half: number): number {
    if (half) {
      this.usedUpper |= 1 << n;
      return this.upper(n);
    }
    this.usedXmm |= 1 << n;
    return XMM + n;
  }
  /** Vector on the stack becomes a half of the register. */
  setVector(n: number, half: number): void {
    this.c.set(this.vectorLocal(n, half));
    if (half) this.changedUpper |= 1 << n;
    else this.changedXmm |= 1 << n;
  }
  private upper(n: number): number {
    let local = this.uppers[n];
    if (local === undefined) {
      local = this.keep(V128);
      this.uppers[n] = local;
    }
    return local;
  }

  /** VZEROUPPER, or with `all` VZEROALL, of the first `count` registers. What the region keeps in no local is cleared in memory. */
  clearVectors(count: number, all: boolean): void {
    const cleared = (1 << count) - 1;
    this.clearedUpper |= cleared;
    if (all) this.clearedXmm |= cleared;
    for (let n = 0; n < count; n++)
      for (const half of all ? [0, 1] : [1]) {
        if ((half ? this.usedUpper : this.usedXmm) & (1 << n)) {
          this.c.simd64(0n);
          this.setVector(n, half);
        } else
          this.c
            .i32(0)
            .simd64(0n)
            .simdMemory(SIMD.store, S + S_XMM + n * XMM_STRIDE + half * UPPER);
      }
  }

  protected loadRegisters(gprs: number, xmms: number, uppers: number): void {
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
    for (let n = 0; n < 16; n++)
      if (uppers & (1 << n))
        this.c
          .i32(0)
          .simdMemory(SIMD.load, S + S_XMM + n * XMM_STRIDE + UPPER)
          .set(this.upper(n));
  }

  protected storeRegisters(gprs: number, xmms: number, uppers: number): void {
    for (let n = 0; n < 16; n++) {
      if (!(gprs & (1 << n))) continue;
      this.c.i32(0).get(GPR + n);
      if (this.mode !== 64) this.c.op(OP.i64ExtendI32U);
      this.c.memory(OP.i64Store, S + S_GPR + n * 8);
    }
    for (let n = 0; n < 16; n++)
      if (xmms & (1 << n))
        this.c
          .i32(0)
          .get(XMM + n)
          .simdMemory(SIMD.store, S + S_XMM + n * XMM_STRIDE);
    for (let n = 0; n < 16; n++)
      if (uppers & (1 << n))
        this.c
          .i32(0)
          .get(this.upper(n))
          .simdMemory(SIMD.store, S + S_XMM + n * XMM_STRIDE + UPPER);
  }
}
