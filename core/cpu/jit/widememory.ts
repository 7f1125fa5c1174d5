/** Guest memory in pieces wider than registers, for vectors and 80-bit numbers; and the stack. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SEG_BASE, SEG_LIMIT, SEG_SS, SEG_STRIDE, SEG_TOP, S_SEG } from '../interp/wasm/stateoffsets.ts';
import type { Width } from './decode.ts';
import { HELPER } from './helpers.ts';
import { MemoryEmitter } from './memoryemitter.ts';
import { WRITE_TABLE } from './tlbtables.ts';
import { I32, OP, SIMD, V128, VOID } from './wasmcode.ts';

const RSP = 4;
const SS = CPU_STATE_BASE + S_SEG + SEG_SS * SEG_STRIDE;

export class WideMemoryEmitter extends MemoryEmitter {
  /** In 16-bit code: the stack pointers of the addresses that below() gave. */
  private readonly pointers = new Map<number, number>();

  /** 16 bytes at `ea`, one quadword after the other. */
  private slowReadV(ea: number, offset: number): void {
    const { c } = this;
    const at = this.temp(this.word);
    const moved = (by: number): number => {
      if (!by) return ea;
      c.get(ea);
      this.wordConst(by);
      this.wordAdd();
      c.set(at);
      return at;
    };
    this.slowRead(HELPER.read, moved(offset), 8);
    c.simd(SIMD.i64x2Splat);
    this.slowRead(HELPER.read, moved(offset + 8), 8);
    c.simd(SIMD.i64x2ReplaceLane).byte(1);
  }

  /**
   * 16 bytes at `ea`. With `once` what is not at hand is not read, and the result is made of NaNs: for instructions that the interpreter
   * executes when they have such operands, and a device must see one read only.
   */
  loadV(ea: number, once = false): void {
    const use = this.access(ea, 16, false);
    if (!use) this.loadAloneV(ea, once);
    else
      this.grouped(
        use,
        ea,
        V128,
        (host) => this.c.get(host).simdMemory(SIMD.load, use.offset),
        () => this.loadAloneV(ea, once),
      );
  }

  private loadAloneV(ea: number, once: boolean): void {
    const { c } = this;
    const entry = this.probe(ea, 16, this.tables);
    this.openIf(V128, true);
    this.host(ea, entry, this.tables);
    c.simdMemory(SIMD.load, 0);
    c.else();
    if (once) c.simd64(-1n);
    else this.slowReadV(ea, 0);
    this.close();
  }

  /** 32 bytes at `ea` as two temporaries; `once` as for loadV. */
  loadWide(ea: number, once = false): [low: number, high: number] {
    const { c } = this;
    const low = this.temp(V128);
    const high = this.temp(V128);
    const entry = this.probe(ea, 32, this.tables);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, this.tables);
    c.tee(host).simdMemory(SIMD.load, 0).set(low).get(host).simdMemory(SIMD.load, 16).set(high);
    c.else();
    if (once) c.simd64(-1n).tee(low).set(high);
    else {
      this.slowReadV(ea, 0);
      c.set(low);
      this.slowReadV(ea, 16);
      c.set(high);
    }
    this.close();
    return [low, high];
  }

  /** `quick` with the host address of `size` bytes at `ea` where the TLB has them readable, else `slow`. */
  whereReadable(ea: number, size: number, quick: (host: number) => void, slow: () => void): void {
    const entry = this.probe(ea, size, this.tables);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, this.tables);
    this.c.set(host);
    quick(host);
    this.c.else();
    slow();
    this.close();
  }

  /** 4 or 8 bytes at `ea` as the low part of a vector that is zero otherwise; `once` as for loadV. */
  loadLow(ea: number, width: 4 | 8, once = false): void {
    const { c } = this;
    const op = width === 4 ? SIMD.load32Zero : SIMD.load64Zero;
    const alone = () => {
      const entry = this.probe(ea, width, this.tables);
      this.openIf(V128, true);
      this.host(ea, entry, this.tables);
      c.simdMemory(op, 0);
      c.else();
      if (once) c.simd64(-1n);
      else {
        c.simd64(0n);
        this.slowRead(HELPER.read, ea, width);
        c.simd(SIMD.i64x2ReplaceLane).byte(0);
      }
      this.close();
    };
    const use = this.access(ea, width, false);
    if (!use) alone();
    else this.grouped(use, ea, V128, (host) => c.get(host).simdMemory(op, use.offset), alone);
  }

  /** Stores 16 bytes. */
  storeV(ea: number, value: number): void {
    const use = this.access(ea, 16, true);
    if (!use) this.storeAloneV(ea, value);
    else
      this.grouped(
        use,
        ea,
        VOID,
        (host) => {
          this.c.get(host).get(value).simdMemory(SIMD.store, use.offset);
          this.markDirty(host);
        },
        () => this.storeAloneV(ea, value),
      );
  }

  private storeAloneV(ea: number, value: number): void {
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
    this.leaveIfFaulted();
    this.cut();
    this.loseGroups();
    this.openRare();
    this.exitAfter(() => {});
    this.close();
    this.close();
  }

  /** Stores 32 bytes where the TLB has them writable; `slow` emits what is done otherwise, and stores all of them or none. */
  storeWide(ea: number, low: number, high: number, slow: () => void): void {
    const { c } = this;
    const table = this.tables + WRITE_TABLE;
    const entry = this.probe(ea, 32, table);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, table);
    c.tee(host).get(low).simdMemory(SIMD.store, 0).get(host).get(high).simdMemory(SIMD.store, 16);
    this.markDirty(host);
    c.else();
    slow();
    this.close();
  }

  /** Stores 8 and then 2 bytes, or leaves the instruction to the interpreter, which may have to undo what it cannot finish. */
  store80(ea: number, low: number, high: number): void {
    const { c } = this;
    const table = this.tables + WRITE_TABLE;
    const entry = this.probe(ea, 10, table);
    const host = this.temp(I32);
    this.openIf(VOID, true);
    this.host(ea, entry, table);
    c.tee(host).get(low).memory(OP.i64Store, 0);
    c.get(host).get(high).memory(OP.i32Store16, 8);
    this.markDirty(host);
    c.else();
    this.exitStep();
    this.close();
  }

  /** In 16-bit code: linear address of `size` bytes at the 16-bit offset in a temporary of the stack segment. */
  private inStack(offset: number, size: number): number {
    const { c } = this;
    const at = this.temp(I32);
    const word = (field: number) => c.i32(0).memory(OP.i32Load, SS + field);
    c.get(offset);
    word(SEG_TOP).op(OP.i32GeU);
    this.openRare();
    c.get(offset)
      .i32(size - 1)
      .op(OP.i32Add);
    word(SEG_LIMIT).op(OP.i32GtU);
    word(SEG_TOP).op(OP.i32Eqz, OP.i32Or);
    this.openRare();
    this.exitStep();
    this.close();
    this.close();
    c.get(offset);
    word(SEG_BASE).op(OP.i32Add).set(at);
    return at;
  }

  /** The 16-bit stack pointer less `size`, in a temporary. */
  private pointer16(size: number): number {
    const pointer = this.temp(I32);
    this.gpr(RSP);
    this.c.i32(size).op(OP.i32Sub).i32(0xffff).op(OP.i32And).set(pointer);
    return pointer;
  }

  /** Linear address of the top of the stack when `size` more bytes are on it, in a temporary. */
  below(size: number): number {
    if (this.mode === 16) {
      const pointer = this.pointer16(size);
      const at = this.inStack(pointer, size);
      this.pointers.set(at, pointer);
      return at;
    }
    const top = this.temp(this.word);
    this.gpr(RSP);
    this.wordConst(size);
    this.wordOp(OP.i32Sub, OP.i64Sub);
    this.c.set(top);
    const { id, add } = this.valueOf(RSP);
    this.nameValue(top, { id, add: add - size });
    return top;
  }

  /** The stack pointer becomes what below() gave. */
  lowerStack(top: number): void {
    if (this.mode === 16) {
      this.c.get(this.pointers.get(top)!);
      this.setReg(RSP, 2);
      return;
    }
    const value = this.nameOf(top);
    this.c.get(top);
    this.setGpr(RSP);
    if (value) this.named(RSP, value);
  }

  /** Pushes the temporary `value`. */
  push(value: number, width: Width): void {
    const top = this.below(width);
    this.store(top, width, value, () => this.lowerStack(top));
  }

  /** Loads the top of the stack; does not move the pointer. */
  top(width: Width): void {
    if (this.mode === 16) {
      this.load(this.inStack(this.pointer16(0), width), width);
      return;
    }
    const at = this.temp(this.word);
    this.gpr(RSP);
    this.c.set(at);
    this.nameValue(at, this.valueOf(RSP));
    this.load(at, width);
  }

  /** Moves the stack pointer up. */
  drop(bytes: number): void {
    if (this.mode === 16) {
      this.gpr(RSP);
      this.c.i32(bytes).op(OP.i32Add);
      this.setReg(RSP, 2);
      return;
    }
    const value = this.valueOf(RSP);
    this.gpr(RSP);
    this.wordConst(bytes);
    this.wordAdd();
    this.setGpr(RSP);
    this.named(RSP, value, bytes);
  }
}
