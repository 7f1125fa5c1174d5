/** A region becomes a function (left: i32, page: i64) -> i32 of a WebAssembly module. See docs/decisions for the design. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_EXACT, SJ_STEP, STEP_INTERPRET, SY_TLB_CUR } from '../interp/wasm/jitoffsets.ts';
import { SEG_CS, SEG_LIMIT, SEG_STRIDE, S_SEG, S_STACK32 } from '../interp/wasm/stateoffsets.ts';
import { type CodePage, CodePages } from './codepages.ts';
import type { CodeMode, Insn, Width } from './decode.ts';
import { POOL_UNIT } from './dispatchemitter.ts';
import { dispatchTable } from './dispatchtable.ts';
import { Emitter } from './emitter.ts';
import type { FlagState } from './flagemitter.ts';
import { flagsDeadAfter } from './flaguse.ts';
import {
  LOOK_FALL,
  LOOK_TARGET,
  NO_LOOK_FALL,
  NO_LOOK_TARGET,
  VIA_FALL,
  VIA_TARGET,
  type Block,
  findRegion,
  type Region,
  type RegionPart,
} from './region.ts';
import { placeLoopHeaders } from './loopheaders.ts';
import { type RegionBody, regionModule } from './regionmodule.ts';
import { analyse, type FlowGraph } from './structure.ts';
import { tlbTables } from './tlbtables.ts';
import { WasmCode } from './wasmcode.ts';
import { translatable, translationOf } from './translate.ts';
import { I32, OP } from './wasmcode.ts';
import { x87Flow } from './x87flow.ts';

/** What a region is to be made from, and how. */
export interface RegionRequest {
  /** The page of the entry, and those beside it that are known. */
  pages: readonly CodePage[];
  entry: number;
  mode: CodeMode;
  /** Runs at CPL 3. */
  user: boolean;
  /** Low word of SY_FEATURES. */
  features: number;
  /** Slot of RegionCounters that it counts into; 0 or absent for none. */
  counters?: number;
  /** Offsets that calls and indirect branches of an earlier compilation went to. */
  hints?: readonly number[];
  /** Targets that the region does not have between two reports of them, a power of two. */
  missPeriod?: number;
}

export interface CompiledRegion {
  /** Bytes of the shared memory where the instructions begin that the interpreter executes for the region. */
  fallbacks: number[];
  parts: RegionPart[];
  /** Where in the code of the function each guest instruction begins, by its offset from the entry's page; copies of one occur several times. */
  marks: [code: number, offset: number][];
  /** What belongs before the records in the region's memory: notes of targets and the dispatcher's table, in whole units of the pool. */
  table: Int32Array | undefined;
  /** Its memory in the pool, from where that of the module begins, in units. */
  pool: number;
  units: number;
  /** Its place among the regions of the module. */
  number: number;
}

export interface CompiledModule {
  wasm: Uint8Array<ArrayBuffer>;
  /** By request; undefined where the first instruction has no translation. */
  regions: (CompiledRegion | undefined)[];
  /** Of the pool that the regions need together. */
  units: number;
}

/** Instructions that an exact slice has in reserve: below EXACT_SLACK of interp/wasm/runstate.ts. */
const EXACT_MAX = 48;

const RCX = 1;
const STI = 0xfb;

class RegionCompiler {
  private readonly region: Region;
  private readonly graph: FlowGraph;
  private readonly e: Emitter;
  private readonly user: boolean;
  private readonly has: number;
  /** Pages beside the entry's that are known to be where they were compiled from, by block, as bits of their numbers. */
  private readonly known: Int32Array;
  private marks: [code: number, offset: number][] = [];

  constructor(region: Region, user: boolean, has: number, extras: RegionRequest) {
    this.region = region;
    this.user = user;
    this.has = has;
    placeLoopHeaders(region);
    const flow = x87Flow(region);
    this.graph = analyse(region, flow === undefined);
    this.e = new Emitter(region.mode, user);
    this.e.useX87(flow);
    this.e.besides = region.parts.flatMap(({ page }) => {
      const { delta, host } = region.pages.list[page]!;
      return page ? [{ page, delta, host }] : [];
    });
    this.e.counters = extras.counters ?? 0;
    if (extras.missPeriod) this.e.missPeriod = extras.missPeriod;
    this.known = Int32Array.from(region.blocks, (block) => block.pages);
    const { blocks, entries } = region;
    if (this.graph.hasDispatcher)
      this.e.table = dispatchTable(
        entries.flatMap((block, i) => (blocks[block]!.copied ? [] : [[blocks[block]!.start, i + 1] as [number, number]])),
      );
  }

