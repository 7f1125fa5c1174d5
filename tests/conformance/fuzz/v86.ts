/**
 * Virtual-8086 mode for the fuzzer: 16-bit code at CPL 3 under paging, whose megabyte shows the memory under test at other addresses, with an IOPL
 * that lets it have interrupts or not. No 64-bit system runs such tasks, so the host executes the same bytes as 16-bit protected code with segments of
 * the same size at the same bytes (segments.ts), and is not asked about what virtual-8086 mode does otherwise (differs()).
 */
import type { Instruction } from '../../../core/cpu/x86/table.ts';
import type { Random } from '../fp/record.ts';
import * as L from './layout.ts';
import { baseOf, selectorOf, type Selectors } from './segments.ts';

/** Code segment, and all others. */
export const CS = 0x3000;
const DATA = 0x2000;
/** The same for the host: 64 KiB from 0x200000. */
const HOST = selectorOf(11);
export const SELECTORS: Selectors = [HOST, HOST, HOST, HOST, HOST];

/** Page table of the first 2 MiB, in the system's memory. */
export const TABLE = 0x8000;
const PAGE = 4096;
/** Linear addresses of the memory under test. */
const FIRST = DATA << 4;
const END = FIRST + 0x20000;
const OFFSET = baseOf(HOST) - FIRST;

const VM = 0x20000;
const IOPL3 = 0x3000;
const VIF = 0x80000;
const VIP = 0x100000;
const CR4_VME = 1n;

/** Control bits of a case: with the mode's extensions or without. */
export const controls = (from: DataView): bigint => (from.getUint32(L.R_GPR + 8, true) & 1 ? CR4_VME : 0n);

/** Makes the page table: the system's first `system` bytes, which the user can't reach, and what of the memory under test 1 MiB can show. */
export function mapPages(word: (at: number, low: number, high?: number) => void, system: number, nx: number): void {
  for (let at = 0; at < system; at += PAGE) word(TABLE + (at / PAGE) * 8, at | 0x63);
  for (const [address, access] of L.PAGES) {
    const linear = address - OFFSET;
    if (linear < FIRST || linear >= END) continue;
    word(TABLE + (linear / PAGE) * 8, address | 0x65 | (access.includes('w') ? 2 : 0), access.includes('x') ? 0 : nx);
  }
}

/** EIP, CS, EFLAGS, ESP, SS, ES, DS, FS and GS, from which IRETD enters a task. */
export function frame(from: DataView): bigint[] {
  const how = from.getUint32(L.R_GPR, true);
  const flags = from.getUint32(L.R_FLAGS, true) | VM | (how & 1 ? IOPL3 : 0) | (how & 2 ? VIF : 0) | ((how & 12) === 12 ? VIP : 0);
  const values = [
    from.getUint32(L.R_RIP, true) - L.CODE16_BASE,
    CS,
    flags,
    from.getUint32(L.R_GPR + 32, true),
    DATA,
    DATA,
    DATA,
    DATA,
    DATA,
  ];
  return values.map(BigInt);
}

/** SS, ES, DS, FS and GS from the handler's frame, as the host would have them. */
export function storeSegments(to: DataView, next: () => bigint): void {
  const [ss, es, ds, fs, gs] = Array.from({ length: 5 }, () => Number(next() & 0xffffn)) as [number, number, number, number, number];
  [ds, es, fs, gs, ss].forEach((selector, i) => {
    to.setUint16(L.R_SELECTORS + 2 * i, selector === DATA ? HOST : selector, true);
  });
  to.setBigUint64(L.R_FS, hostAddress(BigInt(fs) << 4n), true);
  to.setBigUint64(L.R_GS, hostAddress(BigInt(gs) << 4n), true);
}

/** The host's address of a linear address. */
export const hostAddress = (linear: bigint): bigint => (linear >= FIRST && linear < END ? linear + BigInt(OFFSET) : linear);

/** Flags and interrupts that IOPL guards, ports, segment registers, and instructions that this mode lacks (SDM volume 3, 20.2; volume 2, 2.3). */
const OTHERWISE = /^(pushf|popf|cli|sti|into|ins?|outs?|arpl|verr|verw|lldt|ltr|bound|mov_(from|to)_sreg|(push|pop)_.s|l[defgs]s)$/;
export const differs = (row: Instruction): boolean => row.vex || OTHERWISE.test(row.mnemonic) || isArpl(row);
/** What 64-bit code has for MOVSXD. */
const isArpl = (row: Instruction): boolean => row.map === 0 && row.opcode === 0x63;

const piece = (bytes: number[], name: string) => ({ bytes, name, hostless: 'otherwise in virtual-8086 mode' });

/** Flags and interrupts that IOPL guards, and loads of segments. */
export function v86Piece(random: Random): { bytes: number[]; name: string; hostless: string } {
  const wide = random.chance(30) ? [0x66] : [];
  switch (random.below(6)) {
    case 0:
      return piece([0xfa], 'cli');
    case 1:
      return piece([0xfb], 'sti');
    case 2:
      return piece([...wide, 0x9c], 'pushf');
    case 3:
      return piece([...wide, 0x9c, ...wide, 0x9d], 'pushf, popf');
    case 4:
      return piece([0xcd, random.below(256)], 'int n');
    default:
      // mov ax,3000h or 2000h; mov sreg,ax: CS of the code for data too.
      return piece([0xb8, 0, random.pick([0x20, 0x30, 0x31, 0xff]), 0x8e, 0xc0 | (random.pick([0, 2, 3, 4, 5]) << 3)], 'mov sreg');
  }
}
