/**
 * What compiled regions (core/cpu/jit) and the interpreter share, most of it inside S_SCRATCH_CORE of the state block, and the numbers of the lazy
 * flag forms. Compiled by TypeScript and AssemblyScript alike: untyped literals only.
 */

/** u32: instructions left of the slice at the last point where a region could be left; exact at every fault and bus access. */
export const SJ_LEFT = 0x1400;
/** u32: why the region stopped before an instruction: 0 not, STEP_INTERPRET, STEP_FAULT, STEP_REFUSED. */
export const SJ_STEP = 0x280;
/** u64: SJ_STEP and S_EXIT (stateoffsets.ts) at one look. */
export const SJ_EXIT_OR_STEP = 0x280;
/** It can't do that one: the interpreter must execute it. */
export const STEP_INTERPRET = 1;
/** It page-faults; the fault is noted in S_FAULT_*. */
export const STEP_FAULT = 2;
/** It raises something else: the interpreter executes it, which finds out. */
export const STEP_REFUSED = 3;
/** u32: another thread has compiled regions to hand over. */
export const SJ_READY = 0x1408;
/** u32: instructions between looks at what is hot; 0 without a recompiler. */
export const SJ_PIECE = 0x140c;
/** u32: samples that make a place hot. */
export const SJ_THRESHOLD = 0x1430;

/** u32: the slice must end at an exact instruction: a region may not go farther than EXACT_SLACK (runstate.ts) between two looks at it. */
export const SJ_EXACT = 0x1434;
/** i32: instructions that a bus access took off the end of the slice. */
export const SJ_CUT = 0x1438;

/** u64 each, statistics: entries into regions, guest instructions executed in them, exits before an instruction of the interpreter. */
export const SJ_ENTRIES = 0x1440;
export const SJ_INSTRUCTIONS = 0x1448;
export const SJ_STEPS = 0x1450;

/** u32: instruction pointers are not linear addresses (a 32-bit code segment with a base or a limit), so links are not followed. */
export const SJ_UNLINKED = 0x143c;
/** u32: second word of what an x87 operation of a region gives (fpu/x87jit.ts). */
export const SJ_X87 = 0x1458;

/** u32: what is noted in JIT_USED_BASE where a sample falls, its low half: u16 each, by hash of byte of the shared memory >> USED_GRAIN_SHIFT. */
export const SJ_EPOCH = 0x145c;
export const USED_GRAIN_SHIFT = 8;

/**
 * Links: for each of (mode, privilege) a direct-mapped table in JIT_LINKS_BASE of LINK_COUNT entries of 8 bytes (several times the regions, since two that meet in one throw each other out),
 *   +0 u32 byte of the shared memory, 0 when empty, +4 u32 function of the region that begins there.
 */
export const LINK_COUNT = 32768;
export const LINK_TABLE_SIZE = 0x40000;

/** Lazy flag forms: FLAG_* + log2 of the operand size in bytes. `a`, `b`, `c` as below, zero-extended. */
/** The canonical form of flags.ts, in memory. */
export const FLAG_MEMORY = 0;
/** a - b. */
export const FLAG_SUB = 4;
/** a + b. */
export const FLAG_ADD = 8;
/** Result a of a logical operation. */
export const FLAG_LOGIC = 12;
/** a + 1, b = the carry that stays. */
export const FLAG_INC = 16;
/** a - 1, b = the carry that stays. */
export const FLAG_DEC = 20;
/** a + b + carry c. */
export const FLAG_ADC = 24;
/** a - b - carry c. */
export const FLAG_SBB = 28;
/** a shifted by count b, which is not zero after masking. */
export const FLAG_SHL = 32;
export const FLAG_SHR = 36;
export const FLAG_SAR = 40;
/** Truncated signed product of a and b. */
export const FLAG_IMUL = 44;
/** Low half a of a product; b = the upper half is significant. */
export const FLAG_MUL = 48;
/** Index a found by a bit scan; b = the source was zero. */
export const FLAG_SCAN = 52;
/** a shifted by count c with bits of b. */
export const FLAG_SHLD = 56;
export const FLAG_SHRD = 60;
/** The six flags in their RFLAGS places. */
export const FLAG_ARITH = 64;
/** These change a part of what is in memory. */
export const FLAG_ROL = 68;
export const FLAG_ROR = 72;
/** CF becomes a. */
export const FLAG_SETCF = 76;
/** The form in the four words below, where the last region left it. */
export const FLAG_PENDING = 255;

/** u32 kind (FLAG_MEMORY when flags.ts has them), u64 each: flags that a region left in a lazy form. */
export const SJ_FLAG_KIND = 0x1410;
export const SJ_FLAG_A = 0x1418;
export const SJ_FLAG_B = 0x1420;
export const SJ_FLAG_C = 0x1428;

/** u32: base of the TLB tables for the current privilege: TLB_SUP or TLB_USER (tlb.ts). */
export const SY_TLB_CUR = 0x1c00;