  /** As the region with this number of its module, whose memory begins `pool` units behind that of the module. */
  compile(number: number, pool: number): { region: CompiledRegion; body: RegionBody } {
    const { region, e } = this;
    e.poolOffset = pool * POOL_UNIT;
    this.emit();
    e.restart();
    this.marks = [];
    this.emit();
    const table = e.notes();
    const fallbacks = e.fallbacks.map((offset) => {
      const page = region.pages.list[region.pages.numberOf(offset)]!;
      return page.host + (offset & 0xfff);
    });
    const units = fallbacks.length + (table ? (table.length * 4) / POOL_UNIT : 0);
    const locals = e.locals();
    const code = new WasmCode(locals.length + e.c.length).raw(locals.view()).raw(e.c.view()).view();
    e.c.release();
    const hints = e.c.hints.map(([offset, likely]): [number, number] => [locals.length + offset, likely]);
    return {
      region: { fallbacks, parts: region.parts, marks: this.marks, table, pool, units, number },
      body: { code, hints, x87: e.flow !== undefined, fused: e.usesFused },
    };
  }

  private emit(): void {
    const { e, graph, region } = this;
    e.frame(() => {
      // The TLB tables are those of one privilege.
      e.c
        .i32(0)
        .memory(OP.i32Load, CPU_STATE_BASE + SY_TLB_CUR)
        .i32(tlbTables(this.user))
        .op(OP.i32Ne);
      // Where slices end at an exact instruction, only short ways between two looks at what is left.
      if (this.longest() > EXACT_MAX)
        e.c
          .i32(0)
          .memory(OP.i32Load, CPU_STATE_BASE + SJ_EXACT)
          .op(OP.i32Or);
      if (region.mode === 16) this.conditions16();
      e.vectorConditions();
      e.openIf();
      this.stepAtEntry();
      e.close();
      const beside = region.blocks[0]!.pages;
      // The first instruction reaches into a page that may be another one now, or not known to the TLB.
      if (beside) e.unlessPages(beside, () => this.stepAtEntry());
      if (graph.hasDispatcher) e.startDispatcher(1);
      this.tree(graph.root);
    });
  }

  /** Most instructions between two looks at the slice, as a bound. */
  private longest(): number {
    const once = Math.max(...this.graph.longest);
    return this.region.blocks.some(({ look }) => look & (NO_LOOK_FALL | NO_LOOK_TARGET)) ? 2 * once : once;
  }

  /** Onto the i32 on the stack: the stack is not 16 bits wide, or code of the region lies outside the first 64 KiB of the code segment. */
  private conditions16(): void {
    const { e, region } = this;
    const { c } = e;
    const base = (page: number): number => region.pages.list[page]!.delta * 4096;
    const low = Math.min(...region.parts.map((part) => base(part.page) + part.low));
    const last = Math.max(...region.parts.map((part) => base(part.page) + part.high)) - 1;
    c.i32(0)
      .memory(OP.i32Load, CPU_STATE_BASE + S_STACK32)
      .op(OP.i32Or);
    c.i32(0)
      .memory(OP.i32Load, CPU_STATE_BASE + S_SEG + SEG_CS * SEG_STRIDE + SEG_LIMIT)
      .i32(0xffff)
      .op(OP.i32LtU, OP.i32Or);
    for (const offset of [low, last]) {
      e.pushRip(offset);
      c.i32(0xffff).op(OP.i32GtU, OP.i32Or);
    }
  }

  /** The interpreter is to execute the first instruction. */
  private stepAtEntry(): void {
    this.e.c
      .i32(0)
      .i32(STEP_INTERPRET)
      .memory(OP.i32Store, CPU_STATE_BASE + SJ_STEP);
    this.e.exitTo(this.region.entry);
  }

  /** Block `x` and everything it dominates. */
  private tree(x: number): void {
    const { e, graph, known } = this;
    for (const child of graph.children[x]!) known[child]! |= known[x]!;
    const { start, pages } = this.region.blocks[x]!;
    if (pages && graph.hasDispatcher && this.region.entries.includes(x)) {
      // The dispatcher comes here unasked.
      e.unlessPages(pages, () => e.exitTo(start));
    }
    const merges = graph.children[x]!.filter((child) => graph.isMerge[child]).sort((a, b) => graph.position[b]! - graph.position[a]!);
    if (graph.isLoopHeader[x]) {
      e.open('loop', x);
      e.forgetFlags();
      e.forgetAddresses();
      this.within(x, merges);
      e.close();
      e.c.op(OP.unreachable);
    } else this.within(x, merges);
  }

