/**
 * CPU models that a machine can have. `i686` is a 32-bit processor with SSE2; the others are the micro-architecture levels of the x86-64
 * psABI (section 3.1.1, table 3.1): a program built for a level runs on the model of that name.
 */
export const cpuModels = ['i686', 'x86-64', 'x86-64-v2', 'x86-64-v3'] as const;
export type CpuModel = (typeof cpuModels)[number];

/** What new machines get. */
export const defaultCpuModel: CpuModel = 'x86-64-v3';
