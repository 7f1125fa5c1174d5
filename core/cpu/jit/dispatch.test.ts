import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { dispatchTable } from './dispatchtable.ts';
import { dword, expectSame, HLT, PAGE_TABLE, paged, runFrom, to, TURNS } from './testing/flowcases.ts';

const CODE = 0x10000;
const VECTOR = 0x20000;
const TARGETS = 0x10800;
const SPACING = 16;
/** Where linear addresses of far functions begin, and their page table. */
const FAR = 0x3000000;
const FAR_TABLE = 0x1c000;

/** Functions that add their number plus one to RDX, and pointers to them. */
function functions(t: TestCpu, count: number, at = TARGETS): void {
  for (let i = 0; i < count; i++) {
    t.put(at + i * SPACING, 0x48, 0x83, 0xc2, i + 1, 0xc3);
    t.guest.write32(VECTOR + i * 8, at + i * SPACING);
    t.guest.write32(VECTOR + i * 8 + 4, 0);
  }
}

/** MOV ECX, turns; loop: MOV EAX, ECX; AND EAX, mask; CALL [VECTOR + RAX * 8]; DEC ECX; JNZ loop; HLT. */
function callLoop(t: TestCpu, mask: number): void {
  t.put(CODE, 0xb9, ...dword(TURNS), 0x89, 0xc8, 0x83, 0xe0, mask, 0xff, 0x14, 0xc5, ...dword(VECTOR), 0xff, 0xc9, 0x75, 256 - 16, HLT);
}

