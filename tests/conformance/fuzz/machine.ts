/**
 * A guest machine that runs cases (layout.ts) in user mode: page tables and descriptors as a Linux process finds them, an exception handler that
 * halts, and an IRET by which the next case begins, so that nothing but the registers is set from outside between cases.
 */
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import type { Interpreter } from '../../../core/cpu/interp/interpreter.ts';
import { SJ_INSTRUCTIONS, SJ_PIECE } from '../../../core/cpu/interp/wasm/jitoffsets.ts';
import * as S from '../../../core/cpu/interp/wasm/stateoffsets.ts';
import type { CpuExit } from '../../../core/cpu/accelerator.ts';
import { CPU_STATE_BASE, GUEST_RAM_BASE } from '../../../core/memory/layout.ts';
import type { CpuState, SegmentState } from '../../../core/cpu/cpustate.ts';
import { loadFloating, storeFloating } from './floating.ts';
import * as L from './layout.ts';
import { TABLE as SEGMENTS, USER_CS16, wordsOf } from './segments.ts';
import * as V86 from './v86.ts';

/**
 * User code: 64-bit code, 32-bit code of a 64-bit system, 32-bit code of a 32-bit system (PAE paging), the second and 16-bit code with
 * segments that are not flat, virtual-8086 mode under the third's paging (v86.ts). System code: of the first and the third. Real mode with segments that begin
 * where the memory under test does.
 */
export const MODES = ['long', 'compat', 'legacy', 'segments', 'segments16', 'v86', 'system', 'system32', 'real'] as const;
export type Mode = (typeof MODES)[number];
export const hasTable = (mode: Mode): boolean => mode === 'segments' || mode === 'segments16';
export const isSystem = (mode: Mode): boolean => mode === 'system' || mode === 'system32' || mode === 'real';
/** Where the system's own memory ends: descriptors, page tables, handlers, stack. */
const SYSTEM_SIZE = 0x11000;

const GDT = 0x800;
const TSS = 0x1000;
const LDT = 0x1800;
/** MOV to DS, ES, FS and GS from here, then IRET. */
const SELECTORS = 0x2e00;
const LOAD = 0x2f00 - 32;
const IRET = 0x2f00;
const HANDLERS = 0x3000;
const STACK = 0x7000;
const PML4 = 0x9000;
const PDPT = 0xa000;
const DIRECTORY = 0xb000;
const IDT = 0xc000;
const TOP_DIRECTORY = 0xe000;
const TOP_TABLE = 0xf000;
/** PDPTEs of PAE paging have no access bits. */
const PAE_PDPT = 0x10000;
/** Where the last page of the 32-bit address space is. */
const TOP_PAGE = 0x300000;
const TABLES = [PML4, PDPT, DIRECTORY, L.PAGE_TABLE, TOP_DIRECTORY, TOP_TABLE, PAE_PDPT];
/** Where the pages are that have entries in TOP_TABLE. */
const TOP = 0xffe00000;
const NX = 0x80000000;

/** Exceptions with an error code (SDM volume 3, table 6-1). */
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Instructions that a case may execute. */
export const LIMIT = 12_000;

export const physical = (address: number): number => (address >= 0xfffff000 ? TOP_PAGE : address & ~0xfff) | (address & 0xfff);

/** What lies between the windows. */
const GAPS: (readonly [address: number, size: number])[] = L.WRITABLE.filter((page) => !L.isCodePage(page)).flatMap((page) => {
  const gaps: [number, number][] = [];
  let at = page;
  for (const [address, size] of [...L.WINDOWS, [page + L.PAGE, 0] as const].sort((a, b) => a[0] - b[0])) {
    if (address + size <= page || address > page + L.PAGE) continue;
    if (address > at) gaps.push([at, address - at]);
    at = address + size;
  }
  return gaps;
});
const PLAIN = new Uint8Array(L.PAGE).fill(L.BACKGROUND);

