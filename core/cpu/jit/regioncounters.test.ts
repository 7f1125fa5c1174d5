import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { RC_FAULTS, RegionCounters } from './regioncounters.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const START = 0x10000;

/** mov ecx,1000; inc eax; dec ecx; jnz; jmp to the start: 3,001 instructions a turn. */
function looping(): TestCpu {
  const t = new TestCpu({ recompiler: { piece: 2000, threshold: 2 } });
  t.flat(START, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
  t.put(START, 0xb9, ...le32(1000), 0x40, 0x49, 0x75, 0xfc, 0xeb, 0xf5);
  for (let i = 0; i < 20; i++) t.cpu.run(100_000);
  return t;
}
const compiled = (t: TestCpu) => t.cpu.statistics().hottest.filter(({ exits }) => exits);

describe('counters of regions', () => {
  it('are not there until somebody counts', () => {
    const t = looping();
    expect(t.cpu.statistics().regions.compiled).toBeGreaterThan(0);
    expect(compiled(t)).toEqual([]);
    expect(Object.keys(t.cpu.statistics().exits)).not.toContain('region at the end of a slice');
  });

  it('tell entries, instructions and why each was left', () => {
    const t = looping();
    t.cpu.countRegions(true);
    const before = t.cpu.statistics();
    for (let i = 0; i < 50; i++) t.cpu.run(100_000);
    const after = t.cpu.statistics();
    const regions = compiled(t);
    expect(regions.map(({ address }) => Number(address) >> 4)).toContain(START >> 4);
    const sum = (of: (region: (typeof regions)[0]) => number) => regions.reduce((total, region) => total + of(region), 0);
    const done = after.instructions - before.instructions - (after.interpretedInstructions - before.interpretedInstructions);
    expect(sum(({ instructions }) => instructions)).toBeGreaterThan(done * 0.95);
    expect(sum(({ instructions }) => instructions)).toBeLessThanOrEqual(done);
    for (const { entries, exits, bits, physical, address } of regions) {
      expect(bits).toBe(32);
      expect(physical).toBe(Number(address));
      expect(Object.values(exits!).reduce((total, count) => total + count, 0)).toBe(entries);
    }
    // The loop never ends by itself: only slices do.
    expect(sum(({ exits }) => exits!.slice)).toBeGreaterThan(40);
    expect(after.exits['region at the end of a slice']).toBe(sum(({ exits }) => exits!.slice));
  });

  it('go when nobody counts any longer: the code has no trace of them', async () => {
    const t = looping();
    const bytes = () => t.cpu.statistics().generatedBytesAlive;
    const plain = bytes();
    t.cpu.countRegions(true);
    expect(bytes()).toBeGreaterThan(plain);
    t.cpu.countRegions(false);
    expect(bytes()).toBe(plain);
    expect(compiled(t)).toEqual([]);
    t.cpu.run(100_000);
    expect(compiled(t)).toEqual([]);
  });

  it('count a fault as one', () => {
    const t = new TestCpu({ recompiler: { piece: 2000, threshold: 2 } });
    t.flat(START, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
    // xor edx,edx; mov ecx,200; inc eax; dec ecx; jnz; div ecx (divides by zero); jmp
    t.put(START, 0x31, 0xd2, 0xb9, ...le32(200), 0x40, 0x49, 0x75, 0xfc, 0xf7, 0xf1, 0xeb, 0xf1);
    // Handler of #DE: add dword [esp], 2; iret.
    t.put(0x3000, 0x83, 0x04, 0x24, 0x02, 0xcf);
    for (let i = 0; i < 20; i++) t.cpu.run(100_000);
    t.cpu.countRegions(true);
    const before = t.cpu.statistics().faults['0']!;
    for (let i = 0; i < 20; i++) t.cpu.run(100_000);
    const regions = compiled(t);
    const faults = t.cpu.statistics().faults['0']! - before;
    expect(faults).toBeGreaterThan(1000);
    const left = regions.reduce((sum, { exits }) => sum + exits!.faults + exits!.step, 0);
    expect(left).toBeGreaterThan(faults * 0.9);
  });

  it('have slots that are zero again when they are used again, and end where their room ends', () => {
    const t = new TestCpu();
    const counters = new RegionCounters(t.memory);
    const slot = counters.take();
    new DataView(t.memory.buffer).setBigUint64(slot + RC_FAULTS, 5n, true);
    expect(counters.read(slot).exits.faults).toBe(5);
    counters.release(slot);
    expect(counters.take()).toBe(slot);
    expect(counters.read(slot).exits.faults).toBe(0);
    let taken = 1;
    while (counters.take()) taken++;
    expect(taken).toBe(8192);
  });
});
