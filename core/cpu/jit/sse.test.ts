import { afterEach, describe, expect, it, vi } from 'vitest';
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import type { CpuState } from '../cpustate.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { SJ_INSTRUCTIONS } from '../interp/wasm/jitoffsets.ts';

const CODE = 0x10000;
const SOURCE = 0x20000;
const OTHER = 0x22000;
const TARGET = 0x24000;
const TURNS = 300;
const OSFXSR = 0x200n;
const OSXMMEXCPT = 0x400n;
const TS = 8n;

/** Values of interest, as doubles and as pairs of singles. */
const VALUES = [
  0n,
  0x8000_0000_0000_0000n,
  1n,
  0x000f_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n,
  0x7fef_ffff_ffff_ffffn,
  0x7ff0_0000_0000_0000n,
  0xfff0_0000_0000_0000n,
  0x7ff8_0000_0000_0001n,
  0x7ff0_0000_0000_0001n,
  0x3ff0_0000_0000_0000n,
  0xbff8_0000_0000_0000n,
  0x3fd5_5555_5555_5555n,
  0x0018_0000_0000_0000n,
  0x3f80_0000_4049_0fdbn,
  0x0000_0001_0080_0000n,
  0x7f7f_ffff_7f80_0000n,
  0x7fc0_0000_ff80_0001n,
];

/** MOV ECX, turns; the body; ADD ESI, EDX; ADD EDI, EDX; DEC ECX; JNZ; HLT. ESI and EDI point to data, EBX to results, EDX is the step. */
function loop(...body: number[]): number[] {
  const tail = [0x01, 0xd6, 0x01, 0xd7, 0x49];
  return [0xb9, TURNS & 0xff, TURNS >> 8, 0, 0, ...body, ...tail, 0x75, (256 - (body.length + tail.length + 2)) & 0xff, 0xf4];
}

interface Run {
  step: number;
  source?: number;
  mxcsr?: number;
  patch?: (state: CpuState) => void;
}

/** Runs of the same code one after another, on the interpreter alone or with the recompiler; everything that can be seen afterwards. */
function outcomes(accelerator: string, code: number[], runs: Run[], features: Parameters<TestCpu['features']> = []) {
  vi.stubEnv('HYPERVUE_ACCEL', accelerator);
  const t = new TestCpu();
  if (features.length) t.features(...features);
  t.put(CODE, ...code);
  const data = new DataView(t.memory.buffer, t.ram.byteOffset);
  for (let i = 0; i < 1024; i++) {
    data.setBigUint64(SOURCE + i * 8, VALUES[i % VALUES.length]!, true);
    data.setBigUint64(OTHER + i * 8, VALUES[(i * 5 + (i >> 5)) % VALUES.length]!, true);
  }
  const seen = runs.map((run) => {
    t.flat(CODE, [0, 0, run.step, TARGET, 0x8000, 0, run.source ?? SOURCE, OTHER]);
    t.patch((s) => {
      s.cr4 = OSFXSR | OSXMMEXCPT;
      s.mxcsr = run.mxcsr ?? 0x1fa0;
      run.patch?.(s);
    });
    const state = t.untilHalt();
    return { vector: TestCpu.vectorOf(state), state, ram: t.ram.slice(0x7f00, 0x8000), data: t.ram.slice(SOURCE, TARGET + 0x4000) };
  });
  return { seen, inRegions: Number(new DataView(t.memory.buffer).getBigUint64(CPU_STATE_BASE + SJ_INSTRUCTIONS, true)) };
}

function expectSame(code: number[], runs: Run[], features: Parameters<TestCpu['features']> = []) {
  const want = outcomes('', code, runs, features);
  const got = outcomes('jit', code, runs, features);
  expect(got.seen).toEqual(want.seen);
  expect(want.inRegions).toBe(0);
  expect(got.inRegions).toBeGreaterThan(TURNS);
  return got.seen;
}

/** MOVAPS XMM0, [ESI]; `op` XMM0, [EDI]; MOVUPS [EBX], XMM0; STMXCSR [EBX+16]; ADD EBX, 20. */
const packed = (...op: number[]) => loop(0x0f, 0x28, 0x06, ...op, 0x07, 0x0f, 0x11, 0x03, 0x0f, 0xae, 0x5b, 0x10, 0x83, 0xc3, 0x14);
/** MOVSD XMM0, [ESI] and the same. */
const scalar = (...op: number[]) => loop(0xf2, 0x0f, 0x10, 0x06, ...op, 0x07, 0x0f, 0x11, 0x03, 0x0f, 0xae, 0x5b, 0x10, 0x83, 0xc3, 0x14);

