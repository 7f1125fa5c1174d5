/**
 * 64-bit mode of the core (SDM volume 1 section 3.4, volume 2 section 2.2.1, volume 3 section 5.2): what REX, RIP-relative addressing, default
 * operand sizes and 64-bit addresses do, instruction by instruction. Results are compared with what the manual says; tests/conformance/host
 * compares them with a processor.
 */
import { describe, expect, it } from 'vitest';
import type { CpuState } from '../../../core/cpu/cpustate.ts';
import { HIGH_HALF, TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;
const UD = 6;
const SS = 12;
const GP = 13;
const PF = 14;

type Registers = { [register: number]: number | bigint };

/** 64-bit mode at CODE with the registers given; RSP is 0x8000 unless it is one of them. */
function prepare(registers: Registers = {}): TestCpu {
  const t = new TestCpu();
  const gpr: (number | bigint)[] = new Array(16).fill(0);
  gpr[RSP] = 0x8000;
  for (const [r, v] of Object.entries(registers)) gpr[Number(r)] = v;
  t.long(CODE, gpr);
  return t;
}

/** Runs `code` and the HLT put behind it. */
function run(code: number[], registers: Registers = {}, set: (t: TestCpu) => void = () => {}): { t: TestCpu; s: CpuState } {
  const t = prepare(registers);
  set(t);
  t.put(CODE, ...code, 0xf4);
  return { t, s: t.untilHalt() };
}

/** Vector that `code` raises, -1 when it reaches its HLT. */
const vector = (code: number[], registers: Registers = {}, set?: (t: TestCpu) => void): number =>
  TestCpu.vectorOf(run(code, registers, set).s);

const le = (value: bigint | number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(8 * i)) & 255n));
const read64 = (t: TestCpu, at: number): bigint => BigInt(t.guest.read32(at)) | (BigInt(t.guest.read32(at + 4)) << 32n);
const write64 = (t: TestCpu, at: number, value: bigint): void => t.put(at, ...le(value, 8));

describe('operand sizes', () => {
  it('zero-extend 32-bit results and leave the rest of 8- and 16-bit ones', () => {
    const all = 0xffff_ffff_ffff_ffffn;
    // mov eax, 1; mov bx, 1; mov cl, 1; mov dh, 1
    const { s } = run([0xb8, 1, 0, 0, 0, 0x66, 0xbb, 1, 0, 0xb1, 1, 0xb6, 1], { [RAX]: all, [RBX]: all, [RCX]: all, [RDX]: all });
    expect(s.gpr[RAX]).toBe(1n);
    expect(s.gpr[RBX]).toBe(0xffff_ffff_ffff_0001n);
    expect(s.gpr[RCX]).toBe(0xffff_ffff_ffff_ff01n);
    expect(s.gpr[RDX]).toBe(0xffff_ffff_ffff_01ffn);
  });

  it('are 64 bits with REX.W, which wins over 66', () => {
    // add rax, rbx; 66 add rax, rbx
    const { s } = run([0x48, 0x01, 0xd8, 0x66, 0x48, 0x01, 0xd8], { [RAX]: 0x1_0000_0000n, [RBX]: 0x8000_0000n });
    expect(s.gpr[RAX]).toBe(0x2_0000_0000n);
  });

  it('take immediates of 32 bits, sign-extended, but MOV takes 64', () => {
    const { s } = run([0x48, 0xb8, ...le(0x1122334455667788n, 8), 0x48, 0xc7, 0xc3, ...le(-2, 4), 0x48, 0x83, 0xe1, 0xf0], {
      [RCX]: 0xffff_ffff_ffff_ffffn,
    });
    expect(s.gpr[RAX]).toBe(0x1122334455667788n);
    expect(s.gpr[RBX]).toBe(0xffff_ffff_ffff_fffen);
    expect(s.gpr[RCX]).toBe(0xffff_ffff_ffff_fff0n);
  });

  it('zero-extend CMOV even when the condition is false', () => {
    // cmovz ecx, edx with ZF clear
    expect(run([0x0f, 0x44, 0xca], { [RCX]: 0xffff_ffff_1234_5678n }).s.gpr[RCX]).toBe(0x1234_5678n);
  });

  it('sign-extend with MOVSXD, MOVSX, CBW and CWD', () => {
    const { s } = run([0x48, 0x63, 0xc1, 0x48, 0x0f, 0xbe, 0xd9, 0x4c, 0x0f, 0xbf, 0xc1, 0x4d, 0x0f, 0xb7, 0xc8], { [RCX]: 0x8765_80ffn });
    expect(s.gpr[RAX]).toBe(0xffff_ffff_8765_80ffn);
    expect(s.gpr[RBX]).toBe(0xffff_ffff_ffff_ffffn);
    expect(s.gpr[8]).toBe(0xffff_ffff_ffff_80ffn);
    expect(s.gpr[9]).toBe(0x80ffn);
    // cdqe; cqo
    const c = run([0x48, 0x98, 0x48, 0x99], { [RAX]: 0x8000_0000n }).s;
    expect(c.gpr[RAX]).toBe(0xffff_ffff_8000_0000n);
    expect(c.gpr[RDX]).toBe(0xffff_ffff_ffff_ffffn);
  });
});

