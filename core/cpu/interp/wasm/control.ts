/** Control registers: what writing them checks and causes (SDM volume 3 section 2.5; volume 2, MOV CRn, LMSW). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { updateDebug } from './debug';
import { raiseFault, raiseFaultErr } from './fault';
import { cr0, cr4, loadPdptes } from './paging';
import { updateMode } from './seg';
import { S_CR0, S_CR2, S_CR3, S_CR4, VEC_GP, VEC_UD } from './stateoffsets';
import {
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_DE,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_PAE,
  CR4_PCE,
  CR4_PGE,
  CR4_PSE,
  CR4_TSD,
} from './sysstate';
import { tlbFlushAll, tlbFlushLocal } from './tlb';

const CR0_KNOWN: u64 = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
const CR4_KNOWN: u64 = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

// @ts-ignore: decorator
@inline
export function cr3(): u64 {
  return load<u64>(CPU_STATE_BASE + S_CR3);
}

export function readCr(n: u32): u32 {
  switch (n) {
    case 0:
      return <u32>cr0();
    case 2:
      return load<u32>(CPU_STATE_BASE + S_CR2);
    case 3:
      return <u32>cr3();
    case 4:
      return <u32>cr4();
  }
  raiseFault(VEC_UD);
  return 0;
}

export function writeCr(n: u32, v: u32): void {
  switch (n) {
    case 0:
      writeCr0(<u64>v);
      return;
    case 2:
      store<u64>(CPU_STATE_BASE + S_CR2, <u64>v);
      return;
    case 3:
      writeCr3(<u64>v);
      return;
    case 4:
      writeCr4(<u64>v);
      return;
  }
  raiseFault(VEC_UD);
}

export function writeCr0(v: u64): void {
  if ((v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD))) raiseFaultErr(VEC_GP, 0);
  const next = (v & CR0_KNOWN) | CR0_ET;
  const changed = next ^ cr0();
  if (next & CR0_PG && cr4() & CR4_PAE && changed & (CR0_PG | CR0_CD | CR0_NW)) loadPdptes(cr3());
  store<u64>(CPU_STATE_BASE + S_CR0, next);
  if (changed & (CR0_PG | CR0_WP | CR0_PE)) tlbFlushAll();
  if (changed & (CR0_PE | CR0_AM)) updateMode();
}

export function writeCr3(v: u64): void {
  if (cr0() & CR0_PG && cr4() & CR4_PAE) loadPdptes(v);
  store<u64>(CPU_STATE_BASE + S_CR3, v);
  tlbFlushLocal();
}

export function writeCr4(v: u64): void {
  if (v & ~CR4_KNOWN) raiseFaultErr(VEC_GP, 0);
  const changed = v ^ cr4();
  if (v & CR4_PAE && cr0() & CR0_PG && changed & (CR4_PAE | CR4_PGE | CR4_PSE)) loadPdptes(cr3());
  store<u64>(CPU_STATE_BASE + S_CR4, v);
  if (changed & (CR4_PAE | CR4_PGE | CR4_PSE)) tlbFlushAll();
  if (changed & CR4_DE) updateDebug();
}
