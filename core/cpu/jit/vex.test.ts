import { afterEach, describe, expect, it, vi } from 'vitest';
import { FEATURES } from '../x86/features.ts';
import { expectSame, type Fill, loop, OTHER, outcomes, type Run, SOURCE, TARGET } from './testing/loops.ts';

const ALL = [...FEATURES];
const OSFXSR = 0x200n;
const OSXSAVE = 0x40000n;
const TS = 8n;
const MMIO = 0xf000_0000;

/** A run with AVX switched on. */
const avx = (run: Run): Run => ({
  ...run,
  patch: (s) => {
    s.cr4 |= OSXSAVE;
    s.xcr0 = 7n;
    run.patch?.(s);
  },
});
const warm = avx({ step: 32 });

/** VMOVUPD YMM0, [ESI]; VMOVUPD YMM1, [EDI]; `op`; VMOVUPD [EBX], YMM0; STMXCSR [EBX+32]; ADD EBX, 36. */
const wide = (...op: number[]) =>
  loop(0xc5, 0xfd, 0x10, 0x06, 0xc5, 0xfd, 0x10, 0x0f, ...op, 0xc5, 0xfd, 0x11, 0x03, 0x0f, 0xae, 0x5b, 0x20, 0x83, 0xc3, 0x24);

/** Deterministic pseudo-random numbers below `n` (a linear congruential generator; Numerical Recipes' constants). */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Where the third operand is, from the first. */
const THIRD = 0x20000;
/**
 * Factors and addends in doubles or singles whose fused sums are hard to round: few bits in the factors, so that products end in the middle
 * between two numbers; addends that cancel the product, nearly cancel it, are far smaller, or zero.
 */
function hard(double: boolean, seed: number): Fill {
  return (data) => {
    const below = generator(seed);
    const size = double ? 8 : 4;
    const bits = double ? 27 : 13;
    const get = (at: number) => (double ? data.getFloat64(at, true) : data.getFloat32(at, true));
    const set = (at: number, v: number) => (double ? data.setFloat64(at, v, true) : data.setFloat32(at, v, true));
    const range = double ? 60 : 8;
    const number = () => {
      const significand = below(3) ? below(2 ** bits) | 1 : 1 + below(2 ** 24) / 2 ** 23 + below(2 ** 24) / 2 ** 50;
      return (below(2) ? 1 : -1) * (below(20) ? significand : 0) * 2 ** (below(2 * range) - range);
    };
    const count = 1300 * (8 / size);
    for (let i = 0; i < count; i++) {
      set(SOURCE + i * size, number());
      set(OTHER + i * size, number());
    }
    for (let i = 0; i < count; i++) {
      const product = get(SOURCE + i * size) * get(OTHER + i * size);
      const ulp = 2 ** (double ? -52 : -23);
      switch (below(6)) {
        case 0:
          set(SOURCE + THIRD + i * size, -product);
          break;
        case 1:
          set(SOURCE + THIRD + i * size, -product * (1 + (below(5) - 2) * ulp));
          break;
        case 2:
          set(SOURCE + THIRD + i * size, (below(2) ? 1 : -1) * Math.abs(product) * 2 ** -(below(60) + 20));
          break;
        case 3:
          set(SOURCE + THIRD + i * size, product * 2 ** (below(60) - 20) * (1 + below(2)));
          break;
        default:
          set(SOURCE + THIRD + i * size, number());
      }
    }
  };
}