describe('REX', () => {
  it('reaches R8 to R15 as reg, rm, base, index and opcode register', () => {
    // mov r9, r10; mov r11d, 5; mov [r12 + r13*4 + 8], r9
    const { t, s } = run([0x4d, 0x89, 0xd1, 0x41, 0xbb, 5, 0, 0, 0, 0x4f, 0x89, 0x4c, 0xac, 8], {
      10: 0x1234_5678_9abc_def0n,
      12: DATA,
      13: 4,
    });
    expect(s.gpr[9]).toBe(0x1234_5678_9abc_def0n);
    expect(s.gpr[11]).toBe(5n);
    expect(read64(t, DATA + 24)).toBe(0x1234_5678_9abc_def0n);
  });

  it('makes byte registers 4 to 7 SPL, BPL, SIL, DIL', () => {
    // mov ah, 1 (no REX); mov spl, 2; mov sil, 3
    const { s } = run([0xb4, 1, 0x40, 0xb4, 2, 0x40, 0xb6, 3], { [RAX]: 0, [RSP]: 0x8000, [RSI]: 0x100 });
    expect(s.gpr[RAX]).toBe(0x100n);
    expect(s.gpr[RSP]).toBe(0x8002n);
    expect(s.gpr[RSI]).toBe(0x103n);
    // movzx eax, dil (REX without bits) against movzx eax, bh
    expect(run([0x40, 0x0f, 0xb6, 0xc7], { [RDI]: 0x77, [RBX]: 0x5500 }).s.gpr[RAX]).toBe(0x77n);
    expect(run([0x0f, 0xb6, 0xc7], { [RDI]: 0x77, [RBX]: 0x5500 }).s.gpr[RAX]).toBe(0x55n);
  });

  it('counts only directly before the opcode', () => {
    // 48 66 b8: REX.W is dropped by the prefix behind it
    expect(run([0x48, 0x66, 0xb8, 0x34, 0x12], { [RAX]: 0xffff_ffffn }).s.gpr[RAX]).toBe(0xffff_1234n);
    // The last of two counts.
    expect(run([0x48, 0x40, 0xb8, 1, 0, 0, 0], { [RAX]: 0xffff_ffff_ffffn }).s.gpr[RAX]).toBe(1n);
  });

  it('turns NOP into XCHG R8, RAX', () => {
    const { s } = run([0x49, 0x90, 0x90], { [RAX]: 1, 8: 2 });
    expect([s.gpr[RAX], s.gpr[8]]).toEqual([2n, 1n]);
  });
});

