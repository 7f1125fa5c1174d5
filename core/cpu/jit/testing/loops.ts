/** Loops of instructions under test, run by the interpreter alone and by the recompiler, and everything that can be seen afterwards. */
import { expect, vi } from 'vitest';
import { CPU_STATE_BASE } from '../../../memory/layout.ts';
import type { CpuState } from '../../cpustate.ts';
import { TestCpu } from '../../interp/testing/testcpu.ts';
import { SJ_INSTRUCTIONS } from '../../interp/wasm/jitoffsets.ts';

export const CODE = 0x10000;
export const SOURCE = 0x20000;
export const OTHER = 0x22000;
export const TARGET = 0x24000;
export const TURNS = 300;
const OSFXSR = 0x200n;
const OSXMMEXCPT = 0x400n;

/** Values of interest, as doubles and as pairs of singles. */
const VALUES = [
  0n,
  0x8000_0000_0000_0000n,
  1n,
  0x000f_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n,
  0x7fef_ffff_ffff_ffffn,
  0x7ff0_0000_0000_0000n,
  0xfff0_0000_0000_0000n,
  0x7ff8_0000_0000_0001n,
  0x7ff0_0000_0000_0001n,
  0x3ff0_0000_0000_0000n,
  0xbff8_0000_0000_0000n,
  0x3fd5_5555_5555_5555n,
  0x0018_0000_0000_0000n,
  0x3f80_0000_4049_0fdbn,
  0x0000_0001_0080_0000n,
  0x7f7f_ffff_7f80_0000n,
  0x7fc0_0000_ff80_0001n,
];

const fillValues: Fill = (data) => {
  for (let i = 0; i < 1024; i++) {
    data.setBigUint64(SOURCE + i * 8, VALUES[i % VALUES.length]!, true);
    data.setBigUint64(OTHER + i * 8, VALUES[(i * 5 + (i >> 5)) % VALUES.length]!, true);
  }
};

/** MOV ECX, turns; the body; ADD ESI, EDX; ADD EDI, EDX; DEC ECX; JNZ; HLT. ESI and EDI point to data, EBX to results, EDX is the step. */
export function loop(...body: number[]): number[] {
  const tail = [0x01, 0xd6, 0x01, 0xd7, 0x49];
  return [0xb9, TURNS & 0xff, TURNS >> 8, 0, 0, ...body, ...tail, 0x75, (256 - (body.length + tail.length + 2)) & 0xff, 0xf4];
}

export type Features = Parameters<TestCpu['features']>;
/** Fills the memory that ESI and EDI point to. */
export type Fill = (data: DataView) => void;

export interface Run {
  step: number;
  source?: number;
  mxcsr?: number;
  patch?: (state: CpuState) => void;
}

/** Runs of the same code one after another, on the interpreter alone or with the recompiler; everything that can be seen afterwards. */
export function outcomes(
  accelerator: string,
  code: number[],
  runs: Run[],
  features: Features = [],
  options: { fill?: Fill; mmioRead?: (gpa: number, size: number) => number } = {},
) {
  vi.stubEnv('HYPERVUE_ACCEL', accelerator);
  const t = new TestCpu(options.mmioRead ? { bus: { mmioRead: options.mmioRead } } : {});
  if (features.length) t.features(...features);
  t.put(CODE, ...code);
  const data = new DataView(t.memory.buffer, t.ram.byteOffset);
  (options.fill ?? fillValues)(data);
  const seen = runs.map((run) => {
    t.flat(CODE, [0, 0, run.step, TARGET, 0x8000, 0, run.source ?? SOURCE, OTHER]);
    t.patch((s) => {
      s.cr4 = OSFXSR | OSXMMEXCPT;
      s.mxcsr = run.mxcsr ?? 0x1fa0;
      run.patch?.(s);
    });
    const state = t.untilHalt();
    return { vector: TestCpu.vectorOf(state), state, ram: t.ram.slice(0x7f00, 0x8000), data: t.ram.slice(SOURCE, TARGET + 0x4000) };
  });
  return { seen, inRegions: Number(new DataView(t.memory.buffer).getBigUint64(CPU_STATE_BASE + SJ_INSTRUCTIONS, true)) };
}

export function expectSame(code: number[], runs: Run[], features: Features = [], fill: Fill = fillValues) {
  const want = outcomes('', code, runs, features, { fill });
  const got = outcomes('jit', code, runs, features, { fill });
  expect(got.seen).toEqual(want.seen);
  expect(want.inRegions).toBe(0);
  expect(got.inRegions).toBeGreaterThan(TURNS);
  return got.seen;
}
