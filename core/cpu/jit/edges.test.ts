/**
 * What random code (tests/conformance/fuzz) does not come to: devices that see what an instruction does to them, branches to addresses that are not canonical,
 * code at the end of the canonical addresses, before a page that may not be executed, and in a device. Each in a loop, interpreted and in regions.
 */
import { describe, expect, it } from 'vitest';
import type { CpuState } from '../cpustate.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const EAGER = { piece: 20, threshold: 1 };
const ROUNDS = 64;
const CODE = 0x10000;
/** A quadword for each round, the last round's first. */
const VALUES = 0x40000;
const RAM = 0x50000;
/** Linear address of a device's page, and where it is. */
const DEVICE = 0x400000;
const DEVICE_PAGE = 0xf0000000;
const GP = 13;
const PF = 14;

interface Access {
  kind: 'read' | 'write';
  at: number;
  size: number;
  value: number;
}
interface Outcome {
  state: CpuState;
  vector: number;
  accesses: Access[];
  t: TestCpu;
}

/**
 * RAX = the round's value; `body`; ROUNDS times in R12, with RBX at VALUES, RSI as RAX, R8 = 0. `values`: of the rounds, the first one first; HLT ends. Both
 * processors end alike; what is given back is the recompiler's.
 */
function both(body: number[], values: readonly bigint[], prepare: (t: TestCpu) => void = () => {}, deviceCode?: number[]): Outcome {
  const outcomes = [undefined, EAGER].map((recompiler): Outcome => {
    const accesses: Access[] = [];
    const t = new TestCpu({
      ...(recompiler ? { recompiler } : {}),
      bus: {
        mmioRead: (gpa, size) => {
          const code = deviceCode?.[gpa - DEVICE_PAGE - 0x800];
          if (code !== undefined) return code;
          const value = (Math.imul(accesses.length + 1, 0x01234567) >>> 0) % 2 ** (8 * size);
          accesses.push({ kind: 'read', at: gpa - DEVICE_PAGE, size, value });
          return value;
        },
        mmioWrite: (gpa, value, size) => {
          accesses.push({ kind: 'write', at: gpa - DEVICE_PAGE, size, value });
        },
      },
    });
    t.long(CODE, [0, 3, 0, VALUES, 0x8000, 0, 0, RAM + 0x800, 0, 0, 0, 0, ROUNDS]);
    t.guest.write32(0xb010, (DEVICE_PAGE | 0x83) >>> 0);
    // mov rax,[rbx+r12*8-8]; mov rsi,rax
    const head = [0x4a, 0x8b, 0x44, 0xe3, 0xf8, 0x48, 0x89, 0xc6];
    const tail = [0x41, 0xff, 0xcc, 0x0f, 0x85];
    t.put(CODE, ...head, ...body, ...tail, ...le32(-(head.length + body.length + tail.length + 4)), HLT);
    values.forEach((value, i) => {
      const at = VALUES + 8 * (values.length - 1 - i);
      t.guest.write32(at, Number(value & 0xffffffffn));
      t.guest.write32(at + 4, Number(value >> 32n));
    });
    prepare(t);
    const state = t.untilHalt();
    if (recompiler) expect(t.cpu.statistics().interpretedInstructions / t.cpu.statistics().instructions).toBeLessThan(0.7);
    return { state, vector: TestCpu.vectorOf(state), accesses, t };
  });
  const [interpreted, compiled] = outcomes as [Outcome, Outcome];
  expect(compiled.accesses).toEqual(interpreted.accesses);
  expect(compiled.state).toEqual(interpreted.state);
  expect(Buffer.compare(compiled.t.ram, interpreted.t.ram)).toBe(0);
  return compiled;
}

/** All rounds but the last `last.length` have `usual`. */
const rounds = (usual: number | bigint, ...last: (number | bigint)[]): bigint[] =>
  Array.from({ length: ROUNDS }, (_, i) => BigInt(i < ROUNDS - last.length ? usual : last[i - ROUNDS + last.length]!));

