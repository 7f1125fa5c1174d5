/** Guest memory through the TLB (interp/wasm/tlb.ts), with the interpreter's functions for everything that misses it. */
import { CPU_STATE_BASE, DIRTY_MAP_BASE } from '../../memory/layout.ts';
import { SJ_CUT, SJ_STEP } from '../interp/wasm/jitoffsets.ts';
import { SEG_BASE, SEG_CS, SEG_FLAGS, SEG_LIMIT, SEG_STRIDE, SEG_TOP, S_SEG } from '../interp/wasm/stateoffsets.ts';
import type { CodeMode, Insn, Width } from './decode.ts';
import { GroupEmitter, type GroupUse } from './groupemitter.ts';
import { HELPER } from './helpers.ts';
import { LEFT, PAGE, PAGES } from './locals.ts';
import { EXECUTE_TABLE, WRITE_TABLE, tlbTables } from './tlbtables.ts';
import { I32, OP, VOID } from './wasmcode.ts';

const S = CPU_STATE_BASE;
const CS = S + S_SEG + SEG_CS * SEG_STRIDE;
const NO_CODE = new Uint8Array(0);

export class MemoryEmitter extends GroupEmitter {
  /** The TLB's read tables of the region's privilege. */
  protected readonly tables: number;
  protected readonly user: number;
  /** The region runs at CPL 3. */
  readonly runsUser: boolean;
  /** Pages beside the entry's that the region has code in: number, distance in pages, byte of the shared memory that it was compiled from. */
  besides: readonly { page: number; delta: number; host: number }[] = [];
  /** Where the code is that computed an address for one access. */
  private computed: { ea: number; start: number; end: number } | undefined;

  constructor(mode: CodeMode, user: boolean) {
    super(mode);
    this.user = user ? 1 : 0;
    this.runsUser = user;
    this.tables = tlbTables(user);
  }

  override restart(): void {
    super.restart();
    // Where code of the first run lay says nothing of the second one's.
    this.computed = undefined;
  }

