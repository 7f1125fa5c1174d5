import type { CpuModel } from '../../contract/cpumodels.ts';
import { MAILBOX_BASE } from '../../memory/layout.ts';
import type { Logger } from '../../util/logger.ts';
import type { Accelerator, CpuBus, CpuExit } from '../accelerator.ts';
import type { CpuState, CpuStateV1 } from '../cpustate.ts';
import { type DebugSettings, type DebugStop, MAX_BREAKPOINTS, MAX_WATCHPOINTS, type Watchpoint } from '../debugcontrol.ts';
import { RipSampler } from '../ripsampler.ts';
import { type AcceleratorStatistics, type CodeBits, emptyStatistics, type HotRegion } from '../statistics.ts';
import { seededRandom } from '../seededrandom.ts';
import type { Helpers } from '../jit/helpers.ts';
import { TABLE_SIZE } from '../jit/codecache.ts';
import { DEFAULT_TUNING, Recompiler, type Tuning } from '../jit/recompiler.ts';
import type { RegionSource } from '../jit/codelisting.ts';
import type { CompileService } from '../jit/service.ts';
import { StateBlock } from './stateblock.ts';
import { SJ_ENTRIES, SJ_INSTRUCTIONS, SJ_STEPS } from './wasm/jitoffsets.ts';
import {
  EXIT_DEBUG,
  EXIT_HALT,
  EXIT_SHUTDOWN,
  HD_ADDRESS,
  HD_BREAK_COUNT,
  HD_BREAKS,
  HD_CAUSE,
  HD_HIT,
  HD_WATCH_COUNT,
  HD_WATCHES,
  S_A20_MASK,
  S_CODE_MODE,
  S_EFLAGS,
  S_EXIT,
  S_FAULT_VECTOR,
  S_INTR,
  S_NMI_PENDING,
  S_PARAVIRT,
  S_RIP,
  S_SEG,
  SEG_BASE,
  SEG_CS,
  SEG_STRIDE,
  STAT_REGION_FAULTS,
  STAT_TLB_MISS,
  VEC_PF,
} from './wasm/stateoffsets.ts';

/** u32 that counts TLB flushes (wasm/sysstate.ts, which only AssemblyScript can read). */
const SY_TLB_GEN = 0x1c04;

/** Exports of wasm/index.ts. */
interface InterpreterModule {
  run(budget: number, exact: boolean): number;
  endAfter(count: number): void;
  deliverFault(): void;
  remaining(): number;
  initialise(): void;
  flushTlb(): void;
  dropCode(offset: number): void;
  cpuReset(kind: number): void;
  refreshState(): void;
  instructionCount(): number;
  hostDebugChanged(): void;
  hostStep(): void;
  hostForget(): void;
  codePagesDropped(): number;
  getEflags(): number;
  setEflags(value: number, mask: number): void;
  jitInstall: Helpers['jitInstall'];
  jitUninstall: Helpers['jitUninstall'];
  jitWatchPage: Helpers['jitWatchPage'];
  jitDecode: Helpers['jitDecode'];
  jitPageBeside: Helpers['jitPageBeside'];
  jitReached: Helpers['jitReached'];
  jitRead: Helpers['read'];
  jitReadW: Helpers['read'];
  jitWrite: Helpers['read'];
  jitWriteV: Helpers['read'];
  jitExec: Helpers['read'];
  jitFlags: Helpers['read'];
  jitCondition: Helpers['read'];
  jitSettle: Helpers['read'];
  jitSystem: Helpers['read'];
  jitLeave: Helpers['read'];
  jitSegment: Helpers['read'];
  jitPushFlags: Helpers['read'];
  jitPopFlags: Helpers['read'];
  jitTimeStamp: Helpers['read'];
  jitUserAccess: Helpers['read'];
  jitX87Arith: Helpers['read'];
  jitX87Widen: Helpers['read'];
  jitX87Narrow: Helpers['read'];
  jitX87Integer: Helpers['read'];
  jitMissed: Helpers['read'];
}

