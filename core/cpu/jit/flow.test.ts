import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { dword, expectSame, HLT, PAGE_TABLE, paged, runFrom, to, TURNS } from './testing/flowcases.ts';

/** ADD RDX, `step`; JMP `back`. */
const stepAndBack = (at: number, step: number, back: number) => [0x48, 0x83, 0xc2, step, 0xe9, ...to(back, at + 4, 5)];

describe('regions over two pages', () => {
  afterEach(() => vi.unstubAllEnvs());

  /** MOV ECX, turns; loop: DEC ECX; JZ out; JMP next page, an instruction that lies in both. */
  const LOOP = 0x11000 - 8;
  const twoPages = (t: TestCpu) => {
    t.put(0x10f00, 0xb9, ...dword(TURNS), 0xe9, ...to(LOOP, 0x10f05, 5));
    t.put(LOOP, 0xff, 0xc9, 0x74, 0x02, 0xeb, 0x01, HLT, 0xe9, ...to(0x11100, LOOP + 7, 5));
    t.put(0x11100, ...stepAndBack(0x11100, 1, LOOP));
  };

  it('go on in the next page through an instruction that lies in both, and back', () => {
    const { seen, inRegions, entries } = expectSame((t) => {
      twoPages(t);
      paged(t, 0x10f00, []);
      return [t.untilHalt().gpr[2]];
    });
    expect(seen).toEqual([BigInt(TURNS - 1)]);
    // Slices of twenty instructions end them, not the boundary.
    expect(inRegions / entries).toBeGreaterThan(10);
  });

  it('notice that the next page is another one, and that it is not there', () => {
    expectSame((t) => {
      twoPages(t);
      // The page that comes instead: the same but for the step.
      t.put(0x13000, ...t.ram.slice(0x11000, 0x12000));
      t.put(0x13100, ...stepAndBack(0x11100, 3, LOOP));
      const seen: unknown[] = [];
      const run = () => {
        t.patch((s) => {
          s.rip = 0x10f00n;
          s.halted = false;
          s.cr3 = 0x9000n;
        });
        const state = t.untilHalt();
        seen.push(state, TestCpu.vectorOf(state));
      };
      paged(t, 0x10f00, []);
      run();
      t.guest.write32(PAGE_TABLE + 0x11 * 8, 0x13003);
      run();
      t.guest.write32(PAGE_TABLE + 0x11 * 8, 0x11003);
      run();
      t.guest.write32(PAGE_TABLE + 0x11 * 8, 0);
      run();
      return seen;
    });
  });

  it('are dropped when the next page is written, by themselves or from outside', () => {
    expectSame((t) => {
      twoPages(t);
      // In the next page, each time: MOV [step], CL with a step that changes; then as before.
      const body = [0x88, 0x0c, 0x25, ...dword(0x1110f), 0x48, 0x83, 0xc6, 0x01];
      t.put(0x11100, ...body, 0x48, 0x81, 0xc2, 0x07, 0, 0, 0);
      t.put(0x11112, 0xe9, ...to(LOOP, 0x11112, 5));
      paged(t, 0x10f00, []);
      const first = t.untilHalt();
      t.put(0x11100, ...stepAndBack(0x11100, 2, LOOP));
      t.patch((s) => {
        s.rip = 0x10f00n;
        s.halted = false;
      });
      const second = t.untilHalt();
      t.put(0x11103, 5);
      t.patch((s) => {
        s.rip = 0x10f00n;
        s.halted = false;
      });
      return [first, second, t.untilHalt()];
    });
  });

  /** At 0x20000 MOV ECX, turns; loop: DEC ECX; JZ out; JMP to a MOV EAX that lies in two pages far from here, behind which RDX grows. */
  const ACROSS = 0x10ffe;
  const intoAcross = (t: TestCpu) => {
    t.put(0x20000, 0xb9, ...dword(TURNS), 0xff, 0xc9, 0x75, 0x01, HLT, 0xe9, ...to(ACROSS, 0x2000a, 5));
    t.put(ACROSS, 0xb8, ...dword(7), 0x01, 0xc3, ...stepAndBack(0x11005, 1, 0x20005));
  };

  it('begin with an instruction that lies in both', () => {
    const { seen, inRegions } = expectSame((t) => {
      intoAcross(t);
      paged(t, 0x20000, []);
      return [t.untilHalt().gpr[2]];
    });
    expect(seen).toEqual([BigInt(TURNS - 1)]);
    // Of the seven instructions of a turn none is left to the interpreter.
    expect(inRegions).toBeGreaterThan(TURNS * 6.5);
  });

  it('do not begin there when the next page is another one or missing', () => {
    expectSame((t) => {
      intoAcross(t);
      t.put(0x13000, ...t.ram.slice(0x11000, 0x12000));
      // The end of the MOV and the step are others.
      t.put(0x13000, 0x01);
      t.put(0x13005, ...stepAndBack(0x11005, 3, 0x20005));
      paged(t, 0x20000, []);
      const seen = [runFrom(t, 0x20000)];
      for (const page of [0x13003, 0x11003, 0, 0x11003]) {
        t.guest.write32(PAGE_TABLE + 0x11 * 8, page);
        seen.push(runFrom(t, 0x20000));
      }
      t.put(0x11000, 0x02);
      seen.push(runFrom(t, 0x20000));
      return seen;
    });
  });

  it('leave an instruction in both pages that the interpreter executes to the run loop', () => {
    expectSame((t) => {
      t.put(0x10f00, 0xb9, ...dword(TURNS), 0xe9, ...to(0x10ffd, 0x10f05, 5));
      // INC EBX; RCL EDX, 3 in both pages; three NOPs; DEC ECX; JNZ; HLT.
      t.put(0x10ffd, 0xff, 0xc3, 0xc1, 0xd2, 0x03, 0x90, 0x90, 0x90, 0xff, 0xc9, 0x75, 0xf4, HLT);
      paged(t, 0x10f00, [0, 0, 0x12345]);
      return [t.untilHalt()];
    });
  });
});
