/**
 * Linear to physical translation by page tables: none, 32-bit (with PSE and PSE-36), PAE and 4-level (both with execute-disable).
 * SDM volume 3 chapter 4. walk() is the only entrance.
 *
 * An access that is not allowed notes the page fault and gives NO_PAGE; the caller raises it.
 *
 * Accessed and dirty bits are written only once the whole translation is known to succeed, so a faulting access changes no memory.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE, DIRTY_MAP_BASE, PHYS_MAP_BASE, PM_READ, PM_ROM, PM_WRITE } from '../../../memory/layout';
import { invalidateCodePage } from './codecache';
import { notePageFault, raiseFaultErr } from './fault';
import { FEAT_PDPE1GB } from './features';
import { mmioRead, mmioWrite } from './imports';
import { hasFeature, physReserved } from './model';
import { S_A20_MASK, S_CR0, S_CR3, S_CR4, S_EFER, VEC_GP } from './stateoffsets';
import { CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_LMA, EFER_NXE, SY_PDPTE, SY_USER_OPEN } from './sysstate';
import { tlbNoteHuge, tlbNoteLarge } from './tlb';

export const ACCESS_READ: u32 = 0;
export const ACCESS_WRITE: u32 = 1;
export const ACCESS_FETCH: u32 = 2;

/** Page-fault error code bits, SDM volume 3 figure 4-12. */
const PF_P: u32 = 1;
const PF_W: u32 = 2;
const PF_U: u32 = 4;
const PF_RSVD: u32 = 8;
const PF_I: u32 = 16;

const PTE_P: u32 = 1;
const PTE_RW: u32 = 2;
const PTE_US: u32 = 4;
const PTE_A: u32 = 0x20;
const PTE_D: u32 = 0x40;
const PTE_PS: u32 = 0x80;
const PTE_G: u32 = 0x100;
const PTE_NX: u64 = 0x8000000000000000;

/** Physical address in a 64-bit entry; bits above the address width were found to be clear. */
const FRAME: u64 = 0x000ffffffffff000;
/** Bits 62..52 of a 64-bit entry: reserved in PAE paging, ignored in 4-level paging. */
const IGNORED: u64 = 0x7ff0000000000000;

/** walk() result: the page fault is in S_FAULT_*. No physical address has all bits set. */
export const NO_PAGE: u64 = 0xffff_ffff_ffff_ffff;

function noPage(lin: u64, error: u32): u64 {
  notePageFault(lin, error);
  return NO_PAGE;
}

/**
 * Results of the last walk(): the page may be written at this privilege and is already dirty; it survives CR3 writes; it is the user's, and the system
 * reaches it because SMAP lets it just now.
 */
export let walkWritable: bool = false;
export let walkGlobal: bool = false;
export let walkOpened: bool = false;
/** The access is to a system's table or task state: EFLAGS.AC does not open users' pages to it. */
let implicit: bool = false;

// @ts-ignore: decorator
@inline
export function cr0(): u64 {
  return load<u64>(CPU_STATE_BASE + S_CR0);
}
// @ts-ignore: decorator
@inline
export function cr4(): u64 {
  return load<u64>(CPU_STATE_BASE + S_CR4);
}

// @ts-ignore: decorator
@inline
export function maskA20(pa: u64): u64 {
  return pa & (0xffffffff00000000 | <u64>load<u32>(CPU_STATE_BASE + S_A20_MASK));
}

// @ts-ignore: decorator
@inline
export function physEntry(pa: u64): u32 {
  return pa >= 0x100000000 ? 0 : load<u32>(PHYS_MAP_BASE + ((<usize>pa >> 12) << 2));
}

/** Aligned physical read that bypasses translation (page tables). */
export function physRead32(address: u64): u32 {
  const pa = maskA20(address);
  const entry = physEntry(pa);
  if (entry & PM_READ) return load<u32>((entry & 0xfffff000) | (<usize>pa & 0xfff));
  return mmioRead(<f64>pa, 4);
}

