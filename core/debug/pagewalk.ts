/**
 * Linear to guest-physical translation for a debugger: reads page tables and changes nothing (no accessed bits, no faults, no privilege
 * checks). SDM volume 3 chapter 4: 32-bit, PAE, 4-level and 5-level paging.
 */
import type { CpuState } from '../cpu/cpustate.ts';

const CR0_PG = 0x8000_0000n;
const CR4_PSE = 0x10n;
const CR4_PAE = 0x20n;
const CR4_LA57 = 0x1000n;
const EFER_LMA = 0x400n;
const PRESENT = 1n;
const LARGE = 0x80n;
/** Address bits of an entry. */
const FRAME = 0x000f_ffff_ffff_f000n;

/** The registers that decide. */
export type PagingState = Pick<CpuState, 'cr0' | 'cr3' | 'cr4' | 'efer'>;

/** Little-endian value of 4 or 8 bytes of guest-physical memory, undefined where there is none. */
export type PhysicalReader = (address: bigint, size: 4 | 8) => bigint | undefined;

/** Guest-physical address of a linear one; undefined when it is not mapped. */
export function translateLinear(state: PagingState, linear: bigint, read: PhysicalReader): bigint | undefined {
  const long = (state.efer & EFER_LMA) !== 0n;
  if (!(state.cr0 & CR0_PG)) return linear & 0xffff_ffffn;
  if (long) return walk64(state, linear, read);
  const address = linear & 0xffff_ffffn;
  return state.cr4 & CR4_PAE ? walkPae(state, address, read) : walk32(state, address, read);
}

function walk32(state: PagingState, linear: bigint, read: PhysicalReader): bigint | undefined {
  const pde = read((state.cr3 & 0xffff_f000n) + ((linear >> 22n) << 2n), 4);
  if (pde === undefined || !(pde & PRESENT)) return undefined;
  // PSE-36: bits 20..13 hold physical bits 39..32.
  if (pde & LARGE && state.cr4 & CR4_PSE) return (pde & 0xffc0_0000n) | (((pde >> 13n) & 0xffn) << 32n) | (linear & 0x3f_ffffn);
  const pte = read((pde & 0xffff_f000n) + (((linear >> 12n) & 0x3ffn) << 2n), 4);
  if (pte === undefined || !(pte & PRESENT)) return undefined;
  return (pte & 0xffff_f000n) | (linear & 0xfffn);
}

function walkPae(state: PagingState, linear: bigint, read: PhysicalReader): bigint | undefined {
  const pdpte = read((state.cr3 & 0xffff_ffe0n) + ((linear >> 30n) << 3n), 8);
  if (pdpte === undefined || !(pdpte & PRESENT)) return undefined;
  return walkTables(pdpte & FRAME, 2, linear, read);
}

function walk64(state: PagingState, linear: bigint, read: PhysicalReader): bigint | undefined {
  const levels = state.cr4 & CR4_LA57 ? 5 : 4;
  const bits = BigInt(levels * 9 + 12);
  // A linear address that is not canonical is mapped nowhere.
  if (BigInt.asUintN(64, BigInt.asIntN(Number(bits), linear)) !== BigInt.asUintN(64, linear)) return undefined;
  return walkTables(state.cr3 & FRAME, levels, linear, read);
}

/** Walks `levels` levels of tables of 512 eight-byte entries. */
function walkTables(root: bigint, levels: number, linear: bigint, read: PhysicalReader): bigint | undefined {
  let table = root;
  for (let level = levels; level > 0; level--) {
    const shift = BigInt(12 + (level - 1) * 9);
    const entry = read(table + (((linear >> shift) & 0x1ffn) << 3n), 8);
    if (entry === undefined || !(entry & PRESENT)) return undefined;
    const offset = (1n << shift) - 1n;
    if (level === 1 || (level <= 3 && entry & LARGE)) return (entry & FRAME & ~offset) | (linear & offset);
    table = entry & FRAME;
  }
  return undefined;
}
