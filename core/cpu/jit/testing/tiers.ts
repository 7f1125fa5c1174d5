/** Programs of tests that run in the interpreter alone, with everything compiled, and with what ran compiled, and must end alike. */
import { expect } from 'vitest';
import type { CpuState } from '../../cpustate.ts';
import { TestCpu } from '../../interp/testing/testcpu.ts';

export const HLT = 0xf4;
export const le16 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff];
export const le32 = (v: number): number[] => [...le16(v), ...le16(v >>> 16)];
/** Compiles what ran once; samples so often that all of a short loop is found. */
export const EAGER = { piece: 20, threshold: 1, missPeriod: 4 };

export interface Ended {
  state: CpuState;
  /** Vector of the handler that halted, -1 when the program did. */
  vector: number;
  t: TestCpu;
}

/** `start` puts the program and the state in place. Of the instructions at least `share` ran in regions. Gives what the recompiler left. */
export function inBothTiers(start: (t: TestCpu) => void, share = 0.3): Ended {
  const [interpreted, compiled, reached] = [undefined, EAGER, { ...EAGER, reachedOnly: true }].map((recompiler): Ended => {
    const t = new TestCpu(recompiler ? { recompiler } : {});
    start(t);
    const state = t.untilHalt();
    return { state, vector: TestCpu.vectorOf(state), t };
  }) as [Ended, Ended, Ended];
  for (const { state, t } of [compiled, reached]) {
    expect(state).toEqual(interpreted.state);
    expect(t.portWrites).toEqual(interpreted.t.portWrites);
    expect(Buffer.compare(t.ram, interpreted.t.ram)).toBe(0);
  }
  const { instructions, interpretedInstructions } = compiled.t.cpu.statistics();
  expect(1 - interpretedInstructions / instructions).toBeGreaterThan(share);
  return compiled;
}
