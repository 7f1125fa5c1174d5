/**
 * Bits of CR0, CR3 and CR4 that a processor does not have are #GP(0) (SDM volume 3, 2.5), and those that it has are the ones that CPUID tells of; INVPCID's
 * operands (volume 2).
 */
import { describe, expect, it } from 'vitest';
import { cpuModels } from '../../contract/cpumodels.ts';
import { TestCpu } from './testing/testcpu.ts';

const CODE = 0x10000;
const DESCRIPTOR = 0x20000;
const HLT = 0xf4;
const GP = 13;
/** CPUID leaf, register (EAX, EBX, ECX, EDX) and bit that tell of a bit of CR4; those in none are told of by nothing here. */
const CR4_BITS: Record<number, [leaf: number, register: number, bit: number] | true> = {
  0: [1, 3, 1],
  1: [1, 3, 1],
  2: [1, 3, 4],
  3: [1, 3, 2],
  4: [1, 3, 3],
  5: [1, 3, 6],
  6: [1, 3, 7],
  7: [1, 3, 13],
  // PCE: RDPMC came with the first processors of this family.
  8: true,
  9: [1, 3, 24],
  10: [1, 3, 25],
  11: [7, 2, 2],
  13: [1, 2, 5],
  14: [1, 2, 6],
  16: [7, 1, 0],
  17: [1, 2, 17],
  18: [1, 2, 26],
  20: [7, 1, 7],
  21: [7, 1, 20],
  22: [7, 2, 3],
  23: [7, 2, 7],
  24: [7, 2, 31],
};

class Processor {
  readonly t = new TestCpu();

  private readonly model: (typeof cpuModels)[number];
  private readonly long: boolean;

  constructor(model: (typeof cpuModels)[number], long: boolean) {
    this.model = model;
    this.long = long;
    this.t.patch((s) => {
      s.model = model;
    });
  }

  /** Executes `code` at CPL 0; the vector of what it raised, or -1. */
  run(code: number[], gpr: (number | bigint)[] = [], cr4 = 0n): number {
    if (this.long) this.t.long(CODE, gpr, this.model);
    else this.t.flat(CODE, gpr.map(Number));
    this.t.patch((s) => {
      s.cr4 |= cr4;
    });
    this.t.put(CODE, ...code, HLT);
    return TestCpu.vectorOf(this.t.untilHalt());
  }

  cpuid(leaf: number): number[] {
    this.run([0x0f, 0xa2], [leaf]);
    const { gpr } = this.t.cpu.getState();
    return [0, 3, 1, 2].map((r) => Number(gpr[r]! & 0xffffffffn));
  }
}

describe.each(cpuModels)('of %s', (model) => {
  const is64 = model !== 'i686';

  it('CR4 takes the bits of features that CPUID tells of, and no others', () => {
    const p = new Processor(model, is64);
    const most = p.cpuid(0)[0]!;
    const leaves: Record<number, number[]> = { 1: p.cpuid(1), 7: most >= 7 ? p.cpuid(7) : [0, 0, 0, 0] };
    for (let bit = 0; bit < (is64 ? 64 : 32); bit++) {
      const told = CR4_BITS[bit];
      const has = told === true || (told !== undefined && ((leaves[told[0]]![told[1]]! >>> told[2]) & 1) === 1);
      // mov rcx,cr4; or rcx,rax; mov cr4,rcx
      const or = is64 ? [0x48, 0x09, 0xc1] : [0x09, 0xc1];
      expect([bit, p.run([0x0f, 0x20, 0xe1, ...or, 0x0f, 0x22, 0xe1], [1n << BigInt(bit)])]).toEqual([bit, has ? -1 : GP]);
      expect([bit, (p.t.cpu.getState().cr4 >> BigInt(bit)) & 1n]).toEqual([
        bit,
        has || (is64 && (bit === 5 || bit === 9 || bit === 10)) ? 1n : 0n,
      ]);
    }
  });

  it('CR0: PG without PE, NW without CD, the upper half; other bits are not kept, ET is one', () => {
    const p = new Processor(model, is64);
    const to = (value: bigint): number => p.run([0x0f, 0x22, 0xc0], [value]);
    expect([to(0x80000010n), to(0x20000011n)]).toEqual([GP, GP]);
    if (is64) expect(to(0x1_8000_0011n)).toBe(GP);
    expect(to(is64 ? 0xffffffffn : 0x7fffffffn)).toBe(-1);
    expect(p.t.cpu.getState().cr0).toBe(is64 ? 0xe005003fn : 0x6005003fn);
  });

  if (is64)
    it('CR3: what lies above the width of an address, and bit 63 without PCIDs', () => {
      const p = new Processor(model, true);
      for (const bit of [40n, 51n, 52n, 63n]) expect(p.run([0x0f, 0x22, 0xd8], [0x9000n | (1n << bit)])).toBe(GP);
      if ((p.cpuid(1)[2]! >>> 17) & 1) {
        expect(p.run([0x0f, 0x22, 0xd8], [0x9005n | (1n << 63n)], 0x20000n)).toBe(-1);
        expect(p.t.cpu.getState().cr3).toBe(0x9005n);
        // PCIDE cannot be set while CR3 has one, and paging not end while it is set.
        expect(p.run([0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x0f, 0xba, 0xe8, 17, 0x0f, 0x22, 0xe0], [0x9005n])).toBe(GP);
      }
    });
});

describe('INVPCID', () => {
  const VALID: [type: bigint, pcid: bigint, address: bigint, cr4: bigint, vector: number][] = [
    [0n, 0n, 0n, 0n, -1],
    [0n, 5n, 0n, 0n, GP],
    [0n, 5n, 0n, 0x20000n, -1],
    [0n, 5n, 0x8000_0000_0000n, 0x20000n, GP],
    [1n, 5n, 0x8000_0000_0000n, 0x20000n, -1],
    [1n, 5n, 0n, 0n, GP],
    [2n, 5n, 0n, 0n, -1],
    [3n, 5n, 0n, 0n, -1],
    [4n, 0n, 0n, 0n, GP],
    [1n << 32n, 0n, 0n, 0n, GP],
    // Bits 63 to 12 are reserved whatever is invalidated.
    ...[0n, 1n, 2n, 3n].flatMap((type): [bigint, bigint, bigint, bigint, number][] => [
      [type, 0x1000n, 0n, 0x20000n, GP],
      [type, 1n << 63n, 0n, 0x20000n, GP],
    ]),
  ];
  it.each(VALID)('of type %i, PCID %i, address %i, CR4 %i: %i', (type, pcid, address, cr4, vector) => {
    const p = new Processor('x86-64-v3', true);
    for (const [at, value] of [
      [DESCRIPTOR, pcid],
      [DESCRIPTOR + 8, address],
    ] as const) {
      p.t.guest.write32(at, Number(value & 0xffffffffn));
      p.t.guest.write32(at + 4, Number(value >> 32n));
    }
    // invpcid rax,[rbx]
    expect(p.run([0x66, 0x0f, 0x38, 0x82, 0x03], [type, 0, 0, DESCRIPTOR], cr4)).toBe(vector);
  });
});