describe('addresses', () => {
  it('are relative to the next instruction in the form without a base', () => {
    const { s } = run([0x48, 0x8b, 0x05, ...le(DATA - (CODE + 7), 4), 0x48, 0x8d, 0x1d, 0, 0, 0, 0], {}, (t) =>
      write64(t, DATA, 0x1122334455667788n),
    );
    expect(s.gpr[RAX]).toBe(0x1122334455667788n);
    expect(s.gpr[RBX]).toBe(BigInt(CODE + 14));
    // cmp byte [rip + d], 5: the immediate lies between.
    const { s: z } = run([0x80, 0x3d, ...le(DATA - (CODE + 7), 4), 5], {}, (t) => t.put(DATA, 5));
    expect(z.rflags & 0x40n).toBe(0x40n);
  });

  it('are relative there in a page of the high half, in a crossing instruction too', () => {
    const t = prepare();
    // mov eax, [rip + 0x100] with its last two bytes in the next page
    const at = CODE + 0xffc;
    t.put(at, 0x8b, 0x05, 0x00, 0x01, 0, 0, 0xf4);
    t.put(at + 6 + 0x100, 0x78, 0x56, 0x34, 0x12);
    t.patch((s) => {
      s.rip = BigInt.asUintN(64, HIGH_HALF + BigInt(at));
    });
    const s = t.untilHalt();
    expect(s.gpr[RAX]).toBe(0x12345678n);
    expect(s.rip).toBe(HIGH_HALF + BigInt(at + 7));
  });

  it('are absolute through a SIB byte without a base', () => {
    expect(run([0x8b, 0x04, 0x25, ...le(DATA, 4)], {}, (t) => t.put(DATA, 1, 2, 3, 4)).s.gpr[RAX]).toBe(0x04030201n);
  });

  it('take R12 as an index but RSP as none, and R13 with a displacement only', () => {
    // mov eax, [rax + r12]; lea rcx, [rsp]; lea rdx, [r13 + 0]
    const { s } = run([0x42, 0x8b, 0x04, 0x20, 0x48, 0x8d, 0x0c, 0x24, 0x49, 0x8d, 0x55, 0], { [RAX]: DATA, 12: 8, 13: 0x777 }, (t) =>
      t.put(DATA + 8, 9),
    );
    expect([s.gpr[RAX], s.gpr[RCX], s.gpr[RDX]]).toEqual([9n, 0x8000n, 0x777n]);
  });

  it('wrap at 32 bits with prefix 67', () => {
    // mov eax, [ebx + 4] with RBX = 2^32 + DATA - 4
    expect(run([0x67, 0x8b, 0x43, 4], { [RBX]: 0x7_0000_0000n + BigInt(DATA) }, (t) => t.put(DATA + 4, 7)).s.gpr[RAX]).toBe(7n);
    expect(run([0x67, 0x48, 0x8d, 0x43, 4], { [RBX]: 0xffff_fffen }).s.gpr[RAX]).toBe(2n);
    // lea rax, [eip - 8] is cut to 32 bits as well
    expect(run([0x67, 0x48, 0x8d, 0x05, ...le(-0x20000, 4)]).s.gpr[RAX]).toBe(BigInt.asUintN(32, BigInt(CODE + 8 - 0x20000)));
  });

  it('are 64 bits wide in MOV moffs, 32 with prefix 67', () => {
    expect(run([0x48, 0xa1, ...le(HIGH_HALF + BigInt(DATA), 8)], {}, (t) => write64(t, DATA, 0x0102030405060708n)).s.gpr[RAX]).toBe(
      0x0102030405060708n,
    );
    expect(run([0x67, 0xa1, ...le(DATA, 4)], {}, (t) => t.put(DATA, 8)).s.gpr[RAX]).toBe(8n);
    const { t } = run([0xa2, ...le(DATA, 8)], { [RAX]: 0x5a });
    expect(t.ram[DATA]).toBe(0x5a);
  });

  it('add the base of FS and GS and of no other segment', () => {
    const set = (t: TestCpu): void => {
      t.put(DATA, 1);
      t.put(DATA + 0x1000, 2);
      t.patch((s) => {
        s.segments.fs.base = HIGH_HALF;
        s.segments.gs.base = 0x1000n;
        s.segments.ds.base = 0x5000n;
      });
    };
    // mov al, fs:[rbx]; mov cl, gs:[rbx]; mov dl, ds:[rbx]; mov rsi, fs:[rbx + rdi]
    const { s } = run([0x64, 0x8a, 0x03, 0x65, 0x8a, 0x0b, 0x3e, 0x8a, 0x13, 0x64, 0x48, 0x8b, 0x34, 0x3b], { [RBX]: DATA }, set);
    expect([s.gpr[RAX], s.gpr[RCX], s.gpr[RDX], s.gpr[RSI]]).toEqual([1n, 2n, 1n, 1n]);
    // LEA takes none.
    expect(run([0x65, 0x48, 0x8d, 0x03], { [RBX]: DATA }, set).s.gpr[RAX]).toBe(BigInt(DATA));
  });

  it('fault when they are not canonical: #SS through RSP and RBP, #GP else', () => {
    const bad = 0x8000_0000_0000n;
    expect(vector([0x8b, 0x03], { [RBX]: bad })).toBe(GP);
    expect(vector([0x8b, 0x45, 0], { [RBP]: bad })).toBe(SS);
    expect(vector([0x48, 0x89, 0x03], { [RBX]: -bad - 8n })).toBe(GP);
    expect(vector([0x8b, 0x03], { [RBX]: bad - 4n })).toBe(PF);
  });
});