describe('a device sees each access of an instruction once', () => {
  it.each<[string, number[], reads: number, writes: number, size?: number]>([
    ['add [rsi],ecx', [0x01, 0x0e], 1, 1],
    ['lock add [rsi],ecx', [0xf0, 0x01, 0x0e], 1, 1],
    ['add [rsi],cl', [0x00, 0x0e], 1, 1, 1],
    ['add [rsi],cx', [0x66, 0x01, 0x0e], 1, 1, 2],
    ['add [rsi],rcx', [0x48, 0x01, 0x0e], 2, 2],
    ['adc dword [rsi],5', [0x83, 0x16, 5], 1, 1],
    ['inc dword [rsi]', [0xff, 0x06], 1, 1],
    ['not dword [rsi]', [0xf7, 0x16], 1, 1],
    ['neg byte [rsi]', [0xf6, 0x1e], 1, 1, 1],
    ['shl dword [rsi],1', [0xd1, 0x26], 1, 1],
    ['ror dword [rsi],cl', [0xd3, 0x0e], 1, 1],
    ['shld [rsi],ecx,3', [0x0f, 0xa4, 0x0e, 3], 1, 1],
    ['xchg [rsi],ecx', [0x87, 0x0e], 1, 1],
    ['xadd [rsi],ecx', [0x0f, 0xc1, 0x0e], 1, 1],
    // It writes also when they differ (SDM volume 2, CMPXCHG).
    ['cmpxchg [rsi],ecx', [0x0f, 0xb1, 0x0e], 1, 1],
    ['cmpxchg8b [rsi]', [0x0f, 0xc7, 0x0e], 2, 2],
    ['bts dword [rsi],3', [0x0f, 0xba, 0x2e, 3], 1, 1],
    ['btc [rsi],ecx', [0x0f, 0xbb, 0x0e], 1, 1],
    ['bt dword [rsi],3', [0x0f, 0xba, 0x26, 3], 1, 0],
    ['cmp [rsi],ecx', [0x39, 0x0e], 1, 0],
    ['test [rsi],ecx', [0x85, 0x0e], 1, 0],
    ['imul ecx,[rsi]', [0x0f, 0xaf, 0x0e], 1, 0],
    ['mov [rsi],ecx', [0x89, 0x0e], 0, 1],
    ['sete [rsi]', [0x0f, 0x94, 0x06], 0, 1, 1],
    ['push qword [rsi]; pop rdx', [0xff, 0x36, 0x5a], 2, 0],
    ['push rcx; pop qword [rsi]', [0x51, 0x8f, 0x06], 0, 2],
    ['movs dword, from it', [0xa5, 0x83, 0xef, 4], 1, 0],
    ['movups xmm0,[rsi]', [0x0f, 0x10, 0x06], 4, 0],
    ['movups [rsi],xmm0', [0x0f, 0x11, 0x06], 0, 4],
    ['paddd xmm0,[rsi]', [0x66, 0x0f, 0xfe, 0x06], 4, 0],
    ['cvtsi2sd xmm0,dword [rsi]', [0xf2, 0x0f, 0x2a, 0x06], 1, 0],
    ['fild dword [rsi]; fstp st0', [0xdb, 0x06, 0xdd, 0xd8], 1, 0],
    ['fldz; fstp dword [rsi]', [0xd9, 0xee, 0xd9, 0x1e], 0, 1],
  ])('%s', (_what, body, reads, writes, size = 4) => {
    const { accesses } = both(body, rounds(RAM, DEVICE + 0x40, DEVICE + 0x50, DEVICE + 0x40));
    const once = [...Array(reads).fill('read'), ...Array(writes).fill('write')];
    expect(accesses.map(({ kind }) => kind)).toEqual([...once, ...once, ...once]);
    expect(new Set(accesses.map((access) => access.size))).toEqual(new Set([size]));
  });
});