export function physWrite32(address: u64, value: u32): void {
  const pa = maskA20(address);
  const entry = physEntry(pa);
  if (entry & PM_WRITE) {
    const host: usize = (entry & 0xfffff000) | (<usize>pa & 0xfff);
    store<u32>(host, value);
    store<u8>(DIRTY_MAP_BASE + (host >> 12), 0xff);
    if (load<u8>(CODE_MAP_BASE + (host >> 12))) invalidateCodePage(host);
  } else if (!(entry & PM_ROM)) mmioWrite(<f64>pa, value, 4);
}

// @ts-ignore: decorator
@inline
export function physRead64(address: u64): u64 {
  const pa = maskA20(address);
  const entry = physEntry(pa);
  if (entry & PM_READ) return load<u64>((entry & 0xfffff000) | (<usize>pa & 0xfff));
  return <u64>physRead32(address) | (<u64>physRead32(address + 4) << 32);
}

// @ts-ignore: decorator
@inline
function noExecute(): bool {
  return (load<u64>(CPU_STATE_BASE + S_EFER) & EFER_NXE) != 0;
}

/**
 * Physical address of the 4 KiB page that holds `lin`, for an access of kind ACCESS_* at user or supervisor privilege.
 * NO_PAGE when it faults. Sets walkWritable and walkGlobal.
 */
export function walk(lin: u64, access: u32, user: bool): u64 {
  walkOpened = false;
  if (!(cr0() & CR0_PG)) {
    walkWritable = true;
    walkGlobal = false;
    return lin & 0xfffffffffffff000;
  }
  if (load<u64>(CPU_STATE_BASE + S_EFER) & EFER_LMA) return walk4(lin, access, user);
  return cr4() & CR4_PAE ? walkPae(lin, access, user) : walk32(lin, access, user);
}

/** walk() for an access to a system's table or task state, whatever the CPL (SDM volume 3, 4.6). */
export function walkImplicit(lin: u64, access: u32): u64 {
  implicit = true;
  const page = walk(lin, access, false);
  implicit = false;
  return page;
}

/** `nx`: execute-disable is on, which together with SMEP decides whether fetches are told from reads. */
// @ts-ignore: decorator
@inline
function errorCode(access: u32, user: bool, nx: bool): u32 {
  return (access == ACCESS_WRITE ? PF_W : 0) | (user ? PF_U : 0) | (access == ACCESS_FETCH && (nx || cr4() & CR4_SMEP) ? PF_I : 0);
}

/** Common end: true when R/W and U/S bits (of all levels) allow the access. */
// @ts-ignore: decorator
@inline
function allowed(rights: u32, access: u32, user: bool): bool {
  if (user && !(rights & PTE_US)) return false;
  if (access == ACCESS_FETCH) return user || !(rights & PTE_US) || !(cr4() & CR4_SMEP);
  if (!user && rights & PTE_US && cr4() & CR4_SMAP) {
    if (implicit || !load<u32>(CPU_STATE_BASE + SY_USER_OPEN)) return false;
    walkOpened = true;
  }
  return access != ACCESS_WRITE || writeAllowed(rights, user);
}
// @ts-ignore: decorator
@inline
function writeAllowed(rights: u32, user: bool): bool {
  return (rights & PTE_RW) != 0 || (!user && !(cr0() & CR0_WP));
}