describe('the stack', () => {
  it('moves 8 bytes, 2 with prefix 66', () => {
    // push rbx; push word ax; push -1; push imm32; pop rcx; pop r8
    const { t, s } = run([0x53, 0x66, 0x50, 0x6a, 0xff, 0x68, ...le(0x80000000, 4), 0x59, 0x41, 0x58], {
      [RBX]: 0x1122334455667788n,
      [RAX]: 0xabcd,
    });
    expect(s.gpr[RSP]).toBe(0x7ff6n);
    expect(read64(t, 0x7ff8)).toBe(0x1122334455667788n);
    expect(t.guest.read16(0x7ff6)).toBe(0xabcd);
    expect(s.gpr[RCX]).toBe(0xffff_ffff_8000_0000n);
    expect(s.gpr[8]).toBe(0xffff_ffff_ffff_ffffn);
  });

  it('keeps 64-bit addresses', () => {
    const high = HIGH_HALF + 0x8000n;
    const { t, s } = run([0x50], { [RAX]: 5, [RSP]: high });
    expect(s.gpr[RSP]).toBe(high - 8n);
    expect(read64(t, 0x7ff8)).toBe(5n);
  });

  it('calls and returns with 64-bit addresses', () => {
    // call +1; hlt; mov eax, 5; ret 8
    const { t, s } = run([0xe8, 1, 0, 0, 0, 0xf4, 0xb8, 5, 0, 0, 0, 0xc2, 8, 0], { [RAX]: 0x7777_7777_7777n });
    expect(s.gpr[RAX]).toBe(5n);
    expect(s.rip).toBe(BigInt(CODE + 6));
    expect(s.gpr[RSP]).toBe(0x8008n);
    expect(read64(t, 0x7ff8)).toBe(BigInt(CODE + 5));
    // 66 does not make a call shorter; call rax and call [rbx]
    expect(run([0x66, 0xff, 0xd0], { [RAX]: CODE + 0x100 }, (t) => t.put(CODE + 0x100, 0xf4)).s.gpr[RSP]).toBe(0x7ff8n);
    const far = run([0xff, 0x13], { [RBX]: DATA }, (t) => {
      write64(t, DATA, HIGH_HALF + BigInt(CODE + 0x100));
      t.put(CODE + 0x100, 0xf4);
    });
    expect(far.s.rip).toBe(HIGH_HALF + BigInt(CODE + 0x101));
  });

  it('refuses to go to addresses that are none', () => {
    const bad = 0x1234_0000_0000_0000n;
    for (const code of [
      [0xff, 0xd0],
      [0xff, 0xe0],
      [0x50, 0xc3],
    ]) {
      const { s } = run(code, { [RAX]: bad });
      expect(TestCpu.vectorOf(s)).toBe(GP);
    }
    // The call changed nothing.
    const { t, s } = run([0xff, 0xd0], { [RAX]: bad });
    expect(s.gpr[RSP]).toBe(BigInt(0x8000 - 6 * 8));
    expect(read64(t, 0x8000 - 5 * 8)).toBe(BigInt(CODE));
  });

  it('makes and drops frames', () => {
    // enter 0x20, 2; leave
    const { t, s } = run([0xc8, 0x20, 0, 2], { [RBP]: 0x9100 }, (c) => write64(c, 0x90f8, 0xabcdn));
    expect(s.gpr[RBP]).toBe(0x7ff8n);
    expect(s.gpr[RSP]).toBe(BigInt(0x7ff8 - 16 - 0x20));
    expect([read64(t, 0x7ff8), read64(t, 0x7ff0), read64(t, 0x7fe8)]).toEqual([0x9100n, 0xabcdn, 0x7ff8n]);
    const l = run([0xc9], { [RBP]: DATA }, (c) => write64(c, DATA, 0x1122334455667788n)).s;
    expect([l.gpr[RSP], l.gpr[RBP]]).toEqual([BigInt(DATA + 8), 0x1122334455667788n]);
  });

  it('pushes and pops flags', () => {
    const { t, s } = run([0x9c, 0x6a, 0x41, 0x9d], {}, (c) =>
      c.patch((state) => {
        state.rflags = 0x8d7n;
      }),
    );
    expect(read64(t, 0x7ff8)).toBe(0x8d7n);
    expect(s.rflags & 0x8d5n).toBe(0x41n);
    expect(s.gpr[RSP]).toBe(0x7ff8n);
  });

  it('pops to memory with the address of after the pop', () => {
    // pop qword [rsp + 8]
    const { t } = run([0x8f, 0x44, 0x24, 8], { [RSP]: DATA }, (c) => write64(c, DATA, 0x1122334455667788n));
    expect(read64(t, DATA + 16)).toBe(0x1122334455667788n);
  });
});