  /** Effective offset of the memory operand, without segment base, as a word on the stack. */
  offset(insn: Insn): void {
    const { c } = this;
    if (insn.asize === 2) {
      this.offset16(insn);
      return;
    }
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

  private offset16({ base, index, disp }: Insn): void {
    const { c } = this;
    const parts = [base, index].filter((register) => register >= 0);
    c.i32(disp);
    for (const register of parts) {
      this.gpr(register);
      c.op(OP.i32Add);
    }
    c.i32(0xffff).op(OP.i32And);
  }

  /**
   * Linear address, in the temporary `ea`, of an operand of 16-bit code at the offset on the stack: one that may reach beyond its segment, or that may not
   * be both read and written, is the interpreter's.
   */
  inSegment(segment: number, ea: number): void {
    const { c } = this;
    const at = S + S_SEG + segment * SEG_STRIDE;
    c.tee(ea)
      .i32(0)
      .memory(OP.i32Load, at + SEG_TOP)
      .op(OP.i32GeU);
    this.openRare();
    this.exitStep();
    this.close();
    c.get(ea)
      .i32(0)
      .memory(OP.i32Load, at + SEG_BASE)
      .op(OP.i32Add)
      .set(ea);
  }

  /**
   * Linear address of the memory operand in a temporary. `once`: for one access, which comes next; where that does without the address, it is not even
   * computed.
   */
  address(insn: Insn, once = false): number {
    const { c } = this;
    const ea = this.temp(this.word);
    const start = c.length;
    if (this.mode === 16) {
      this.offset(insn);
      this.inSegment(insn.segment, ea);
      return ea;
    }
    if (insn.segment < 0) this.nameOperand(ea, insn);
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
    if (once && insn.segment < 0) this.computed = { ea, start, end: c.length };
    return ea;
  }

  /** Takes the code back that computed this address last, when it was for one access and is the latest there is. */
  private withdraw(ea: number): Uint8Array {
    const { c, computed } = this;
    if (computed?.ea !== ea || computed.end !== c.length) return NO_CODE;
    const code = c.view().slice(computed.start);
    c.length = computed.start;
    this.computed = undefined;
    return code;
  }

  /** An access of a group: `quick` with the host address of its lowest byte in a local, `slow` for one that looks for itself. */
  protected grouped(use: GroupUse, ea: number, type: number, quick: (host: number) => void, slow: () => void): void {
    const { c } = this;
    const { local } = use;
    if (use.leads) {
      let lowest = ea;
      if (use.back) {
        lowest = this.temp(this.word);
        c.get(ea);
        this.wordConst(use.back);
        this.wordAdd();
        c.set(lowest);
      }
      const table = this.tables + (use.write ? WRITE_TABLE : 0);
      const entry = this.probe(lowest, use.size, table);
      this.openIf(type, true);
      this.host(lowest, entry, table);
      c.set(local);
      quick(local);
      c.else().i32(0).set(local);
    } else {
      const address = this.withdraw(ea);
      c.get(local);
      this.openIf(type, true);
      quick(local);
      c.else().raw(address);
    }
    slow();
    this.close();
  }

  /** Offset in the tables of the TLB of the entry for the address in `address`: in `entry` and on the stack. */
  protected tlbEntry(address: number, entry: number): void {
    this.c.get(address);
    this.fromWord();
    this.c.i32(8).op(OP.i32ShrU).i32(0xfff0).op(OP.i32And).tee(entry);
  }

  /** Address of the TLB entry of `ea` in the read or write tables, and whether it hits (i32 on the stack). */
  protected probe(ea: number, size: number, table: number): number {
    return this.compareTag(ea, table, () => {
      if (size === 1) return;
      this.wordConst(size - 1);
      this.wordAdd();
    });
  }

  /** The same; `last` adds to the address on the stack how far the last byte is from it. */
  private compareTag(ea: number, table: number, last: () => void): number {
    const { c } = this;
    const entry = this.temp(I32);
    this.tlbEntry(ea, entry);
    c.memory(this.mode === 64 ? OP.i64Load : OP.i32Load, table);
    c.get(ea);
    last();
    this.wordConst(-4096);
    this.wordOp(OP.i32And, OP.i64And);
    this.wordOp(OP.i32Eq, OP.i64Eq);
    return entry;
  }

  /**
   * On the stack: the TLB has the `bytes` (an i32 temporary, above 0 and no more than a page) at `ea` readable, or writable. Gives back what pushes their
   * host address then.
   */
  stretch(ea: number, bytes: number, write: boolean): () => void {
    const table = this.tables + (write ? WRITE_TABLE : 0);
    const entry = this.compareTag(ea, table, () => {
      this.c.get(bytes).i32(1).op(OP.i32Sub);
      this.toWord();
      this.wordAdd();
    });
    return () => this.host(ea, entry, table);
  }

  /** Host address after a hit. */
  protected host(ea: number, entry: number, table: number): void {
    this.c.get(ea);
    this.fromWord();
    this.c
      .get(entry)
      .memory(OP.i32Load, table + 8)
      .op(OP.i32Add);
  }

  /**
   * Where control comes to code in these pages beside the entry's (as bits): `leave` when not all of them are where they were compiled from, or known to
   * the TLB. Each is asked for when it is first come to, and no more until the region is left: most ways through a region stay in few pages.
   */
  unlessPages(pages: number, leave: () => void): void {
    const { c } = this;
    c.get(PAGES).i32(pages).op(OP.i32And).i32(pages).op(OP.i32Ne);
    this.openRare();
    if (this.mode === 32)
      c.i32(0)
        .memory(OP.i32Load, CS + SEG_LIMIT)
        .i32(-1)
        .op(OP.i32Eq);
    else c.i32(1);
    for (const { page, delta, host } of this.besides) if (pages & (1 << page)) this.pageIsAt(delta, host);
    c.op(OP.i32Eqz);
    this.openRare();
    leave();
    this.close();
    c.get(PAGES).i32(pages).op(OP.i32Or).set(PAGES);
    this.close();
  }

  /** The page `delta` pages from the entry's is at byte `host`, and the i32 on the stack. */
  private pageIsAt(delta: number, host: number): void {
    const { c } = this;
    const table = this.tables + EXECUTE_TABLE;
    const ea = this.temp(this.word);
    c.get(PAGE);
    this.wordConst(delta * 4096);
    this.wordAdd();
    if (this.mode !== 64)
      c.i32(0)
        .memory(OP.i32Load, CS + SEG_BASE)
        .op(OP.i32Add);
    c.set(ea);
    const entry = this.probe(ea, 1, table);
    this.host(ea, entry, table);
    c.i32(host | 0).op(OP.i32Eq, OP.i32And, OP.i32And);
  }

  protected ea64(ea: number): void {
    this.c.get(ea);
    if (this.mode !== 64) this.c.op(OP.i64ExtendI32U);
  }

  protected slowRead(helper: number, ea: number, size: number): void {
    this.setRip(this.insn.at);
    this.ea64(ea);
    this.c.i32(size).i32(this.user);
    this.leftNow();
    this.c.call(helper);
    this.leaveIfFaulted();
    this.cut();
    this.loseGroups();
  }

  /** After a slow access: the region stops before an instruction that faulted. Nothing of it has happened. */
  protected leaveIfFaulted(): void {
    this.c.i32(0).memory(OP.i32Load, S + SJ_STEP);
    this.exitIf();
  }

  /** After a call that may have reached a device: it may have moved the end of the slice. */
  protected cut(): void {
    this.c
      .get(LEFT)
      .i32(0)
      .memory(OP.i32Load, S + SJ_CUT)
      .op(OP.i32Sub)
      .set(LEFT);
  }

  private plainLoad(width: Width, offset = 0): void {
    this.c.memory(width === 1 ? OP.i32Load8U : width === 2 ? OP.i32Load16U : width === 4 ? OP.i32Load : OP.i64Load, offset);
  }

  /** Zero-extended value at `ea`. */
  load(ea: number, width: Width): void {
    const use = this.access(ea, width, false);
    if (!use) {
      this.loadAlone(ea, width);
      return;
    }
    const quick = (host: number) => {
      this.c.get(host);
      this.plainLoad(width, use.offset);
    };
    this.grouped(use, ea, this.typeOf(width), quick, () => this.loadAlone(ea, width));
  }

  private loadAlone(ea: number, width: Width): void {
    const { c } = this;
    const entry = this.probe(ea, width, this.tables);
    this.openIf(this.typeOf(width), true);
    this.host(ea, entry, this.tables);
    this.plainLoad(width);
    c.else();
    this.slowRead(HELPER.read, ea, width);
    if (width !== 8) c.op(OP.i32WrapI64);
    this.close();
  }

  /** Notes that the page of a host address was written. */
  markDirty(host: number): void {
    this.c.get(host).i32(12).op(OP.i32ShrU).i32(0xff).memory(OP.i32Store8, DIRTY_MAP_BASE);
  }

  private plainStore(width: Width, offset = 0): void {
    this.c.memory(width === 1 ? OP.i32Store8 : width === 2 ? OP.i32Store16 : width === 4 ? OP.i32Store : OP.i64Store, offset);
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
    this.leaveIfFaulted();
    this.cut();
    this.loseGroups();
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
    const use = this.access(ea, width, true);
    const alone = () => this.storeAlone(ea, width, value, after, target);
    if (!use) alone();
    else
      this.grouped(
        use,
        ea,
        VOID,
        (host) => {
          this.c.get(host).get(value);
          this.plainStore(width, use.offset);
          this.markDirty(host);
        },
        alone,
      );
    after();
  }

  private storeAlone(ea: number, width: Width, value: number, after: () => void, target?: () => void): void {
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
    const alone = () => {
      const entry = this.probe(ea, width, table);
      this.openIf(VOID, true);
      this.host(ea, entry, table);
      c.tee(host);
      this.plainLoad(width);
      c.set(old).else();
      c.i32(0).set(host);
      this.slowRead(HELPER.readW, ea, width);
      if (width !== 8) c.op(OP.i32WrapI64);
      c.set(old);
      this.close();
    };
    const use = this.access(ea, width, true);
    if (!use) alone();
    else
      this.grouped(
        use,
        ea,
        VOID,
        (lowest) => {
          c.get(lowest);
          if (use.offset) c.i32(use.offset).op(OP.i32Add);
          c.tee(host);
          this.plainLoad(width);
          c.set(old);
        },
        alone,
      );
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
}
