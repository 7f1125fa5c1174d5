/** Regions of what ran: ways that control never took leave them, and are compiled when it does. */
import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { CodePages } from './codepages.ts';
import { inBothTiers, le32, HLT } from './testing/tiers.ts';

const ROUNDS = 2000;
const TUNING = { piece: 20, threshold: 1024 };
const START = 0x10000;
const RDX = 2;

/** Additions to EDX, so many. */
const additions = (count: number): number[] => Array.from({ length: count }, () => [0x83, 0xc2, 1]).flat(); // add edx,1

/** EAX counts rounds; those with EBX not zero go a long way, which lies behind the loop: `mov ecx,ROUNDS; l: test ebx,ebx; jnz far; back: inc eax; dec ecx; jnz l; hlt; far: …; jmp back`. */
const FAR = [
  ...[0xb9, ...le32(ROUNDS), 0x85, 0xdb, 0x0f, 0x85, ...le32(7), 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xf2, HLT],
  ...additions(60),
  ...[0xe9, ...le32(-(7 + 180 + 5))],
];
/** The same with the long way inside the loop, jumped over with EBX zero: `l: test ebx,ebx; jz over; …; over: inc eax; dec ecx; jnz l; hlt`. */
const INSIDE = [
  ...[0xb9, ...le32(ROUNDS), 0x85, 0xdb, 0x0f, 0x84, ...le32(180)],
  ...additions(60),
  ...[0xff, 0xc0, 0xff, 0xc9, 0x0f, 0x85, ...le32(-(8 + 180 + 4 + 6)), HLT],
];

/** Runs the program with EBX 0 and then with 1; how many bytes of WebAssembly there were after the first time, and how many instructions the second interpreted. */
function run(
  code: readonly number[],
  reachedOnly: boolean,
): { bytes: number; interpreted: number; state: ReturnType<TestCpu['untilHalt']> } {
  const t = new TestCpu({ recompiler: { ...TUNING, reachedOnly } });
  t.put(START, ...code);
  t.long(START);
  t.untilHalt();
  const first = t.cpu.statistics();
  t.long(START, [0, 0, 0, 1]);
  const state = t.untilHalt();
  return { bytes: first.generatedBytes, interpreted: t.cpu.statistics().interpretedInstructions - first.interpretedInstructions, state };
}

describe.each([
  ['behind a branch that was never taken', FAR],
  ['behind one that was always taken', INSIDE],
])('code %s', (_, code) => {
  it('is left out, and compiled once it runs', () => {
    const all = run(code, false);
    const some = run(code, true);
    expect(some.bytes).toBeLessThan(all.bytes / 2);
    expect(some.state.gpr).toEqual(all.state.gpr);
    expect(some.state.gpr[RDX]).toBe(BigInt(60 * ROUNDS));
    // 62 of 65 instructions of each round are those of the long way.
    expect(some.interpreted).toBeLessThan((65 * ROUNDS) / 10);
  });
});

it('a program whose branches change their minds ends as in the interpreter', () => {
  inBothTiers((t) => {
    // mov ecx,ROUNDS; l: mov eax,ecx; shr eax,6; test al,1; jz even; add ebx,3; jmp on; even: call f; on: dec ecx; jnz l; hlt; f: test cl,7; jnz r; add ebx,eax; r: ret
    t.put(
      START,
      ...[0xb9, ...le32(ROUNDS), 0x89, 0xc8, 0xc1, 0xe8, 6, 0xa8, 1, 0x74, 5, 0x83, 0xc3, 3, 0xeb, 5, 0xe8, ...le32(7)],
      ...[0xff, 0xc9, 0x75, 0xe9, HLT, 0x90, 0x90, 0xf6, 0xc1, 7, 0x75, 2, 0x01, 0xc3, 0xc3],
    );
    t.long(START);
  });
});

describe('what is known of a page', () => {
  const reached = new Uint8Array(1024);
  // Control came to 5 and to 4095; the branch at 8 was once not taken.
  reached[0] = 1 << 5;
  reached[511] = 1 << 7;
  reached[512 + 1] = 1;
  const pages = new CodePages([
    { delta: 0, host: 0, bytes: new Uint8Array(4096), reached },
    { delta: 1, host: 8192, bytes: new Uint8Array(4096) },
  ]);

  it('is where control came to, and which branches it passed', () => {
    expect([4, 5, 6, 4095].map((offset) => pages.reached(offset))).toEqual([false, true, false, true]);
    expect([0, 5, 8, 9].map((offset) => pages.fell(offset))).toEqual([false, false, true, false]);
  });

  it('excludes nothing where nothing is known', () => {
    expect([pages.reached(4096 + 4), pages.fell(4096 + 4)]).toEqual([true, true]);
  });
});
