/**
 * A fixed set of random cases for every `npm test`; `npm run test:long` asks for a million with HYPERVUE_FUZZ_CASES. What a run covers, and what
 * not: docs/conformance.md.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { dispose, hasSegments, unavailable } from './host.ts';
import { hasTable, isSystem, MODES } from './machine.ts';
import { fuzz, STATES } from './runner.ts';

/** Cases of all modes together. */
const CASES = Number(process.env.HYPERVUE_FUZZ_CASES ?? 24_000);
const SEED = Number(process.env.HYPERVUE_FUZZ_SEED ?? 1);
/** In a test of its own, so that a long run says how far it is. */
const SLICE = 25_000;
const SHARES = {
  long: 0.38,
  compat: 0.17,
  legacy: 0.17,
  segments: 0.07,
  segments16: 0.04,
  v86: 0.02,
  system: 0.08,
  system32: 0.05,
  real: 0.02,
} as const;

/** What earlier runs found and is mended: mode, seed, and what it was about. */
const FOUND = [
  ['segments', 70324, 'the limit before the page fault of half of a 32-byte operand'],
  ['segments', 70368, 'FSTP m80 of an empty register, not masked: the stack fault, whatever the limit'],
  ['segments16', 90112, 'the same in 16-bit code'],
  ['long', 5057680, 'PMOVMSKB with memory: no instruction, before a pending x87 exception'],
  ['long', 5021694, 'more than 15 bytes, the next of them in an absent page: its page fault'],
  ['long', 40040190, 'where code of the first of two runs over a region lay, used in the second'],
  ['long', 40016600, 'the trap of a single step that goes to an address that ends in ffffffff'],
  ['long', 40056264, '#SS of MOV to [rbp+n] from a segment register, not canonical'],
  ['long', 40059161, 'F3 before VEX: all of the instruction is fetched before it is undefined'],
  ['segments16', 40005953, 'the same with LOCK'],
  ['long', 40018242, '#SS of POP GS where the stack pointer is not canonical, in a region'],
  ['compat', 76072975, 'VZEROALL in a loop of a region that uses a register only after it'],
  ['long', 76090060, 'F3 before XCHG with R8, which is not PAUSE'],
  ['long', 76106864, '#AC before the page fault of 16 bytes, in a region too'],
  ['long', 82016195, 'PSRLD of MMX with memory: no instruction, before a pending x87 exception'],
  ['compat', 87006953, 'FYL2XP1 across two pages, which a region leaves to the interpreter: the x87 stack behind it'],
  ['compat', 76111883, "AMD's: MOVD of MMX beyond 4 GiB, which is beyond the limit and leaves the x87 state as it was"],
] as const;

describe('random code in the interpreter, the recompiler and the host', () => {
  const why = unavailable();
  if (why) console.log(`without the host: ${why}`);
  afterAll(dispose);
  it.each(FOUND)('agrees in %s mode about seed %i: %s', (mode, seed) => {
    const { findings, cases } = fuzz({ mode, seed, codes: 1, host: !why, most: 1 });
    expect(findings.map(({ text }) => text)).toEqual([]);
    expect(cases).toBe(STATES);
  });
  for (const mode of MODES) {
    const total = Math.ceil((CASES * SHARES[mode]) / STATES);
    const slice = Math.ceil(SLICE / STATES);
    for (let first = 0; first < total; first += slice)
      it(`agrees in ${mode} mode, seeds from ${SEED + first}`, { timeout: 600_000 }, () => {
        const codes = Math.min(slice, total - first);
        const totals = fuzz({ mode, seed: SEED + first, codes, host: !why, most: 5 });
        expect(totals.findings.map((finding) => finding.text)).toEqual([]);
        // It ran, and in regions, and the host was asked.
        expect(totals.cases).toBe(codes * STATES);
        expect(totals.compiled).toBeGreaterThan(totals.cases * 2);
        // What is made for 32 bits loops more often when it is read as 16-bit code.
        expect(totals.endless).toBeLessThan(totals.cases / (mode === 'real' ? 6 : 20));
        if (!why && !isSystem(mode) && (!(hasTable(mode) || mode === 'v86') || hasSegments()))
          // In virtual-8086 mode about half of what is made may run on the host: 9,943 of 20,000 from seed 1.
          expect(totals.onHost).toBeGreaterThan(totals.cases / (mode === 'v86' ? 2.5 : 2));
      });
  }
});