/** Thrown by the import raise() to unwind the module; one object, because making an Error costs microseconds. */
const GUEST_FAULT = { name: 'GuestFault' };

const FLAG_IF = 0x200;
/** Exceptions, SDM volume 3 table 6-1. */
const VECTORS = 32;
const CS_BASE = S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE;
/** By S_CODE_MODE. */
const CODE_BITS: readonly CodeBits[] = [16, 32, 64];

/** HD_CAUSE values and bits of an HD_WATCHES entry (wasm/hostdebug.ts). */
const CAUSE_BREAKPOINT = 1;
const CAUSE_WATCHPOINT = 2;
const CAUSE_STEP = 3;
const WATCH_BITS = { write: 1, read: 2, access: 3 } as const;

/** S_EXIT bits (wasm/index.ts): return from run(), look at interrupts. */
const EXIT_RETURN = 1;
const EXIT_LOOK = 2;

export interface InterpreterOptions {
  memory: WebAssembly.Memory;
  /** The compiled module, out/wasm/cpu.wasm. */
  wasm: Uint8Array | WebAssembly.Module;
  bus: CpuBus;
  log: Logger;
  /** What CPUID tells and which instructions exist; the 32-bit processor when absent. */
  model?: CpuModel;
  /** Tells the guest that it is virtual and offers KVM's clock and the APIC timer's deadline mode; the bus then answers their MSRs. */
  paravirt?: boolean;
  /** 32 random bits for RDRAND and RDSEED; a fixed sequence when absent. */
  random?: () => number;
  /** Compiles hot code; only the interpreter runs when absent. */
  compiler?: CompileService;
  tuning?: Partial<Tuning>;
}

/** Tier 0: the interpreter in WebAssembly, on the shared memory of its VM. One object a vCPU, machine thread only. */
export class Interpreter implements Accelerator {
  readonly name: 'interpreter' | 'recompiler';
  private readonly module: InterpreterModule;
  private readonly state: StateBlock;
  private readonly bus: CpuBus;
  private readonly log: Logger;
  private readonly mailbox: Int32Array;
  private watchpoints: readonly Watchpoint[] = [];
  private readonly recompiler: Recompiler | undefined;
  private readonly sampler = new RipSampler();
  private readonly exits = { budget: 0, halt: 0, shutdown: 0, debug: 0 };
  private readonly faults = new Array<number>(VECTORS).fill(0);
  private interrupts = 0;
  private nmis = 0;
  private disposed = false;

