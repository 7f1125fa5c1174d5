/** Pieces of system code: control and debug registers, MSRs, flags, segments, and the ways between privilege levels, with operands that mostly work. */
import type { Random } from '../fp/record.ts';
import { edgeBytes } from './encode.ts';
import { PAGE_TABLE } from './layout.ts';

const le32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
const bit = (random: Random, bits: readonly number[]): number[] => le32(random.chance(85) ? 1 << random.pick(bits) : random.next());

/** Bits that the system may flip and live: PE and PG stay. */
const CR0_BITS = [1, 2, 3, 5, 16, 18, 29, 30];
const CR4_BITS = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 16, 17, 18, 20, 21];
const MSRS = [
  0x10, 0x1b, 0x174, 0x175, 0x176, 0x1a0, 0x277, 0x2ff, 0x200, 0x250, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100,
  0xc0000101, 0xc0000102, 0xc0000103,
];
const SELECTORS = [0, 3, 0x08, 0x10, 0x18, 0x20, 0x23, 0x28, 0x2b, 0x30, 0x33, 0x40, 0x78, 0x84, 0xffff];

export interface SystemPiece {
  bytes: number[];
  name: string;
  /** Offset in `bytes` of four bytes that hold the address behind the piece. */
  next?: number;
  /** A page that it gives another entry in the page table. */
  remaps?: number;
}

/** Pages with code, and all that a case may write: the machine makes both new for each case, these without telling the processor. */
const CODE = [0x210, 0x211, 0x213];
const WRITABLE = [0x201, 0x202, 0x205, ...CODE];
/** Also those that can't be written, or are absent at first. */
const PAGES = [...WRITABLE, ...CODE, 0x203, 0x204, 0x206, 0x212];

/** Another entry in the page table: other rights, another page, code under its own feet; then INVLPG, for stale entries may be used or not. */
function remap(random: Random, long: boolean): SystemPiece {
  const page = random.pick(PAGES);
  const entry = PAGE_TABLE + (page & 511) * 8;
  const code = CODE.includes(page);
  const to = WRITABLE.includes(page) && random.chance(60) ? page : random.pick(code ? CODE : WRITABLE);
  const bits =
    (random.chance(90) ? 1 : 0) |
    (random.chance(75) ? 2 : 0) |
    (random.chance(75) ? 4 : 0) |
    (random.next() & 0x60) |
    (random.chance(10) ? 0x100 : 0);
  const absolute = (modrm: number, address: number): number[] =>
    long ? [modrm | 4, 0x25, ...le32(address)] : [modrm | 5, ...le32(address)];
  const low = [0xc7, ...absolute(0, entry), ...le32(((to << 12) | bits) >>> 0)];
  const high =
    random.chance(25) || !WRITABLE.includes(page)
      ? [0xc7, ...absolute(0, entry + 4), ...le32(!code || random.chance(50) ? 0x80000000 : 0)]
      : [];
  return { bytes: [...low, ...high, 0x0f, 0x01, ...absolute(0x38, page << 12)], name: 'remap', remaps: page << 12 };
}