  private within(x: number, merges: number[]): void {
    const { e } = this;
    const [first, ...rest] = merges;
    if (first === undefined) {
      this.block(x);
      return;
    }
    e.open('block', first);
    this.within(x, rest);
    e.close();
    e.forgetFlags();
    e.forgetAddresses();
    this.tree(first);
  }

  private block(x: number): void {
    const { e, region } = this;
    const block = region.blocks[x]!;
    if (block.ending === 'dispatch') {
      e.dispatch(region.entries);
      return;
    }
    const count = block.insns.length;
    e.enterBlock(x);
    for (let k = 0; k < count; k++) {
      const insn = block.insns[k]!;
      this.marks.push([e.c.length, insn.at]);
      e.begin(insn, x);
      e.done = k;
      e.flagsDead = flagsDeadAfter(block, k);
      e.last = k === count - 1;
      e.shadow = k > 0 && block.insns[k - 1]!.op === STI;
      if (k === count - 1 && block.ending !== 'fall') this.ending(x, block, insn);
      else translationOf(insn, this.has)!(e, insn);
      e.freeTemps();
    }
    if (block.ending === 'fall') {
      e.spend(count);
      this.goFall(x);
    }
  }

  private goFall(x: number): void {
    const { fallBlock, fall, via, look } = this.region.blocks[x]!;
    if (fallBlock < 0) this.e.exitTo(fall);
    else this.go(x, fallBlock, fall, (via & VIA_FALL) !== 0, (look & LOOK_FALL) !== 0, (look & NO_LOOK_FALL) === 0);
  }
  private goTarget(x: number): void {
    const { targetBlock, target, via, look } = this.region.blocks[x]!;
    if (targetBlock < 0) this.e.exitToTarget(target);
    else this.go(x, targetBlock, target, (via & VIA_TARGET) !== 0, (look & LOOK_TARGET) !== 0, (look & NO_LOOK_TARGET) === 0);
  }

  /** Goes to a block of the region, perhaps through the dispatcher. The slice has been charged; it is looked at with `look`, and where this goes back with `lookBack`. */
  private go(from: number, to: number, offset: number, dispatched: boolean, look: boolean, lookBack: boolean): void {
    const { e, graph, region } = this;
    const pages = region.blocks[to]!.pages & ~this.known[from]!;
    if (pages) e.unlessPages(pages, () => e.exitTo(offset));
    const back = dispatched || graph.position[to]! <= graph.position[from]!;
    if (look || (back && lookBack)) {
      e.leftBelow(1);
      e.openRare();
      e.exitTo(offset);
      e.close();
    }
    if (back) {
      if (dispatched) e.startDispatcher(region.entries.indexOf(to) + 1);
      e.branchTo('loop', dispatched ? graph.root : to);
    } else if (graph.isMerge[to]) e.branchTo('block', to);
    else this.tree(to);
  }

  private ending(x: number, block: Block, insn: Insn): void {
    const { e, region } = this;
    const { c } = e;
    const { op } = insn;
    const count = block.insns.length;
    const word: Width = region.mode === 64 ? 8 : region.mode === 32 ? 4 : insn.osize;
    if (region.mode === 16 && word === 4) this.checkDirect(block);
    switch (block.ending) {
      case 'jump':
        e.spend(count);
        this.goTarget(x);
        return;
      case 'branch': {
        if (op >= 0xe0 && op <= 0xe3) this.loopCondition(insn);
        else e.condition(op & 15);
        const condition = e.temp(I32);
        c.set(condition);
        e.spend(count);
        c.get(condition);
        const flags: FlagState = e.flags;
        const { stack, addresses } = e;
        e.openIf();
        e.freeTemps();
        this.goTarget(x);
        e.close();
        e.flags = flags;
        e.stack = stack;
        e.addresses = addresses;
        this.goFall(x);
        return;
      }
      case 'call': {
        const back = e.temp(e.word);
        e.pushRip(insn.next);
        c.set(back);
        const top = e.below(word);
        this.pushReturn(top, word, back, () => e.pushTarget(block.target));
        e.spend(count);
        if (block.targetBlock >= 0) this.goTarget(x);
        else {
          e.pushTarget(block.target);
          e.exitMissing();
        }
        return;
      }
      case 'system':
        e.interpretLast();
        return;
      default:
        break;
    }
    if (op === 0xc3 || op === 0xc2) {
      e.top(word);
      const target = e.temp(e.word);
      c.set(target);
      this.checkTarget(target, word);
      e.drop(word + (op === 0xc2 ? insn.imm & 0xffff : 0));
      e.spend(count);
      if (block.ending === 'return' && block.fallBlock >= 0) {
        c.get(target);
        e.pushRip(block.fall);
        e.wordOp(OP.i32Ne, OP.i64Ne);
        e.openRare();
        c.get(target);
        this.leave(false);
        e.close();
        e.freeTemps();
        this.goFall(x);
        return;
      }
      c.get(target);
      this.leave(false);
      return;
    }
    const target = e.temp(e.word);
    if (insn.memory) e.load(e.address(insn), word);
    else e.reg(insn.rm, word);
    c.set(target);
    this.checkTarget(target, word);
    if ((insn.reg & 7) === 2) {
      const back = e.temp(e.word);
      e.pushRip(insn.next);
      c.set(back);
      const top = e.below(word);
      this.pushReturn(top, word, back, () => c.get(target));
    }
    e.spend(count);
    c.get(target);
    this.leave(true);
  }