describe('arithmetic of 64 bits', () => {
  const flagsOf = (code: number[], registers: Registers): number => Number(run(code, registers).s.rflags & 0x8d5n);

  it('sets the flags of 64-bit results', () => {
    // add rax, rbx
    expect(flagsOf([0x48, 0x01, 0xd8], { [RAX]: 0xffff_ffff_ffff_ffffn, [RBX]: 1 })).toBe(0x55);
    expect(flagsOf([0x48, 0x01, 0xd8], { [RAX]: 0x7fff_ffff_ffff_ffffn, [RBX]: 1 })).toBe(0x894);
    expect(flagsOf([0x48, 0x01, 0xd8], { [RAX]: 0xffff_ffffn, [RBX]: 1 })).toBe(0x14);
    // sub rax, rbx
    expect(flagsOf([0x48, 0x29, 0xd8], { [RAX]: 0, [RBX]: 1 })).toBe(0x95);
    expect(flagsOf([0x48, 0x29, 0xd8], { [RAX]: 0x1_0000_0000n, [RBX]: 0 })).toBe(0x4);
    // test rax, rax
    expect(flagsOf([0x48, 0x85, 0xc0], { [RAX]: 0x1_0000_0000n })).toBe(0x4);
    expect(flagsOf([0x48, 0x85, 0xc0], { [RAX]: -1 })).toBe(0x84);
  });

  it('multiplies to 128 bits', () => {
    const a = 0xfedc_ba98_7654_3210n;
    const b = 0x0123_4567_89ab_cdefn;
    const product = (s: CpuState): bigint => (s.gpr[RDX]! << 64n) | s.gpr[RAX]!;
    expect(product(run([0x48, 0xf7, 0xe3], { [RAX]: a, [RBX]: b }).s)).toBe(a * b);
    expect(product(run([0x48, 0xf7, 0xeb], { [RAX]: a, [RBX]: b }).s)).toBe(BigInt.asUintN(128, BigInt.asIntN(64, a) * b));
    expect(run([0x48, 0x0f, 0xaf, 0xc3], { [RAX]: a, [RBX]: b }).s.gpr[RAX]).toBe(BigInt.asUintN(64, a * b));
    expect(run([0x48, 0x6b, 0xc3, 0xf9], { [RBX]: b }).s.gpr[RAX]).toBe(BigInt.asUintN(64, b * -7n));
  });

  it('divides 128 bits', () => {
    const n = (0x1234_5678_9abc_def0n << 64n) | 0x0fed_cba9_8765_4321n;
    for (const d of [0x1234_5678_9abc_def1n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x2000_0000_0000_0001n]) {
      const { s } = run([0x48, 0xf7, 0xf3], { [RAX]: BigInt.asUintN(64, n), [RDX]: n >> 64n, [RBX]: d });
      expect([s.gpr[RAX], s.gpr[RDX]]).toEqual([n / d, n % d]);
    }
    for (const [a, d] of [
      [-n, 0x7234_5678_9abc_def1n],
      [n, -0x7234_5678_9abc_def1n],
      [-5n, 3n],
      [5n, -3n],
      [-(1n << 63n), 1n],
    ] as const) {
      const { s } = run([0x48, 0xf7, 0xfb], { [RAX]: BigInt.asUintN(64, a), [RDX]: BigInt.asUintN(64, a >> 64n), [RBX]: d });
      expect([BigInt.asIntN(64, s.gpr[RAX]!), BigInt.asIntN(64, s.gpr[RDX]!)]).toEqual([a / d, a % d]);
    }
    expect(vector([0x48, 0xf7, 0xf3], { [RDX]: 5, [RBX]: 5 })).toBe(0);
    expect(vector([0x48, 0xf7, 0xf3])).toBe(0);
    // -2^63 / -1 does not fit.
    expect(vector([0x48, 0xf7, 0xfb], { [RAX]: 1n << 63n, [RDX]: -1, [RBX]: -1 })).toBe(0);
  });

  it('shifts by six bits of the count', () => {
    expect(run([0x48, 0xd3, 0xe0], { [RAX]: 3, [RCX]: 63 }).s.gpr[RAX]).toBe(1n << 63n);
    expect(run([0x48, 0xd3, 0xe0], { [RAX]: 3, [RCX]: 64 }).s.gpr[RAX]).toBe(3n);
    expect(run([0xd3, 0xe0], { [RAX]: 0xffff_ffff_0000_0003n, [RCX]: 32 }).s.gpr[RAX]).toBe(3n);
    expect(run([0x48, 0xc1, 0xf8, 60], { [RAX]: 1n << 63n }).s.gpr[RAX]).toBe(0xffff_ffff_ffff_fff8n);
    // shld rax, rbx, 4
    expect(run([0x48, 0x0f, 0xa4, 0xd8, 4], { [RAX]: 1, [RBX]: 0xf000_0000_0000_0000n }).s.gpr[RAX]).toBe(0x1fn);
  });

  it('scans, tests, counts and swaps', () => {
    expect(run([0x48, 0x0f, 0xbc, 0xc3], { [RBX]: 1n << 40n }).s.gpr[RAX]).toBe(40n);
    expect(run([0x48, 0x0f, 0xbd, 0xc3], { [RBX]: 3n << 40n }).s.gpr[RAX]).toBe(41n);
    expect(run([0xf3, 0x48, 0x0f, 0xb8, 0xc3], { [RBX]: -1 }).s.gpr[RAX]).toBe(64n);
    expect(run([0x48, 0x0f, 0xc8], { [RAX]: 0x1122334455667788n }).s.gpr[RAX]).toBe(0x8877665544332211n);
    // bts [rbx], rax far below the operand; bt rax, 63
    const { t } = run([0x48, 0x0f, 0xab, 0x03], { [RBX]: DATA, [RAX]: -65 });
    expect(read64(t, DATA - 16)).toBe(1n << 63n);
    expect(Number(run([0x48, 0x0f, 0xba, 0xe0, 63], { [RAX]: 1n << 63n }).s.rflags & 1n)).toBe(1);
  });

  it('exchanges 16 bytes when they are aligned', () => {
    const set = (t: TestCpu): void => {
      write64(t, DATA, 1n);
      write64(t, DATA + 8, 2n);
    };
    const hit = run([0xf0, 0x48, 0x0f, 0xc7, 0x0f], { [RDI]: DATA, [RAX]: 1, [RDX]: 2, [RBX]: 3, [RCX]: 4 }, set);
    expect([read64(hit.t, DATA), read64(hit.t, DATA + 8), hit.s.rflags & 0x40n]).toEqual([3n, 4n, 0x40n]);
    const miss = run([0x48, 0x0f, 0xc7, 0x0f], { [RDI]: DATA, [RAX]: 1, [RDX]: 9, [RBX]: 3, [RCX]: 4 }, set);
    expect([miss.s.gpr[RAX], miss.s.gpr[RDX], miss.s.rflags & 0x40n]).toEqual([1n, 2n, 0n]);
    expect(vector([0x48, 0x0f, 0xc7, 0x0f], { [RDI]: DATA + 8 })).toBe(GP);
  });
});

