/**
 * Byte offsets from CPU_STATE_BASE of every field of the processor state. Compiled by TypeScript and AssemblyScript alike:
 * untyped literals only.
 */

/** u64 x 16: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15. */
export const S_GPR = 0x000;
/** u64: address of the current (or, between instructions, next) instruction. On a fault it still holds the faulting one. */
export const S_RIP = 0x080;
/**
 * u32: RFLAGS without the six arithmetic flags, which are lazy (see flags.ts). Always read through getEflags().
 * Bit 1 is set.
 */
export const S_EFLAGS = 0x088;
/** Lazy flags: private to flags.ts (16 bytes). */
export const S_LAZY = 0x090;
/** u64: RIP of byte 0 of the code page being executed, kept in 64-bit mode (Run.pageEip). Base of RIP-relative operands (record.ts). */
export const S_PAGE_RIP = 0x0b8;

/** u64 each. */
export const S_CR0 = 0x0c0;
export const S_CR2 = 0x0c8;
export const S_CR3 = 0x0d0;
export const S_CR4 = 0x0d8;
export const S_CR8 = 0x0e0;
export const S_EFER = 0x0e8;
export const S_XCR0 = 0x0f0;
/** u64: always zero; stands for an absent base or index register. */
export const S_ZERO = 0x0f8;
/** u64 x 8: DR0..DR7. */
export const S_DR = 0x100;

/**
 * Segment registers, 32 bytes each, in the encoding order ES CS SS DS FS GS, then LDTR, TR:
 * +0 u64 base, +8 u32 byte-granular limit, +12 u32 attributes (descriptor bits 40..47 in 0..7, 52..55 in 12..15),
 * +16 u16 selector, +20 u32 SEG_* cache flags derived on load (private to seg.ts), +24 u32 offsets below which SEG_REACH bytes may be read and
 * written with no further check, also derived.
 */
export const S_SEG = 0x140;
export const SEG_ES = 0;
export const SEG_CS = 1;
export const SEG_SS = 2;
export const SEG_DS = 3;
export const SEG_FS = 4;
export const SEG_GS = 5;
export const SEG_LDTR = 6;
export const SEG_TR = 7;
export const SEG_STRIDE = 32;
export const SEG_BASE = 0;
export const SEG_LIMIT = 8;
export const SEG_ATTR = 12;
export const SEG_SELECTOR = 16;
export const SEG_FLAGS = 20;
export const SEG_TOP = 24;
export const SEG_REACH = 16;

/** u64 base, u32 limit. */
export const S_GDTR_BASE = 0x240;
export const S_GDTR_LIMIT = 0x248;
export const S_IDTR_BASE = 0x250;
export const S_IDTR_LIMIT = 0x258;

/** u32 0..3. Kept equal to CS.RPL rules; 3 in virtual-8086 mode, 0 in real mode. */
export const S_CPL = 0x260;
/** u32: 0 = 16-bit code segment, 1 = 32-bit, 2 = 64-bit. Part of the decode-cache key. */
export const S_CODE_MODE = 0x264;
/** u32: 1 when the stack segment is 32-bit (SS.B). */
export const S_STACK32 = 0x268;
/** u32: nonzero while HLT waits. */
export const S_HALTED = 0x26c;
/** u32: INTR pin level. */
export const S_INTR = 0x270;
/** u32: latched NMI; u32: NMI blocked until IRET. */
export const S_NMI_PENDING = 0x274;
export const S_NMI_BLOCKED = 0x278;
/** u32: STI / MOV SS shadow, held for one instruction. */
export const S_INT_SHADOW = 0x27c;
/** u32: AND-mask for physical addresses below 4 GiB: 0xffffffff or 0xffefffff. */
export const S_A20_MASK = 0x2c4;
/** u32: set by requestExit; checked at instruction-slice boundaries. SJ_STEP (jitoffsets.ts) stands before it. */
export const S_EXIT = 0x284;
/** u64: instructions retired. */
export const S_ICOUNT = 0x288;
/** u32: why run() returned, EXIT_*. */
export const S_EXIT_REASON = 0x290;

/** Pending exception, written just before raise(): u32 vector, u32 error code, u32 has-error-code, u64 CR2 candidate. */
export const S_FAULT_VECTOR = 0x298;
export const S_FAULT_ERROR = 0x29c;
export const S_FAULT_HAS_ERROR = 0x2a0;
/** u64: features of the CPU model, bit n = FEAT_* number n (features.ts). Set when the processor is made; nothing clears it. */
export const S_FEATURES = 0x2b0;
/** u64: AND-mask for linear addresses in the slow paths of memory accesses: ~0 while EFER.LMA is set, else 0xffffffff. */
export const S_LINEAR_MASK = 0x2b8;

/** u32: nonzero when the guest is told that it is virtual, and how to make use of it (paravirt.ts). Set when the processor is made. */
export const S_PARAVIRT = 0x2c0;

