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

  it('where control arrives from elsewhere, with no sample', () => {
    const t = new TestCpu({ recompiler: { piece: 1 << 29, threshold: 200 } });
    t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
    // mov ecx,20000; each: call 0x12000; dec ecx; jnz each; hlt
    t.put(0x10000, 0xb9, ...le32(20_000), 0xe8, ...le32(0x12000 - 0x1000a), 0x49, 0x75, 0xf8, 0xf4);
    // inc eax, many times; ret
    t.put(0x12000, ...new Array<number>(30).fill(0x40), 0xc3);
    t.untilHalt();
    expect(t.cpu.getState().gpr[0]).toBe(600_000n);
    expect(compiledShare(t)).toBeGreaterThan(0.9);
  });
});
