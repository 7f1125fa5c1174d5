/**
 * CpuState <-> the state block in shared memory (wasm/stateoffsets.ts). Flags go through the module's getEflags/setEflags because the
 * arithmetic ones are lazy there.
 */
import type { CpuModel } from '../../contract/cpumodels.ts';
import { CPU_STATE_BASE, CPU_STATE_SIZE } from '../../memory/layout.ts';
import { type CpuState, type CpuStateV1, migrateCpuState, type SegmentState } from '../cpustate.ts';
import { featureWord } from '../models.ts';
import * as O from './wasm/stateoffsets.ts';

/** MSR number -> offset in the state block. Those with a CpuState field of their own (EFER, TSC) are not here. */
const MSR_SLOTS: readonly (readonly [number, number])[] = [
  [0x1b, O.S_MSR_APIC_BASE],
  // Offsets within S_MSR_MISC: wasm/msr.ts.
  [0x8b, O.S_MSR_MISC],
  [0x2a, O.S_MSR_MISC + 8],
  [0x3a, O.S_MSR_MISC + 16],
  [0x119, O.S_MSR_MISC + 24],
  [0x3b, O.S_MSR_MISC + 32],
  [0x174, O.S_MSR_SYSENTER_CS],
  [0x175, O.S_MSR_SYSENTER_ESP],
  [0x176, O.S_MSR_SYSENTER_EIP],
  [0x1a0, O.S_MSR_MISC_ENABLE],
  [0x277, O.S_MSR_PAT],
  [0x2ff, O.S_MSR_MTRR_DEF_TYPE],
  [0xc0000081, O.S_MSR_STAR],
  [0xc0000082, O.S_MSR_LSTAR],
  [0xc0000083, O.S_MSR_CSTAR],
  [0xc0000084, O.S_MSR_FMASK],
  [0xc0000102, O.S_MSR_KERNEL_GS_BASE],
  [0xc0000103, O.S_MSR_TSC_AUX],
  // Fixed-range MTRRs in ascending order, then eight base/mask pairs.
  ...[0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f].map(
    (msr, i) => [msr, O.S_MSR_MTRR_FIXED + i * 8] as const,
  ),
  ...Array.from({ length: 16 }, (_, i) => [0x200 + i, O.S_MSR_MTRR_VAR + i * 8] as const),
];

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const XMM_COUNT = 16;

/** What the module contributes: the lazy flags. */
export interface FlagAccess {
  getEflags(): number;
  setEflags(value: number, mask: number): void;
}

export class StateBlock {
  readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly flags: FlagAccess;
  private model: CpuModel = 'i686';

  constructor(memory: WebAssembly.Memory, flags: FlagAccess) {
    this.view = new DataView(memory.buffer, CPU_STATE_BASE, CPU_STATE_SIZE);
    this.bytes = new Uint8Array(memory.buffer, CPU_STATE_BASE, CPU_STATE_SIZE);
    this.flags = flags;
  }