/** u64 each: model-specific registers with a slot. */
export const S_MSR_APIC_BASE = 0x300;
export const S_MSR_SYSENTER_CS = 0x308;
export const S_MSR_SYSENTER_ESP = 0x310;
export const S_MSR_SYSENTER_EIP = 0x318;
export const S_MSR_PAT = 0x320;
export const S_MSR_MISC_ENABLE = 0x328;
export const S_MSR_TSC_OFFSET = 0x330;
export const S_MSR_STAR = 0x338;
export const S_MSR_LSTAR = 0x340;
export const S_MSR_CSTAR = 0x348;
export const S_MSR_FMASK = 0x350;
export const S_MSR_KERNEL_GS_BASE = 0x358;
export const S_MSR_TSC_AUX = 0x360;
export const S_MSR_MTRR_DEF_TYPE = 0x368;
/** u64 x 11 fixed-range, then u64 x 16 variable-range MTRRs. */
export const S_MSR_MTRR_FIXED = 0x370;
export const S_MSR_MTRR_VAR = 0x3d0;
/** u64: written values with no behaviour (microcode update signature and the like) follow here, private to msr.ts up to 0x7ff. */
export const S_MSR_MISC = 0x450;

/** x87: u16 control, u16 status (TOP included), u16 tag word (full), u16 last opcode, then pointers. */
export const S_FPU_CW = 0x800;
export const S_FPU_SW = 0x802;
export const S_FPU_TW = 0x804;
export const S_FPU_FOP = 0x806;
export const S_FPU_FIP = 0x808;
export const S_FPU_FCS = 0x810;
export const S_FPU_FDS = 0x812;
export const S_FPU_FDP = 0x818;
/** 8 x 16 bytes in physical order R0..R7: u64 significand, u16 sign and exponent. MMX registers alias the significands. */
export const S_FPU_ST = 0x820;
export const S_MXCSR = 0x8a0;
/** 16 x 32 bytes: YMM registers, XMM in the low halves. */
export const S_XMM = 0x8c0;
export const XMM_STRIDE = 32;

/** Private scratch: decoder, core run loop, FPU (each 1 KiB). */
export const S_SCRATCH_DECODER = 0x1000;
export const S_SCRATCH_CORE = 0x1400;
export const S_SCRATCH_FPU = 0x1800;
export const S_SCRATCH_SYSTEM = 0x1c00;
/** Counters for profiling, u64 each (private to the interpreter): 0x2000..0x20ff. */
export const S_STATS = 0x2000;
/** Accesses that missed the TLB, by ACCESS_* (read, write, fetch). */
export const STAT_TLB_MISS = 0x2000;
/** Page faults of compiled regions, which the host does not see. */
export const STAT_REGION_FAULTS = 0x2018;

/**
 * Host debugger (hostdebug.ts): 0x3000..0x5fff. HD_ACTIVE is nonzero while there are breakpoints, watchpoints, a step or an unreported hit:
 * compiled code must not run then.
 */
export const HD_ACTIVE = 0x3000;
/** u32: 0 none, 1 armed, 2 done. */
export const HD_STEP = 0x3004;
export const HD_BREAK_COUNT = 0x3008;
export const HD_WATCH_COUNT = 0x300c;
/** u32: why run() gave EXIT_DEBUG: 1 breakpoint, 2 watchpoint, 3 step. */
export const HD_CAUSE = 0x3010;
/** u32: index + 1 of the watchpoint that was touched; u64 HD_ADDRESS: where. */
export const HD_HIT = 0x3014;
export const HD_ADDRESS = 0x3018;
/** u32: the instruction under way is alone: one string element only. */
export const HD_ONE = 0x3020;
/** u32: the instruction is to be executed again, alone: 1 thrown for that, 2 next thing to do. */
export const HD_REPLAY = 0x3024;
/** End of the words above. */
export const HD_END = 0x3028;
/** 64 x { u64 linear address, u32 length, u32 bits: 1 = writes, 2 = reads }. */
export const HD_WATCHES = 0x3400;
/** u64 linear addresses x 1024. */
export const HD_BREAKS = 0x4000;

/** S_EXIT_REASON values. */
export const EXIT_BUDGET = 0;
export const EXIT_HALT = 1;
export const EXIT_SHUTDOWN = 2;
export const EXIT_DEBUG = 3;

/** Exception vectors, SDM volume 3 table 6-1. */
export const VEC_DE = 0;
export const VEC_DB = 1;
export const VEC_NMI = 2;
export const VEC_BP = 3;
export const VEC_OF = 4;
export const VEC_BR = 5;
export const VEC_UD = 6;
export const VEC_NM = 7;
export const VEC_DF = 8;
export const VEC_TS = 10;
export const VEC_NP = 11;
export const VEC_SS = 12;
export const VEC_GP = 13;
export const VEC_PF = 14;
export const VEC_MF = 16;
export const VEC_AC = 17;
export const VEC_MC = 18;
export const VEC_XM = 19;
