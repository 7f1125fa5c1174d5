import { afterEach, describe, expect, it, vi } from 'vitest';
import { dword, expectSame, HLT, paged, runFrom, to, TURNS } from './testing/flowcases.ts';

const START = 0x10000;
const REP = 0xf3;
/** MOV ESI, EDI and ECX. */
const operands = (source: number, target: number, count: number) => [0xbe, ...dword(source), 0xbf, ...dword(target), 0xb9, ...dword(count)];
/** ADC EDX, 0: the carry of what came before is seen. */
const ADC = [0x83, 0xd2, 0x00];
const COUNTER = 8;

/** Runs `body` in a loop that R8 counts, twice. */
function loops(body: number[]) {
  return expectSame((t) => {
    for (let at = 0x20000; at < 0x28000; at++) t.put(at, (at * 7 + (at >> 8)) & 0xff);
    const end = START + body.length;
    // DEC R8D; JNZ.
    t.put(START, ...body, 0x41, 0xff, 0xc8, 0x0f, 0x85, ...to(START, end + 3, 6), HLT);
    const gpr = new Array<number>(16).fill(0);
    gpr[4] = 0x8000;
    gpr[COUNTER] = TURNS;
    paged(t, START, gpr);
    const first = t.untilHalt();
    t.patch((s) => {
      s.gpr[COUNTER] = BigInt(TURNS);
    });
    return [first, runFrom(t, START)];
  });
}

describe('string instructions in regions', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('are single accesses without REP', () => {
    const body = [
      ...operands(0x20ffe, 0x21fff, 0),
      0xa4,
      0x66,
      0xa5,
      0x48,
      0xa5,
      0xad,
      0xae,
      ...ADC,
      0xa6,
      ...ADC,
      0xab,
      0x48,
      0xaf,
      ...ADC,
    ];
    const { inRegions, entries } = loops(body);
    // Slices of twenty instructions end them, nothing else.
    expect(inRegions / entries).toBeGreaterThan(10);
  });

  it('move and fill what lies in a page on either side', () => {
    // MOV EAX, R8D: another value to fill with every time.
    const value = [0x44, 0x89, 0xc0];
    loops([
      ...operands(0x20f00, 0x21f01, 8),
      REP,
      0x48,
      0xa5,
      ...value,
      0xb9,
      ...dword(9),
      REP,
      0xab,
      0x31,
      0xc0,
      0xb1,
      5,
      REP,
      0xaa,
      0xb1,
      3,
      REP,
      0x66,
      0xab,
    ]);
  });

  it('move and fill over the ends of pages, nothing, and more than a page', () => {
    loops([
      ...operands(0x20ff0, 0x21ff8, 6),
      REP,
      0xa5,
      0xb1,
      7,
      REP,
      0xab,
      REP,
      0xa4,
      REP,
      0xaa,
      ...operands(0x23000, 0x25000, 0x1100),
      REP,
      0xa4,
    ]);
  });

  it('repeat what they wrote where source and target overlap', () => {
    loops([
      ...operands(0x20100, 0x20103, 40),
      REP,
      0xa4,
      ...operands(0x20200, 0x201fd, 40),
      REP,
      0xa4,
      ...operands(0x20300, 0x20300, 5),
      REP,
      0xa5,
    ]);
  });

  it('go down when they are told to', () => {
    loops([0xfd, ...operands(0x20100, 0x21100, 6), REP, 0xa5, 0xa4, 0xac, 0xae, ...ADC, 0xaa, 0xfc, 0xa4]);
  });

  it('keep the flags that they find', () => {
    // CMP R8B, 9; REP MOVSB; ADC EDX, 0; CMP R8B, 7; MOVSB; ADC EDX, 0.
    loops([...operands(0x20ffd, 0x21100, 6), 0x41, 0x80, 0xf8, 9, REP, 0xa4, ...ADC, 0x41, 0x80, 0xf8, 7, 0xa4, ...ADC]);
  });
});
