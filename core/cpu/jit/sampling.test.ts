import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/** Loops of 300 instructions, then what `between` does, and so on. */
function busy(recompiler: { piece: number; threshold: number }, between: number[]): TestCpu {
  const t = new TestCpu({ recompiler });
  t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
  const loop = [0xb9, ...le32(100), 0x40, 0x49, 0x75, 0xfc]; // mov ecx,100; inc eax; dec ecx; jnz
  t.put(0x10000, ...loop, ...between, 0xe9, ...le32(-(loop.length + between.length + 5)));
  // Handler of #UD: add dword [esp], 2; iret.
  t.put(0x3000 + 6 * 16, 0x83, 0x04, 0x24, 0x02, 0xcf);
  return t;
}

const compiledShare = (t: TestCpu): number => {
  const { instructions, interpretedInstructions } = t.cpu.statistics();
  return 1 - interpretedInstructions / instructions;
};

describe('what is hot is found', () => {
  it('in code that faults more often than samples are taken', () => {
    const t = busy({ piece: 8000, threshold: 3 }, [0x0f, 0x0b]); // ud2
    for (let i = 0; i < 30; i++) t.cpu.run(100_000);
    expect(compiledShare(t)).toBeGreaterThan(0.7);
  });

  it('when every run is shorter than a piece', () => {
    const t = busy({ piece: 8000, threshold: 3 }, [0x90]);
    for (let i = 0; i < 3000; i++) t.cpu.run(1000);
    expect(compiledShare(t)).toBeGreaterThan(0.7);
  });
});
