/**
 * CPU features that decide whether an instruction exists: beyond the P6 class with MMX, SSE and SSE2, which every model has. The decoder looks
 * for the bit of the same name, FEAT_*, in the state word SY_FEATURES, which the CPU model sets (core/cpu/models.ts).
 */
import {
  FEAT_ADX,
  FEAT_AES,
  FEAT_AVX,
  FEAT_AVX2,
  FEAT_BMI1,
  FEAT_BMI2,
  FEAT_CX16,
  FEAT_F16C,
  FEAT_FMA,
  FEAT_FSGSBASE,
  FEAT_INVPCID,
  FEAT_LAHF64,
  FEAT_LM,
  FEAT_LZCNT,
  FEAT_MOVBE,
  FEAT_PCLMUL,
  FEAT_POPCNT,
  FEAT_PREFETCHW,
  FEAT_RDPID,
  FEAT_RDRAND,
  FEAT_RDSEED,
  FEAT_RDTSCP,
  FEAT_SSE3,
  FEAT_SSE41,
  FEAT_SSE42,
  FEAT_SSSE3,
  FEAT_SYSCALL,
  FEAT_XSAVE,
  FEAT_XSAVEOPT,
} from '../interp/wasm/features.ts';

const NUMBERS = {
  lm: FEAT_LM,
  syscall: FEAT_SYSCALL,
  lahf64: FEAT_LAHF64,
  cx16: FEAT_CX16,
  sse3: FEAT_SSE3,
  ssse3: FEAT_SSSE3,
  sse41: FEAT_SSE41,
  sse42: FEAT_SSE42,
  popcnt: FEAT_POPCNT,
  aes: FEAT_AES,
  pclmul: FEAT_PCLMUL,
  movbe: FEAT_MOVBE,
  bmi1: FEAT_BMI1,
  bmi2: FEAT_BMI2,
  lzcnt: FEAT_LZCNT,
  adx: FEAT_ADX,
  xsave: FEAT_XSAVE,
  xsaveopt: FEAT_XSAVEOPT,
  avx: FEAT_AVX,
  avx2: FEAT_AVX2,
  fma: FEAT_FMA,
  f16c: FEAT_F16C,
  fsgsbase: FEAT_FSGSBASE,
  rdrand: FEAT_RDRAND,
  rdseed: FEAT_RDSEED,
  rdtscp: FEAT_RDTSCP,
  invpcid: FEAT_INVPCID,
  rdpid: FEAT_RDPID,
  prefetchw: FEAT_PREFETCHW,
};

export type Feature = keyof typeof NUMBERS;
export const FEATURES = Object.keys(NUMBERS) as readonly Feature[];

/** Bit number of a feature in SY_FEATURES. */
export function featureBit(feature: Feature): number {
  return NUMBERS[feature];
}
