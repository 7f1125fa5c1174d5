/**
 * Ways on from a region: what goes back to memory at its end, the tail call of the region at the new address (interp/wasm/jitlinks.ts), and the counts
 * of both for a profile.
 */
import { CPU_STATE_BASE, JIT_LINKS_BASE } from '../../memory/layout.ts';
import {
  FLAG_PENDING,
  LINK_COUNT,
  LINK_TABLE_SIZE,
  SJ_EXIT_OR_STEP,
  SJ_FLAG_A,
  SJ_FLAG_B,
  SJ_FLAG_C,
  SJ_FLAG_KIND,
  SJ_LEFT,
  SJ_STEP,
  SJ_UNLINKED,
  STEP_FAULT,
} from '../interp/wasm/jitoffsets.ts';
import { S_EXIT, S_RIP } from '../interp/wasm/stateoffsets.ts';
import { FA, FB, FC, KIND, LEFT, NEXT, PAGE64, RIP } from './locals.ts';
import { RC_ENTRIES, RC_FAULTS, RC_INSTRUCTIONS, RC_LINKED, RC_PAGE, RC_SLICE, RC_STEP } from './regioncounters.ts';
import { EXECUTE_TABLE } from './tlbtables.ts';
import { I32, OP } from './wasmcode.ts';
import { X87Emitter } from './x87emitter.ts';

const S = CPU_STATE_BASE;
/** Index of the type of region functions in a region module. */
export const REGION_TYPE = 7;

export class LinkEmitter extends X87Emitter {
  /** Slot of RegionCounters that the region counts into; 0: it does not count. */
  counters = 0;
  /** Somewhere the region ends with its state in memory; not yet known in the first run. */
  protected leaves = true;
  private leavesSeen = false;

  override restart(): void {
    super.restart();
    this.leaves = this.leavesSeen;
  }

  /** Adds one, or what `amount` pushes as an i64, to a counter of the region. */
  private count(field: number, amount?: () => void): void {
    const { c, counters } = this;
    if (!counters) return;
    c.i32(0)
      .i32(0)
      .memory(OP.i64Load, counters + field);
    if (amount) amount();
    else c.i64(1);
    c.op(OP.i64Add).memory(OP.i64Store, counters + field);
  }

  protected countEntry(): void {
    if (!this.counters) return;
    // What is left at the entry now, what is left at the end then: together the instructions in between.
    this.count(RC_INSTRUCTIONS, () => this.c.get(LEFT).op(OP.i64ExtendI32S));
    this.count(RC_ENTRIES);
    this.c
      .i32(0)
      .get(PAGE64)
      .memory(OP.i64Store, this.counters + RC_PAGE);
  }

  /** `left` pushes what the slice has left. */
  protected countExit(cause: number, left: () => void): void {
    if (!this.counters) return;
    this.count(cause);
    this.countLeft(left);
  }

  /** Takes what the slice has left at the end off RC_INSTRUCTIONS. */
  private countLeft(left: () => void): void {
    this.count(RC_INSTRUCTIONS, () => {
      this.c.i64(0);
      left();
      this.c.op(OP.i64ExtendI32S, OP.i64Sub);
    });
  }

  /** At the end of the region, before it is known whether a link leads on. */
  protected countEnd(): void {
    const { c } = this;
    if (!this.counters) return;
    this.countLeft(() => c.get(LEFT));
    c.i32(0)
      .memory(OP.i32Load, S + SJ_STEP)
      .if();
    c.i32(0)
      .memory(OP.i32Load, S + SJ_STEP)
      .i32(STEP_FAULT)
      .op(OP.i32Eq)
      .if();
    this.count(RC_FAULTS);
    c.else();
    this.count(RC_STEP);
    c.end();
    c.else();
    c.get(LEFT).i32(0).op(OP.i32LeS);
    c.i32(0)
      .memory(OP.i32Load, S + S_EXIT)
      .op(OP.i32Or)
      .if();
    this.count(RC_SLICE);
    c.end();
    c.end();
  }

