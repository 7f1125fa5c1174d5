import { describe, expect, it } from 'vitest';
import { TestCpu } from './testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;

/** Calls a function at 0x12000, then writes `writes` times to 0x12800, in the same page; stops. */
function afterWrites(writes: number): TestCpu {
  const t = new TestCpu();
  t.flat(0x10000);
  t.put(0x12000, 0xc3);
  const call = [0xe8, ...le32(0x12000 - 0x10005)];
  const loop = [0xb9, ...le32(writes), 0xff, 0x05, ...le32(0x12800), 0x49, 0x75, 0xf7]; // mov ecx,writes; l: inc dword [0x12800]; dec ecx; jnz l
  t.put(0x10000, ...call, ...loop, HLT);
  t.untilHalt();
  expect(t.guest.read32(0x12800)).toBe(writes);
  return t;
}

describe('data beside code', () => {
  it('leaves the decoded code alone when it is written now and then', () => {
    expect(afterWrites(20).holdsCode(0x12000)).toBe(true);
  });

  it('takes the page over when it is written again and again', () => {
    expect(afterWrites(2000).holdsCode(0x12000)).toBe(false);
  });

  it('does not do so every time: code that runs between the writes stays longer and longer', () => {
    const t = new TestCpu();
    t.flat(0x12000);
    // mov ecx,30000; l: inc dword [0x12800]; dec ecx; jnz l; hlt: the code writes beside itself.
    t.put(0x12000, 0xb9, ...le32(30_000), 0xff, 0x05, ...le32(0x12800), 0x49, 0x75, 0xf7, HLT);
    t.untilHalt();
    expect(t.guest.read32(0x12800)).toBe(30_000);
    const dropped = t.cpu.statistics().codePagesDropped;
    expect(dropped).toBeGreaterThan(2);
    // About log2 of the 117 that it would be without that, twice as often with the recompiler, which has its own copy of the code.
    expect(dropped).toBeLessThan(24);
  });
});
