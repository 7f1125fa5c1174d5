import { describe, expect, it } from 'vitest';
import { disassemble } from '../x86/disassemble.ts';
import { decodeInsn } from './decode.ts';

/** Deterministic pseudo-random bytes (xorshift32; Marsaglia, 2003). */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 8) & 0xff;
  };
}

const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x3e, 0x64, 0x65];
const MAPS = [[], [], [0x0f], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];

/** An instruction of any map, with prefixes or VEX now and then; its operands are random. */
function draw(next: () => number, mode: 32 | 64): Uint8Array {
  const bytes: number[] = [];
  while (next() < 50) bytes.push(PREFIXES[next() & 7]!);
  const kind = next() % 9;
  if (kind === 6) bytes.push(0xc5, next() | (mode === 32 ? 0xc0 : 0));
  else if (kind > 6) bytes.push(0xc4, (next() & 0xe0) | (mode === 32 ? 0xc0 : 0) | (1 + (next() % 3)), next());
  else {
    if (mode === 64 && next() < 100) bytes.push(0x40 | (next() & 15));
    bytes.push(...MAPS[kind]!);
  }
  while (bytes.length < 24) bytes.push(next());
  return Uint8Array.from(bytes);
}

describe.each([32, 64] as const)('the recompiler decodes %i-bit code', (mode) => {
  it('as the instruction table has it', () => {
    const next = generator(mode * 977);
    let compared = 0;
    const found: string[] = [];
    for (let i = 0; i < 60_000; i++) {
      const bytes = draw(next, mode);
      const insn = decodeInsn(bytes, 0, mode);
      if (!insn) continue;
      const { length, text, target } = disassemble(bytes.subarray(0, 15), 0n, mode);
      // What does not exist faults in the interpreter, to which such instructions are handed.
      if (text.includes('(bad)')) continue;
      compared++;
      // Branches to 16-bit addresses are decoded, but not translated.
      const to = target === undefined || insn.ripRelative || insn.opsize ? undefined : BigInt.asUintN(mode, BigInt(insn.next + insn.imm));
      if (insn.next !== length || (to !== undefined && to !== BigInt.asUintN(mode, target!)))
        found.push(`${[...bytes.subarray(0, length)].map((b) => b.toString(16).padStart(2, '0')).join(' ')} ${text}: ${insn.next}`);
    }
    expect(found.slice(0, 10)).toEqual([]);
    expect(compared).toBeGreaterThan(10_000);
  });

  it('up to 15 bytes', () => {
    const padded = [...new Array<number>(13).fill(0x2e), 0x89, 0xc0];
    expect(decodeInsn(Uint8Array.from(padded), 0, mode)?.next).toBe(15);
    expect(decodeInsn(Uint8Array.from([0x2e, ...padded]), 0, mode)).toBeUndefined();
  });
});

describe('near branches of 64-bit code', () => {
  it.each([
    ['DATA16 CALL', [0x66, 0xe8, 1, 0, 0, 0], 6],
    ['DATA16 DATA16 REX.W CALL, of thread-local storage', [0x66, 0x66, 0x48, 0xe8, 1, 0, 0, 0], 8],
    ['ADDR32 CALL, where a linker had an indirect one', [0x67, 0xe8, 1, 0, 0, 0], 6],
  ])('%s', (_, code, length) => {
    expect(decodeInsn(Uint8Array.from(code), 0, 64)).toMatchObject({ next: length, imm: 1, osize: 8, opsize: false });
  });
  it('an address size that counts is left to the interpreter', () => {
    for (const code of [
      [0x67, 0x8b, 0x00],
      [0x67, 0xf3, 0xa4],
      [0x67, 0xe3, 0x00],
    ])
      expect(decodeInsn(Uint8Array.from(code), 0, 64)).toBeUndefined();
  });
});
