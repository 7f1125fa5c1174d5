import { describe, expect, it } from 'vitest';
import { type CpuModel, cpuModels } from '../contract/cpumodels.ts';
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
    expect(ask(1)).toEqual([0x106ca, 0x10800, 0x80000000, 0x078bfbff]);
    expect(ask(0x80000001)).toEqual([0, 0, 0, 1 << 20]);
    expect(ask(0x80000008)[0]).toBe(0x2024);
  });

  /** EAX, EBX, ECX, EDX of leaves of a model, by a program in 64-bit mode. */
  function leaves(model: CpuModel): (leaf: number, subleaf?: number) => number[] {
    const t = new TestCpu();
    return (leaf, subleaf = 0) => {
      t.long(0x10000, [leaf, subleaf], model);
      t.put(0x10000, 0x0f, 0xa2, 0xf4);
      const s = t.untilHalt();
      return [0, 3, 1, 2].map((r) => t.reg(s, r));
    };
  }

  // ECX and EDX of leaf 1, EBX and ECX of leaf 7, ECX and EDX of leaf 80000001, sizes of the XSAVE area.
  it.each([
    ['x86-64', 0x80000000, 0x078bfbff, 2, 0, 0, 0x20100800, 0],
    ['x86-64-v2', 0xc29a2203, 0x078bfbff, 0x00000283, 0, 0x101, 0x2c100800, 0],
    ['x86-64-v3', 0xf6da3203, 0x078bfbff, 0x001c07ab, 0x00400004, 0x121, 0x2c100800, 832],
  ] as const)('CPUID of %s', (model, ecx1, edx1, ebx7, ecx7, ecxExtended, edxExtended, xsave) => {
    const ask = leaves(model);
    expect(ask(0)[0]).toBeGreaterThanOrEqual(0xd);
    expect(ask(1).slice(2)).toEqual([ecx1, edx1]);
    expect(ask(7)).toEqual([0, ebx7, ecx7, 0]);
    expect(ask(7, 1)).toEqual([0, 0, 0, 0]);
    expect(ask(0x80000001).slice(2)).toEqual([ecxExtended, edxExtended]);
    expect(ask(0x80000008)[0]).toBe(0x3028);
    expect(ask(0xd)[2]).toBe(xsave);
  });

  it('SYSCALL shows in 64-bit mode only', () => {
    const t = new TestCpu();
    t.patch((s) => {
      s.model = 'x86-64';
    });
    t.flat(0x10000, [0x80000001]);
    t.put(0x10000, 0x0f, 0xa2, 0xf4);
    expect(t.reg(t.untilHalt(), 2)).toBe(0x20100000);
  });
});