describe('VEX-encoded instructions in regions', () => {
  afterEach(() => vi.unstubAllEnvs());

  describe.each([
    ['doubles', true],
    ['singles', false],
  ])('fused multiply-add of %s', (_, double) => {
    it.each([
      ['VFMADDSUB213Px', 0xa6],
      ['VFMSUBADD213Px', 0xa7],
      ['VFMADD213Px', 0xa8],
      ['VFMADD213Sx', 0xa9],
      ['VFMSUB213Px', 0xaa],
      ['VFNMADD213Px', 0xac],
      ['VFNMSUB213Px', 0xae],
      ['VFMADD132Px', 0x98],
      ['VFMADD231Px', 0xb8],
    ])('%s rounds once', (_name, op) => {
      // op YMM0, YMM1, [ESI + THIRD]
      const code = wide(0xc4, 0xe2, double ? 0xf5 : 0x75, op, 0x86, THIRD & 0xff, (THIRD >> 8) & 0xff, THIRD >> 16, 0);
      for (const seed of [1, 2, 3]) expectSame(code, [warm, warm, avx({ step: 32, mxcsr: 0x1f80 })], ALL, hard(double, seed * 7 + op));
    });
  });

  it('stores 32 bytes across pages, or none of them', () => {
    // VPADDD YMM0, YMM0, YMM1
    const code = wide(0xc5, 0xfd, 0xfe, 0xc1);
    const near = (at: number) =>
      avx({
        step: 1,
        patch: (s) => {
          s.gpr[3] = BigInt(at);
        },
      });
    const seen = expectSame(code, [warm, near(TARGET + 0xfe1), near(TARGET + 0xff9)], ALL);
    expect(seen.map((s) => s.vector)).toEqual([-1, -1, -1]);
  });

  it('raises #GP for aligned moves of misaligned operands only', () => {
    // VMOVAPD YMM0, [ESI]
    const code = wide(0xc5, 0xfd, 0x28, 0x06);
    expect(expectSame(code, [warm, avx({ step: 32, source: SOURCE + 16 })], ALL).map((s) => s.vector)).toEqual([-1, 13]);
    // VPADDD YMM0, YMM1, [ESI]
    const relaxed = wide(0xc5, 0xf5, 0xfe, 0x06);
    expect(expectSame(relaxed, [warm, avx({ step: 32, source: SOURCE + 3 })], ALL).map((s) => s.vector)).toEqual([-1, -1]);
  });

  it('faults where AVX is not switched on', () => {
    const code = wide(0xc5, 0xfd, 0xfe, 0xc1);
    const changed = (patch: Run['patch']) => avx({ step: 32, ...(patch ? { patch } : {}) });
    const seen = expectSame(
      code,
      [
        warm,
        changed((s) => {
          s.cr4 = OSFXSR;
        }),
        changed((s) => {
          s.xcr0 = 3n;
        }),
        changed((s) => {
          s.cr0 |= TS;
        }),
        // Not looked at: CR0.EM and CR4.OSFXSR. STMXCSR does.
        changed((s) => {
          s.cr4 &= ~OSFXSR;
        }),
        warm,
      ],
      ALL,
    );
    expect(seen.map((s) => s.vector)).toEqual([-1, 6, 6, 7, 6, -1]);
  });

  it('takes TZCNT and LZCNT for BSF and BSR on processors without them', () => {
    // TZCNT EAX, [ESI]; ADC EBP, EAX; LZCNT EAX, [EDI]; ADC EBP, EAX; CMOVZ EBP, ESI
    const code = loop(0xf3, 0x0f, 0xbc, 0x06, 0x11, 0xc5, 0xf3, 0x0f, 0xbd, 0x07, 0x11, 0xc5, 0x0f, 0x44, 0xee);
    const runs: Run[] = [{ step: 4 }, { step: 4 }];
    const [without] = expectSame(code, runs, ['sse3']);
    const [withBoth] = expectSame(code, runs, ['bmi1', 'lzcnt']);
    const [withOne] = expectSame(code, runs, ['bmi1']);
    expect(withBoth!.state.gpr[5]).not.toBe(without!.state.gpr[5]);
    expect(withOne!.state.gpr[5]).not.toBe(withBoth!.state.gpr[5]);
  });

  it('ends regions before instructions that the processor lacks', () => {
    // TEST EAX, EAX; JZ over ANDN EAX, EAX, EAX; POPCNT EAX, EAX, as a check for features has it.
    const code = loop(0x85, 0xc0, 0x74, 0x09, 0xc4, 0xe2, 0x78, 0xf2, 0xc0, 0xf3, 0x0f, 0xb8, 0xc0);
    expect(expectSame(code, [{ step: 4 }, { step: 4 }], ['sse3']).map((s) => s.vector)).toEqual([-1, -1]);
  });

  it.each([
    ['ADDPD XMM0, [ESI]', [0x66, 0x0f, 0x58, 0x06]],
    ['ADDSD XMM0, [ESI]', [0xf2, 0x0f, 0x58, 0x06]],
    ['UCOMISS XMM0, [ESI]', [0x0f, 0x2e, 0x06]],
    ['CVTTSD2SI EAX, [ESI]', [0xf2, 0x0f, 0x2c, 0x06]],
    ['CVTSI2SS XMM0, [ESI]', [0xf3, 0x0f, 0x2a, 0x06]],
    ['CVTDQ2PS XMM0, [ESI]', [0x0f, 0x5b, 0x06]],
    ['VADDPD YMM0, YMM1, [ESI]', [0xc5, 0xf5, 0x58, 0x06]],
    ['VFMADD213PS YMM0, YMM1, [ESI]', [0xc4, 0xe2, 0x75, 0xa8, 0x06]],
    ['VPADDD YMM0, YMM1, [ESI]', [0xc5, 0xf5, 0xfe, 0x06]],
    ['FADD QWORD [ESI]', [0xdc, 0x06]],
  ])('%s reads a device once', (_, op) => {
    const reads = (accelerator: string) => {
      const seen: string[] = [];
      const run = avx({ step: 0, source: MMIO, mxcsr: 0x1f80 });
      const allowed = avx({ step: 0, source: MMIO });
      const mmioRead = (gpa: number, size: number): number => {
        seen.push(`${gpa.toString(16)}/${size}`);
        return (seen.length * 0x01020304) >>> (32 - 8 * size);
      };
      const { seen: states } = outcomes(accelerator, loop(...op), [run, allowed, run], ALL, { mmioRead });
      const bytes = seen.reduce((sum, read) => sum + Number(read.split('/')[1]), 0);
      return { bytes, first: seen[0], vectors: states.map((s) => s.vector) };
    };
    const want = reads('');
    expect(want.bytes).toBeGreaterThan(0);
    expect(reads('jit')).toEqual(want);
  });
});
