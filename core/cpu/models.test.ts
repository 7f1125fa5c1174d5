import { describe, expect, it } from 'vitest';
import { cpuModels } from '../contract/cpumodels.ts';
import { featureWord } from './models.ts';
import { FEAT_LM, FEAT_NX } from './interp/wasm/features.ts';
import { TestCpu } from './interp/testing/testcpu.ts';

const bit = (n: number): bigint => 1n << BigInt(n);

describe('CPU models', () => {
  it('each model has everything that the one before it has', () => {
    for (let i = 1; i < cpuModels.length; i++) {
      const before = featureWord(cpuModels[i - 1]!);
      expect(featureWord(cpuModels[i]!) & before).toBe(before);
    }
  });

  it('the 32-bit model has no long mode, but execute-disable', () => {
    expect(featureWord('i686') & bit(FEAT_LM)).toBe(0n);
    expect(featureWord('i686') & bit(FEAT_NX)).toBe(bit(FEAT_NX));
  });

  it('CPUID of the 32-bit model', () => {
    const t = new TestCpu();
    const ask = (leaf: number): number[] => {
      t.flat(0x10000, [leaf]);
      t.put(0x10000, 0x0f, 0xa2, 0xf4);
      const s = t.untilHalt();
      return [0, 3, 1, 2].map((r) => t.reg(s, r));
    };
    expect(ask(0)[0]).toBe(2);
    expect(ask(1)).toEqual([0x106ca, 0x10800, 0x80000000, 0x078bfbfd]);
    expect(ask(0x80000001)).toEqual([0, 0, 0, 1 << 20]);
    expect(ask(0x80000008)[0]).toBe(0x2024);
  });
});