export interface HowToRun {
  /** Instructions between two samples of the recompiler. */
  piece?: number;
  /** Makes the beginning a region first. */
  compile?: boolean;
  /** Stops after every so many instructions and goes on; with `restore` from the state that a snapshot would have. */
  slice?: number | undefined;
  restore?: boolean;
  /** Goes instruction by instruction and notes where each one is, in linear addresses. */
  visited?: Set<number>;
}

/** Members that only the fuzzer uses. */
interface Inside {
  recompiler?: { hot(host: number, mode: number, user: number): void };
}

export class FuzzMachine {
  readonly test: TestCpu;
  readonly mode: Mode;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly ram: Uint8Array;
  /** Segment registers as cases find them. */
  private readonly segments: Uint8Array;
  private readonly codeImage = new Uint8Array(3 * L.PAGE);
  private readonly freshMemory: Uint8Array;
  /** The system's state before the first case. */
  private readonly fresh: CpuState;
  private ended = true;

  constructor(mode: Mode, accelerator: 'interp' | 'jit') {
    this.mode = mode;
    const before = process.env.HYPERVUE_ACCEL;
    process.env.HYPERVUE_ACCEL = accelerator;
    this.test = new TestCpu();
    if (before === undefined) delete process.env.HYPERVUE_ACCEL;
    else process.env.HYPERVUE_ACCEL = before;
    this.view = new DataView(this.test.memory.buffer, CPU_STATE_BASE, 0x4000);
    this.bytes = new Uint8Array(this.test.memory.buffer, CPU_STATE_BASE, 0x4000);
    this.ram = this.test.ram;
    this.setUp();
    this.fresh = this.test.cpu.getState();
    this.freshMemory = this.systemMemory.slice();
    this.segments = this.bytes.slice(S.S_SEG, S.S_SEG + 6 * S.SEG_STRIDE);
    for (const [address] of L.PAGES)
      this.ram.fill(L.isCodePage(address) ? L.HLT : L.BACKGROUND, physical(address), physical(address) + L.PAGE);
  }

  /**
   * Page tables have been written over, which only code does that has lost its way: remap() of systemcode.ts keeps to entries of its own, and tells the
   * processor. What of them is still in the TLB is each processor's own affair (SDM volume 3, 4.10.2.2).
   */
  get tablesLost(): boolean {
    if (this.mode === 'real') return false;
    return TABLES.some((table) => {
      for (let at = table; at < table + L.PAGE; at += 8) {
        const own = table === L.PAGE_TABLE && L.PAGES.some(([page]) => page < TOP && at === table + ((page >>> 12) & 511) * 8);
        // Accessed and dirty aside.
        if (!own && this.ram.subarray(at, at + 8).some((byte, i) => (byte ^ this.freshMemory[at + i]!) & (i ? 0xff : 0x9f))) return true;
      }
      return false;
    });
  }

  /** Memory of the system. */
  get systemMemory(): Uint8Array {
    return this.ram.subarray(0, SYSTEM_SIZE);
  }

  private get cpu(): Interpreter {
    return this.test.cpu;
  }

  /** Where a case begins. */
  private get entry(): number {
    return hasTable(this.mode) ? LOAD : IRET;
  }

  private get isLong(): boolean {
    return !/^(legacy|v86|system32|real)$/.test(this.mode);
  }

  /** Instructions that compiled regions executed. */
  get compiledInstructions(): number {
    return Number(this.view.getBigUint64(SJ_INSTRUCTIONS, true));
  }