describe('a branch to an address that is not canonical', () => {
  const NOWHERE = 0x8000_0000_0000n;
  const label = (body: number[]): bigint => BigInt(CODE + 8 + body.length);
  it.each<[string, number[], faulting: number]>([
    ['jmp rax', [0xff, 0xe0], 0],
    ['jmp [r]', [0x42, 0xff, 0x64, 0xe3, 0xf8], 0],
    ['push; ret', [0x50, 0xc3], 1],
    ['push; ret 0', [0x50, 0xc2, 0, 0], 1],
    ['call rax', [0xff, 0xd0], 0],
    ['call [r]', [0x42, 0xff, 0x54, 0xe3, 0xf8], 0],
    ['retfq', [0x6a, 8, 0x50, 0x48, 0xcb], 3],
    ['iretq', [0x6a, 0x10, 0x68, ...le32(0x8000), 0x9c, 0x6a, 8, 0x50, 0x48, 0xcf], 11],
  ])('%s: #GP, and nothing of it has happened', (_what, body, faulting) => {
    const { state, vector, t } = both(body, rounds(label(body), NOWHERE));
    expect(vector).toBe(GP);
    const frame = new DataView(t.ram.buffer, t.ram.byteOffset + Number(state.gpr[4]));
    expect(frame.getBigUint64(0, true)).toBe(0n);
    expect(frame.getBigUint64(8, true)).toBe(BigInt(CODE + 8 + faulting));
    expect(state.gpr[12]).toBe(1n);
  });

  it('behind the last one: #GP there, and before an instruction that reaches beyond it', () => {
    for (const [end, at] of [
      // nop up to the end; a move whose last byte would be beyond it.
      [[0x90, 0x90], NOWHERE],
      [[0x90, 0xb9, 1, 0, 0], NOWHERE - 4n],
    ] as const) {
      const TOP = NOWHERE - BigInt(end.length);
      const { state, vector, t } = both([0xff, 0xe0], rounds(label([0, 0]), TOP), (cpu) => {
        cpu.guest.write32(0x9000 + 255 * 8, 0xa003);
        cpu.guest.write32(0xa000 + 511 * 8, 0xb003);
        cpu.guest.write32(0xb000 + 511 * 8, 0x200083);
        cpu.put(0x400000 - end.length, ...end);
      });
      expect(vector).toBe(GP);
      expect(new DataView(t.ram.buffer, t.ram.byteOffset + Number(state.gpr[4])).getBigUint64(8, true)).toBe(at);
    }
  });
});

describe('code', () => {
  it('that reaches into a page that may not be executed any more faults there', () => {
    const TABLE = 0xd000;
    const EDGE = 0x201000;
    // The function at the end of the page: mov ecx,imm32 across it; ret. Its second page loses its right to be executed before the last round.
    const body = [0xff, 0xd0];
    const { state, vector, t } = both(
      // mov rax,function; cmp r12d,1; jne on; mov byte [TABLE+15],80h; invlpg [r14]; nop; on:
      [
        0x48,
        0xb8,
        ...le32(EDGE - 3),
        ...le32(0),
        0x41,
        0x83,
        0xfc,
        1,
        0x75,
        13,
        0xc6,
        0x04,
        0x25,
        ...le32(TABLE + 15),
        0x80,
        0x41,
        0x0f,
        0x01,
        0x3e,
        0x90,
        ...body,
      ],
      rounds(0),
      (cpu) => {
        cpu.guest.write32(0xb008, TABLE | 3);
        for (let i = 0; i < 512; i++) cpu.guest.write32(TABLE + i * 8, (0x200000 + i * 4096) | 3);
        cpu.put(EDGE - 3, 0xb9, 1, 2, 3, 4, 0xc3);
        cpu.patch((s) => {
          s.gpr[14] = BigInt(EDGE);
        });
      },
    );
    expect(vector).toBe(PF);
    expect(state.cr2).toBe(BigInt(EDGE));
    const frame = new DataView(t.ram.buffer, t.ram.byteOffset + Number(state.gpr[4]));
    // Present, and a fetch.
    expect(frame.getBigUint64(0, true)).toBe(0x11n);
    expect(frame.getBigUint64(8, true)).toBe(BigInt(EDGE - 3));
  });

  it('is executed in a device', () => {
    // call rax; the function of every round: inc r8; ret.
    const code = [0x49, 0xff, 0xc0, 0xc3];
    const { state, vector } = both([0xff, 0xd0], rounds(RAM, DEVICE + 0x800, DEVICE + 0x800), (t) => t.put(RAM, ...code), [
      ...code,
      HLT,
      HLT,
    ]);
    expect(vector).toBe(-1);
    expect(state.gpr[8]).toBe(BigInt(ROUNDS));
  });
});
