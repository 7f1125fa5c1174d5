/**
 * Debug exceptions in code that is hot and compiled (SDM volume 3, 17.2 and 17.3, and 6.8.3): single steps that begin in the middle of a loop, breakpoints that
 * are set there, what MOV SS and POP SS hold back, RF. Every trap is noted by a handler and compared with the addresses that the manual has.
 * System calls are stepped over, HLT is stepped.
 */
import { describe, expect, it } from 'vitest';
import type { TestCpu } from '../interp/testing/testcpu.ts';
import { HLT, inBothTiers, le32 } from './testing/tiers.ts';

const CODE = 0x10000;
const LOG = 0x80000;
const DATA = 0x40000;
const ROUNDS = 64;
const BS = 0x4000;

/**
 * The handler of #DB at 3010h: appends RIP, DR6 and saved RFLAGS to LOG through R15, clears DR6, sets RF in what it returns to; stops stepping when R14 has counted down
 * to 0.
 */
const HANDLER = [
  ...[0x50], // push rax
  ...[0x48, 0x8b, 0x44, 0x24, 0x08, 0x49, 0x89, 0x07], // mov rax,[rsp+8]; mov [r15],rax
  ...[0x0f, 0x21, 0xf0, 0x49, 0x89, 0x47, 0x08], // mov rax,dr6; mov [r15+8],rax
  ...[0x48, 0x8b, 0x44, 0x24, 0x18, 0x49, 0x89, 0x47, 0x10], // mov rax,[rsp+24]; mov [r15+16],rax
  ...[0x49, 0x83, 0xc7, 0x18], // add r15,24
  ...[0x31, 0xc0, 0x0f, 0x23, 0xf0], // xor eax,eax; mov dr6,rax
  ...[0x0f, 0xba, 0x6c, 0x24, 0x18, 16], // bts dword [rsp+24],16
  ...[0x49, 0xff, 0xce, 0x75, 6, 0x0f, 0xba, 0x74, 0x24, 0x18, 8], // dec r14; jnz over; btr dword [rsp+24],8
  ...[0x58, 0x48, 0xcf], // pop rax; iretq
];

interface Trap {
  at: number;
  dr6: number;
  rf: boolean;
}

/**
 * `body` ROUNDS times, R12 counting down; in round `when` (1: the last) `once` comes before it. RBX is DATA. `steps`: traps after which TF goes. Gives the traps; addresses
 * count from the body's first byte.
 */
function traps(
  body: number[],
  once: number[],
  options: { steps?: number; when?: number; prepare?: (t: TestCpu) => void; end?: number[] } = {},
) {
  const { steps = 4, when = 1, prepare = () => {}, end = [] } = options;
  // cmp r12d,when; jne over; once; over:
  const head = [0x41, 0x83, 0xfc, when, 0x0f, 0x85, ...le32(once.length), ...once];
  const tail = [0x49, 0xff, 0xcc, 0x0f, 0x85];
  const start = CODE + head.length;
  const ended = inBothTiers((t) => {
    t.long(CODE, [0, 0, 0, DATA, 0x8000, 0, DATA, DATA + 0x800, 0, 0, 0, 0, ROUNDS, 0, steps, LOG]);
    t.put(0x3010, ...Array(16).fill(0x90));
    // Gate 1 leads to 5000h.
    t.guest.write32(0xc010, 0x00085000);
    t.put(0x5000, ...HANDLER);
    t.put(CODE, ...head, ...body, ...tail, ...le32(-(head.length + body.length + tail.length + 4)), ...end, HLT);
    prepare(t);
  });
  const { t } = ended;
  const count = (Number(ended.state.gpr[15]) - LOG) / 24;
  const seen = Array.from({ length: count }, (_, i): Trap => {
    const word = (at: number): number => t.guest.read32(LOG + 24 * i + at);
    return { at: word(0) - start, dr6: word(8) & 0xe00f, rf: (word(16) & 0x10000) !== 0 };
  });
  return { seen, start, ...ended };
}

/** pushfq; or dword [rsp],100h; popfq. */
const SET_TF = [0x9c, 0x81, 0x0c, 0x24, ...le32(0x100), 0x9d];
const stepsAt = (...places: number[]): Trap[] => places.map((at) => ({ at, dr6: BS, rf: false }));

