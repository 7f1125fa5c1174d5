import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const VALUES = [0, 1, 2, 5, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffb, 0xffffffff];

/** SDM volume 2 appendix B.1.4.7: condition codes over EFLAGS. */
function holds(condition: number, flags: number): boolean {
  const cf = (flags & 1) !== 0;
  const pf = (flags & 4) !== 0;
  const zf = (flags & 0x40) !== 0;
  const sf = (flags & 0x80) !== 0;
  const of = (flags & 0x800) !== 0;
  const base = [of, cf, zf, cf || zf, sf, pf, sf !== of, sf !== of || zf][condition >> 1]!;
  return base !== ((condition & 1) === 1);
}

describe('a conditional jump behind an instruction that sets flags', () => {
  // ebx points at memory that holds ecx.
  const firsts: [string, number[]][] = [
    ['cmp eax, ecx', [0x39, 0xc8]],
    ['cmp ecx, eax', [0x3b, 0xc8]],
    ['cmp eax, -5', [0x83, 0xf8, 0xfb]],
    ['cmp eax, imm32', [0x3d, 0xff, 0xff, 0xff, 0x7f]],
    ['cmp al, -128', [0x3c, 0x80]],
    ['cmp al, cl', [0x38, 0xc8]],
    ['cmp eax, [ebx]', [0x3b, 0x03]],
    ['cmp [ebx], eax', [0x39, 0x03]],
    ['cmp dword [ebx], 5', [0x83, 0x3b, 0x05]],
    ['cmp byte [ebx], -1', [0x80, 0x3b, 0xff]],
    ['test eax, ecx', [0x85, 0xc8]],
    ['test al, cl', [0x84, 0xc8]],
    ['test al, 0x80', [0xa8, 0x80]],
    ['test dword [ebx], -128', [0xf7, 0x03, 0x80, 0xff, 0xff, 0xff]],
    ['dec eax', [0x48]],
    ['cmp ax, cx', [0x66, 0x39, 0xc8]],
    ['add eax, ecx', [0x01, 0xc8]],
  ];
  for (const [name, first] of firsts)
    it(`jumps as the flags of ${name} say`, () => {
      const t = new TestCpu();
      t.flat(CODE);
      const state = t.cpu.getState();
      const wrong: string[] = [];
      for (let condition = 0; condition < 16; condition++) {
        // HLT when it falls through, HLT five bytes on when it jumps.
        t.put(CODE, ...first, 0x70 + condition, 0x04, 0xf4, 0x90, 0x90, 0x90, 0xf4);
        const end = CODE + first.length + 2;
        for (const a of VALUES)
          for (const b of VALUES) {
            t.guest.write32(DATA, b);
            state.gpr = [a, b, 0, DATA, 0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].map(BigInt);
            state.rip = BigInt(CODE);
            state.rflags = 2n;
            t.cpu.setState(state);
            const s = t.untilHalt();
            const taken = Number(s.rip) === end + 5;
            if (!taken && Number(s.rip) !== end + 1) wrong.push(`condition ${condition}: ended at ${s.rip.toString(16)}`);
            if (taken !== holds(condition, Number(s.rflags))) wrong.push(`condition ${condition} of ${a.toString(16)}, ${b.toString(16)}`);
          }
      }
      expect(wrong).toEqual([]);
    });

  it('takes the interrupt of a loop that is one fused pair', () => {
    const t = new TestCpu();
    t.flat(CODE);
    t.patch((s) => {
      s.rflags |= 0x200n;
    });
    // cmp eax, ecx; jz back
    t.put(CODE, 0x39, 0xc8, 0x74, 0xfc);
    expect(t.cpu.run(1000)).toBe('budget');
    t.vector = 0x40;
    t.cpu.setIntr(true);
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(0x40);
  });

  it('reports the jump, not the compare, when its target is outside the code segment', () => {
    const t = new TestCpu();
    t.flat(CODE);
    t.patch((s) => {
      s.segments.cs.limit = 0x10fff;
    });
    t.put(CODE, 0x39, 0xc8, 0x0f, 0x84, 0x00, 0x20, 0x00, 0x00);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(13);
    expect(t.guest.read32(t.reg(s, 4) + 4)).toBe(CODE + 2);
  });
});
