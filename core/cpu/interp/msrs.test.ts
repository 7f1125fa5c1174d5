/**
 * Model-specific registers that systems touch (SDM volume 4, chapter 2; volume 3, 12.11 and 12.12 for MTRRs and the PAT): what they are after a reset, what may
 * be written, and that CPUID tells of them. What is not there is #GP(0), for RDMSR and WRMSR (volume 2).
 */
import { describe, expect, it } from 'vitest';
import type { CpuModel } from '../../contract/cpumodels.ts';
import { TestCpu } from './testing/testcpu.ts';

const CODE = 0x10000;
const HLT = 0xf4;
const GP = 13;
const MODELS: CpuModel[] = ['i686', 'x86-64', 'x86-64-v3'];

class Registers {
  readonly t = new TestCpu();

  constructor(model: CpuModel) {
    this.t.patch((s) => {
      s.model = model;
    });
  }

  private execute(code: number[], eax: number, ecx: number, edx: number): number {
    this.t.flat(CODE, [eax, ecx, edx]);
    this.t.put(CODE, ...code, HLT);
    this.t.untilHalt();
    return TestCpu.vectorOf(this.t.cpu.getState());
  }

  /** The value, or undefined where it is #GP(0). */
  read(msr: number): bigint | undefined {
    const vector = this.execute([0x0f, 0x32], 0, msr, 0);
    if (vector === GP) return undefined;
    expect(vector).toBe(-1);
    const { gpr } = this.t.cpu.getState();
    return gpr[0]! | (gpr[2]! << 32n);
  }

  /** Whether it may be written so. */
  write(msr: number, value: bigint): boolean {
    const vector = this.execute([0x0f, 0x30], Number(value & 0xffffffffn), msr, Number(value >> 32n));
    expect([-1, GP]).toContain(vector);
    return vector === -1;
  }

  cpuid(leaf: number): number[] {
    this.execute([0x0f, 0xa2], leaf, 0, 0);
    const { gpr } = this.t.cpu.getState();
    return [0, 3, 1, 2].map((r) => Number(gpr[r]));
  }
}