describe('a step through a hot loop', () => {
  it.each<[string, number[], number[]]>([
    ['instructions that pair', [0x39, 0xc8, 0x74, 0, 0x85, 0xc0, 0x75, 0, 0x01, 0xc8, 0x89, 0xc2], [2, 4, 6, 8]],
    ['pushes and pops', [0x50, 0x51, 0x59, 0x58, 0x90], [1, 2, 3, 4]],
    ['a call and its return', [0xe8, 2, 0, 0, 0, 0xeb, 2, 0x90, 0xc3, 0x90], [7, 8, 5, 9]],
    ['a repeated string instruction', [0xb9, 3, 0, 0, 0, 0xf3, 0xa4, 0x48, 0x83, 0xef, 3, 0x48, 0x83, 0xee, 3], [5, 5, 5, 7]],
    ['a repeated one that does nothing', [0x31, 0xc9, 0xf3, 0xaa, 0x90, 0x90, 0x90], [2, 4, 5, 6]],
    ['vectors and x87', [0x0f, 0x10, 0x03, 0xd9, 0xe8, 0xdd, 0xd8, 0x0f, 0x58, 0xc0], [3, 5, 7, 10]],
    ['PUSHF, which pushes TF', [0x9c, 0x58, 0x90, 0x90], [1, 2, 3, 4]],
    ['CLI, STI and what reads the system', [0xfa, 0x0f, 0x20, 0xc0, 0x0f, 0x01, 0xe0, 0x90], [1, 4, 7, 8]],
    ['MOV SS, held back with what follows', [0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0x90, 0x90], [2, 5, 6, 7]],
    ['POP FS, which holds nothing back', [0x0f, 0xa0, 0x0f, 0xa1, 0x90, 0x90], [2, 4, 5, 6]],
    ['POPF, which ends it after itself', [0x9c, 0x81, 0x24, 0x24, ...le32(0xfffffeff), 0x9d, 0x90, 0x90], [1, 8, 9]],
  ])('%s', (what, body, places) => {
    const { seen } = traps(body, SET_TF);
    // RF is set between the elements of a repetition, as section 17.3.1.1 says.
    expect(seen).toEqual(
      stepsAt(...places).map((trap, i) => ({ ...trap, rf: what.startsWith('a repeated string') && i > 0 && trap.at === 5 })),
    );
  });

  it('across the end of a page', () => {
    // The loop's first byte is put so that the third instruction lies across.
    const body = [0xeb, 0x7e, ...Array(0x7e).fill(0x90), 0x90, 0x90];
    expect(traps(body, SET_TF).seen).toEqual(stepsAt(0x80, 0x81, 0x82, 0x85));
    const far = [0xe9, ...le32(0xfe0), ...Array(0xfe0).fill(0x90), 0xb8, 1, 2, 3, 4];
    const { seen, start } = traps([...far, ...Array(12).fill([0xb8, 1, 2, 3, 4]).flat()], SET_TF, { steps: 12 });
    expect((start + 0xfe5) >> 12).toBe(0x10);
    expect(seen).toEqual(stepsAt(...Array.from({ length: 12 }, (_, i) => 0xfe5 + 5 * i)));
    expect((start + seen.at(-1)!.at) >> 12).toBe(0x11);
  });

  it('begins behind the instruction that IRET goes to', () => {
    // push 10h; mov rax,rsp-8…: an IRETQ to the body with TF.
    const iret = [0x48, 0x89, 0xe0, 0x6a, 0x10, 0x50, 0x68, ...le32(0x102), 0x6a, 8, 0x68];
    const at = CODE + 10 + iret.length + 4 + 2;
    const { seen, start } = traps([0x90, 0x90, 0x90, 0x90], [...iret, ...le32(at), 0x48, 0xcf]);
    expect(start).toBe(at);
    expect(seen).toEqual(stepsAt(1, 2, 3, 4));
  });

  it('HLT: the trap ends it', () => {
    const { seen } = traps([0x90], [], { end: [...SET_TF, HLT, 0x90], steps: 2 });
    expect(seen.map(({ dr6 }) => dr6)).toEqual([BS, BS]);
    expect(seen[1]!.at - seen[0]!.at).toBe(1);
  });

  it('INT n is no step, its return is', () => {
    // The handler of INT 50h returns at once.
    const { seen } = traps([0xcd, 0x50, 0x90, 0x90, 0x90, 0x90], SET_TF, { prepare: (t) => t.put(0x3500, 0x48, 0xcf) });
    expect(seen).toEqual(stepsAt(3, 4, 5, 6));
  });

  it('a fault that is mended: the trap comes once the instruction is done', () => {
    // div ecx by 0 the first time it is stepped; the handler makes it 1.
    const body = [0x31, 0xd2, 0xf7, 0xf1, 0x90, 0x90];
    const { seen } = traps([0xb8, 5, 0, 0, 0, ...body], [...[0x31, 0xc9], ...SET_TF], {
      prepare: (t) => {
        t.put(0x3000, 0xff, 0xc1, 0x48, 0xcf);
        t.patch((s) => {
          s.gpr[1] = 1n;
        });
      },
    });
    expect(seen).toEqual(stepsAt(5, 7, 9, 10));
  });
});

