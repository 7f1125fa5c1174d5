import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CODE_MAP_BASE, CPU_STATE_BASE, GUEST_RAM_BASE } from '../../../memory/layout.ts';
import { GuestMemory } from '../../../memory/guestmemory.ts';
import { PhysMap } from '../../../memory/physmap.ts';
import { createVmMemory } from '../../../memory/vmmemory.ts';
import { nullLogger } from '../../../util/logger.ts';
import type { CpuBus } from '../../accelerator.ts';
import type { CpuState, SegmentState } from '../../cpustate.ts';
import type { CpuModel } from '../../../contract/cpumodels.ts';
import { type Feature, featureBit } from '../../x86/features.ts';
import type { Tuning } from '../../jit/recompiler.ts';
import { type CompileService, SyncCompileService } from '../../jit/service.ts';
import { Interpreter, type InterpreterOptions } from '../interpreter.ts';
import { S_FEATURES } from '../wasm/stateoffsets.ts';

const WASM = fileURLToPath(new URL('../../../../out/wasm/cpu.wasm', import.meta.url));
const BUILD = fileURLToPath(new URL('../../../../scripts/build-wasm.mjs', import.meta.url));

let compiled: WebAssembly.Module | undefined;

/** The interpreter module, built first when nobody has. */
export function cpuModule(): WebAssembly.Module {
  if (!compiled) {
    if (!existsSync(WASM)) execFileSync(process.execPath, [BUILD], { stdio: 'inherit' });
    compiled = new WebAssembly.Module(readFileSync(WASM));
  }
  return compiled;
}

/** Processors made by testAccelerator(). */
let made = 0;

/** HYPERVUE_ACCEL=jit runs the same tests with a recompiler that compiles nearly everything at once; every other one as the product does, without ways that control never took. */
export function testAccelerator(): Pick<InterpreterOptions, 'compiler' | 'tuning'> {
  return process.env.HYPERVUE_ACCEL === 'jit'
    ? { compiler: new SyncCompileService(), tuning: { piece: 20, threshold: 1, missPeriod: 4, reachedOnly: made++ % 2 === 1 } }
    : {};
}

export const RAM_BYTES = 4 << 20;
/** Where TestCpu.long() maps RAM a second time. */
export const HIGH_HALF = 0xffff_ff80_0000_0000n;

/** An interpreter with 4 MiB of RAM (or more) from 0 and a bus that records port and MMIO writes. */
export class TestCpu {
  readonly memory: WebAssembly.Memory;
  readonly map: PhysMap;
  readonly guest: GuestMemory;
  readonly cpu: Interpreter;
  readonly ram: Uint8Array;
  readonly portWrites: [port: number, value: number, size: number][] = [];
  readonly mmioWrites: [gpa: number, value: number, size: number][] = [];
  /** Overridable by tests. */
  onPortWrite: (port: number, value: number) => void = () => {};
  portValue: (port: number, size: number) => number = () => 0;
  vector = -1;
  private featureWord: bigint | undefined;
  tsc = 0;

  /** `bus`: members besides the plain ones. `recompiler`: with one, tuned like this, that compiles by `compiler`. */
  constructor(
    options: { paravirt?: boolean; bus?: Partial<CpuBus>; recompiler?: Partial<Tuning>; compiler?: CompileService; ramBytes?: number } = {},
  ) {
    const ramBytes = options.ramBytes ?? RAM_BYTES;
    this.memory = createVmMemory(ramBytes);
    this.map = new PhysMap(this.memory);
    this.map.mapRam(0, GUEST_RAM_BASE, ramBytes);
    this.guest = new GuestMemory(this.memory, this.map, ramBytes);
    this.ram = new Uint8Array(this.memory.buffer, GUEST_RAM_BASE, ramBytes);
    const bus: CpuBus = {
      portRead: (port, size) => this.portValue(port, size),
      portWrite: (port, value, size) => {
        this.portWrites.push([port, value, size]);
        this.onPortWrite(port, value);
      },
      mmioRead: (gpa, size) => (gpa >= 0xf0000000 ? (gpa & 0xff) + 1 : 0xffffffff >>> (32 - 8 * size)),
      mmioWrite: (gpa, value, size) => {
        this.mmioWrites.push([gpa, value, size]);
      },
      acknowledgeInterrupt: () => {
        const vector = this.vector;
        this.vector = -1;
        this.cpu.setIntr(false);
        return vector;
      },
      apicBaseChanged: () => {},
      readTsc: () => this.tsc,
      ...options.bus,
    };
    this.cpu = new Interpreter({
      memory: this.memory,
      wasm: cpuModule(),
      bus,
      log: nullLogger,
      paravirt: options.paravirt ?? false,
      ...(options.recompiler ? { compiler: options.compiler ?? new SyncCompileService(), tuning: options.recompiler } : testAccelerator()),
    });
    this.guest.onCodeWrite((offset) => this.cpu.invalidateCode(offset));
    this.map.onChange(() => this.cpu.flushTlb());
  }

