import { describe, expect, it } from 'vitest';
import { TestCpu } from './testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const RF = 0x10000;

/** Returns by IRET to `code` with RF set; gives the flags that the handler of INT 30h, which `code` ends with, finds on its stack. */
function flagsAtInterrupt(code: number[]): number {
  const t = new TestCpu();
  t.flat(0x10000, [0, 0, 0, 0, 0x8000]);
  // push RF | 2; push 8; push 0x11000; iret
  t.put(0x10000, 0x68, ...le32(RF | 2), 0x6a, 8, 0x68, ...le32(0x11000), 0xcf);
  t.put(0x11000, ...code, 0xcd, 0x30, HLT);
  t.put(0x3000 + 0x30 * 16, 0x8b, 0x44, 0x24, 0x08, HLT); // mov eax,[esp+8]
  return Number(t.untilHalt().gpr[0]);
}

describe('RF after IRET', () => {
  it.each<[string, number[]]>([
    ['arithmetic', [0x01, 0xc3]],
    ['a move from memory', [0x8b, 0x1d, ...le32(0x20000)]],
    ['a jump', [0xeb, 0x00]],
    ['SETcc', [0x0f, 0x94, 0xc3]],
    ['a string instruction', [0xb9, ...le32(3), 0xbf, ...le32(0x20000), 0xf3, 0xaa]],
    ['PUSHF and POPF', [0x9c, 0x9d]],
  ])('is gone after %s', (_what, code) => {
    expect(flagsAtInterrupt(code) & RF).toBe(0);
  });

  it('lasts until the instruction it was meant for', () => {
    expect(flagsAtInterrupt([]) & RF).toBe(RF);
  });
});