  private setUp(): void {
    const t = this.test;
    const long = this.isLong;
    const word = (at: number, low: number, high = 0): void => {
      t.guest.write32(at, low >>> 0);
      t.guest.write32(at + 4, high >>> 0);
    };
    // The same numbers as Linux's.
    word(GDT + 0x08, 0xffff, 0x00cf9b00);
    word(GDT + 0x10, 0xffff, 0x00af9b00);
    word(GDT + 0x18, 0xffff, 0x00cf9300);
    word(GDT + 0x20, 0xffff, 0x00cffb00);
    word(GDT + 0x28, 0xffff, 0x00cff300);
    if (long) word(GDT + 0x30, 0xffff, 0x00affb00);
    word(GDT + 0x40, 0x67 | (TSS << 16), 0x8b00);
    word(GDT + 0x48, 0);
    // Stack of the handlers; the map of ports begins beyond the limit.
    t.guest.write32(TSS + 4, STACK);
    t.guest.write32(TSS + 8, long ? 0 : 0x18);
    t.guest.write16(TSS + 0x66, 0x68);
    if (hasTable(this.mode)) this.setUpSegments(word);
    const kernel = long ? 0x10 : 0x08;
    for (let vector = 0; vector < 256; vector++) {
      const handler = HANDLERS + vector * 16;
      // INT3 and INTO may be called by users.
      const access = vector === 3 || vector === 4 ? 0xee00 : 0x8e00;
      if (long) {
        word(IDT + vector * 16, (kernel << 16) | handler, access);
        word(IDT + vector * 16 + 8, 0);
      } else word(IDT + vector * 8, (kernel << 16) | handler, access);
      t.guest.write8(handler, L.HLT);
    }
    t.put(IRET, ...(long ? [0x48, 0xcf] : [0xcf]));
    word(PML4, PDPT | 7);
    word(PDPT, DIRECTORY | 7);
    word(PDPT + 24, TOP_DIRECTORY | 7);
    word(PAE_PDPT, DIRECTORY | 1);
    word(PAE_PDPT + 24, TOP_DIRECTORY | 1);
    // The system's 2 MiB are a page of their own; users can't reach it. Accessed and dirty are set everywhere.
    word(DIRECTORY, 0xe3);
    word(DIRECTORY + 8, L.PAGE_TABLE | 0x27);
    word(TOP_DIRECTORY + 511 * 8, TOP_TABLE | 0x27);
    if (this.mode === 'v86') {
      word(DIRECTORY, V86.TABLE | 0x27);
      V86.mapPages(word, SYSTEM_SIZE, NX);
    }
    for (const [address, access] of L.PAGES) {
      const entry = address >= 0xfffff000 ? TOP_TABLE + 511 * 8 : L.PAGE_TABLE + ((address >>> 12) & 511) * 8;
      word(entry, physical(address) | 0x65 | (access.includes('w') ? 2 : 0), access.includes('x') ? 0 : NX);
    }
    t.patch((s) => {
      const segment = (selector: number, attributes: number, base = 0n, limit = 0xffffffff): SegmentState => ({
        selector,
        base,
        limit,
        attributes,
      });
      s.model = 'x86-64-v3';
      s.rip = BigInt(this.entry);
      s.rflags = 2n;
      s.halted = false;
      s.cr0 = 0x80050033n;
      s.cr3 = BigInt(long ? PML4 : PAE_PDPT);
      // PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE.
      s.cr4 = long ? 0x50620n : 0x40620n;
      // LME, LMA, NXE.
      s.efer = long ? 0xd00n : 0x800n;
      s.xcr0 = 7n;
      s.gdtr = { base: BigInt(GDT), limit: 0x7f };
      s.idtr = { base: BigInt(IDT), limit: long ? 0xfff : 0x7ff };
      s.segments.cs = segment(kernel, long ? 0xa09b : 0xc09b);
      s.segments.ss = segment(0x18, 0xc093);
      for (const name of ['ds', 'es'] as const) s.segments[name] = segment(L.USER_DS, 0xc0f3);
      // Not zero, so that what the processor derives from the segment is right for every base.
      for (const name of ['fs', 'gs'] as const) s.segments[name] = segment(L.USER_DS, 0xc0f3, 0x1000n);
      s.segments.tr = segment(0x40, 0x8b, BigInt(TSS), 0x67);
      s.segments.ldtr = hasTable(this.mode) ? segment(0x50, 0x82, BigInt(LDT), 8 * SEGMENTS.length - 1) : segment(0, 0);
      if (!isSystem(this.mode)) return;
      // SYSCALL and SYSENTER lead to the function of the case, or near it.
      s.efer |= 1n;
      s.msrs[0xc0000081] = 0x0023_0010_0000_0000n;
      s.msrs[0xc0000082] = 0x211700n;
      s.msrs[0xc0000084] = 0x700n;
      s.msrs[0x174] = BigInt(kernel);
      s.msrs[0x175] = BigInt(STACK);
      s.msrs[0x176] = 0x211700n;
      if (this.mode !== 'real') return;
      s.cr0 = 0x40030n;
      s.efer = 0n;
      s.idtr = { base: BigInt(IDT), limit: 0x3ff };
      s.segments.cs = segment(0x2100, 0x9b, 0x210000n, 0xffff);
      for (const name of ['ds', 'es', 'ss', 'fs', 'gs'] as const) s.segments[name] = segment(0x2000, 0x93, 0x200000n, 0xffff);
    });
    if (this.mode === 'real') for (let vector = 0; vector < 256; vector++) t.guest.write32(IDT + vector * 4, HANDLERS + vector * 16);
  }