/** mov eax,imm32; mov drN,rax */
const setDr = (n: number, value: number): number[] => [0xb8, ...le32(value), 0x0f, 0x23, 0xc0 | (n << 3)];
const LENGTHS: Record<number, number> = { 1: 0, 2: 1, 4: 3, 8: 2 };
/** DR7 with breakpoint 0 on, of `kind` 0 execute, 1 write, 2 I/O, 3 any. */
const dr7 = (kind: number, length: number): number => 0x401 | (kind << 16) | (LENGTHS[length]! << 18);

describe('breakpoints set in a hot loop', () => {
  it('of an instruction: before it, once for each time, RF lets it go on', () => {
    const body = [0x01, 0xc8, 0x39, 0xca, 0x74, 0, 0x90];
    for (const place of [0, 2, 4, 6]) {
      const at = CODE + 10 + 2 * 8 + place;
      const { seen, start } = traps(body, [...setDr(0, at), ...setDr(7, dr7(0, 1))], { when: 3 });
      expect(start + place).toBe(at);
      // In this round and the two after it.
      expect(seen).toEqual(Array(3).fill({ at: place, dr6: 1, rf: false }));
    }
  });

  it('of a repeated instruction: before its first turn only', () => {
    const { seen } = traps([0xb9, 3, 0, 0, 0, 0xf3, 0xaa, 0x48, 0x83, 0xef, 3], [...setDr(0, CODE + 10 + 16 + 5), ...setDr(7, dr7(0, 1))]);
    expect(seen).toEqual([{ at: 5, dr6: 1, rf: false }]);
  });

  it.each<[string, number, number, number, number[], number[]]>([
    ['write of 1 byte', 1, 1, DATA + 1, [0x8b, 0x03, 0x89, 0x43, 0xfd, 0x89, 0x03, 0x88, 0x43, 1, 0x88, 0x43, 2], [7, 10]],
    ['write of 4 bytes, unaligned over them', 1, 4, DATA + 4, [0x89, 0x43, 2, 0x89, 0x43, 0, 0x89, 0x43, 7, 0x89, 0x43, 8], [3, 9]],
    ['write of 8 bytes', 1, 8, DATA + 8, [0x89, 0x43, 4, 0x88, 0x43, 15, 0x89, 0x43, 16, 0x0f, 0x11, 0x03], [6, 12]],
    ['any of 2 bytes', 3, 2, DATA + 2, [0x8b, 0x03, 0x0a, 0x43, 4, 0x66, 0x83, 0x43, 2, 0], [2, 10]],
    ['read of a vector', 3, 1, DATA + 15, [0x0f, 0x10, 0x03, 0x0f, 0x10, 0x43, 16, 0x66, 0x0f, 0xfe, 0x03], [3, 11]],
    [
      'across two pages',
      3,
      4,
      DATA + 0x1000,
      [0x48, 0x8b, 0x83, ...le32(0xff8), 0x48, 0x8b, 0x83, ...le32(0xffc), 0x48, 0x89, 0x83, ...le32(0xffd)],
      [14, 21],
    ],
    ['a push', 1, 8, 0x7ff8, [0x50, 0x58, 0x6a, 1, 0x58], [1, 4]],
    ['a call', 1, 8, 0x7ff8, [0xe8, 0, 0, 0, 0, 0x58], [5]],
    ['a string', 1, 2, DATA + 0x802, [0xb9, 8, 0, 0, 0, 0xf3, 0xa4, 0x48, 0x83, 0xee, 8, 0x48, 0x83, 0xef, 8], [5, 5]],
    ['an exchange', 3, 4, DATA + 4, [0x31, 0xc0, 0x87, 0x43, 4, 0xf0, 0x0f, 0xb1, 0x43, 8], [5]],
    ['x87', 1, 4, DATA + 8, [0xd9, 0xe8, 0xdb, 0x3b, 0xd9, 0xe8, 0xdd, 0x1b], [4]],
  ])('of data: %s', (what, kind, length, address, body, places) => {
    const { seen } = traps(body, [...setDr(0, address), ...setDr(7, dr7(kind, length))]);
    expect(seen).toEqual(places.map((at) => ({ at, dr6: 1, rf: what === 'a string' })));
  });

  it('of a port, with CR4.DE: OUT, IN and REP OUTS, each of its lengths', () => {
    const body = [0xe6, 0x80, 0xe5, 0x7e, 0xe4, 0x84, 0x66, 0xe7, 0x83, 0xe4, 0x7f];
    for (const [length, places] of [
      [1, [2, 4]],
      [2, [2, 4]],
      [4, [2, 4, 9]],
    ] as const) {
      const { seen } = traps(body, [...setDr(0, 0x80), ...setDr(7, dr7(2, length))], {
        prepare: (t) =>
          t.patch((s) => {
            s.cr4 |= 8n;
          }),
      });
      expect(seen.map(({ at }) => at)).toEqual(places);
    }
    // Each element of it.
    const { seen } = traps(
      [0xb9, 3, 0, 0, 0, 0xba, 0x80, 0, 0, 0, 0xf3, 0x6e, 0x48, 0x83, 0xee, 3],
      [...setDr(0, 0x80), ...setDr(7, dr7(2, 1))],
      {
        prepare: (t) =>
          t.patch((s) => {
            s.cr4 |= 8n;
          }),
      },
    );
    expect(seen.map(({ at }) => at)).toEqual([10, 10, 12]);
  });

  it('MOV SS holds one of data back for an instruction, and one of an instruction for good', () => {
    // mov [rbx],ss; mov ss,[rbx]; nop; nop.
    const body = [0x8c, 0x13, 0x8e, 0x13, 0x90, 0x90];
    const watch = traps(body, [...setDr(0, DATA), ...setDr(7, dr7(3, 2))]);
    expect(watch.seen).toEqual([
      { at: 2, dr6: 1, rf: false },
      { at: 5, dr6: 1, rf: false },
    ]);
    expect(traps(body, [...setDr(0, CODE + 10 + 16 + 4), ...setDr(7, dr7(0, 1))]).seen).toEqual([]);
    expect(traps(body, [...setDr(0, CODE + 10 + 16 + 5), ...setDr(7, dr7(0, 1))]).seen).toEqual([{ at: 5, dr6: 1, rf: false }]);
  });

  it('one of data and a step are one trap', () => {
    const { seen } = traps([0x90, 0x89, 0x03, 0x90, 0x90], [...setDr(0, DATA), ...setDr(7, dr7(1, 4)), ...SET_TF]);
    expect(seen.map(({ at, dr6 }) => [at, dr6])).toEqual([
      [1, BS],
      [3, BS | 1],
      [4, BS],
      [5, BS],
    ]);
  });

  it('go off again, and the loop goes on compiled', () => {
    const body = [0x89, 0x03];
    // On in round 40, off by the handler of the first.
    const { seen, t } = traps(body, [...setDr(0, DATA), ...setDr(7, dr7(1, 4))], {
      when: 40,
      prepare: (cpu) => {
        // mov dr7 clear in the handler: before its push, xor eax would do; here the handler is another.
        cpu.put(0x5000, ...[0x50, 0x31, 0xc0, 0x0f, 0x23, 0xf8], ...HANDLER.slice(1));
      },
    });
    expect(seen.length).toBe(1);
    const { instructions, interpretedInstructions } = t.cpu.statistics();
    expect(instructions - interpretedInstructions).toBeGreaterThan(40 * 5);
  });
});

