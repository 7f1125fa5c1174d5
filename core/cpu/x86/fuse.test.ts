import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { pairBodies } from './fuse.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const COUNTER = 0x30000;
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

describe('neighbours that share a handler', () => {
  const halves: Record<string, number[]> = {
    push: [0x53],
    pushImmediate: [0x68, 0x78, 0x56, 0x34, 0x12],
    pop: [0x5a],
    load: [0x8b, 0x46, 0x04],
    loadByte: [0x8a, 0x4e, 0x05],
    store: [0x89, 0x5e, 0x08],
    move: [0x89, 0xda],
    moveImmediate: [0xbf, 0x21, 0x43, 0x65, 0x87],
    lea: [0x8d, 0x4b, 0xf0],
    add: [0x83, 0xc2, 0x7f],
    sub: [0x83, 0xeb, 0x11],
    xor: [0x31, 0xc8],
    // To the byte behind it.
    call: [0xe8, 0, 0, 0, 0],
    ret: [0xc3],
  };
  const pairs = pairBodies().map(({ name }) => name.split(' + ') as [string, string]);
  const setUp = (t: TestCpu, code: number[]): void => {
    t.flat(CODE, [0x11111111, 0x22222222, 0x33333333, 0x44444444, 0x8000, 0x55555555, DATA, 0x66666666]);
    t.ram.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], DATA);
    // What POP takes, and where RET goes: behind the pair.
    t.guest.write32(0x8000, CODE + code.length);
    t.guest.write32(0x8004, CODE + code.length);
    t.put(CODE, ...code, 0xf4);
  };

  for (const [a, b] of pairs)
    it(`${a} and ${b} do what they do one by one`, () => {
      const code = [...halves[a]!, ...halves[b]!];
      const together = new TestCpu();
      setUp(together, code);
      const one = together.untilHalt();
      // With the trap flag every instruction runs by itself and ends in INT 1, whose handler halts the second time.
      const apart = new TestCpu();
      setUp(apart, code);
      apart.patch((s) => {
        s.rflags |= 0x100n;
      });
      apart.guest.write32(COUNTER, 2);
      // dec dword [COUNTER]; jz to the halt; iret; hlt
      apart.put(0x3010, 0xff, 0x0d, 0, 0, 3, 0, 0x74, 0x01, 0xcf, 0xf4);
      const other = apart.untilHalt();
      // EIP, CS and EFLAGS are on the stack.
      const frame = apart.reg(other, 4);
      other.gpr[4] = BigInt(frame + 12);
      expect(one.gpr).toEqual(other.gpr);
      expect(Number(one.rip) - 1).toBe(apart.guest.read32(frame));
      expect(Number(one.rflags) & 0x8d5).toBe(apart.guest.read32(frame + 8) & 0x8d5);
      expect([...together.ram.subarray(DATA, DATA + 16)]).toEqual([...apart.ram.subarray(DATA, DATA + 16)]);
      const stack = together.reg(one, 4);
      expect([...together.ram.subarray(stack, 0x8008)]).toEqual([...apart.ram.subarray(stack, 0x8008)]);
    });

  it('runs the second half anew when the first one wrote over it', () => {
    const t = new TestCpu();
    // store [esi+8] right onto the move behind it, which becomes inc edx and inc edx.
    t.flat(CODE, [0, 0, 5, 0x4242, 0x8000, 0, CODE + 3 - 8, 0]);
    t.put(CODE, ...halves.store!, ...halves.move!, 0xf4);
    t.patch((s) => {
      // The two bytes behind the move stay: HLT and zero.
      s.gpr[3] = 0x00f44242n;
    });
    const s = t.untilHalt();
    expect(t.reg(s, 2)).toBe(7);
    expect(Number(s.rip)).toBe(CODE + 6);
  });

  it('reports a fault of the second half at the second, with the first one done', () => {
    const t = new TestCpu();
    t.flat(CODE, [0, 0, 0, 0x77, 0x8000, 0, DATA, 0]);
    t.patch((s) => {
      s.segments.cs.limit = 0x10fff;
    });
    // mov edx, ebx; call beyond the end of the code segment
    t.put(CODE, ...halves.move!, 0xe8, 0, 0x20, 0, 0);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(13);
    expect(t.reg(s, 2)).toBe(0x77);
    expect(t.guest.read32(t.reg(s, 4) + 4)).toBe(CODE + 2);
  });
});

describe('neighbours that share a handler in 64-bit mode', () => {
  // rsi is DATA; r9 and r8 stand for registers that need REX bits.
  const halves: Record<string, number[]> = {
    push: [0x41, 0x51],
    pop: [0x41, 0x58],
    load: [0x4c, 0x8b, 0x4e, 0x08],
    load32: [0x44, 0x8b, 0x46, 0x04],
    store: [0x48, 0x89, 0x5e, 0x10],
    store32: [0x89, 0x5e, 0x18],
    move: [0x49, 0x89, 0xd8],
    move32: [0x41, 0x89, 0xd8],
    moveImmediate: [0xbf, 0x21, 0x43, 0x65, 0x87],
    lea: [0x48, 0x8d, 0x4b, 0xf0],
    add: [0x48, 0x83, 0xc2, 0x7f],
    sub: [0x48, 0x81, 0xeb, 0x11, 0x22, 0x33, 0xf4],
    xor: [0x31, 0xc8],
    call: [0xe8, 0, 0, 0, 0],
    ret: [0xc3],
  };
  const setUp = (t: TestCpu, code: number[]): void => {
    const gpr = Array.from({ length: 16 }, (_, i) => 0x1111_2222_3333_4444n * BigInt(i + 1));
    gpr[4] = 0x8000n;
    gpr[6] = BigInt(DATA);
    t.long(CODE, gpr);
    t.ram.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], DATA);
    t.guest.write32(0x8000, CODE + code.length);
    t.guest.write32(0x8008, CODE + code.length);
    t.put(CODE, ...code, 0xf4);
  };
  for (const [a, b] of pairBodies(true).map(({ name }) => name.split(' + ') as [string, string]))
    it(`${a} and ${b} do what they do one by one`, () => {
      const code = [...halves[a]!, ...halves[b]!];
      const together = new TestCpu();
      setUp(together, code);
      const one = together.untilHalt();
      const apart = new TestCpu();
      setUp(apart, code);
      apart.patch((s) => {
        s.rflags |= 0x100n;
      });
      apart.guest.write32(COUNTER, 2);
      // dec dword [COUNTER]; jz to the halt; iretq; hlt
      apart.put(0x3010, 0xff, 0x0c, 0x25, 0, 0, 3, 0, 0x74, 0x02, 0x48, 0xcf, 0xf4);
      const other = apart.untilHalt();
      // RIP, CS, RFLAGS, RSP and SS are on the stack.
      const frame = apart.reg(other, 4);
      other.gpr[4] = BigInt(apart.guest.read32(frame + 24));
      expect(one.gpr).toEqual(other.gpr);
      expect(Number(one.rip) - 1).toBe(apart.guest.read32(frame));
      expect(Number(one.rflags) & 0x8d5).toBe(apart.guest.read32(frame + 16) & 0x8d5);
      expect([...together.ram.subarray(DATA, DATA + 32)]).toEqual([...apart.ram.subarray(DATA, DATA + 32)]);
    });
});