  private setUpSegments(word: (at: number, low: number, high?: number) => void): void {
    word(GDT + 0x50, ((LDT & 0xffff) << 16) | (8 * SEGMENTS.length - 1), 0x8200);
    word(GDT + 0x58, 0);
    SEGMENTS.forEach((descriptor, i) => {
      const [low, high] = descriptor ? wordsOf(descriptor) : [0, 0];
      word(LDT + 8 * i, low, high);
    });
    [3, 0, 4, 5].forEach((register, i) => {
      this.test.put(LOAD + 8 * i, 0x8e, 0x04 | (register << 3), 0x25, (SELECTORS + 2 * i) & 255, SELECTORS >> 8, 0, 0, 0x90);
    });
  }

  /** Puts the code in place, telling the processor about what changes only. */
  private writeCode(record: Uint8Array, view: DataView): void {
    const image = this.codeImage.fill(L.HLT);
    const put = (at: number, from: number, size: number): void => {
      for (const [i, page] of L.CODE_PAGES.entries()) {
        const first = Math.max(at, page);
        const last = Math.min(at + size, page + L.PAGE);
        if (first < last) image.set(record.subarray(from + first - at, from + last - at), i * L.PAGE + first - page);
      }
    };
    put(view.getUint32(L.R_CODE2_AT, true), L.R_CODE2, L.CODE2_SIZE);
    put(view.getUint32(L.R_CODE_AT, true), L.R_CODE, L.CODE_SIZE);
    for (const [i, page] of L.CODE_PAGES.entries()) {
      const want = image.subarray(i * L.PAGE, (i + 1) * L.PAGE);
      const have = this.ram.subarray(page, page + L.PAGE);
      if (Buffer.compare(want, have) === 0) continue;
      let first = 0;
      while (want[first] === have[first]) first++;
      let last = L.PAGE - 1;
      while (want[last] === have[last]) last--;
      this.test.guest.write(page + first, want.slice(first, last + 1));
    }
  }

  /** Takes over what another machine's memory holds: where both were stopped in the middle of something, they stand at different places of it. */
  takeMemory({ test }: FuzzMachine): void {
    for (let page = 0; page < test.ram.length; page += L.PAGE) {
      const theirs = test.ram.subarray(page, page + L.PAGE);
      if (Buffer.compare(theirs, this.test.ram.subarray(page, page + L.PAGE))) this.test.guest.write(page, theirs);
    }
  }

  /** Makes the place where the case begins a region now, if its code is decoded. */
  compileEntry(record: Uint8Array): void {
    const address = new DataView(record.buffer, record.byteOffset).getUint32(L.R_CODE_AT, true);
    // Run.mode: 2 in 64-bit code, 3 in flat 32-bit code, 0 in 16-bit code.
    (this.cpu as unknown as Inside).recompiler?.hot(
      GUEST_RAM_BASE + physical(address),
      /^(long|system)$/.test(this.mode) ? 2 : /^(real|segments16|v86)$/.test(this.mode) ? 0 : 3,
      isSystem(this.mode) ? 0 : 1,
    );
  }

