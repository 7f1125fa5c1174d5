/** Control registers: what writing them checks and causes (SDM volume 3 section 2.5; volume 2, MOV CRn, LMSW). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { updateDebug } from './debug';
import { raiseFault, raiseFaultErr } from './fault';
import { FEAT_FSGSBASE, FEAT_LM, FEAT_PCID, FEAT_SMAP, FEAT_SMEP, FEAT_UMIP, FEAT_XSAVE } from './features';
import { mmioRead, mmioWrite } from './imports';
import { hasFeature, physReserved } from './model';
import { cr0, cr4, loadPdptes } from './paging';
import { ATTR_L, code64, longMode, segAttr, updateLongMode, updateMode, updateUserOpen } from './seg';
import { S_CR0, S_CR2, S_CR3, S_CR4, S_CR8, S_EFER, S_MSR_APIC_BASE, SEG_CS, VEC_GP, VEC_UD } from './stateoffsets';
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
  CR4_FSGSBASE,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PSE,
  CR4_PVI,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  CR4_VME,
  EFER_LMA,
  EFER_LME,
} from './sysstate';
import { tlbFlushAll, tlbFlushLocal } from './tlb';
import { tlbSwitchSpace } from './tlbspaces';

const CR0_KNOWN: u64 = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
const CR4_KNOWN: u64 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

// @ts-ignore: decorator
@inline
export function cr3(): u64 {
  return load<u64>(CPU_STATE_BASE + S_CR3);
}

/** CR4 bits of this CPU model. */
function cr4Known(): u64 {
  return (
    CR4_KNOWN |
    (hasFeature(FEAT_UMIP) ? CR4_UMIP : 0) |
    (hasFeature(FEAT_FSGSBASE) ? CR4_FSGSBASE : 0) |
    (hasFeature(FEAT_PCID) ? CR4_PCIDE : 0) |
    (hasFeature(FEAT_XSAVE) ? CR4_OSXSAVE : 0) |
    (hasFeature(FEAT_SMEP) ? CR4_SMEP : 0) |
    (hasFeature(FEAT_SMAP) ? CR4_SMAP : 0)
  );
}

/** #UD for a register that does not exist; `n` includes REX.R. */
export function readCr(n: u32): u64 {
  switch (n) {
    case 0:
      return cr0();
    case 2:
      return load<u64>(CPU_STATE_BASE + S_CR2);
    case 3:
      return cr3();
    case 4:
      return cr4();
    case 8:
      if (hasFeature(FEAT_LM)) return readCr8();
  }
  raiseFault(VEC_UD);
  return 0;
}

export function writeCr(n: u32, v: u64): void {
  switch (n) {
    case 0:
      writeCr0(v);
      return;
    case 2:
      store<u64>(CPU_STATE_BASE + S_CR2, v);
      return;
    case 3:
      writeCr3(v);
      return;
    case 4:
      writeCr4(v);
      return;
    case 8:
      if (hasFeature(FEAT_LM)) {
        writeCr8(v);
        return;
      }
  }
  raiseFault(VEC_UD);
}

/** CR8 is bits 7..4 of the task-priority register of the local APIC, while that is on (SDM volume 3 section 10.8.6). */
const APIC_ENABLE: u64 = 0x800;
const APIC_TPR: u64 = 0x80;

function readCr8(): u64 {
  const base = load<u64>(CPU_STATE_BASE + S_MSR_APIC_BASE);
  if (!(base & APIC_ENABLE)) return load<u64>(CPU_STATE_BASE + S_CR8);
  return <u64>((mmioRead(<f64>((base & ~(<u64>0xfff)) + APIC_TPR), 4) >> 4) & 15);
}

function writeCr8(v: u64): void {
  if (v & ~(<u64>15)) raiseFaultErr(VEC_GP, 0);
  const base = load<u64>(CPU_STATE_BASE + S_MSR_APIC_BASE);
  if (base & APIC_ENABLE) mmioWrite(<f64>((base & ~(<u64>0xfff)) + APIC_TPR), <u32>v << 4, 4);
  store<u64>(CPU_STATE_BASE + S_CR8, v);
}

export function writeCr0(v: u64): void {
  if ((v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)) || v >> 32) raiseFaultErr(VEC_GP, 0);
  const next = (v & CR0_KNOWN) | CR0_ET;
  const changed = next ^ cr0();
  const efer = load<u64>(CPU_STATE_BASE + S_EFER);
  const long = (next & CR0_PG) != 0 && (efer & EFER_LME) != 0;
  if (changed & CR0_PG) {
    // Into long mode with PAE and 16- or 32-bit code only, out of it from compatibility mode only (SDM volume 3 section 9.8.5).
    if (long && (!(cr4() & CR4_PAE) || segAttr(SEG_CS) & ATTR_L)) raiseFaultErr(VEC_GP, 0);
    if (!(next & CR0_PG) && (code64() || cr4() & CR4_PCIDE)) raiseFaultErr(VEC_GP, 0);
  }
  if (next & CR0_PG && !long && cr4() & CR4_PAE && changed & (CR0_PG | CR0_CD | CR0_NW)) loadPdptes(cr3());
  store<u64>(CPU_STATE_BASE + S_CR0, next);
  if (long != longMode()) {
    store<u64>(CPU_STATE_BASE + S_EFER, efer ^ EFER_LMA);
    updateLongMode();
  }
  if (changed & (CR0_PG | CR0_WP | CR0_PE)) tlbFlushAll();
  if (changed & (CR0_PE | CR0_AM)) updateMode();
}

/** CR3 bit 63 of a write: keep what the TLB holds of this address space. */
const CR3_NO_FLUSH: u64 = 0x8000000000000000;

export function writeCr3(value: u64): void {
  const spaces = (cr4() & CR4_PCIDE) != 0;
  const v = spaces ? value & ~CR3_NO_FLUSH : value;
  if (longMode()) {
    if (v & physReserved()) raiseFaultErr(VEC_GP, 0);
  } else if (cr0() & CR0_PG && cr4() & CR4_PAE) loadPdptes(v);
  const before = cr3();
  store<u64>(CPU_STATE_BASE + S_CR3, v);
  if (spaces) tlbSwitchSpace(<u32>before & 0xfff, <u32>v & 0xfff, (value & CR3_NO_FLUSH) != 0);
  else tlbFlushLocal();
}

export function writeCr4(v: u64): void {
  if (v & ~cr4Known()) raiseFaultErr(VEC_GP, 0);
  const changed = v ^ cr4();
  const long = longMode();
  if (long && !(v & CR4_PAE)) raiseFaultErr(VEC_GP, 0);
  if (changed & v & CR4_PCIDE && (!long || cr3() & 0xfff)) raiseFaultErr(VEC_GP, 0);
  if (!long && v & CR4_PAE && cr0() & CR0_PG && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) loadPdptes(cr3());
  store<u64>(CPU_STATE_BASE + S_CR4, v);
  if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE)) tlbFlushAll();
  if (changed & CR4_SMAP) updateUserOpen();
  if (changed & CR4_DE) updateDebug();
}