describe('branches and loops', () => {
  it('count RCX, or ECX with prefix 67', () => {
    // loop taken over hlt: e2 01 f4 90
    expect(run([0xe2, 0x01, 0xf4, 0x90], { [RCX]: 0x1_0000_0001n }).s.gpr[RCX]).toBe(0x1_0000_0000n);
    expect(run([0xe2, 0x01, 0xf4, 0x90], { [RCX]: 0x1_0000_0001n }).s.rip).toBe(BigInt(CODE + 5));
    expect(run([0x67, 0xe2, 0x01, 0xf4, 0x90], { [RCX]: 0x1_0000_0001n }).s.rip).toBe(BigInt(CODE + 4));
    expect(run([0xe3, 0x01, 0xf4, 0x90], { [RCX]: 0x1_0000_0000n }).s.rip).toBe(BigInt(CODE + 3));
    expect(run([0x67, 0xe3, 0x01, 0xf4, 0x90], { [RCX]: 0x1_0000_0000n }).s.rip).toBe(BigInt(CODE + 6));
  });

  it('loop over many pages and out of one', () => {
    const t = prepare({ [RCX]: 100_000 });
    // At the end of a page: add rax, 3; dec rcx; jnz back, jump over the page end.
    const at = CODE + 0xff4;
    t.put(at, 0x48, 0x83, 0xc0, 0x03, 0x48, 0xff, 0xc9, 0x75, 0xf7, 0xeb, 0x7e, 0x90);
    t.put(at + 11 + 0x7e, 0xf4);
    t.patch((s) => {
      s.rip = BigInt(at);
    });
    const s = t.untilHalt();
    expect(s.gpr[RAX]).toBe(300_000n);
    expect(s.rip).toBe(BigInt(at + 11 + 0x7f));
  });

  it('decide compares of 64 bits as the flags say', () => {
    const values = [0n, 1n, -1n, 1n << 63n, (1n << 63n) - 1n, 1n << 32n, 0xffff_ffffn, 0x8000_0000n, -(1n << 32n)];
    for (const a of values)
      for (const b of values) {
        const u = (x: bigint): bigint => BigInt.asUintN(64, x);
        const s = (x: bigint): bigint => BigInt.asIntN(64, x);
        const truth: [number, boolean][] = [
          [0x72, u(a) < u(b)],
          [0x74, u(a) === u(b)],
          [0x76, u(a) <= u(b)],
          [0x7c, s(a) < s(b)],
          [0x7e, s(a) <= s(b)],
        ];
        for (const [opcode, taken] of truth)
          for (const negate of [0, 1]) {
            // cmp rax, rbx; jcc over hlt
            const end = run([0x48, 0x39, 0xd8, opcode + negate, 1, 0xf4, 0x90], { [RAX]: a, [RBX]: b }).s.rip;
            expect([a, b, opcode + negate, end]).toEqual([a, b, opcode + negate, BigInt(CODE + (taken !== (negate === 1) ? 8 : 6))]);
          }
      }
  });
});