describe('indirect calls and returns inside a region', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('reach functions of the page and come back', () => {
    const { inRegions, entries } = expectSame((t) => {
      functions(t, 8);
      callLoop(t, 7);
      paged(t, CODE, []);
      return [t.untilHalt(), runFrom(t, CODE)];
    });
    expect(inRegions / entries).toBeGreaterThan(8);
  });

  it('reach functions of other pages, and notice that these are now elsewhere or gone', () => {
    expectSame((t) => {
      functions(t, 4, 0x15100);
      callLoop(t, 3);
      t.put(0x1a000, ...t.ram.slice(0x15000, 0x16000));
      for (let i = 0; i < 4; i++) t.put(0x1a103 + i * SPACING, 10 + i);
      paged(t, CODE, []);
      const seen = [t.untilHalt(), runFrom(t, CODE), runFrom(t, CODE)];
      for (const entry of [0x1a003, 0x15003, 0, 0x15003]) {
        t.guest.write32(PAGE_TABLE + 0x15 * 8, entry);
        seen.push(runFrom(t, CODE), runFrom(t, CODE));
      }
      return seen;
    });
  });

  it('take in functions of other pages that are called often, not those that are called now and then', () => {
    const steps = (passing: number) => {
      let now = 0;
      const t = new TestCpu({ recompiler: { piece: 20, threshold: 1, missPeriod: 4, now: () => (now += passing) } });
      functions(t, 4, 0x15100);
      callLoop(t, 3);
      paged(t, CODE, []);
      for (let i = 0; i < 4; i++) runFrom(t, CODE);
      const { recompiler } = t.cpu as unknown as { recompiler: { regions: ReadonlyMap<number, { again: number }> } };
      return Math.max(...[...recompiler.regions.values()].map(({ again }) => again));
    };
    expect(steps(1)).toBeGreaterThan(0);
    expect(steps(1000)).toBe(0);
  });

  it('reach functions 48 MiB away, and notice that these are now elsewhere or gone', () => {
    expectSame((t) => {
      functions(t, 4, 0x15100);
      callLoop(t, 3);
      t.put(0x1a000, ...t.ram.slice(0x15000, 0x16000));
      for (let i = 0; i < 4; i++) {
        t.put(0x1a103 + i * SPACING, 10 + i);
        t.guest.write32(VECTOR + i * 8, FAR + 0x15100 + i * SPACING);
      }
      paged(t, CODE, []);
      // The entry of the page directory for these 2 MiB, with a table of its own.
      t.guest.write32(0xb000 + (FAR >> 21) * 8, FAR_TABLE | 3);
      t.guest.write32(FAR_TABLE + 0x15 * 8, 0x15003);
      const seen = [t.untilHalt(), runFrom(t, CODE), runFrom(t, CODE)];
      for (const entry of [0x1a003, 0x15003, 0, 0x15003]) {
        t.guest.write32(FAR_TABLE + 0x15 * 8, entry);
        seen.push(runFrom(t, CODE), runFrom(t, CODE));
      }
      return seen;
    });
  });

  it('notice functions that were written, by others and by themselves', () => {
    expectSame((t) => {
      functions(t, 4);
      callLoop(t, 3);
      paged(t, CODE, []);
      const seen = [t.untilHalt(), runFrom(t, CODE)];
      t.put(TARGETS + 3, 100);
      seen.push(runFrom(t, CODE));
      // MOV [its own number], CL; ADD RDX, number; RET.
      t.put(TARGETS + SPACING, 0x88, 0x0c, 0x25, ...dword(TARGETS + SPACING + 10), 0x48, 0x83, 0xc2, 1, 0xc3);
      t.guest.write32(VECTOR + 16, TARGETS + SPACING);
      seen.push(runFrom(t, CODE), runFrom(t, CODE));
      return seen;
    });
  });

  it('go where a changed return address says', () => {
    expectSame((t) => {
      // Function 1 skips the DEC of its caller now and then: TEST DL, 8; JZ +5; ADD QWORD [RSP], 2 (over DEC); INC RDX; RET.
      functions(t, 4);
      t.put(TARGETS + SPACING, 0xf6, 0xc2, 8, 0x74, 5, 0x48, 0x83, 0x04, 0x24, 2, 0x48, 0xff, 0xc2, 0xc3);
      t.guest.write32(VECTOR + 16, TARGETS + SPACING * 3);
      callLoop(t, 3);
      // The loop's condition must not depend on flags of the function.
      t.put(CODE + 19, 0x85, 0xc9, 0x75, 256 - 18, HLT);
      paged(t, CODE, []);
      return [t.untilHalt(2_000_000), runFrom(t, CODE)];
    });
  });

  it('recurse deeper than copies go', () => {
    expectSame((t) => {
      // f: DEC EDI; JZ out; PUSH RDI; CALL f; POP RDI; ADD RDX, RDI; PUSH RDI; SHR EDI, 2; INC EDI; CALL f; POP RDI; out: INC RSI; RET.
      const f = TARGETS;
      t.put(f, 0xff, 0xcf, 0x74, 26, 0x57, 0xe8, ...to(f, f + 5, 5), 0x5f, 0x48, 0x01, 0xfa, 0x57, 0xc1, 0xef, 2, 0xff, 0xc7);
      t.put(f + 20, 0xe8, ...to(f, f + 20, 5), 0x5f, 0x90, 0x90, 0x90, 0x90, 0x48, 0xff, 0xc6, 0xc3);
      t.put(CODE, 0xbf, ...dword(40), 0xe8, ...to(f, CODE + 5, 5), HLT);
      paged(t, CODE, []);
      return [t.untilHalt(), runFrom(t, CODE), runFrom(t, CODE)];
    });
  });

  it('jump through tables in a loop', () => {
    expectSame((t) => {
      // Cases: ADD RDX, number; JMP back to the DEC.
      const back = CODE + 17;
      for (let i = 0; i < 16; i++) {
        const at = TARGETS + i * SPACING;
        t.put(at, 0x48, 0x83, 0xc2, i + 1, 0xe9, ...to(back, at + 4, 5));
        t.guest.write32(VECTOR + i * 8, at);
      }
      t.put(CODE, 0xb9, ...dword(TURNS), 0x89, 0xc8, 0x83, 0xe0, 15, 0xff, 0x24, 0xc5, ...dword(VECTOR), 0xff, 0xc9, 0x75, 256 - 16, HLT);
      paged(t, CODE, []);
      return [t.untilHalt(), runFrom(t, CODE), runFrom(t, CODE)];
    });
  });

  it('fault at the address where a call through a bad pointer leads', () => {
    expectSame((t) => {
      functions(t, 4);
      callLoop(t, 3);
      paged(t, CODE, []);
      const seen = [t.untilHalt(), runFrom(t, CODE)];
      t.guest.write32(VECTOR + 8, 0x400000);
      seen.push(runFrom(t, CODE));
      // Not canonical.
      t.guest.write32(VECTOR + 12, 0x00800000);
      seen.push(runFrom(t, CODE));
      return seen;
    });
  });
});

describe('the table of entries', () => {
  it('finds every entry under its own offset, and none under another', () => {
    const entries = Array.from({ length: 199 }, (_, i) => [((i * i * 37) % 16384) - 8192, i + 1] as [number, number]);
    const unique = entries.filter(([offset], i) => entries.findIndex((other) => other[0] === offset) === i);
    const find = (offset: number) => {
      const at = (Math.imul(offset, table.multiplier) >>> table.shift) * 2;
      return table.slots[at] === offset ? table.slots[at + 1]! : 0;
    };
    // As far as functions may be away, and one whose lower bits are those of another.
    unique.push([0x1fffe123, 200], [-0x1fffe123, 201], [unique[5]![0] + 0x1000000, 202]);
    const table = dispatchTable(unique)!;
    const numbers = new Map(unique);
    for (const [offset, number] of unique) expect(find(offset)).toBe(number);
    for (let offset = -10000; offset < 10000; offset++) expect(find(offset)).toBe(numbers.get(offset) ?? 0);
  });
});
