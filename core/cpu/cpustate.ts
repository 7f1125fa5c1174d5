import type { CpuModel } from '../contract/cpumodels.ts';

/** Hidden part and selector of a segment register. `attributes` are descriptor bits 40..47 and 52..55 as in a VMCS-like word: type|S|DPL|P in bits 0..7, AVL|L|D|G in bits 12..15. */
export interface SegmentState {
  selector: number;
  base: bigint;
  /** Byte-granular limit, after G was applied. */
  limit: number;
  attributes: number;
}

/**
 * Architectural state of one x86 processor, the same for every accelerator, so that a snapshot taken on one resumes on another.
 * 64-bit quantities are bigint; Intel SDM volume 1 section 3.4 and volume 3 chapter 2.
 */
export interface CpuState {
  version: 2;
  /** What CPUID tells and which instructions exist. */
  model: CpuModel;
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15. */
  gpr: bigint[];
  rip: bigint;
  rflags: bigint;
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  cr8: bigint;
  efer: bigint;
  xcr0: bigint;
  /** DR0..DR3, DR6, DR7. */
  dr: bigint[];
  segments: {
    es: SegmentState;
    cs: SegmentState;
    ss: SegmentState;
    ds: SegmentState;
    fs: SegmentState;
    gs: SegmentState;
    ldtr: SegmentState;
    tr: SegmentState;
  };
  gdtr: { base: bigint; limit: number };
  idtr: { base: bigint; limit: number };
  /** MSRs by number, except those with a field above. */
  msrs: { [number: string]: bigint };
  fpu: {
    control: number;
    status: number;
    /** Abridged tag byte is not enough: the full 16-bit tag word. */
    tag: number;
    opcode: number;
    instructionPointer: bigint;
    instructionSelector: number;
    dataPointer: bigint;
    dataSelector: number;
    /** R0..R7 in physical order, 10 bytes each, little-endian (80 bytes). */
    registers: Uint8Array;
  };
  mxcsr: number;
  /** XMM0..XMM15: 16 bytes each, low register first. */
  xmm: Uint8Array;
  /** Upper halves of YMM0..YMM15, likewise. */
  ymmHigh: Uint8Array;
  /** Waiting in HLT. */
  halted: boolean;
  /** STI or MOV SS shadow: interrupts are held for one instruction. */
  interruptShadow: boolean;
  nmiBlocked: boolean;
  nmiPending: boolean;
  a20: boolean;
  /** Time stamp counter at save time. */
  tsc: bigint;
}

/** Version 1: a 32-bit processor without a model and without YMM registers. */
export type CpuStateV1 = Omit<CpuState, 'version' | 'model' | 'ymmHigh'> & { version: 1 };

/** The state in the present version. */
export function migrateCpuState(state: CpuState | CpuStateV1): CpuState {
  if (state.version === 2) return state;
  return { ...state, version: 2, model: 'i686', ymmHigh: new Uint8Array(256) };
}

const EFER_LMA = 0x400n;
/** Segment attributes: L (64-bit code) and D/B (32-bit). */
const ATTR_L = 0x2000;
const ATTR_DB = 0x4000;

/** Width of the code that runs: 64-bit, 32-bit or 16-bit. The hidden part of CS decides, in every mode. */
export function codeBits(state: CpuState): 16 | 32 | 64 {
  const { attributes } = state.segments.cs;
  if (state.efer & EFER_LMA && attributes & ATTR_L) return 64;
  return attributes & ATTR_DB ? 32 : 16;
}

/** Linear address of the next instruction. */
export function codeLinear(state: CpuState): bigint {
  return codeBits(state) === 64 ? state.rip : (state.segments.cs.base + state.rip) & 0xffff_ffffn;
}