export function systemPiece(random: Random, long: boolean): SystemPiece {
  const wide = long ? [0x48] : [];
  switch (random.below(18)) {
    case 0:
      // mov eax,cr0; xor eax,bit; mov cr0,eax
      return { bytes: [0x0f, 0x20, 0xc0, 0x35, ...bit(random, CR0_BITS), 0x0f, 0x22, 0xc0], name: 'flip cr0' };
    case 1:
      return { bytes: [0x0f, 0x20, 0xe0, 0x35, ...bit(random, CR4_BITS), 0x0f, 0x22, 0xe0], name: 'flip cr4' };
    case 2:
      // mov rax,cr3; bts rax,63; mov cr3,rax: what is known of this space may stay.
      if (long && random.chance(40)) return { bytes: [0x0f, 0x20, 0xd8, 0x48, 0x0f, 0xba, 0xe8, 63, 0x0f, 0x22, 0xd8], name: 'keep cr3' };
      return { bytes: [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8], name: 'reload cr3' };
    case 3: {
      // mov r,drN; mov drN,r
      const n = random.below(8);
      return { bytes: [0x0f, 0x21, 0xc0 | (n << 3), 0x0f, 0x23, 0xc0 | (random.below(4) << 3)], name: 'copy dr' };
    }
    case 4:
      // mov ecx,msr; rdmsr; wrmsr
      return {
        bytes: [0xb9, ...le32(random.pick(MSRS)), 0x0f, 0x32, ...(random.chance(30) ? [0x34, random.next() & 255] : []), 0x0f, 0x30],
        name: 'wrmsr',
      };
    case 5:
      return { bytes: [0x9c, 0x81, 0x34, 0x24, ...bit(random, [0, 6, 8, 9, 9, 10, 11, 12, 14, 18, 21]), 0x9d], name: 'flip flags' };
    case 6: {
      // mov eax,selector; mov sreg,eax
      const register = random.pick([0, 2, 3, 4, 5]);
      return { bytes: [0xb8, ...le32(random.chance(60) ? 0x18 : random.pick(SELECTORS)), 0x8e, 0xc0 | (register << 3)], name: 'mov sreg' };
    }
    case 7: {
      // A return to this privilege level, or the user's.
      const user = random.chance(30);
      const code = user ? (long ? 0x33 : 0x23) : long ? 0x10 : 0x08;
      const stack = user ? 0x2b : 0x18;
      const frame = long || user ? [0x6a, stack, 0x68, ...le32(0x202880)] : [];
      const head = [...frame, 0x9c, 0x6a, code];
      return { bytes: [...head, 0x68, 0, 0, 0, 0, ...wide, 0xcf], name: 'iret', next: head.length + 1 };
    }
    case 8:
      // SYSRET takes RIP from RCX and RFLAGS from R11.
      if (long) return { bytes: [0x9c, 0x41, 0x5b, 0xb9, 0, 0, 0, 0, 0x48, 0x0f, 0x07], name: 'sysret', next: 4 };
      // SYSEXIT: EIP from EDX, ESP from ECX.
      return { bytes: [0xb9, ...le32(0x202880), 0xba, 0, 0, 0, 0, 0x0f, 0x35], name: 'sysexit', next: 6 };
    case 9:
      return { bytes: [0x0f, random.pick([0x05, 0x34])], name: 'system call' };
    case 10:
      return { bytes: long ? [0x0f, 0x01, 0xf8] : [0x0f, 0x06], name: 'swapgs' };
    case 11:
      return { bytes: [random.pick([0xfa, 0xfb, 0xfb])], name: 'cli or sti' };
    case 12:
      // invlpg [ebx]
      return { bytes: [0x0f, 0x01, 0x3b], name: 'invlpg' };
    case 13:
    case 14:
      return remap(random, long);
    case 15:
      // clac, stac
      return { bytes: [0x0f, 0x01, random.pick([0xca, 0xcb, 0xcb])], name: 'stac or clac' };
    case 16: {
      // The descriptor on the stack: PCID, then address; mov eax,type; invpcid eax,[esp].
      const high = long ? [] : [0x6a, 0];
      const address = [...high, 0x68, ...le32(random.pick(PAGES) << 12)];
      const pcid = [...high, 0x68, ...le32(random.chance(90) ? 0 : random.below(8192))];
      return { bytes: [...address, ...pcid, 0xb8, ...le32(random.below(5)), 0x66, 0x0f, 0x38, 0x82, 0x04, 0x24], name: 'invpcid' };
    }
    default: {
      // A far return to the same code segment.
      const head = [0x6a, long ? 0x10 : 0x08];
      return random.chance(50)
        ? { bytes: [...head, 0x68, 0, 0, 0, 0, ...wide, 0xcb], name: 'retf', next: head.length + 1 }
        : { bytes: [random.pick([0xcd, 0xcc, 0xf1]), ...edgeBytes(random, 1)], name: 'int' };
    }
  }
}