function walk32(lin: u64, access: u32, user: bool): u64 {
  const error = errorCode(access, user, false);
  const control = cr4();
  const pdeAddress = (load<u64>(CPU_STATE_BASE + S_CR3) & 0xfffff000) | (((lin >> 22) & 0x3ff) << 2);
  const pde = physRead32(pdeAddress);
  if (!(pde & PTE_P)) return noPage(lin, error);

  if (pde & PTE_PS && control & CR4_PSE) {
    // Bits 20..13 are physical bits 39..32; those beyond the address width, and bit 21, are reserved (SDM volume 3 table 4-4).
    const high = <u64>(pde & 0x001fe000) << 19;
    if (pde & 0x00200000 || high & physReserved()) return noPage(lin, error | PF_P | PF_RSVD);
    if (!allowed(pde, access, user)) return noPage(lin, error | PF_P);
    const next = pde | PTE_A | (access == ACCESS_WRITE ? PTE_D : 0);
    if (next != pde) physWrite32(pdeAddress, next);
    walkWritable = (next & PTE_D) != 0 && writeAllowed(pde, user);
    walkGlobal = (pde & PTE_G) != 0 && (control & CR4_PGE) != 0;
    tlbNoteLarge(lin);
    tlbNoteLarge(lin ^ 0x200000);
    return <u64>(pde & 0xffc00000) | high | (lin & 0x003ff000);
  }

  const pteAddress = <u64>(pde & 0xfffff000) | (((lin >> 12) & 0x3ff) << 2);
  const pte = physRead32(pteAddress);
  if (!(pte & PTE_P)) return noPage(lin, error);
  const rights = pde & pte;
  if (!allowed(rights, access, user)) return noPage(lin, error | PF_P);
  if (!(pde & PTE_A)) physWrite32(pdeAddress, pde | PTE_A);
  const next = pte | PTE_A | (access == ACCESS_WRITE ? PTE_D : 0);
  if (next != pte) physWrite32(pteAddress, next);
  walkWritable = (next & PTE_D) != 0 && writeAllowed(rights, user);
  walkGlobal = (pte & PTE_G) != 0 && (control & CR4_PGE) != 0;
  return <u64>(pte & 0xfffff000);
}

function walkPae(lin: u64, access: u32, user: bool): u64 {
  const nx = noExecute();
  const error = errorCode(access, user, nx);
  const reserved = (physReserved() & ~PTE_NX) | (nx ? 0 : PTE_NX);
  const pdpte = load<u64>(CPU_STATE_BASE + SY_PDPTE + ((<usize>(lin >> 30) & 3) << 3));
  if (!(<u32>pdpte & PTE_P)) return noPage(lin, error);

  const pdeAddress = (pdpte & FRAME) | (((lin >> 21) & 0x1ff) << 3);
  const pde = physRead64(pdeAddress);
  if (!(<u32>pde & PTE_P)) return noPage(lin, error);
  if (pde & reserved) return noPage(lin, error | PF_P | PF_RSVD);

  if (<u32>pde & PTE_PS) {
    if (pde & 0x1fe000) return noPage(lin, error | PF_P | PF_RSVD);
    if (!allowed(<u32>pde, access, user)) return noPage(lin, error | PF_P);
    if (access == ACCESS_FETCH && pde & PTE_NX) return noPage(lin, error | PF_P);
    const next = <u32>pde | PTE_A | (access == ACCESS_WRITE ? PTE_D : 0);
    if (next != <u32>pde) physWrite32(pdeAddress, next);
    walkWritable = (next & PTE_D) != 0 && writeAllowed(<u32>pde, user);
    walkGlobal = (next & PTE_G) != 0 && (cr4() & CR4_PGE) != 0;
    tlbNoteLarge(lin);
    return (pde & FRAME & ~(<u64>0x1fffff)) | (lin & 0x001ff000);
  }

  const pteAddress = (pde & FRAME) | (((lin >> 12) & 0x1ff) << 3);
  const pte = physRead64(pteAddress);
  if (!(<u32>pte & PTE_P)) return noPage(lin, error);
  if (pte & reserved) return noPage(lin, error | PF_P | PF_RSVD);
  const rights = <u32>(pde & pte);
  if (!allowed(rights, access, user)) return noPage(lin, error | PF_P);
  if (access == ACCESS_FETCH && (pde | pte) & PTE_NX) return noPage(lin, error | PF_P);
  if (!(<u32>pde & PTE_A)) physWrite32(pdeAddress, <u32>pde | PTE_A);
  const next = <u32>pte | PTE_A | (access == ACCESS_WRITE ? PTE_D : 0);
  if (next != <u32>pte) physWrite32(pteAddress, next);
  walkWritable = (next & PTE_D) != 0 && writeAllowed(rights, user);
  walkGlobal = (next & PTE_G) != 0 && (cr4() & CR4_PGE) != 0;
  return pte & FRAME;
}

/** Addresses and values of the entries on the way to the one that maps the page, for their accessed bits. */
const pathAt: usize = memory.data(24);
const pathEntry: usize = memory.data(24);