  /** Runs the case of `record` and gives its end in `result`. */
  run(record: Uint8Array, result: Uint8Array, { piece, compile, slice, restore, visited }: HowToRun = {}): void {
    const from = new DataView(record.buffer, record.byteOffset, L.RECORD_SIZE);
    this.writeCode(record, from);
    for (const page of L.WRITABLE) if (!L.isCodePage(page)) this.ram.fill(L.BACKGROUND, physical(page), physical(page) + L.PAGE);
    let at = L.R_DATA;
    for (const [address, size] of L.WINDOWS) {
      this.ram.set(record.subarray(at, at + size), physical(address));
      at += size;
    }
    if (isSystem(this.mode)) this.begin(from);
    this.load(record, from);
    if (compile) this.compileEntry(record);
    if (this.view.getUint32(SJ_PIECE, true)) this.view.setUint32(SJ_PIECE, piece ?? 0, true);
    if (!this.ended && !isSystem(this.mode)) {
      // The last case did not come back to the system.
      const fresh = this.test.cpu.getState();
      this.test.setState({
        ...this.fresh,
        gpr: fresh.gpr,
        fpu: fresh.fpu,
        mxcsr: fresh.mxcsr,
        xmm: fresh.xmm,
        ymmHigh: fresh.ymmHigh,
        // What a case of virtual-8086 mode chose.
        cr4: fresh.cr4,
        segments: { ...this.fresh.segments, fs: fresh.segments.fs, gs: fresh.segments.gs },
      });
    }
    let exit: CpuExit = visited ? 'budget' : this.cpu.run(slice ?? LIMIT);
    for (let left = visited ? LIMIT : 0; exit === 'budget' && left > 0; left--) {
      exit = this.cpu.run(1, true);
      const base = this.view.getBigUint64(S.S_SEG + S.SEG_CS * S.SEG_STRIDE + S.SEG_BASE, true);
      const linear = (base + this.view.getBigUint64(S.S_RIP, true)) & 0xffffffffn;
      visited!.add(Number(this.mode === 'v86' ? V86.hostAddress(linear) : linear));
    }
    for (let left = slice ? LIMIT : 0; exit === 'budget' && left > 0; left -= slice!) {
      if (restore) this.test.setState(this.test.cpu.getState());
      exit = this.cpu.run(slice!);
    }
    this.ended = exit === 'halt';
    result.set(record);
    this.store(result, new DataView(result.buffer, result.byteOffset, L.RECORD_SIZE), exit);
  }

  /** All of the processor's and the system's state as at first. */
  private begin(from: DataView): void {
    if (Buffer.compare(this.systemMemory, this.freshMemory) !== 0)
      for (let at = 0; at < SYSTEM_SIZE; at += L.PAGE) {
        const page = this.freshMemory.subarray(at, at + L.PAGE);
        if (Buffer.compare(this.ram.subarray(at, at + L.PAGE), page) !== 0) this.test.guest.write(at, page);
      }
    const mask = this.mode === 'real' ? 0xffffn : -1n;
    this.test.setState({
      ...this.fresh,
      rip: from.getBigUint64(L.R_RIP, true) & mask,
      rflags: BigInt(from.getUint32(L.R_FLAGS, true)) & ~0x200n,
    });
  }

  /** Registers of the system, to be compared as text. */
  systemState(): string {
    const s = this.test.cpu.getState();
    const { cr0, cr2, cr3, cr4, cr8, efer, xcr0, dr, segments, gdtr, idtr, msrs, halted, interruptShadow, nmiBlocked, rip, rflags } = s;
    const all = { cr0, cr2, cr3, cr4, cr8, efer, xcr0, dr, segments, gdtr, idtr, msrs, halted, interruptShadow, nmiBlocked, rip, rflags };
    return JSON.stringify(all, (_, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value));
  }