  /** Goes to the address on the stack, which may be one of the region's entries. `calling`: it is noted when it is not. */
  private leave(calling: boolean): void {
    const { e, graph } = this;
    if (graph.hasDispatcher) {
      e.findEntry(calling);
      e.branchTo('loop', graph.root);
    } else if (calling) e.exitMissing();
    else e.exitToStack();
  }

  /** A branch to what is no address faults at the branch: the interpreter does it. */
  private checkTarget(target: number, word: Width): void {
    const { e, region } = this;
    if (region.mode === 64) e.c.get(target).i64(16).op(OP.i64Shl).i64(16).op(OP.i64ShrS).get(target).op(OP.i64Ne);
    else if (region.mode === 16 && word === 4) e.c.get(target).i32(0xffff).op(OP.i32GtU);
    else return;
    e.openRare();
    e.exitStep();
    e.close();
  }

  /** The same for a direct one of 16-bit code with 32-bit operands, which may be above 64 KiB. */
  private checkDirect({ ending, target, targetBlock }: Block): void {
    const { e } = this;
    if (targetBlock >= 0 || (ending !== 'jump' && ending !== 'branch' && ending !== 'call')) return;
    e.pushRip(target);
    e.c.i32(0xffff).op(OP.i32GtU);
    e.openRare();
    e.exitStep();
    e.close();
  }

  /** The push of a call; when it has to leave, it leaves for the target. */
  private pushReturn(top: number, word: Width, back: number, target: () => void): void {
    const { e } = this;
    e.storeThen(top, word, back, () => e.lowerStack(top), target);
  }

  /** LOOPNZ, LOOPZ, LOOP, JCXZ. */
  private loopCondition({ op, asize }: Insn): void {
    const { e } = this;
    const { c } = e;
    const zero = () => c.op(asize === 8 ? OP.i64Eqz : OP.i32Eqz);
    if (op === 0xe3) {
      e.reg(RCX, asize);
      zero();
      return;
    }
    const count = e.temp(e.word);
    let flag = -1;
    if (op !== 0xe2) {
      flag = e.temp(I32);
      e.condition(op === 0xe1 ? 4 : 5);
      c.set(flag);
    }
    e.gpr(RCX);
    e.wordConst(1);
    e.wordOp(OP.i32Sub, OP.i64Sub);
    c.tee(count);
    e.setReg(RCX, asize);
    c.get(count);
    if (asize === 2) c.i32(0xffff).op(OP.i32And);
    zero();
    c.op(OP.i32Eqz);
    if (flag >= 0) c.get(flag).op(OP.i32And);
  }
}

/** Compiles regions into one module (`optimized`: see regionModule); undefined when none of them has anything to translate. */
export function compileModule(requests: readonly RegionRequest[], optimized = false): CompiledModule | undefined {
  const bodies: RegionBody[] = [];
  let units = 0;
  const regions = requests.map((request) => {
    const { pages, entry, mode, user, features, hints } = request;
    const found = findRegion(new CodePages(pages), entry, mode, (insn) => translatable(insn, features), hints);
    if (!found) return undefined;
    const { region, body } = new RegionCompiler(found, user, features, request).compile(bodies.length, units);
    bodies.push(body);
    units += region.units;
    return region;
  });
  return bodies.length ? { wasm: regionModule(bodies, optimized), regions, units } : undefined;
}