  put(gpa: number, ...bytes: number[]): void {
    this.guest.write(gpa, Uint8Array.from(bytes));
  }

  /** Gives the processor these features and no others. Before anything runs. */
  features(...names: Feature[]): void {
    this.featureWord = names.reduce((sum, name) => sum | (1n << BigInt(featureBit(name))), 0n);
    this.setState(this.cpu.getState());
  }

  /** The state of a processor of a model, but with the features asked for. */
  setState(state: CpuState): void {
    this.cpu.setState(state);
    if (this.featureWord !== undefined) new DataView(this.memory.buffer).setBigUint64(CPU_STATE_BASE + S_FEATURES, this.featureWord, true);
  }

  /** Changes named parts of the state. */
  patch(change: (state: CpuState) => void): void {
    const state = this.cpu.getState();
    change(state);
    this.setState(state);
  }

  /** Flat 32-bit protected mode at CPL 0 with descriptors in GDT at 0x800, IDT at 0 whose 256 gates lead to HLT instructions at 0x3000 + 16 * vector. */
  flat(eip: number, gpr: number[] = []): void {
    const descriptor = (index: number, low: number, high: number) => {
      this.guest.write32(0x800 + index * 8, low);
      this.guest.write32(0x804 + index * 8, high);
    };
    descriptor(1, 0x0000ffff, 0x00cf9b00);
    descriptor(2, 0x0000ffff, 0x00cf9300);
    for (let vector = 0; vector < 256; vector++) {
      const at = 0x3000 + vector * 16;
      this.guest.write32(vector * 8, 0x00080000 | at);
      this.guest.write32(vector * 8 + 4, 0x00008e00);
      this.guest.write8(at, 0xf4);
    }
    this.patch((s) => {
      s.gpr = Array.from({ length: 16 }, (_, i) => BigInt((gpr[i] ?? (i === 4 ? 0x8000 : 0)) >>> 0));
      s.rip = BigInt(eip);
      s.rflags = 2n;
      s.halted = false;
      s.cr0 = 0x11n;
      s.gdtr = { base: 0x800n, limit: 0x7f };
      s.idtr = { base: 0n, limit: 0x7ff };
      const flatSegment = (selector: number, attributes: number): SegmentState => ({ selector, base: 0n, limit: 0xffffffff, attributes });
      s.segments.cs = flatSegment(8, 0xc09b);
      s.segments.ss = flatSegment(16, 0xc093);
      s.segments.ds = flatSegment(16, 0xc093);
      s.segments.es = flatSegment(16, 0xc093);
    });
  }