  private load(record: Uint8Array, from: DataView): void {
    const { bytes } = this;
    bytes.set(record.subarray(L.R_GPR, L.R_GPR + 128), S.S_GPR);
    if (!isSystem(this.mode)) this.loadFrame(from);
    loadFloating(bytes, this.view, record, from);
  }

  /** What IRET takes the case from. */
  private frameOf(from: DataView): bigint[] {
    if (this.mode === 'v86') return V86.frame(from);
    const narrow = this.mode === 'segments16';
    const cs = BigInt(this.mode === 'long' ? L.USER_CS64 : narrow ? USER_CS16 : L.USER_CS32);
    return [
      from.getBigUint64(L.R_RIP, true) - (narrow ? BigInt(L.CODE16_BASE) : 0n),
      cs,
      BigInt(from.getUint32(L.R_FLAGS, true)),
      from.getBigUint64(L.R_GPR + 32, true),
      BigInt(from.getUint16(L.R_SELECTORS + 8, true) || L.USER_DS),
    ];
  }

  private loadFrame(from: DataView): void {
    const { view, bytes } = this;
    const long = this.isLong;
    const frame = this.frameOf(from);
    if (this.mode === 'v86') view.setBigUint64(S.S_CR4, this.fresh.cr4 | V86.controls(from), true);
    const size = long ? 8 : 4;
    const stack = STACK - frame.length * size;
    const memory = new DataView(this.ram.buffer, this.ram.byteOffset + stack);
    frame.forEach((value, i) => {
      if (long) memory.setBigUint64(i * 8, value, true);
      else memory.setUint32(i * 4, Number(value & 0xffffffffn), true);
    });
    view.setBigUint64(S.S_GPR + 32, BigInt(stack), true);
    view.setBigUint64(S.S_RIP, BigInt(this.entry), true);
    const low = new DataView(this.ram.buffer, this.ram.byteOffset);
    if (hasTable(this.mode)) for (let i = 0; i < 8; i += 2) low.setUint16(SELECTORS + i, from.getUint16(L.R_SELECTORS + i, true), true);
    view.setUint32(S.S_HALTED, 0, true);
    view.setUint32(S.S_INT_SHADOW, 0, true);
    view.setBigUint64(S.S_CR2, 0n, true);
    view.setBigUint64(S.S_DR + 48, 0xffff0ff0n, true);
    for (const i of [S.SEG_ES, S.SEG_DS, S.SEG_FS, S.SEG_GS]) {
      const at = i * S.SEG_STRIDE;
      bytes.set(this.segments.subarray(at, at + S.SEG_STRIDE), S.S_SEG + at);
    }
    view.setBigUint64(S.S_SEG + S.SEG_FS * S.SEG_STRIDE + S.SEG_BASE, from.getBigUint64(L.R_FS, true), true);
    view.setBigUint64(S.S_SEG + S.SEG_GS * S.SEG_STRIDE + S.SEG_BASE, from.getBigUint64(L.R_GS, true), true);
  }

