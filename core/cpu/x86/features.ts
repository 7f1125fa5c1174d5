/**
 * CPU features that decide whether an instruction exists: beyond the P6 class with MMX, SSE and SSE2, which every model has. The place of a name
 * is its bit in the state word SY_FEATURES (core/cpu/interp/wasm/sysstate.ts), which the CPU model sets; the decoder looks there. The generator
 * gives AssemblyScript the same numbers as FEATURE_* constants.
 */
export const FEATURES = [
  'lm',
  'sse3',
  'ssse3',
  'sse41',
  'sse42',
  'popcnt',
  'aes',
  'pclmul',
  'movbe',
  'lzcnt',
  'bmi1',
  'bmi2',
  'adx',
  'cx16',
  'lahf64',
  'rdtscp',
  'fsgsbase',
  'rdrand',
  'rdseed',
  'xsave',
  'xsaveopt',
  'avx',
  'avx2',
  'f16c',
  'fma',
  'prefetchw',
  'rdpid',
  'invpcid',
  'smap',
  'clflushopt',
  'clwb',
  'sha',
  'vaes',
  'vpclmul',
  'gfni',
  'syscall32',
] as const;

export type Feature = (typeof FEATURES)[number];

/** Bit number of a feature in SY_FEATURES. */
export function featureBit(feature: Feature): number {
  return FEATURES.indexOf(feature);
}
