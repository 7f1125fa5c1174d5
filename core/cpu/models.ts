/**
 * What each CPU model has: what its micro-architecture level demands, and the system features that processors of its time had. CPUID
 * (interp/wasm/cpuid.ts) tells exactly these, and the rest faults.
 */
import type { CpuModel } from '../contract/cpumodels.ts';
import * as F from './interp/wasm/features.ts';

const BASE = [F.FEAT_NX];
const X86_64 = [...BASE, F.FEAT_LM, F.FEAT_SYSCALL];
const X86_64_V2 = [
  ...X86_64,
  F.FEAT_LAHF64,
  F.FEAT_CX16,
  F.FEAT_SSE3,
  F.FEAT_SSSE3,
  F.FEAT_SSE41,
  F.FEAT_SSE42,
  F.FEAT_POPCNT,
  // Beyond the level: Westmere's cryptography and what Ivy Bridge added for systems.
  F.FEAT_AES,
  F.FEAT_PCLMUL,
  F.FEAT_PREFETCHW,
  F.FEAT_RDTSCP,
  F.FEAT_PCID,
  F.FEAT_PDPE1GB,
  F.FEAT_FSGSBASE,
  F.FEAT_SMEP,
  F.FEAT_ERMS,
  F.FEAT_RDRAND,
];
const X86_64_V3 = [
  ...X86_64_V2,
  F.FEAT_XSAVE,
  F.FEAT_AVX,
  F.FEAT_AVX2,
  F.FEAT_BMI1,
  F.FEAT_BMI2,
  F.FEAT_F16C,
  F.FEAT_FMA,
  F.FEAT_LZCNT,
  F.FEAT_MOVBE,
  // Beyond the level: Haswell and Broadwell.
  F.FEAT_XSAVEOPT,
  F.FEAT_INVPCID,
  F.FEAT_ADX,
  F.FEAT_RDSEED,
  F.FEAT_SMAP,
  F.FEAT_RDPID,
  F.FEAT_UMIP,
];

const MODEL_FEATURES: { readonly [M in CpuModel]: readonly number[] } = {
  i686: BASE,
  'x86-64': X86_64,
  'x86-64-v2': X86_64_V2,
  'x86-64-v3': X86_64_V3,
};

/** The feature word of `model`: bit n stands for FEAT_* number n. */
export function featureWord(model: CpuModel): bigint {
  return MODEL_FEATURES[model].reduce((word, n) => word | (1n << BigInt(n)), 0n);
}