describe('string instructions', () => {
  it('move, fill, compare and search with 64-bit registers', () => {
    const set = (t: TestCpu): void => t.put(DATA, ...Array.from({ length: 64 }, (_, i) => i));
    // rep movsq to the high half
    const m = run([0xf3, 0x48, 0xa5], { [RSI]: DATA, [RDI]: HIGH_HALF + BigInt(DATA) + 0x1000n, [RCX]: 5 }, set);
    expect([...m.t.ram.subarray(DATA + 0x1000, DATA + 0x1028)]).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect([m.s.gpr[RSI], m.s.gpr[RDI], m.s.gpr[RCX]]).toEqual([BigInt(DATA + 40), HIGH_HALF + BigInt(DATA + 0x1028), 0n]);
    // rep stosq over a page end, and downwards
    const f = run([0xf3, 0x48, 0xab], { [RDI]: DATA + 0xff4, [RCX]: 600, [RAX]: 0x1122334455667788n });
    expect(read64(f.t, DATA + 0xff4 + 599 * 8)).toBe(0x1122334455667788n);
    expect(read64(f.t, DATA + 0xff4 + 600 * 8)).toBe(0n);
    const d = run([0xfd, 0xf3, 0x48, 0xab], { [RDI]: DATA + 64, [RCX]: 3, [RAX]: 7 });
    expect([read64(d.t, DATA + 48), d.s.gpr[RDI]]).toEqual([7n, BigInt(DATA + 40)]);
    // repne scasq, repe cmpsb
    const c = run([0xf2, 0x48, 0xaf], { [RDI]: DATA, [RCX]: 8, [RAX]: 0x1716151413121110n }, set);
    expect([c.s.gpr[RDI], c.s.gpr[RCX]]).toEqual([BigInt(DATA + 24), 5n]);
    const e = run([0xf3, 0xa6], { [RSI]: DATA, [RDI]: DATA + 0x100, [RCX]: 8 }, (t) => {
      set(t);
      t.put(DATA + 0x100, 0, 1, 2, 9);
    });
    expect([e.s.gpr[RSI], e.s.gpr[RCX]]).toEqual([BigInt(DATA + 4), 4n]);
    // lodsd zero-extends; gs applies to the source
    const l = run([0x65, 0xad], { [RSI]: DATA - 0x1000, [RAX]: -1 }, (t) => {
      set(t);
      t.patch((s) => {
        s.segments.gs.base = 0x1000n;
      });
    });
    expect(l.s.gpr[RAX]).toBe(0x03020100n);
  });

  it('use ESI, EDI and ECX with prefix 67', () => {
    const m = run([0x67, 0xf3, 0xa4], { [RSI]: 0x5_0000_0000n + BigInt(DATA), [RDI]: DATA + 0x100, [RCX]: 0x9_0000_0003n }, (t) =>
      t.put(DATA, 1, 2, 3, 4),
    );
    expect([...m.t.ram.subarray(DATA + 0x100, DATA + 0x104)]).toEqual([1, 2, 3, 0]);
    expect([m.s.gpr[RSI], m.s.gpr[RCX]]).toEqual([BigInt(DATA + 3), 0n]);
  });

  it('can be restarted after a fault in the middle', () => {
    // rep stosb up to the end of RAM at 4 MiB
    const { s } = run([0xf3, 0xaa], { [RDI]: 0x3fff00, [RCX]: 0x200 });
    expect(TestCpu.vectorOf(s)).toBe(PF);
    expect([s.gpr[RDI], s.gpr[RCX], s.cr2]).toEqual([0x400000n, 0x100n, 0x400000n]);
  });
});