describe.each(MODELS)('MSRs of %s', (model) => {
  const is64 = model !== 'i686';
  const bits = is64 ? 40n : 36n;

  it('have the values of a reset', () => {
    const r = new Registers(model);
    const values: [msr: number, value: bigint | undefined][] = [
      [0x17, 0n],
      [0x1b, 0xfee00900n],
      [0x3a, 1n],
      [0xfe, 0x508n],
      [0x174, 0n],
      [0x175, 0n],
      [0x176, 0n],
      [0x179, 0n],
      [0x17a, 0n],
      [0x1a0, 1n],
      [0x1d9, 0n],
      [0x277, 0x0007040600070406n],
      [0x2ff, 0n],
      [0xc0000080, 0n],
      ...[0x250, 0x258, 0x259, 0x268, 0x26f, 0x200, 0x201, 0x20e, 0x20f].map((msr): [number, bigint] => [msr, 0n]),
      ...[0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102].map((msr): [number, bigint | undefined] => [
        msr,
        is64 ? 0n : undefined,
      ]),
      [0x3b, is64 ? 0n : undefined],
    ];
    expect(values.map(([msr]) => [msr, r.read(msr)])).toEqual(values);
  });

  it('that no processor of this kind has are #GP', () => {
    const r = new Registers(model);
    // Machine checks have no control register and no banks; no performance counters, VMX, x2APIC, XSAVES, speculation control.
    for (const msr of [
      0x48, 0x49, 0xc1, 0x10a, 0x10b, 0x17b, 0x186, 0x210, 0x251, 0x25a, 0x267, 0x270, 0x38f, 0x400, 0x480, 0x800, 0x802, 0xda0, 0xc0000085,
      0xc0000104,
    ]) {
      expect([msr, r.read(msr)]).toEqual([msr, undefined]);
      expect([msr, r.write(msr, 0n)]).toEqual([msr, false]);
    }
  });

  it('MTRRs and the PAT hold what is a memory type, and nothing in reserved bits', () => {
    const r = new Registers(model);
    const [, , , features] = r.cpuid(1);
    // MTRR, PAT; CPUID's address width is that of the ranges.
    expect(features! & 0x11000).toBe(0x11000);
    expect(BigInt(r.cpuid(0x80000008)[0]! & 0xff)).toBe(bits);
    const check = (msr: number, good: bigint[], bad: bigint[]): void => {
      for (const value of good) {
        expect([msr, value, r.write(msr, value)]).toEqual([msr, value, true]);
        expect(r.read(msr)).toBe(value);
      }
      const before = r.read(msr);
      for (const value of bad) expect([msr, value, r.write(msr, value)]).toEqual([msr, value, false]);
      expect(r.read(msr)).toBe(before);
    };
    const types = [0n, 1n, 4n, 5n, 6n];
    const none = [2n, 3n, 7n, 8n, 0x10n, 0xffn];
    const top = (1n << bits) - 1n;
    for (const shift of [0n, 24n, 56n]) {
      check(
        0x277,
        [...types, 7n].map((type) => type << shift),
        none.filter((type) => type !== 7n).map((type) => type << shift),
      );
      check(
        0x250,
        types.map((type) => type << shift),
        none.map((type) => type << shift),
      );
      check(
        0x26f,
        types.map((type) => type << shift),
        none.map((type) => type << shift),
      );
    }
    check(0x200, [...types, (top & ~0xfffn) | 6n], [...none, 0x100n, 0x800n, 1n << bits, 1n << 63n]);
    check(0x20f, [0n, 0x800n, top & ~0x7ffn], [1n, 0x400n, 1n << bits, 1n << 63n]);
    check(0x2ff, [0xc06n, 0x800n, 0n], [2n, 7n, 0x100n, 0x200n, 0x1000n, 1n << 32n]);
    // Read-only.
    expect([r.write(0xfe, 0x508n), r.write(0x3a, 1n)]).toEqual([false, false]);
  });

  it('IA32_APIC_BASE keeps reserved bits clear, and CPUID.APIC follows its enable bit', () => {
    const r = new Registers(model);
    for (const bad of [1n, 0x80n, 0x200n, 0x400n, 1n << bits]) expect(r.write(0x1b, 0xfee00900n | bad)).toBe(false);
    expect(r.cpuid(1)[3]! & 0x200).toBe(0x200);
    expect(r.write(0x1b, 0xfee00100n)).toBe(true);
    expect(r.cpuid(1)[3]! & 0x200).toBe(0);
  });

  it('EFER has the bits that CPUID tells of, and LMA cannot be written', () => {
    const r = new Registers(model);
    const extended = r.cpuid(0x80000001)[3]!;
    const has = { 0: is64, 8: (extended & (1 << 29)) !== 0, 11: (extended & (1 << 20)) !== 0 };
    expect(has[8]).toBe(is64);
    for (let bit = 0; bit < 64; bit++) {
      if (bit === 10) continue;
      expect([bit, r.write(0xc0000080, 1n << BigInt(bit))]).toEqual([bit, (has as Record<number, boolean>)[bit] ?? false]);
    }
    expect(r.write(0xc0000080, 0n)).toBe(true);
    if (is64) {
      expect(r.write(0xc0000080, 0x400n)).toBe(true);
      expect(r.read(0xc0000080)).toBe(0n);
    }
  });

  it('that hold addresses take canonical ones, masks 32 bits', () => {
    const r = new Registers(model);
    const canonical = [0n, 0x7fff_ffff_ffffn, 0xffff_8000_0000_0000n];
    const not = [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn];
    if (!is64) {
      // 32 bits wide.
      for (const msr of [0x175, 0x176]) {
        expect(r.write(msr, 0x1_2345_6789n)).toBe(true);
        expect(r.read(msr)).toBe(0x2345_6789n);
      }
      return;
    }
    for (const msr of [0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102]) {
      for (const value of canonical) {
        expect(r.write(msr, value)).toBe(true);
        expect(r.read(msr)).toBe(value);
      }
      for (const value of not) expect([msr, r.write(msr, value)]).toEqual([msr, false]);
    }
    expect(r.write(0xc0000081, 0xffff_ffff_ffff_ffffn)).toBe(true);
    expect([r.write(0xc0000084, 0xffff_ffffn), r.write(0xc0000084, 1n << 32n)]).toEqual([true, false]);
  });

  it('outlive INIT, which clears EFER and the rest of the processor; XCR0 does, too', () => {
    const r = new Registers(model);
    const { t } = r;
    const kept: [number, bigint][] = [
      [0x277, 0x0606060606060606n],
      [0x2ff, 0xc06n],
      [0x200, 0x6n],
      [0x268, 0x0505050505050505n],
      [0x174, 8n],
      [0x1a0, 1n],
    ];
    for (const [msr, value] of kept) expect(r.write(msr, value)).toBe(true);
    if (is64) expect(r.write(0xc0000080, 0x101n)).toBe(true);
    const xcr0 = model === 'x86-64-v3' ? 7n : 1n;
    t.patch((s) => {
      s.xcr0 = xcr0;
      s.dr[0] = 0x1234n;
    });
    t.cpu.reset('init');
    // SDM volume 3, table 10-1.
    expect(t.cpu.getState()).toMatchObject({ xcr0, efer: 0n, cr4: 0n, rip: 0xfff0n });
    for (const [msr, value] of kept) expect(r.read(msr)).toBe(value);
    t.cpu.reset('hard');
    expect(t.cpu.getState().xcr0).toBe(1n);
    expect([r.read(0x277), r.read(0x2ff), r.read(0x200), r.read(0x174)]).toEqual([0x0007040600070406n, 0n, 0n, 0n]);
  });
});
