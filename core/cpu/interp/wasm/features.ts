/**
 * Bit numbers of SY_FEATURES: what CPUID announces, and what faults with #UD or #GP when absent. One for each group that a CPU model
 * (core/cpu/models.ts) has or has not. Compiled by TypeScript and AssemblyScript alike: untyped literals only. The i686 set (FPU to SSE2,
 * PAE, SYSENTER...) is always there.
 */

/** Long mode, with everything that every 64-bit processor has: 40 physical address bits, CR8, 4-level paging. */
export const FEAT_LM = 0;
export const FEAT_NX = 1;
export const FEAT_SYSCALL = 2;
/** LAHF and SAHF in 64-bit mode. */
export const FEAT_LAHF64 = 3;
export const FEAT_CX16 = 4;
export const FEAT_SSE3 = 5;
export const FEAT_SSSE3 = 6;
export const FEAT_SSE41 = 7;
/** CRC32 included. */
export const FEAT_SSE42 = 8;
export const FEAT_POPCNT = 9;
export const FEAT_AES = 10;
export const FEAT_PCLMUL = 11;
export const FEAT_MOVBE = 12;
export const FEAT_BMI1 = 13;
export const FEAT_BMI2 = 14;
export const FEAT_LZCNT = 15;
export const FEAT_ADX = 16;
/** XSAVE, XRSTOR, XGETBV, XSETBV, CR4.OSXSAVE. */
export const FEAT_XSAVE = 17;
export const FEAT_XSAVEOPT = 18;
export const FEAT_AVX = 19;
export const FEAT_AVX2 = 20;
export const FEAT_FMA = 21;
export const FEAT_F16C = 22;
export const FEAT_FSGSBASE = 23;
export const FEAT_RDRAND = 24;
export const FEAT_RDSEED = 25;
export const FEAT_RDTSCP = 26;
export const FEAT_PCID = 27;
export const FEAT_INVPCID = 28;
/** 1 GiB pages. */
export const FEAT_PDPE1GB = 29;
export const FEAT_SMEP = 30;
export const FEAT_UMIP = 31;
/** Fast REP MOVSB and STOSB. */
export const FEAT_ERMS = 32;
export const FEAT_RDPID = 33;
/** PREFETCHW. */
export const FEAT_PREFETCHW = 34;
/** CLAC and STAC too. */
export const FEAT_SMAP = 35;
