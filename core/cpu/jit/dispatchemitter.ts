/** The dispatcher of a region, and what it notes of targets that it does not have (dispatchtable.ts). */
import { type DispatchTable, MISS_COUNT, MISS_TARGET_COUNT, MISS_TARGETS, SLOT_SHIFT, TABLE } from './dispatchtable.ts';
import { ExitEmitter } from './exitemitter.ts';
import { HELPER } from './helpers.ts';
import { NEXT, PAGE, PAGE64, RIP } from './locals.ts';
import { I32, OP } from './wasmcode.ts';

/** Bytes of the pool for each instruction that the interpreter executes, its record and one that leaves; and the unit of the rest. */
export const POOL_UNIT = 64;

/** Values of the local NEXT besides numbers of entries: to be found by RIP, the target of a call or jump, or of a return. */
const FIND_CALLED = -1;
const FIND = -2;

export class DispatchEmitter extends ExitEmitter {
  /** Entries of the region; absent when it has no dispatcher. */
  table: DispatchTable | undefined;
  /** How often targets are missed between two reports, a power of two. */
  missPeriod = 16384;
  /** Where the region's memory begins in that of its module, in bytes. */
  poolOffset = 0;
  private notesMisses = false;

  /** What stands before the records in the region's memory. */
  notes(): Int32Array | undefined {
    const size = this.notesSize();
    if (!size) return undefined;
    const notes = new Int32Array(size / 4);
    if (this.table) notes.set(this.table.slots, TABLE / 4);
    return notes;
  }

  protected notesSize(): number {
    if (!this.table) return this.notesMisses ? TABLE : 0;
    return Math.ceil((TABLE + this.table.slots.length * 4) / POOL_UNIT) * POOL_UNIT;
  }

  /** Where the memory of the module begins, from which the region's is `poolOffset` away. */
  protected pool(): void {
    this.c.byte(OP.globalGet).u32(0);
  }

  /** The dispatcher is to go to entry `number`, counted from 1. */
  startDispatcher(number: number): void {
    this.c.i32(number).set(NEXT);
  }

  /** The dispatcher is to go to the address on the stack, out of the region if it is no entry of it. `calling`: which is noted. */
  findEntry(calling: boolean): void {
    this.c
      .set(RIP)
      .i32(calling ? FIND_CALLED : FIND)
      .set(NEXT);
  }

  /** The header: goes to the blocks `entries` by their numbers. */
  dispatch(entries: readonly number[]): void {
    const { c, table } = this;
    c.get(NEXT).i32(0).op(OP.i32LtS);
    this.openIf();
    this.leftBelow(1);
    this.openRare();
    c.br(this.depthOf('exit', -1));
    this.close();
    if (table) {
      const offset = this.temp(this.word);
      const slot = this.temp(I32);
      c.get(RIP).get(PAGE);
      this.wordOp(OP.i32Sub, OP.i64Sub);
      c.tee(offset);
      this.fromWord();
      c.i32(table.multiplier).op(OP.i32Mul).i32(table.shift).op(OP.i32ShrU).i32(SLOT_SHIFT).op(OP.i32Shl);
      this.pool();
      c.op(OP.i32Add).tee(slot);
      if (this.mode === 64) c.memory(OP.i64Load32S, this.poolOffset + TABLE);
      else c.memory(OP.i32Load, this.poolOffset + TABLE);
      c.get(offset);
      this.wordOp(OP.i32Eq, OP.i64Eq);
      this.openIf(undefined, true);
      c.get(slot)
        .memory(OP.i32Load, this.poolOffset + TABLE + 4)
        .set(NEXT);
      c.else();
    }
    c.get(NEXT).i32(FIND_CALLED).op(OP.i32Eq);
    this.openIf();
    this.noteMiss();
    this.close();
    c.i32(0).set(NEXT);
    if (table) this.close();
    this.close();
    const out = this.depthOf('exit', -1);
    c.get(NEXT)
      .byte(OP.brTable)
      .u32(entries.length + 1)
      .u32(out);
    for (const entry of entries) c.u32(this.depthOf('block', entry));
    c.u32(out);
    this.freeTemps();
  }

  /** Leaves for the address on the stack, the target of a call or jump that is noted. */
  exitMissing(): void {
    this.c.set(RIP);
    this.noteMiss();
    this.c.br(this.depthOf('exit', -1));
  }

  private noteMiss(): void {
    const { c } = this;
    this.notesMisses = true;
    const count = this.temp(I32);
    this.pool();
    this.pool();
    const at = this.poolOffset + MISS_COUNT;
    c.memory(OP.i32Load, at).i32(1).op(OP.i32Add).tee(count).memory(OP.i32Store, at);
    this.pool();
    c.get(count)
      .i32(MISS_TARGET_COUNT - 1)
      .op(OP.i32And)
      .i32(2)
      .op(OP.i32Shl, OP.i32Add);
    c.get(RIP).get(PAGE);
    this.wordOp(OP.i32Sub, OP.i64Sub);
    this.fromWord();
    c.memory(OP.i32Store, this.poolOffset + MISS_TARGETS);
    c.get(count)
      .i32(this.missPeriod - 1)
      .op(OP.i32And, OP.i32Eqz);
    this.openRare();
    this.pool();
    c.i32(this.poolOffset).op(OP.i32Add).get(PAGE64).call(HELPER.missed);
    this.close();
  }
}