function walk4(lin: u64, access: u32, user: bool): u64 {
  const nx = noExecute();
  const error = errorCode(access, user, nx);
  const reserved = (physReserved() & ~(IGNORED | PTE_NX)) | (nx ? 0 : PTE_NX);
  let table = load<u64>(CPU_STATE_BASE + S_CR3) & FRAME;
  let rights: u32 = PTE_RW | PTE_US;
  let noFetch: u64 = 0;
  let depth: usize = 0;
  let at: u64 = 0;
  let entry: u64 = 0;
  let offsetMask: u64 = 0;
  for (let shift: u32 = 39; ; shift -= 9) {
    at = table + (((lin >> shift) & 0x1ff) << 3);
    entry = physRead64(at);
    if (!(<u32>entry & PTE_P)) return noPage(lin, error);
    if (entry & reserved) return noPage(lin, error | PF_P | PF_RSVD);
    rights &= <u32>entry;
    noFetch |= entry & PTE_NX;
    if (shift == 12) break;
    if (<u32>entry & PTE_PS) {
      offsetMask = ((<u64>1) << shift) - 1;
      // A large page: bits between the PAT bit and the frame are reserved; there are none of 512 GiB.
      if (shift == 39 || (shift == 30 && !hasFeature(FEAT_PDPE1GB)) || entry & offsetMask & 0x3fffe000)
        return noPage(lin, error | PF_P | PF_RSVD);
      break;
    }
    store<u64>(pathAt + (depth << 3), at);
    store<u64>(pathEntry + (depth << 3), entry);
    depth++;
    table = entry & FRAME;
  }
  if (!allowed(rights, access, user) || (access == ACCESS_FETCH && noFetch)) return noPage(lin, error | PF_P);
  for (let i: usize = 0; i < depth; i++) {
    const upper = load<u32>(pathEntry + (i << 3));
    if (!(upper & PTE_A)) physWrite32(load<u64>(pathAt + (i << 3)), upper | PTE_A);
  }
  const next = <u32>entry | PTE_A | (access == ACCESS_WRITE ? PTE_D : 0);
  if (next != <u32>entry) physWrite32(at, next);
  walkWritable = (next & PTE_D) != 0 && writeAllowed(rights, user);
  walkGlobal = (next & PTE_G) != 0 && (cr4() & CR4_PGE) != 0;
  if (offsetMask == 0) return entry & FRAME;
  if (offsetMask > 0x1fffff) tlbNoteHuge(lin);
  else tlbNoteLarge(lin);
  return (entry & FRAME & ~offsetMask) | (lin & offsetMask & ~(<u64>0xfff));
}

/** Bits of a present PDPTE that must be zero beside those above the physical address width: 2..1, 8..5 (SDM volume 3 table 4-8). */
const PDPTE_RESERVED: u64 = 0x1e6;

/** Loads the four PDPTE registers from `cr3`; #GP(0), with nothing changed, when a present one has reserved bits set. */
export function loadPdptes(cr3: u64): void {
  const table = cr3 & 0xffffffe0;
  const a = physRead64(table);
  const b = physRead64(table + 8);
  const c = physRead64(table + 16);
  const d = physRead64(table + 24);
  if (badPdpte(a) || badPdpte(b) || badPdpte(c) || badPdpte(d)) raiseFaultErr(VEC_GP, 0);
  storePdptes(a, b, c, d);
}

/** The same after a state restore, which must not fault. */
export function reloadPdptes(): void {
  const table = load<u64>(CPU_STATE_BASE + S_CR3) & 0xffffffe0;
  storePdptes(physRead64(table), physRead64(table + 8), physRead64(table + 16), physRead64(table + 24));
}

function badPdpte(entry: u64): bool {
  return (entry & 1) != 0 && (entry & (PDPTE_RESERVED | physReserved())) != 0;
}

function storePdptes(a: u64, b: u64, c: u64, d: u64): void {
  const at: usize = CPU_STATE_BASE + SY_PDPTE;
  store<u64>(at, a);
  store<u64>(at, b, 8);
  store<u64>(at, c, 16);
  store<u64>(at, d, 24);
}