  /**
   * 64-bit mode at CPL 0. The 4 MiB of RAM are mapped at 0 and again at HIGH_HALF; GDT at 0x800, page tables from 0x9000, IDT at 0xc000 whose
   * gates lead to HLT instructions at 0x3000 + 16 * vector. FS and GS have no base.
   */
  long(rip: number | bigint, gpr: (number | bigint)[] = [], model: CpuModel = 'x86-64-v3'): void {
    const word = (at: number, low: number, high = 0): void => {
      this.guest.write32(at, low >>> 0);
      this.guest.write32(at + 4, high >>> 0);
    };
    word(0x808, 0x0000ffff, 0x00af9b00);
    word(0x810, 0x0000ffff, 0x00cf9300);
    // PML4, PDPT, page directory with two large pages; the last PML4 entry maps the same.
    word(0x9000, 0xa003);
    word(0x9ff8, 0xa003);
    word(0xa000, 0xb003);
    word(0xb000, 0x00083);
    word(0xb008, 0x200083);
    for (let vector = 0; vector < 256; vector++) {
      const at = 0x3000 + vector * 16;
      word(0xc000 + vector * 16, 0x00080000 | at, 0x00008e00);
      word(0xc008 + vector * 16, 0);
      this.guest.write8(at, 0xf4);
    }
    this.patch((s) => {
      s.model = model;
      s.gpr = Array.from({ length: 16 }, (_, i) => BigInt.asUintN(64, BigInt(gpr[i] ?? (i === 4 ? 0x8000 : 0))));
      s.rip = BigInt.asUintN(64, BigInt(rip));
      s.rflags = 2n;
      s.halted = false;
      s.cr0 = 0x80000011n;
      s.cr3 = 0x9000n;
      // PAE, OSFXSR, OSXMMEXCPT.
      s.cr4 = 0x620n;
      // SCE, LME, LMA, NXE.
      s.efer = 0xd01n;
      s.gdtr = { base: 0x800n, limit: 0x7f };
      s.idtr = { base: 0xc000n, limit: 0xfff };
      const segment = (selector: number, attributes: number): SegmentState => ({ selector, base: 0n, limit: 0xffffffff, attributes });
      s.segments.cs = segment(8, 0xa09b);
      for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) s.segments[name] = segment(16, 0xc093);
    });
  }

  /** Real mode at 0:ip with stack 0:7000 and an IVT that leads to HLT instructions at 0:3000 + 16 * vector. */
  real(ip: number, gpr: number[] = []): void {
    for (let vector = 0; vector < 256; vector++) {
      this.guest.write32(vector * 4, 0x3000 + vector * 16);
      this.guest.write8(0x3000 + vector * 16, 0xf4);
    }
    this.patch((s) => {
      s.gpr = Array.from({ length: 16 }, (_, i) => BigInt((gpr[i] ?? (i === 4 ? 0x7000 : 0)) >>> 0));
      s.rip = BigInt(ip);
      s.rflags = 2n;
      s.halted = false;
      s.cr0 = 0x10n;
      s.idtr = { base: 0n, limit: 0x3ff };
      const segment = (attributes: number): SegmentState => ({ selector: 0, base: 0n, limit: 0xffff, attributes });
      s.segments.cs = segment(0x9b);
      for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) s.segments[name] = segment(0x93);
    });
  }

  /** Runs until HLT (which stays executed) and gives the state. Throws when that takes too long. */
  untilHalt(limit = 1_000_000): CpuState {
    for (let left = limit; left > 0; left -= 10_000) {
      const exit = this.cpu.run(Math.min(left, 10_000));
      if (exit === 'halt') return this.cpu.getState();
      if (exit === 'shutdown') throw new Error('triple fault');
    }
    throw new Error(`no HLT; eip = ${this.cpu.getState().rip.toString(16)}`);
  }

  /** Vector of the handler whose HLT stopped us, -1 when it was another HLT. */
  static vectorOf(state: CpuState): number {
    const at = Number(state.rip) - 1 - 0x3000;
    return at >= 0 && at < 0x1000 && at % 16 === 0 ? at / 16 : -1;
  }

  /** True while the accelerator holds decoded code of the page. */
  holdsCode(gpa: number): boolean {
    return new Uint8Array(this.memory.buffer)[CODE_MAP_BASE + ((GUEST_RAM_BASE + gpa) >>> 12)] !== 0;
  }

  reg(state: CpuState, index: number): number {
    return Number(state.gpr[index]! & 0xffffffffn);
  }
}