describe('bits of DR6 and DR7', () => {
  const read = (n: number): number[] => [0x0f, 0x21, 0xc0 | (n << 3)];
  it('that are fixed stay so', () => {
    const { state } = inBothTiers((t) => {
      t.long(CODE, [0, 0, 0, 0, 0x8000, 0, 0, 0, 0, 0, 0, 0, ROUNDS]);
      const body = [
        ...[0xb8, ...le32(0xffffffff), 0x0f, 0x23, 0xf0, ...read(6), 0x48, 0x89, 0xc6],
        ...[0x31, 0xc0, 0x0f, 0x23, 0xf0, ...read(6), 0x48, 0x89, 0xc7],
        // Of no breakpoint: what goes with none, and GE, LE.
        ...[0xb8, ...le32(0xffffdf00), 0x0f, 0x23, 0xf8, ...read(7), 0x48, 0x89, 0xc5],
        ...[0x31, 0xc0, 0x0f, 0x23, 0xf8, ...read(7), 0x48, 0x89, 0xc3],
      ];
      t.put(CODE, ...body, 0x49, 0xff, 0xcc, 0x0f, 0x85, ...le32(-(body.length + 9)), HLT);
    }, 0);
    // No RTM: bit 16 of DR6 is one and bit 11 of DR7 zero; no bus-lock detection: bit 11 of DR6 is one.
    expect([6, 7, 5, 3].map((r) => state.gpr[r])).toEqual([0xffffefffn, 0xffff0ff0n, 0xffff0700n, 0x400n]);
  });

  it('GD: any MOV of a debug register, which a region executes, faults before it', () => {
    for (const move of [
      [0x0f, 0x21, 0xc0],
      [0x0f, 0x23, 0xc8],
      [0x0f, 0x21, 0xf8],
    ]) {
      // The handler reads DR6, GD being off by then.
      const { seen } = traps([0x90, ...move, 0x90], setDr(7, 0x2400));
      expect(seen).toEqual([{ at: 1, dr6: 0x2000, rf: false }]);
    }
  });
});