  constructor(options: InterpreterOptions) {
    const { bus, memory } = options;
    this.bus = bus;
    this.name = options.compiler ? 'recompiler' : 'interpreter';
    this.log = options.log;
    const compiled = options.wasm instanceof WebAssembly.Module ? options.wasm : new WebAssembly.Module(options.wasm);
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_SIZE });
    this.module = new WebAssembly.Instance(compiled, {
      env: {
        memory,
        table,
        jitHot: (host: number, mode: number, user: number) => this.recompiler?.hot(host >>> 0, mode, user),
        jitMiss: (pool: number) => this.recompiler?.missed(pool >>> 0),
        jitCollect: () => this.recompiler?.collect(),
        jitWritten: (host: number, size: number) => this.recompiler?.written(host >>> 0, size),
        raise: () => {
          throw GUEST_FAULT;
        },
        portRead: (port: number, size: 1 | 2 | 4) => bus.portRead(port, size) | 0,
        portWrite: (port: number, value: number, size: 1 | 2 | 4) =>
          bus.portWrite(port, size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff), size),
        portReadMany: (port: number, size: 1 | 2 | 4, host: number, count: number) =>
          bus.portReadMany?.(port, size, new Uint8Array(memory.buffer, host >>> 0, count * size)) ?? 0,
        portWriteMany: (port: number, size: 1 | 2 | 4, host: number, count: number) =>
          bus.portWriteMany?.(port, size, new Uint8Array(memory.buffer, host >>> 0, count * size)) ?? 0,
        mmioRead: (gpa: number, size: 1 | 2 | 4) => bus.mmioRead(gpa, size) | 0,
        mmioWrite: (gpa: number, value: number, size: 1 | 2 | 4) => bus.mmioWrite(gpa, value >>> 0, size),
        acknowledgeInterrupt: () => {
          this.interrupts++;
          return bus.acknowledgeInterrupt();
        },
        apicBaseChanged: (value: number) => bus.apicBaseChanged(value),
        readTsc: () => bus.readTsc(),
        tscWritten: (value: bigint) => bus.tscWritten?.(BigInt.asUintN(64, value)),
        msrRead: (msr: number) => bus.readMsr?.(msr >>> 0) ?? 0n,
        msrWrite: (msr: number, value: bigint) => (bus.writeMsr?.(msr >>> 0, BigInt.asUintN(64, value)) ? 1 : 0),
        randomWord: options.random ?? seededRandom(1),
      },
    }).exports as InterpreterModule;
    this.state = new StateBlock(memory, this.module);
    this.mailbox = new Int32Array(memory.buffer, MAILBOX_BASE, 2);
    this.module.initialise();
    if (options.compiler) {
      const { module } = this;
      const helpers: Helpers = {
        jitInstall: module.jitInstall,
        jitUninstall: module.jitUninstall,
        jitWatchPage: module.jitWatchPage,
        jitDecode: module.jitDecode,
        jitPageBeside: module.jitPageBeside,
        jitReached: module.jitReached,
        read: module.jitRead,
        readW: module.jitReadW,
        write: module.jitWrite,
        writeV: module.jitWriteV,
        exec: module.jitExec,
        flags: module.jitFlags,
        condition: module.jitCondition,
        settle: module.jitSettle,
        system: module.jitSystem,
        leave: module.jitLeave,
        segment: module.jitSegment,
        pushFlags: module.jitPushFlags,
        popFlags: module.jitPopFlags,
        timeStamp: module.jitTimeStamp,
        userAccess: module.jitUserAccess,
        x87Arith: module.jitX87Arith,
        x87Widen: module.jitX87Widen,
        x87Narrow: module.jitX87Narrow,
        x87Integer: module.jitX87Integer,
        missed: module.jitMissed,
      };
      this.recompiler = new Recompiler(memory, helpers, table, options.compiler, { ...DEFAULT_TUNING, ...options.tuning });
    }
    this.state.setU32(S_A20_MASK, 0xffffffff);
    this.state.setModel(options.model ?? 'i686');
    this.state.setU32(S_PARAVIRT, options.paravirt ? 1 : 0);
    this.reset('hard');
  }

  run(budget: number, exact = false): CpuExit {
    const before = this.instructions;
    const compiledBefore = this.compiledInstructions;
    const exit = this.runModule(budget, exact);
    this.exits[exit]++;
    if (exit === 'budget') {
      const done = this.instructions - before;
      const tier = (this.compiledInstructions - compiledBefore) * 2 > done ? 'compiled' : 'interpreter';
      this.sampler.sample(this.linearPc(), CODE_BITS[this.state.u32(S_CODE_MODE)] ?? 32, done, tier);
    }
    return exit;
  }

  private runModule(budget: number, exact: boolean): CpuExit {
    let left = Math.min(Math.max(1, Math.floor(budget)), 0x3fffffff);
    for (;;) {
      let reason: number;
      try {
        reason = this.module.run(left, exact);
      } catch (error) {
        if (error !== GUEST_FAULT) throw error;
        this.deliver();
        left = this.module.remaining();
        continue;
      }
      switch (reason) {
        case EXIT_HALT:
          return 'halt';
        case EXIT_SHUTDOWN:
          this.log.guest('triple fault');
          return 'shutdown';
        case EXIT_DEBUG:
          return 'debug';
        default:
          return 'budget';
      }
    }
  }

  setIntr(level: boolean): void {
    this.state.setU32(S_INTR, level ? 1 : 0);
    if (level) this.attention(EXIT_LOOK);
  }

  nmi(): void {
    this.nmis++;
    this.state.setU32(S_NMI_PENDING, 1);
    this.attention(EXIT_LOOK);
  }

  setA20(enabled: boolean): void {
    const mask = enabled ? 0xffffffff : 0xffefffff;
    if (this.state.u32(S_A20_MASK) === mask) return;
    this.state.setU32(S_A20_MASK, mask);
    this.flushTlb();
  }

  reset(kind: 'hard' | 'init'): void {
    this.module.cpuReset(kind === 'hard' ? 0 : 1);
  }

  requestExit(): void {
    this.attention(EXIT_RETURN);
  }

  endAfter(instructions: number): void {
    this.module.endAfter(Math.min(Math.max(0, Math.floor(instructions)), 0x3fffffff));
  }

  flushTlb(): void {
    this.module.flushTlb();
    // Code that is being executed was found through the old map.
    this.attention(EXIT_LOOK);
  }

  invalidateCode(offset: number): void {
    this.module.dropCode(offset | 0);
  }

  getState(): CpuState {
    return this.state.read(this.bus.readTsc());
  }

  setState(state: CpuState | CpuStateV1): void {
    this.state.write(state, this.bus.readTsc());
    this.module.refreshState();
    this.bus.tscWritten?.(state.tsc);
  }

  get interruptsEnabled(): boolean {
    return (this.state.u32(S_EFLAGS) & FLAG_IF) !== 0;
  }

  get instructions(): number {
    return this.module.instructionCount();
  }

  setDebug(settings: DebugSettings): void {
    const breakpoints = settings.breakpoints.slice(0, MAX_BREAKPOINTS);
    breakpoints.forEach((address, i) => {
      this.state.setU64(HD_BREAKS + i * 8, BigInt.asUintN(64, address));
    });
    this.state.setU32(HD_BREAK_COUNT, breakpoints.length);
    this.watchpoints = settings.watchpoints.slice(0, MAX_WATCHPOINTS).map((watchpoint) => ({ ...watchpoint }));
    this.watchpoints.forEach(({ address, length, kind }, i) => {
      const at = HD_WATCHES + i * 16;
      this.state.setU64(at, BigInt.asUintN(64, address));
      this.state.setU32(at + 8, Math.min(4096, Math.max(1, Math.floor(length))));
      this.state.setU32(at + 12, WATCH_BITS[kind]);
    });
    this.state.setU32(HD_WATCH_COUNT, this.watchpoints.length);
    this.state.setU32(HD_HIT, 0);
    this.module.hostDebugChanged();
  }

  armStep(): void {
    this.module.hostStep();
  }

  takeDebugStop(): DebugStop | undefined {
    const cause = this.state.u32(HD_CAUSE);
    const watchpoint = this.watchpoints[this.state.u32(HD_HIT) - 1];
    const address = this.state.u64(HD_ADDRESS);
    this.module.hostForget();
    switch (cause) {
      case CAUSE_BREAKPOINT:
        return { cause: 'breakpoint', address: BigInt.asUintN(64, BigInt(this.linearPc())), rip: this.state.u64(S_RIP) };
      case CAUSE_WATCHPOINT:
        return watchpoint ? { cause: 'watchpoint', watchpoint, address } : { cause: 'step' };
      case CAUSE_STEP:
        return { cause: 'step' };
    }
    return undefined;
  }

  /** Of `instructions`, those that compiled regions executed. */
  private get compiledInstructions(): number {
    return this.recompiler ? Number(this.state.u64(SJ_INSTRUCTIONS)) : 0;
  }

  statistics(): AcceleratorStatistics {
    const { instructions } = this;
    const counts = this.recompiler?.counts;
    const regionExits = this.recompiler?.exits();
    return {
      ...emptyStatistics(this.name),
      instructions,
      interpretedInstructions: Math.max(0, instructions - this.compiledInstructions),
      ...(counts
        ? {
            regions: { compiled: counts.compiled, alive: counts.alive, evicted: counts.evicted, invalidated: counts.invalidated },
            compile: { modules: counts.modules, totalMs: counts.totalMs, maxMs: counts.maxMs, offThreadMs: counts.offThreadMs },
            generatedBytes: counts.wasmBytes,
            generatedBytesAlive: counts.wasmBytesAlive,
          }
        : {}),
      exits: {
        ...this.exits,
        ...(counts
          ? { 'entered compiled code': Number(this.state.u64(SJ_ENTRIES)), 'instruction not compiled': Number(this.state.u64(SJ_STEPS)) }
          : {}),
        ...(regionExits
          ? {
              'region to region by a link': regionExits.linked,
              'region with no link on': regionExits.unlinked,
              'region at the end of a slice': regionExits.slice,
              'region by a fault': regionExits.faults,
              'region by an interpreted instruction': regionExits.interpreter,
            }
          : {}),
      },
      faults: this.faultCounts(),
      tlb: {
        readMisses: Number(this.state.u64(STAT_TLB_MISS)),
        writeMisses: Number(this.state.u64(STAT_TLB_MISS + 8)),
        fetchMisses: Number(this.state.u64(STAT_TLB_MISS + 16)),
        flushes: this.state.u32(SY_TLB_GEN),
      },
      codePagesDropped: this.module.codePagesDropped() >>> 0,
      interrupts: this.interrupts,
      nmis: this.nmis,
      hottest: this.hottest(),
    };
  }

  /** By vector. */
  private faultCounts(): Record<string, number> {
    const counts = [...this.faults];
    counts[VEC_PF]! += Number(this.state.u64(STAT_REGION_FAULTS));
    return Object.fromEntries(counts.flatMap((count, vector) => (count ? [[`${vector}`, count]] : [])));
  }

  countRegions(on: boolean): void {
    this.recompiler?.setCounting(on);
  }

  compiledAt(host: number): { source: RegionSource; delta: number }[] {
    return this.recompiler?.sourcesAt(host) ?? [];
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.recompiler?.dispose();
    Atomics.store(this.mailbox, 1, 1);
  }

  /** Sampled places; compiled ones by what their regions counted, where those count. */
  private hottest(): HotRegion[] {
    const sampled = this.sampler.hottest();
    const counted = this.recompiler?.hottest() ?? [];
    if (!counted.length) return sampled;
    return [...counted, ...sampled.filter(({ tier }) => tier === 'interpreter')].sort((a, b) => b.instructions - a.instructions);
  }

  /** Linear address of the next instruction; negative in the upper canonical half. */
  private linearPc(): number {
    const rip = this.state.u64(S_RIP);
    const linear = this.state.u32(S_CODE_MODE) === 2 ? rip : (rip + this.state.u64(CS_BASE)) & 0xffffffffn;
    return Number(BigInt.asIntN(64, linear));
  }

  private deliver(): void {
    // 255: no fault, an instruction that touches a watchpoint is to be executed alone.
    if (this.lastFault < VECTORS) this.faults[this.lastFault]!++;
    // Faults while delivering combine to a double fault and then shut the processor down: three rounds at most.
    for (;;) {
      try {
        this.module.deliverFault();
        return;
      } catch (error) {
        if (error !== GUEST_FAULT) throw error;
      }
    }
  }

  private attention(bits: number): void {
    this.state.setU32(S_EXIT, this.state.u32(S_EXIT) | bits);
  }

  /** Vector of the last fault, for tests and the debug console. */
  get lastFault(): number {
    return this.state.u32(S_FAULT_VECTOR);
  }
}
