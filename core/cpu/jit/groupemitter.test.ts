import { afterEach, describe, it, vi } from 'vitest';
import type { TestCpu } from '../interp/testing/testcpu.ts';
import { dword, expectSame, HLT, PAGE_TABLE, paged, runFrom, to, TURNS } from './testing/flowcases.ts';

const START = 0x10000;
const COUNTER = 8;
const RBX = 3;
const RSP = 4;

/** `body` in a loop that R8 counts, and something to read. */
function put(t: TestCpu, body: number[]): void {
  for (let at = 0x20000; at < 0x32000; at++) t.put(at, (at * 7 + (at >> 8)) & 0xff);
  // DEC R8D; JNZ.
  t.put(START, ...body, 0x41, 0xff, 0xc8, 0x0f, 0x85, ...to(START, START + body.length + 3, 6), HLT);
}

function registers(rbx: number, rsp: number): number[] {
  const gpr = new Array<number>(16).fill(0);
  gpr[RSP] = rsp;
  gpr[RBX] = rbx;
  gpr[COUNTER] = TURNS;
  return gpr;
}

/** Runs that with RBX and RSP as given. */
const loops = (body: number[], rbx: number, rsp: number) =>
  expectSame((t) => {
    put(t, body);
    paged(t, START, registers(rbx, rsp));
    // What lies behind the page in linear space does not in memory.
    t.guest.write32(PAGE_TABLE + 0x22 * 8, 0x25003);
    return [t.untilHalt()];
  });

/** PUSH RAX, RCX, RDX; ADD [RSP+8], R8; MOV RAX, [RSP+16]; SUB RSP, 16; MOV [RSP+3], AX; MOV EDX, [RSP+2]; ADD RSP, 16; POP RCX, RDX, RAX. */
const FRAME = [
  ...[0x50, 0x51, 0x52, 0x4c, 0x01, 0x44, 0x24, 8, 0x48, 0x8b, 0x44, 0x24, 16, 0x48, 0x83, 0xec, 16],
  ...[0x66, 0x89, 0x44, 0x24, 3, 0x8b, 0x54, 0x24, 2, 0x48, 0x83, 0xc4, 16, 0x59, 0x5a, 0x58],
];
/** ADD RAX, [RBX+disp]. */
const addFrom = (disp: number) => [0x48, 0x03, 0x83, ...dword(disp)];
/** ADD [RBX+disp], RAX. */
const addTo = (disp: number) => [0x48, 0x01, 0x83, ...dword(disp)];
/** MOVDQU XMM0, [RBX+disp]; MOVDQU [RBX+disp+32], XMM0. */
const vectors = (disp: number) => [0xf3, 0x0f, 0x6f, 0x83, ...dword(disp), 0xf3, 0x0f, 0x7f, 0x83, ...dword(disp + 32)];

describe('accesses that share a look into the TLB', () => {
  afterEach(() => vi.unstubAllEnvs());

  for (const [where, rsp] of [
    ['in one page', 0x22800],
    ['over its end', 0x22008],
    ['from its first byte on', 0x22028],
  ] as const)
    it(`are those of a stack frame ${where}`, () => {
      loops(FRAME, 0, rsp);
    });

  it('are those of a structure, wherever it lies', () => {
    for (const rbx of [0x21000, 0x21fa0, 0x21fe8, 0x21ff9])
      loops([...addFrom(0), ...addTo(8), ...addFrom(4), ...vectors(16), ...addTo(-8)], rbx, 0x8000);
  });

  it('stop at the one that faults', () => {
    const body = [...addFrom(0), ...addTo(8), ...addFrom(16), ...addTo(24)];
    expectSame((t) => {
      put(t, body);
      paged(t, START, registers(0x21fe8, 0x8000));
      const seen: unknown[] = [t.untilHalt()];
      // The page at 0x22000 is not there any more; what lies before it is read and written once more.
      t.guest.write32(PAGE_TABLE + 0x22 * 8, 0);
      seen.push(runFrom(t, START));
      return seen;
    });
  });

  it('follow a base that changes by constants, or to something else', () => {
    // LEA RSI, [RBX+16]; ADD RAX, [RSI]; INC RBX; ADD RAX, [RBX]; DEC RBX; AND RSI, -16 (or so); ADD RAX, [RSI].
    const body = [
      0x48,
      0x8d,
      0x73,
      16,
      0x48,
      0x03,
      0x06,
      0x48,
      0xff,
      0xc3,
      ...addFrom(0),
      0x48,
      0xff,
      0xcb,
      0x48,
      0x83,
      0xe6,
      0xf0,
      0x48,
      0x03,
      0x06,
    ];
    for (const rbx of [0x21000, 0x21ff5]) loops([...addFrom(0), ...body, ...addFrom(8)], rbx, 0x8000);
  });

  it('are told apart where ways part and meet', () => {
    // TEST R8B, 1; JZ over: ADD RBX, 0x1000; ADD RAX, [RBX+8]; SUB RBX, 0x1000; over: ADD RAX, [RBX+16], ADD [RBX], RAX.
    const over = [0x48, 0x81, 0xc3, ...dword(0x1000), ...addFrom(8), 0x48, 0x81, 0xeb, ...dword(0x1000)];
    loops([...addFrom(0), ...addTo(8), 0x41, 0xf6, 0xc0, 1, 0x74, over.length, ...over, ...addFrom(16), ...addTo(0)], 0x21000, 0x8000);
  });

  it('see memory that was mapped elsewhere in between', () => {
    expectSame((t) => {
      // INVLPG [RBX] between two reads of the page, whose table entry the loop turns over.
      const flip = PAGE_TABLE + 0x21 * 8 + 1 - (START + 14 + 7);
      put(t, [...addFrom(0), ...addFrom(8), 0x80, 0x35, ...dword(flip), 0x10, 0x0f, 0x01, 0x3b, ...addFrom(16), ...addFrom(24)]);
      paged(t, START, registers(0x21000, 0x8000));
      t.guest.write32(PAGE_TABLE + 0x21 * 8, 0x20003);
      const first = t.untilHalt();
      t.patch((s) => {
        s.gpr[COUNTER] = BigInt(TURNS);
      });
      return [first, runFrom(t, START)];
    });
  });
});