describe('instructions that 64-bit mode lacks or changed', () => {
  it('raise #UD', () => {
    const gone = [
      0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea,
    ];
    expect(gone.map((opcode) => [opcode, vector([opcode, 0, 0, 0, 0, 0, 0])])).toEqual(gone.map((opcode) => [opcode, UD]));
  });

  it('keep SAHF and LAHF only where CPUID says so', () => {
    expect(vector([0x9f])).toBe(-1);
    const t = new TestCpu();
    t.long(CODE, [], 'x86-64');
    t.put(CODE, 0x9f, 0xf4);
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(UD);
  });

  it('raise #GP for more than 15 bytes and #UD for LOCK where it makes no sense', () => {
    expect(vector([...new Array(15).fill(0x66), 0x90])).toBe(GP);
    expect(vector([...new Array(14).fill(0x66), 0x90])).toBe(-1);
    expect(vector([0xf0, 0x48, 0x01, 0xd8])).toBe(UD);
    expect(vector([0xf0, 0x48, 0x01, 0x03], { [RBX]: DATA })).toBe(-1);
  });

  it('see code that was written over', () => {
    // mov dword [rip + 1], 7 writes the immediate of the mov eax that follows
    expect(run([0xc7, 0x05, 1, 0, 0, 0, ...le(7, 4), 0xb8, 1, 0, 0, 0]).s.gpr[RAX]).toBe(7n);
  });
});

describe('alignment checks', () => {
  const AC = 17;
  /** CPL 3 with CR0.AM and EFLAGS.AC; the pages are the user's. */
  const user = (code: number[], registers: Registers, flags = 0x40002n): number => {
    const t = prepare(registers);
    for (const entry of [0x9000, 0xa000, 0xb000, 0xb008]) t.ram[entry]! |= 4;
    t.patch((s) => {
      s.rflags = flags;
      s.cr0 |= 0x40000n;
      s.segments.cs = { ...s.segments.cs, selector: 0x1b, attributes: 0xa0fb };
      for (const name of ['ss', 'ds', 'es'] as const) s.segments[name] = { ...s.segments[name], selector: 0x23, attributes: 0xc0f3 };
      s.segments.tr = { selector: 0x28, base: 0x1000n, limit: 0x67, attributes: 0x8b };
    });
    t.put(0x1004, ...le(0x7000, 8));
    // HLT faults at CPL 3: UD2 ends the code.
    t.put(CODE, ...code, 0x0f, 0x0b);
    return TestCpu.vectorOf(t.untilHalt());
  };

  it('raise #AC for misaligned accesses of the user, after aligned ones too', () => {
    // mov eax, [rbx]; mov eax, [rbx + 1]
    expect(user([0x8b, 0x03], { [RBX]: DATA })).toBe(UD);
    expect(user([0x8b, 0x03, 0x8b, 0x43, 1], { [RBX]: DATA })).toBe(AC);
    expect(user([0x48, 0x89, 0x43, 4], { [RBX]: DATA })).toBe(AC);
    expect(user([0x8a, 0x43, 1], { [RBX]: DATA })).toBe(UD);
    // push; rep movsq
    expect(user([0x50], { [RSP]: 0x7ffc })).toBe(AC);
    expect(user([0xf3, 0x48, 0xa5], { [RSI]: DATA + 4, [RDI]: DATA + 0x100, [RCX]: 3 })).toBe(AC);
  });

  it('stay away without EFLAGS.AC', () => {
    expect(user([0x8b, 0x43, 1], { [RBX]: DATA }, 2n)).toBe(UD);
  });

  it('begin when POPF sets AC, whatever was in the TLB', () => {
    // mov eax, [rbx + 1]; push 0x40002; popf; mov eax, [rbx + 1]
    expect(user([0x8b, 0x43, 1, 0x68, ...le(0x40002, 4), 0x9d, 0x8b, 0x43, 1], { [RBX]: DATA }, 2n)).toBe(AC);
  });
});
