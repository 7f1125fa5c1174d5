import { afterEach, describe, expect, it, vi } from 'vitest';
import { expectSame, loop, outcomes, type Run, SOURCE } from './testing/loops.ts';

const TS = 8n;

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