  u32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  setU32(offset: number, value: number): void {
    this.view.setUint32(offset, value, true);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  setU64(offset: number, value: bigint): void {
    this.view.setBigUint64(offset, value, true);
  }

  /** Decides what CPUID tells and which instructions exist. */
  setModel(model: CpuModel): void {
    this.model = model;
    this.setU64(O.S_FEATURES, featureWord(model));
  }

  /** `tsc` is the host side's counter; the guest's is that plus an offset. */
  read(tsc: number): CpuState {
    const v = this.view;
    const registers = new Uint8Array(80);
    for (let i = 0; i < 8; i++) registers.set(this.bytes.slice(O.S_FPU_ST + i * 16, O.S_FPU_ST + i * 16 + 10), i * 10);
    const xmm = new Uint8Array(XMM_COUNT * 16);
    const ymmHigh = new Uint8Array(XMM_COUNT * 16);
    for (let i = 0; i < XMM_COUNT; i++) {
      const at = O.S_XMM + i * O.XMM_STRIDE;
      xmm.set(this.bytes.slice(at, at + 16), i * 16);
      ymmHigh.set(this.bytes.slice(at + 16, at + 32), i * 16);
    }
    const msrs: { [number: string]: bigint } = {};
    for (const [msr, offset] of MSR_SLOTS) msrs[`${msr}`] = this.u64(offset);
    return {
      version: 2,
      model: this.model,
      gpr: Array.from({ length: 16 }, (_, i) => this.u64(O.S_GPR + i * 8)),
      rip: this.u64(O.S_RIP),
      rflags: BigInt(this.flags.getEflags() >>> 0),
      cr0: this.u64(O.S_CR0),
      cr2: this.u64(O.S_CR2),
      cr3: this.u64(O.S_CR3),
      cr4: this.u64(O.S_CR4),
      cr8: this.u64(O.S_CR8),
      efer: this.u64(O.S_EFER),
      xcr0: this.u64(O.S_XCR0),
      dr: [0, 1, 2, 3, 6, 7].map((i) => this.u64(O.S_DR + i * 8)),
      segments: Object.fromEntries(SEGMENTS.map((name, i) => [name, this.segment(i)])) as CpuState['segments'],
      gdtr: { base: this.u64(O.S_GDTR_BASE), limit: this.u32(O.S_GDTR_LIMIT) },
      idtr: { base: this.u64(O.S_IDTR_BASE), limit: this.u32(O.S_IDTR_LIMIT) },
      msrs,
      fpu: {
        control: v.getUint16(O.S_FPU_CW, true),
        status: v.getUint16(O.S_FPU_SW, true),
        tag: v.getUint16(O.S_FPU_TW, true),
        opcode: v.getUint16(O.S_FPU_FOP, true),
        instructionPointer: this.u64(O.S_FPU_FIP),
        instructionSelector: v.getUint16(O.S_FPU_FCS, true),
        dataPointer: this.u64(O.S_FPU_FDP),
        dataSelector: v.getUint16(O.S_FPU_FDS, true),
        registers,
      },
      mxcsr: this.u32(O.S_MXCSR),
      xmm,
      ymmHigh,
      halted: this.u32(O.S_HALTED) !== 0,
      interruptShadow: this.u32(O.S_INT_SHADOW) !== 0,
      nmiBlocked: this.u32(O.S_NMI_BLOCKED) !== 0,
      nmiPending: this.u32(O.S_NMI_PENDING) !== 0,
      a20: this.u32(O.S_A20_MASK) === 0xffffffff,
      tsc: BigInt.asUintN(64, BigInt(Math.floor(tsc)) + this.u64(O.S_MSR_TSC_OFFSET)),
    };
  }

  /** The caller makes the module rebuild what it derives from the state afterwards. */
  write(saved: CpuState | CpuStateV1, tsc: number): void {
    const v = this.view;
    const state = migrateCpuState(saved);
    this.setModel(state.model);
    state.gpr.forEach((value, i) => {
      if (i < 16) this.setU64(O.S_GPR + i * 8, value);
    });
    this.setU64(O.S_RIP, state.rip);
    this.flags.setEflags(Number(state.rflags & 0xffffffffn) | 0, -1);
    this.setU64(O.S_CR0, state.cr0);
    this.setU64(O.S_CR2, state.cr2);
    this.setU64(O.S_CR3, state.cr3);
    this.setU64(O.S_CR4, state.cr4);
    this.setU64(O.S_CR8, state.cr8);
    this.setU64(O.S_EFER, state.efer);
    this.setU64(O.S_XCR0, state.xcr0);
    [0, 1, 2, 3, 6, 7].forEach((n, i) => {
      this.setU64(O.S_DR + n * 8, state.dr[i] ?? 0n);
    });
    SEGMENTS.forEach((name, i) => {
      this.setSegment(i, state.segments[name]);
    });
    this.setU64(O.S_GDTR_BASE, state.gdtr.base);
    this.setU32(O.S_GDTR_LIMIT, state.gdtr.limit);
    this.setU64(O.S_IDTR_BASE, state.idtr.base);
    this.setU32(O.S_IDTR_LIMIT, state.idtr.limit);
    for (const [msr, offset] of MSR_SLOTS) this.setU64(offset, state.msrs[`${msr}`] ?? 0n);
    v.setUint16(O.S_FPU_CW, state.fpu.control, true);
    v.setUint16(O.S_FPU_SW, state.fpu.status, true);
    v.setUint16(O.S_FPU_TW, state.fpu.tag, true);
    v.setUint16(O.S_FPU_FOP, state.fpu.opcode, true);
    this.setU64(O.S_FPU_FIP, state.fpu.instructionPointer);
    v.setUint16(O.S_FPU_FCS, state.fpu.instructionSelector, true);
    this.setU64(O.S_FPU_FDP, state.fpu.dataPointer);
    v.setUint16(O.S_FPU_FDS, state.fpu.dataSelector, true);
    for (let i = 0; i < 8; i++) this.bytes.set(state.fpu.registers.subarray(i * 10, i * 10 + 10), O.S_FPU_ST + i * 16);
    this.setU32(O.S_MXCSR, state.mxcsr);
    for (let i = 0; i < XMM_COUNT; i++) {
      const at = O.S_XMM + i * O.XMM_STRIDE;
      this.bytes.set(state.xmm.subarray(i * 16, i * 16 + 16), at);
      this.bytes.set(state.ymmHigh.subarray(i * 16, i * 16 + 16), at + 16);
    }
    this.setU32(O.S_HALTED, state.halted ? 1 : 0);
    this.setU32(O.S_INT_SHADOW, state.interruptShadow ? 1 : 0);
    this.setU32(O.S_NMI_BLOCKED, state.nmiBlocked ? 1 : 0);
    this.setU32(O.S_NMI_PENDING, state.nmiPending ? 1 : 0);
    this.setU32(O.S_A20_MASK, state.a20 ? 0xffffffff : 0xffefffff);
    this.setU64(O.S_MSR_TSC_OFFSET, BigInt.asUintN(64, state.tsc - BigInt(Math.floor(tsc))));
  }

  private segment(index: number): SegmentState {
    const at = O.S_SEG + index * O.SEG_STRIDE;
    return {
      selector: this.view.getUint16(at + O.SEG_SELECTOR, true),
      base: this.u64(at + O.SEG_BASE),
      limit: this.u32(at + O.SEG_LIMIT),
      attributes: this.u32(at + O.SEG_ATTR),
    };
  }

  private setSegment(index: number, segment: SegmentState): void {
    const at = O.S_SEG + index * O.SEG_STRIDE;
    this.view.setUint16(at + O.SEG_SELECTOR, segment.selector, true);
    this.setU64(at + O.SEG_BASE, segment.base);
    this.setU32(at + O.SEG_LIMIT, segment.limit);
    this.setU32(at + O.SEG_ATTR, segment.attributes);
  }
}
