import { describe, expect, test } from 'vitest';
import { TestCpu } from './testing/testcpu.ts';

const EAX = 0;
const EBX = 3;
const HLT = 0xf4;
const JMP = 0xe9;
const NOP = 0x90;
const INC_EAX = 0x40;
const INC_EBX = 0x43;

const PAGE = 4096;
const FIRST = 0x10_0000;
/** More than the cache has room for (codecache.ts). */
const PAGES = 3000;
const page = (i: number) => FIRST + i * PAGE;
const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/** Each page counts in EAX and goes on to the next from its byte `jump`; HLT is behind the last. */
function longWay(jump: number): TestCpu {
  const t = new TestCpu({ ramBytes: 16 << 20 });
  t.ram.fill(NOP, FIRST, page(PAGES));
  for (let i = 0; i < PAGES; i++) {
    t.put(page(i), INC_EAX);
    t.put(page(i) + jump, JMP, ...le32(PAGE - jump - 5));
  }
  t.put(page(PAGES), HLT);
  return t;
}

/** Walks the way again: what EAX and EBX gained. */
function walk(t: TestCpu): number[] {
  t.flat(FIRST);
  const s = t.untilHalt(20_000_000);
  return [t.reg(s, EAX), t.reg(s, EBX)];
}

const dropped = (t: TestCpu) => t.cpu.statistics().codePagesDropped;

describe('more code than there is room for', () => {
  test('in many pages is executed again and again, and as it was written last', () => {
    const t = longWay(1);
    for (let round = 0; round < 3; round++) expect(walk(t)).toEqual([PAGES, 0]);
    expect(dropped(t)).toBeGreaterThan(PAGES / 3);
    for (let i = 0; i < PAGES; i += 7) t.put(page(i), INC_EBX);
    const changed = Math.ceil(PAGES / 7);
    expect(walk(t)).toEqual([PAGES - changed, changed]);
    for (let i = 0; i < PAGES; i += 7) t.put(page(i), INC_EAX);
    expect(walk(t)).toEqual([PAGES, 0]);
  });

  test('in pages full of instructions, too', () => {
    const t = longWay(PAGE - 5);
    for (let round = 0; round < 2; round++) expect(walk(t)).toEqual([PAGES, 0]);
    t.put(page(1000) + 2000, INC_EBX);
    expect(walk(t)).toEqual([PAGES, 1]);
  });

  test('of which one page is entered all the time: that one stays', () => {
    const t = longWay(6);
    // call the page behind the last, which returns; then the jump
    const called = page(PAGES) + 0x800;
    t.put(called, INC_EBX, 0xc3);
    for (let i = 0; i < PAGES; i++) t.put(page(i) + 1, 0xe8, ...le32(called - page(i) - 6));
    expect(walk(t)).toEqual([PAGES, PAGES]);
    const before = dropped(t);
    expect(walk(t)).toEqual([PAGES, PAGES]);
    // Each page of the way once, not the called one as well whenever the hand comes round.
    expect(dropped(t) - before).toBeLessThanOrEqual(PAGES);
  });

  test('in one page that regions come and go from is decoded anew in time', () => {
    const t = new TestCpu({ recompiler: { piece: 20, threshold: 1, missPeriod: 4 } });
    // mov ecx, 40; L: inc eax; loop L
    t.put(FIRST, 0xb9, ...le32(40), INC_EAX, 0xe2, 0xfd, HLT);
    const { recompiler } = t.cpu as unknown as { recompiler: { clear(): void } };
    let rounds = 0;
    // A region that goes leaves its records in the page; 48 pieces of 126 have room for these.
    for (; !dropped(t) && rounds < 7000; rounds++) {
      expect(walk(t)).toEqual([40, 0]);
      recompiler.clear();
    }
    expect(t.cpu.statistics().regions.compiled).toBeGreaterThan(rounds / 2);
    expect(dropped(t)).toBe(1);
    expect(walk(t)).toEqual([40, 0]);
  });
});