describe('vector instructions in regions', () => {
  afterEach(() => vi.unstubAllEnvs());

  const warm: Run = { step: 16 };
  // Plain, PE not yet set, other flags set, upward, toward zero, flushing, denormals as zero, and invalid, overflow or inexact unmasked.
  const controls = [0x1fa0, 0x1f80, 0x1fbf, 0x5fa0, 0x7fa0, 0x9fa0, 0x1fe0, 0x1f20, 0x1ba0, 0x0fa0];

  it.each([
    ['ADDPD', 0x66, 0x58],
    ['MULPD', 0x66, 0x59],
    ['SUBPS', 0, 0x5c],
    ['DIVPS', 0, 0x5e],
    ['MULPS', 0, 0x59],
    ['SQRTPD', 0x66, 0x51],
    ['MINPS', 0, 0x5d],
    ['MAXPD', 0x66, 0x5f],
    ['ADDSD', 0xf2, 0x58],
    ['MULSD', 0xf2, 0x59],
    ['DIVSD', 0xf2, 0x5e],
    ['SUBSS', 0xf3, 0x5c],
    ['MULSS', 0xf3, 0x59],
    ['SQRTSD', 0xf2, 0x51],
    ['MINSD', 0xf2, 0x5d],
  ])('%s gives the interpreter values and MXCSR whatever the operands and the control bits', (_name, prefix, op) => {
    const opcode = [...(prefix ? [prefix] : []), 0x0f, op];
    expectSame(prefix >= 0xf2 ? scalar(...opcode) : packed(...opcode), [warm, ...controls.map((mxcsr) => ({ step: 16, mxcsr }))]);
  });

  it('compares into flags that later instructions of the loop use', () => {
    // MOVSD XMM0, [ESI]; UCOMISD XMM0, [EDI]; ADC EAX, EAX; SETP AH; UCOMISD again; JA over INC EBP.
    const code = loop(
      ...[0xf2, 0x0f, 0x10, 0x06, 0x66, 0x0f, 0x2e, 0x07, 0x11, 0xc0, 0x0f, 0x9a, 0xc4],
      ...[0x66, 0x0f, 0x2e, 0x07, 0x77, 0x01, 0x45],
    );
    expectSame(code, [warm, { step: 8 }, { step: 8, mxcsr: 0x1f80 }, { step: 8, mxcsr: 0x1f00 }]);
  });

  it('raises #GP for a misaligned operand in the middle of a loop', () => {
    const seen = expectSame(packed(0x0f, 0x58), [warm, { step: 8 }, { step: 16, source: SOURCE + 4 }]);
    expect(seen.map((s) => s.vector)).toEqual([-1, 13, 13]);
  });

  it('crosses pages', () => {
    // MOVUPS XMM0, [ESI]; PADDD XMM0, XMM0; MOVUPS [ESI], XMM0.
    const code = loop(0x0f, 0x10, 0x06, 0x66, 0x0f, 0xfe, 0xc0, 0x0f, 0x11, 0x06);
    const seen = expectSame(code, [warm, { step: 5, source: SOURCE + 0xf01 }, { step: 16, source: SOURCE + 9 }]);
    expect(seen.map((s) => s.vector)).toEqual([-1, -1, -1]);
  });

  it('faults where the processor may not execute vector instructions', () => {
    const seen = expectSame(packed(0x0f, 0x58), [
      warm,
      {
        step: 16,
        patch: (s) => {
          s.cr0 |= TS;
        },
      },
      {
        step: 16,
        patch: (s) => {
          s.cr4 = 0n;
        },
      },
      warm,
    ]);
    expect(seen.map((s) => s.vector)).toEqual([-1, 7, 6, -1]);
  });

  it('faults where the processor has no such instruction', () => {
    // PSHUFB XMM0, XMM0 after the loop, in the same region.
    const code = [...loop(0x0f, 0x57, 0xc0).slice(0, -1), 0x66, 0x0f, 0x38, 0x00, 0xc0, 0xf4];
    const without = outcomes('jit', code, [warm, warm], ['sse3']).seen;
    expect(without.map((s) => s.vector)).toEqual([6, 6]);
    expect(outcomes('', code, [warm, warm], ['sse3']).seen).toEqual(without);
    expect(expectSame(code, [warm, warm], ['sse3', 'ssse3']).map((s) => s.vector)).toEqual([-1, -1]);
  });
});