  /** At the very end: goes straight on to the region at the new address when it is known, and nothing wants attention. */
  protected followLink(): void {
    const { c } = this;
    const code = this.tables + EXECUTE_TABLE;
    const links = JIT_LINKS_BASE + ((this.mode === 64 ? 2 : 0) + this.user) * LINK_TABLE_SIZE;
    const entry = this.temp(I32);
    const host = this.temp(I32);
    c.get(LEFT).i32(0).op(OP.i32GtS);
    this.openIf(undefined, true);
    // Another thread's wish to stop waits for the end of the slice, as it does in a loop.
    c.i32(0)
      .memory(OP.i64Load, S + SJ_EXIT_OR_STEP)
      .op(OP.i64Eqz);
    if (this.mode === 32)
      c.i32(0)
        .memory(OP.i32Load, S + SJ_UNLINKED)
        .op(OP.i32Eqz, OP.i32And);
    this.openIf(undefined, true);
    this.tlbEntry(RIP, entry);
    c.memory(this.mode === 64 ? OP.i64Load : OP.i32Load, code).get(RIP);
    this.wordConst(-4096);
    this.wordOp(OP.i32And, OP.i64And);
    this.wordOp(OP.i32Eq, OP.i64Eq);
    this.openIf(undefined, true);
    c.get(RIP);
    this.fromWord();
    c.get(entry)
      .memory(OP.i32Load, code + 8)
      .op(OP.i32Add)
      .tee(host);
    c.get(host)
      .i32(12)
      .op(OP.i32ShrU, OP.i32Xor)
      .i32(LINK_COUNT - 1)
      .op(OP.i32And)
      .i32(3)
      .op(OP.i32Shl)
      .tee(entry);
    c.memory(OP.i32Load, links).get(host).op(OP.i32Eq);
    this.openIf(undefined, true);
    c.get(LEFT).get(RIP);
    this.wordConst(-4096);
    this.wordOp(OP.i32And, OP.i64And);
    if (this.mode !== 64) c.op(OP.i64ExtendI32U);
    c.get(entry).memory(OP.i32Load, links + 4);
    this.count(RC_LINKED);
    c.byte(OP.returnCallIndirect).u32(REGION_TYPE).u32(0);
    for (let i = 0; i < 4; i++) this.close();
  }

  /** Leaves with everything in memory, for the region whose function is on the stack, or the run loop when that is negative. */
  protected leaveFor(): void {
    this.leavesSeen = true;
    this.c.set(NEXT);
    this.c.br(this.depthOf('gone', -1));
  }

  /** At the very end of the function: where leaveFor() leads. */
  protected leaveLink(): void {
    const { c } = this;
    const left = () => c.i32(0).memory(OP.i32Load, S + SJ_LEFT);
    this.countLeft(left);
    c.get(NEXT).i32(0).op(OP.i32GeS);
    this.openIf(undefined, true);
    this.count(RC_LINKED);
    left();
    c.i32(0)
      .memory(OP.i64Load, S + S_RIP)
      .i64(-4096)
      .op(OP.i64And)
      .get(NEXT);
    c.byte(OP.returnCallIndirect).u32(REGION_TYPE).u32(0);
    this.close();
    left();
  }

  /** Changed registers and flags to memory, in whatever lazy form they are. */
  protected spill(): void {
    const { c } = this;
    this.storeRegisters(this.changedGpr, this.changedXmm, this.changedUpper);
    this.storeX87();
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
    if (this.carries)
      c.i32(0)
        .get(FC)
        .memory(store, S + SJ_FLAG_C);
    c.end();
  }

  protected storeRip(): void {
    this.c.i32(0).get(RIP);
    if (this.mode !== 64) this.c.op(OP.i64ExtendI32U);
    this.c.memory(OP.i64Store, S + S_RIP);
  }
}