  private store(result: Uint8Array, to: DataView, exit: string): void {
    const { view, bytes } = this;
    const long = this.isLong;
    result.set(bytes.subarray(S.S_GPR, S.S_GPR + 128), L.R_GPR);
    const rip = view.getUint32(S.S_RIP, true);
    const handled = rip > HANDLERS && rip <= HANDLERS + 0x1000;
    const vector = handled ? (rip - 1 - HANDLERS) >> 4 : L.END_HALT;
    if (isSystem(this.mode)) {
      // The rest is in systemState().
      to.setUint32(L.R_VECTOR, exit === 'halt' ? vector : exit === 'shutdown' ? L.END_SHUTDOWN : L.END_BUDGET, true);
    } else if (exit !== 'halt') to.setUint32(L.R_VECTOR, exit === 'shutdown' ? L.END_SHUTDOWN : L.END_BUDGET, true);
    else {
      to.setUint32(L.R_VECTOR, vector, true);
      let stack = view.getUint32(S.S_GPR + 32, true);
      const memory = new DataView(this.ram.buffer, this.ram.byteOffset);
      const size = long ? 8 : 4;
      const next = (): bigint => {
        const value = long ? memory.getBigUint64(stack, true) : BigInt(memory.getUint32(stack, true));
        stack += size;
        return value;
      };
      to.setUint32(L.R_ERROR, WITH_ERROR.has(vector) ? Number(next() & 0xffffffffn) : 0, true);
      to.setBigUint64(L.R_RIP, next(), true);
      const cs = Number(next() & 0xffffn);
      const narrow = cs === (this.mode === 'v86' ? V86.CS : USER_CS16);
      to.setUint32(L.R_MODE, cs === L.USER_CS64 ? 64 : cs === L.USER_CS32 ? 32 : narrow ? 16 : cs, true);
      if (narrow) to.setBigUint64(L.R_RIP, to.getBigUint64(L.R_RIP, true) + BigInt(L.CODE16_BASE), true);
      to.setUint32(L.R_FLAGS, Number(next() & 0xffffffffn), true);
      to.setBigUint64(L.R_GPR + 32, next(), true);
      if (hasTable(this.mode))
        [S.SEG_DS, S.SEG_ES, S.SEG_FS, S.SEG_GS].forEach((segment, i) => {
          to.setUint16(L.R_SELECTORS + 2 * i, view.getUint16(S.S_SEG + segment * S.SEG_STRIDE + S.SEG_SELECTOR, true), true);
        });
      if (hasTable(this.mode)) to.setUint16(L.R_SELECTORS + 8, Number(next() & 0xffffn), true);
      if (this.mode === 'v86') V86.storeSegments(to, next);
    }
    const cr2 = vector === 14 ? view.getBigUint64(S.S_CR2, true) : 0n;
    to.setBigUint64(L.R_CR2, this.mode === 'v86' ? V86.hostAddress(cr2) : cr2, true);
    if (this.mode !== 'v86') {
      to.setBigUint64(L.R_FS, view.getBigUint64(S.S_SEG + S.SEG_FS * S.SEG_STRIDE + S.SEG_BASE, true), true);
      to.setBigUint64(L.R_GS, view.getBigUint64(S.S_SEG + S.SEG_GS * S.SEG_STRIDE + S.SEG_BASE, true), true);
    }
    storeFloating(bytes, view, result, to);
    this.storeMemory(result, to);
  }

  /** Code and windows as they are now, and the first address elsewhere that changed. `result` is a copy of the case. */
  private storeMemory(result: Uint8Array, to: DataView): void {
    let stray = 0;
    let at = L.R_DATA;
    for (const [address, size] of L.WINDOWS) {
      result.set(this.ram.subarray(physical(address), physical(address) + size), at);
      at += size;
    }
    for (const [address, size] of GAPS) {
      const have = this.ram.subarray(physical(address), physical(address) + size);
      if (stray || Buffer.compare(have, PLAIN.subarray(0, size)) === 0) continue;
      stray = address + have.findIndex((byte) => byte !== L.BACKGROUND);
    }
    const code = to.getUint32(L.R_CODE_AT, true);
    const code2 = to.getUint32(L.R_CODE2_AT, true);
    for (const [i, page] of L.CODE_PAGES.entries()) {
      const have = this.ram.subarray(page, page + L.PAGE);
      const want = this.codeImage.subarray(i * L.PAGE, (i + 1) * L.PAGE);
      if (Buffer.compare(have, want) === 0) continue;
      for (let k = 0; k < L.PAGE; k++) {
        if (have[k] === want[k]) continue;
        const address = page + k;
        if (address >= code && address < code + L.CODE_SIZE) result[L.R_CODE + address - code] = have[k]!;
        else if (address >= code2 && address < code2 + L.CODE2_SIZE) result[L.R_CODE2 + address - code2] = have[k]!;
        else stray ||= address;
      }
    }
    to.setBigUint64(L.R_STRAY, BigInt(stray), true);
  }
}