describe('system calls under a step', () => {
  const SYSTEM = 0x18000;
  const USER = 0x210000;
  /** 64-bit user code in the second large page; the system's part is `sysretq` with what R13 adds to the flags. */
  function calls(fmask: number, system: number[], user: number[], steps = 3) {
    const ended = inBothTiers((t) => {
      t.long(SYSTEM - 0x10, [0, 0, 0, DATA, 0x250000, 0, 0, 0, 0, 0, 0x202, 0, ROUNDS, 0, steps, LOG]);
      t.guest.write32(0x818, 0x0000ffff);
      t.guest.write32(0x81c, 0x00cff300);
      t.guest.write32(0x820, 0x0000ffff);
      t.guest.write32(0x824, 0x00affb00);
      // All of it the user's, but for what must not be: CR4.SMEP is off. TSS at 2000h, its stack 7000h.
      for (const at of [0x9000, 0xa000]) t.guest.write32(at, t.guest.read32(at) | 4);
      t.guest.write32(0xb008, 0x200087);
      t.guest.write32(0x2004, 0x7000);
      t.guest.write32(0xc010, 0x00085000);
      t.put(0x5000, ...HANDLER);
      // mov ecx,USER; mov r11,r10; sysretq
      t.put(SYSTEM - 0x10, 0xb9, ...le32(USER), 0x4d, 0x89, 0xd3, 0x48, 0x0f, 0x07);
      t.put(SYSTEM, ...system);
      t.put(USER, ...user);
      t.patch((s) => {
        s.msrs[0xc0000081] = (0x0013n << 48n) | (8n << 32n);
        s.msrs[0xc0000082] = BigInt(SYSTEM);
        s.msrs[0xc0000084] = BigInt(fmask);
        s.segments.tr = { selector: 0x28, base: 0x2000n, limit: 0x67, attributes: 0x8b };
      });
    });
    const count = (Number(ended.state.gpr[15]) - LOG) / 24;
    return Array.from({ length: count }, (_, i) => ended.t.guest.read32(LOG + 24 * i));
  }
  const loop = (body: number[]): number[] => [...body, 0x49, 0xff, 0xcc, 0x0f, 0x85, ...le32(-(body.length + 9))];

  it('trap right behind SYSCALL when it masks TF, and not in the system', () => {
    // The user steps in the last round: cmp r12d,1; jne on; set TF; on: syscall; nop; nop; dec; jnz; hlt (#GP of the user).
    const once = [0x41, 0x83, 0xfc, 1, 0x75, SET_TF.length, ...SET_TF];
    const user = loop([...once, 0x0f, 0x05, 0x90, 0x90]);
    const at = USER + once.length;
    expect(calls(0x100, [0x90, 0x90, 0x48, 0x0f, 0x07], [...user, HLT])).toEqual([at + 2, at + 3, at + 4]);
  });

  it('go on in the system when it does not mask it', () => {
    const once = [0x41, 0x83, 0xfc, 1, 0x75, SET_TF.length, ...SET_TF];
    const user = loop([...once, 0x0f, 0x05, 0x90, 0x90]);
    const at = USER + once.length;
    expect(calls(0, [0x90, 0x90, 0x48, 0x0f, 0x07], [...user, HLT], 5)).toEqual([SYSTEM, SYSTEM + 1, SYSTEM + 2, at + 2, at + 3]);
  });

  it('a TF that SYSRET loads traps before the first instruction of the user', () => {
    // The system sets it in the last round: cmp r12d,1; jne on; bts r11d,8; on: sysretq.
    const system = [0x41, 0x83, 0xfc, 1, 0x75, 5, 0x41, 0x0f, 0xba, 0xeb, 8, 0x48, 0x0f, 0x07];
    const user = loop([0x0f, 0x05, 0x90, 0x90]);
    expect(calls(0x100, system, [...user, HLT])).toEqual([USER + 2, USER + 3, USER + 4]);
  });
});
