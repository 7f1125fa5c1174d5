/**
 * Memory under test and the record of a case, shared with native.c. Addresses are the same on the host and in the guest, below 4 GiB so that
 * 64-bit and 32-bit code can use them.
 */
export const PAGE = 4096;

/** What user code may do with a page: r w x. Pages not named here are absent. */
export const PAGES: readonly (readonly [address: number, access: 'rw' | 'r' | 'rwx' | 'rx'])[] = [
  [0x201000, 'rw'],
  [0x202000, 'rw'],
  // 0x203000 is absent
  [0x204000, 'r'],
  [0x205000, 'rw'],
  // 0x206000 is absent
  [0x210000, 'rwx'],
  [0x211000, 'rwx'],
  // 0x212000 is absent
  [0x213000, 'rx'],
  [0x214000, 'rw'],
  // The last page that 32-bit code can reach.
  [0xfffff000, 'rw'],
];
export const WRITABLE = PAGES.filter(([, access]) => access.includes('w')).map(([address]) => address);
export const CODE_PAGES = [0x210000, 0x211000, 0x213000] as const;
export const isCodePage = (address: number): boolean => (CODE_PAGES as readonly number[]).includes(address);

/** Where operands lie. Every case brings its own bytes for these; the rest of a page is BACKGROUND (or HLT, in code pages). */
export const WINDOWS: readonly (readonly [address: number, size: number])[] = [
  // A stack that runs into the absent page below.
  [0x201000, 64],
  [0x201400, 256],
  // Across two pages.
  [0x201f80, 256],
  [0x202800, 256],
  // Up to an absent page.
  [0x202f00, 256],
  // Behind a page that can only be read.
  [0x205000, 128],
  [0x205f00, 256],
  [0xffffff00, 256],
];
/** The 16-bit code segment. */
export const CODE16_BASE = 0x210000;
/** Of the memory under test, in the system's memory. */
export const PAGE_TABLE = 0xd000;
export const BACKGROUND = 0x5a;
export const HLT = 0xf4;
/** Code and the function it may call. */
export const CODE_SIZE = 256;
export const CODE2_SIZE = 128;
export const DATA_SIZE = WINDOWS.reduce((sum, [, size]) => sum + size, 0);

// The record.
export const R_CODE_AT = 0;
export const R_CODE2_AT = 4;
/** 64, 32 or 16. */
export const R_MODE = 8;
export const R_FLAGS = 12;
export const R_GPR = 16;
export const R_RIP = 144;
export const R_FS = 152;
export const R_GS = 160;
/** Result: vector of the exception that ended it, or one of END_*; error code; CR2; first address outside windows and code that changed, or 0. */
export const R_VECTOR = 168;
export const R_ERROR = 172;
export const R_CR2 = 176;
export const R_STRAY = 184;
/** The first 512 bytes of an XSAVE image (SDM volume 1, 10.5.1), then the upper halves of the YMM registers. */
export const R_FX = 192;
/** DS, ES, FS, GS and SS, in bytes that FXSAVE leaves alone; all of them zero: flat ones (segments.ts). */
export const R_SELECTORS = R_FX + 480;
export const R_YMMH = 704;
export const R_CODE = 960;
export const R_CODE2 = R_CODE + CODE_SIZE;
export const R_DATA = R_CODE2 + CODE2_SIZE;
export const RECORD_SIZE = 3072;
if (R_DATA + DATA_SIZE !== RECORD_SIZE) throw new Error(`a record has ${R_DATA + DATA_SIZE} bytes`);

/** It did not end; it called the host's kernel; (guests) the processor shut down; (system code) it executed HLT. */
export const END_BUDGET = 252;
export const END_HUNG = 253;
export const END_SYSCALL = 254;
export const END_SHUTDOWN = 251;
export const END_HALT = 250;

export const FX_CONTROL = 0;
export const FX_STATUS = 2;
export const FX_TAG = 4;
export const FX_OPCODE = 6;
export const FX_IP = 8;
export const FX_DP = 16;
export const FX_MXCSR = 24;
export const FX_ST = 32;
export const FX_XMM = 160;

/** Selectors of Linux on x86-64: user data, 32-bit and 64-bit user code. */
export const USER_DS = 0x2b;
export const USER_CS32 = 0x23;
export const USER_CS64 = 0x33;
