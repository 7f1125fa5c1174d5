/**
 * What an accelerator counts about itself, for `--profile`, `hypervue profile` and the tests that bound translation overhead. Every number
 * counts from the creation of the accelerator; the profiler subtracts one sample from the other. Plain data: it crosses threads as it is.
 */

import type { RegionExits } from './jit/regioncounters.ts';

/** Code mode of a region: 16-bit, 32-bit or 64-bit code segment. */
export type CodeBits = 16 | 32 | 64;

/** One stretch of guest code that cost much time. */
export interface HotRegion {
  /** Linear address of its first instruction, as a whole number below 2^64 in hexadecimal with 0x. */
  address: string;
  /** Guest-physical address of the same byte where it is known. */
  physical?: number;
  bits: CodeBits;
  /** Guest instructions executed in it; an estimate where `sampled` says so. */
  instructions: number;
  /** Times it was entered, or samples that found the CPU in it. */
  entries: number;
  /** Why control left it, where each region counts for itself. */
  exits?: RegionExits;
  /** Bytes of guest code. */
  bytes: number;
  /** True when the numbers come from sampling the instruction pointer. */
  sampled: boolean;
  /** Disassembly of its first instructions, where somebody added it. */
  code?: string[];
  /** The WebAssembly made of it beside its guest code, where somebody asked for it. */
  generated?: string[];
  /** `interpreter` or the recompiler's tier. */
  tier: 'interpreter' | 'compiled';
}

export interface AcceleratorStatistics {
  /** `interpreter`, `recompiler`, `kvm`. */
  accelerator: string;
  /** Guest instructions retired. */
  instructions: number;
  /** Of those, executed by the interpreter. */
  interpretedInstructions: number;
  regions: {
    compiled: number;
    alive: number;
    /** Thrown out to make room. */
    evicted: number;
    /** Thrown out because their guest code changed. */
    invalidated: number;
  };
  compile: {
    /** Modules made; one holds one or more regions. */
    modules: number;
    /** Milliseconds the machine thread spent (translation, instantiation) and, apart from it, other threads. */
    totalMs: number;
    maxMs: number;
    offThreadMs: number;
  };
  /** Bytes of WebAssembly made, and of those still alive. */
  generatedBytes: number;
  generatedBytesAlive: number;
  /** Why control left compiled code or the run loop, by a short name (`budget`, `halt`, `interrupt`, `fault`, `uncompiled`, ...). */
  exits: { [cause: string]: number };
  /** Slow translations: accesses that missed the software TLB and walked page tables, by kind. */
  tlb: { readMisses: number; writeMisses: number; fetchMisses: number; flushes: number };
  /** Exceptions raised by instructions, by vector number. */
  faults: { [vector: string]: number };
  /** Interrupts taken from the interrupt controllers, and non-maskable ones. */
  interrupts: number;
  nmis: number;
  /** Pages of decoded or compiled code dropped because they were written or their room was wanted. */
  codePagesDropped: number;
  /** The hottest first. */
  hottest: HotRegion[];
}

/** Accesses to one port, or to the device registers at one guest-physical doubleword. */
export interface AccessCount {
  address: number;
  reads: number;
  writes: number;
}

/** Where the time of a guest goes: the processor's numbers and the machine's. */
export interface GuestProfile {
  statistics: AcceleratorStatistics;
  /** The busiest first. Counted from the first profile that anybody asked for. */
  ports: AccessCount[];
  mmio: AccessCount[];
  /** Seconds the machine ran, by its own clock, and of those how long it slept in HLT. */
  seconds: number;
  haltedSeconds: number;
}

export function emptyStatistics(accelerator: string): AcceleratorStatistics {
  return {
    accelerator,
    instructions: 0,
    interpretedInstructions: 0,
    regions: { compiled: 0, alive: 0, evicted: 0, invalidated: 0 },
    compile: { modules: 0, totalMs: 0, maxMs: 0, offThreadMs: 0 },
    generatedBytes: 0,
    generatedBytesAlive: 0,
    exits: {},
    tlb: { readMisses: 0, writeMisses: 0, fetchMisses: 0, flushes: 0 },
    faults: {},
    interrupts: 0,
    nmis: 0,
    codePagesDropped: 0,
    hottest: [],
  };
}
