import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const EAGER = { piece: 20, threshold: 1 };
const ROUNDS = 300;
const GDT = 0x800;
const DATA = 0x10;
/** Descriptors of the tests: with a base, not yet accessed, not present. */
const BASED = 0x18;
const FRESH = 0x20;
const ABSENT = 0x28;
const BASE = 0x50000;

/** `body` ROUNDS times in ECX, in flat 32-bit mode, interpreted and compiled; then `end`. */
function both(body: number[], end: number[] = [HLT]): TestCpu[] {
  return [undefined, EAGER].map((recompiler) => {
    const t = new TestCpu(recompiler ? { recompiler } : {});
    t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
    const descriptor = (selector: number, base: number, type: number) => {
      t.guest.write32(GDT + selector, ((base & 0xffff) << 16) | 0xffff);
      t.guest.write32(GDT + selector + 4, 0x00cf0000 | (type << 8) | ((base >> 16) & 0xff));
    };
    descriptor(BASED, BASE, 0x93);
    descriptor(FRESH, BASE + 64, 0x92);
    descriptor(ABSENT, BASE, 0x13);
    for (let i = 0; i < 64; i++) t.guest.write32(BASE + i * 4, i * 7 + 1);
    t.put(0x10000, 0xb9, ...le32(ROUNDS), ...body, 0x49, 0x0f, 0x85, ...le32(-(body.length + 7)), ...end);
    t.untilHalt();
    if (recompiler) expect(t.cpu.statistics().interpretedInstructions / t.cpu.statistics().instructions).toBeLessThan(0.5);
    return t;
  });
}

/** Both did the same. */
function agree(tests: TestCpu[]): TestCpu {
  const [interpreted, compiled] = tests.map((t) => t.cpu.getState());
  expect(compiled!.gpr).toEqual(interpreted!.gpr);
  expect(compiled!.segments).toEqual(interpreted!.segments);
  expect(compiled!.rip).toBe(interpreted!.rip);
  return tests[1]!;
}

const loadFs = (selector: number): number[] => [0xb8, ...le32(selector), 0x8e, 0xe0]; // mov eax,selector; mov fs,eax
const addFromFs = [0x64, 0x03, 0x35, ...le32(0)]; // add esi,fs:[0]

describe('loads of segment registers in regions', () => {
  it('read the descriptor each time', () => {
    // Its base moves on by four bytes a round, for 32 rounds: add byte [GDT+BASED+2],4; and byte [...],0x7f
    const at = le32(GDT + BASED + 2);
    const t = agree(both([...loadFs(BASED), ...addFromFs, 0x80, 0x05, ...at, 4, 0x80, 0x25, ...at, 0x7f]));
    const sum = Array.from({ length: ROUNDS }, (_, i) => (i % 32) * 7 + 1).reduce((a, b) => a + b);
    expect(t.cpu.getState().gpr[6]).toBe(BigInt(sum));
  });

  it('set the accessed bit of one that is loaded for the first time', () => {
    // and byte [GDT+FRESH+5],0xfe before each load
    const t = agree(both([0x80, 0x25, ...le32(GDT + FRESH + 5), 0xfe, ...loadFs(FRESH), ...addFromFs]));
    expect(t.guest.read32(GDT + FRESH + 4) & 0x100).toBe(0x100);
  });

  it('by MOV and POP, of null, and moves from them', () => {
    // push DATA; pop ds; push DATA; pop es; push 0; pop fs; mov edx,fs; add edi,edx; fs = BASED; mov edx,fs; add edi,edx; mov ds,edx's like
    const body = [
      0x6a,
      DATA,
      0x1f,
      0x6a,
      DATA,
      0x07,
      0x6a,
      0,
      0x0f,
      0xa1,
      0x8c,
      0xe2,
      0x01,
      0xd7,
      ...loadFs(BASED),
      0x8c,
      0xe2,
      0x01,
      0xd7,
    ];
    const t = agree(both([...body, ...addFromFs, 0xb8, ...le32(DATA), 0x8e, 0xd8, 0x8e, 0xc0]));
    expect(t.cpu.getState().gpr[7]).toBe(BigInt(ROUNDS * BASED));
  });

  it('fault at a descriptor that is not present, with the register as it was', () => {
    const t = agree(both([...loadFs(BASED), ...addFromFs], [...loadFs(ABSENT), HLT]));
    const state = t.cpu.getState();
    expect(TestCpu.vectorOf(state)).toBe(11);
    expect(state.segments.fs.selector).toBe(BASED);
  });

  it('of the stack and of DS with a base are still right', () => {
    // ds = BASED: mov edx,[0]; ds = DATA by way of an override: cs: is flat too
    const ds = (selector: number): number[] => [0xb8, ...le32(selector), 0x8e, 0xd8];
    agree(both([...ds(DATA), 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x8e, 0xd0], [...ds(BASED), 0x03, 0x35, ...le32(0), ...ds(DATA), HLT]));
  });
});

describe('RDTSC in regions', () => {
  it('hardly ever asks the clock, and never goes back', () => {
    const MANY = 50_000;
    let asked = 0;
    let clock = 0;
    let before = 0;
    let started = false;
    // Two or three ticks an instruction, by turns.
    const readTsc = () => {
      const instructions = started ? t.cpu.instructions : 0;
      clock += (instructions - before) * (2 + (asked++ & 1));
      before = instructions;
      return clock;
    };
    const t: TestCpu = new TestCpu({ recompiler: EAGER, bus: { readTsc } });
    t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
    // rdtsc; cmp eax,ebx; jae on; inc edi; on: mov ebx,eax; dec ecx; jnz
    const body = [0x0f, 0x31, 0x39, 0xd8, 0x73, 0x01, 0x47, 0x89, 0xc3];
    t.put(0x10000, 0xb9, ...le32(MANY), ...body, 0x49, 0x75, 0x100 - (body.length + 3), HLT);
    started = true;
    t.untilHalt();
    const { gpr } = t.cpu.getState();
    expect(gpr[7]).toBe(0n);
    expect(asked).toBeLessThan(MANY / 20);
    // At most a few microseconds behind the clock, and hardly before it.
    expect(Number(gpr[3])).toBeGreaterThan(clock - 20_000);
    expect(Number(gpr[3])).toBeLessThan(clock + 20_000);
  });
});
