/** Processor reset (SDM volume 3 table 10-1) and the rebuilding of private caches after a state was put in place. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { CPU_SIGNATURE } from './cpuid';
import { DR6_ONES, updateDebug } from './debug';
import { fpuReset } from './fpu/fpu';
import { setEflags } from './flags';
import { resetMsrs } from './msr';
import { cr0, cr4, reloadPdptes } from './paging';
import { rebuildMode, setSegment } from './seg';
import { setGpr64 } from './state';
import {
  S_CR0,
  S_CR2,
  S_CR3,
  S_CR4,
  S_CR8,
  S_DR,
  S_EFER,
  S_EFLAGS,
  S_EXIT,
  S_EXIT_REASON,
  S_FAULT_VECTOR,
  S_GDTR_BASE,
  S_GDTR_LIMIT,
  S_HALTED,
  S_IDTR_BASE,
  S_IDTR_LIMIT,
  S_INT_SHADOW,
  S_NMI_BLOCKED,
  S_NMI_PENDING,
  S_RIP,
  S_SCRATCH_SYSTEM,
  S_XCR0,
  SEG_CS,
  SEG_ES,
  SEG_GS,
  SEG_LDTR,
  SEG_TR,
} from './stateoffsets';
import { CR0_CD, CR0_ET, CR0_NW, CR0_PG, CR4_PAE, EFER_LMA, SY_TLB_GEN } from './sysstate';
import { tlbInit } from './tlb';

export const RESET_HARD: u32 = 0;
export const RESET_INIT: u32 = 1;

// @ts-ignore: decorator
@inline
function word(offset: usize, v: u32): void {
  store<u32>(CPU_STATE_BASE + offset, v);
}
// @ts-ignore: decorator
@inline
function quad(offset: usize, v: u64): void {
  store<u64>(CPU_STATE_BASE + offset, v);
}

/** `kind` RESET_*. INIT keeps x87, MMX, SSE, XCR0, MSRs but EFER, MTRRs and the cache bits of CR0. */
export function cpuReset(kind: u32): void {
  for (let i = 0; i < 16; i++) setGpr64(i, 0);
  setGpr64(2, <u64>CPU_SIGNATURE);
  word(S_EFLAGS, 2);
  setEflags(2, 0xffffffff);
  quad(S_RIP, 0xfff0);
  const cache = kind == RESET_INIT ? load<u64>(CPU_STATE_BASE + S_CR0) & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;
  quad(S_CR0, cache | CR0_ET);
  quad(S_CR2, 0);
  quad(S_CR3, 0);
  quad(S_CR4, 0);
  quad(S_CR8, 0);
  quad(S_EFER, 0);
  for (let i: usize = 0; i < 8; i++) quad(S_DR + (i << 3), 0);
  quad(S_DR + 48, <u64>DR6_ONES);
  quad(S_DR + 56, 0x400);
  quad(S_GDTR_BASE, 0);
  word(S_GDTR_LIMIT, 0xffff);
  quad(S_IDTR_BASE, 0);
  word(S_IDTR_LIMIT, 0xffff);
  for (let seg = SEG_ES; seg <= SEG_GS; seg++) setSegment(seg, 0, 0, 0xffff, 0x93);
  setSegment(SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x93);
  setSegment(SEG_LDTR, 0, 0, 0xffff, 0x82);
  setSegment(SEG_TR, 0, 0, 0xffff, 0x8b);
  word(S_HALTED, 0);
  word(S_NMI_PENDING, 0);
  word(S_NMI_BLOCKED, 0);
  word(S_INT_SHADOW, 0);
  word(S_EXIT, 0);
  word(S_EXIT_REASON, 0);
  memory.fill(CPU_STATE_BASE + S_FAULT_VECTOR, 0, 24);
  if (kind == RESET_HARD) {
    resetMsrs();
    fpuReset();
    quad(S_XCR0, 1);
  }
  refreshState();
}

/** Rebuilds everything private from the architectural state: after cpuReset() and after a snapshot was restored. */
export function refreshState(): void {
  const generation = load<u32>(CPU_STATE_BASE + SY_TLB_GEN);
  memory.fill(CPU_STATE_BASE + S_SCRATCH_SYSTEM, 0, 0x400);
  // The generation only ever grows: caches that live through a reset compare with it.
  word(SY_TLB_GEN, generation);
  tlbInit();
  rebuildMode();
  updateDebug();
  if (cr0() & CR0_PG && cr4() & CR4_PAE && !(load<u64>(CPU_STATE_BASE + S_EFER) & EFER_LMA)) reloadPdptes();
}
