import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const EAGER = { piece: 20, threshold: 1 };
const ROUNDS = 200;
/** Where handlers count. */
const COUNT = 0x50000;
const VECTOR = 0x20;
const handlerAt = (vector: number): number => 0x3000 + vector * 16;

/** Interpreted and compiled; an OUT asks for an interrupt. */
function both(setUp: (t: TestCpu) => void): TestCpu[] {
  return [undefined, EAGER].map((recompiler) => {
    const t = new TestCpu(recompiler ? { recompiler } : {});
    t.onPortWrite = () => {
      t.vector = VECTOR;
      t.cpu.setIntr(true);
    };
    setUp(t);
    t.untilHalt();
    if (recompiler) expect(t.cpu.statistics().interpretedInstructions / t.cpu.statistics().instructions).toBeLessThan(0.7);
    return t;
  });
}

/** `body` ROUNDS times in ECX, in flat 32-bit mode. */
const rounds = (body: number[]): number[] => [0xb9, ...le32(ROUNDS), ...body, 0x49, 0x0f, 0x85, ...le32(-(body.length + 7)), HLT];

describe('interrupts in regions', () => {
  it('are held by STI for one instruction', () => {
    const counts = both((t) => {
      t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
      // cli; out 0x80,al; inc eax; sti; inc esi; inc edi
      t.put(0x10000, ...rounds([0xfa, 0xe6, 0x80, 0x40, 0xfb, 0x46, 0x47]));
      // mov ebx,esi; sub ebx,edi; add [COUNT],ebx; iret
      t.put(handlerAt(VECTOR), 0x89, 0xf3, 0x29, 0xfb, 0x01, 0x1d, ...le32(COUNT), 0xcf);
    }).map((t) => t.guest.read32(COUNT));
    expect(counts).toEqual([ROUNDS, ROUNDS]);
  });

  it('are held by STI also where others jump behind it', () => {
    const tested = both((t) => {
      t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
      // cli; test ecx,1; jz even; sti; even: inc esi; inc edi; sti; out 0x80,al at every sixteenth
      const body = [0xfa, 0xf7, 0xc1, ...le32(1), 0x74, 0x01, 0xfb, 0x46, 0x47, 0xfb];
      t.put(0x10000, ...rounds([...body, 0xf7, 0xc1, ...le32(15), 0x75, 0x02, 0xe6, 0x80]));
      t.put(handlerAt(VECTOR), 0x89, 0xf3, 0x29, 0xfb, 0x01, 0x1d, ...le32(COUNT), 0xff, 0x05, ...le32(COUNT + 4), 0xcf);
    });
    expect(tested.map((t) => [t.guest.read32(COUNT), t.guest.read32(COUNT + 4)])).toEqual([
      [0, Math.floor(ROUNDS / 16)],
      [0, Math.floor(ROUNDS / 16)],
    ]);
  });

  it('do not make a region stop at an STI that others jump behind', () => {
    const MANY = 20_000;
    const t = new TestCpu({ recompiler: { piece: 2000, threshold: 1 } });
    t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
    // cli; test ecx,1; jz even; sti; even: inc esi; inc edi
    t.put(0x10000, ...rounds([0xfa, 0xf7, 0xc1, ...le32(1), 0x74, 0x01, 0xfb, 0x46, 0x47]));
    t.guest.write32(0x10001, MANY);
    t.untilHalt();
    expect(t.cpu.getState().gpr[6]).toBe(BigInt(MANY));
    expect(t.cpu.statistics().exits['entered compiled code']).toBeLessThan(MANY / 20);
  });

  it('come before STI has no effect any more only when HLT has begun', () => {
    const counts = both((t) => {
      t.flat(0x10000);
      // cli; out 0x80,al; sti; hlt: the interrupt wakes from the HLT and never comes before it.
      t.put(0x10000, ...rounds([0xfa, 0xe6, 0x80, 0xfb, HLT]).slice(0, -1), 0xfa, HLT);
      // The HLT is what the frame returns behind: mov ebx,[esp]; cmp byte [ebx-1],0xf4; jne out; inc dword [COUNT]; out: iret
      t.put(0x4000, 0x8b, 0x1c, 0x24, 0x80, 0x7b, 0xff, HLT, 0x75, 0x06, 0xff, 0x05, ...le32(COUNT), 0xcf);
      t.guest.write32(VECTOR * 8, 0x00084000);
    }).map((t) => t.guest.read32(COUNT));
    expect(counts).toEqual([ROUNDS, ROUNDS]);
  });

  it('that waited come right after POPF', () => {
    const counts = both((t) => {
      t.flat(0x10000);
      // sti; pushf; cli; out 0x80,al; mov esi,edi; popf; inc edi
      t.put(0x10000, ...rounds([0xfb, 0x9c, 0xfa, 0xe6, 0x80, 0x89, 0xfe, 0x9d, 0x47]));
      // cmp esi,edi; jne out; inc dword [COUNT]; out: iret
      t.put(handlerAt(VECTOR), 0x39, 0xfe, 0x75, 0x06, 0xff, 0x05, ...le32(COUNT), 0xcf);
    }).map((t) => t.guest.read32(COUNT));
    expect(counts).toEqual([ROUNDS, ROUNDS]);
  });
});

describe('pushes of segment registers in regions', () => {
  it('write two bytes of four', () => {
    const [interpreted, compiled] = both((t) => {
      t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
      // push -1; pop eax; push es; push cs; push ss; push ds; push fs; push gs; then each popped and added: pop ebx; add esi,ebx
      const pushes = [0x6a, 0xff, 0x58, 0x06, 0x0e, 0x16, 0x1e, 0x0f, 0xa0, 0x0f, 0xa8];
      const pops = Array.from({ length: 6 }, () => [0x5b, 0x01, 0xde, 0x8d, 0x3c, 0x7b]).flat();
      t.put(0x10000, ...rounds([...pushes, ...pops]));
    }).map((t) => t.cpu.getState());
    expect(compiled!.gpr).toEqual(interpreted!.gpr);
    // The upper halves are what was there: all ones above ES, from PUSH -1.
    expect(compiled!.gpr[3]! >> 16n).toBe(0xffffn);
  });
});

describe('flags in regions', () => {
  it('PUSHF and POPF keep what arithmetic made', () => {
    const [interpreted, compiled] = both((t) => {
      t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0x1234567, 0, 0]);
      // sub ebp,0x10203; pushf; pop ebx; add eax,ebx; pushf; xor edx,edx; popf; adc esi,eax
      t.put(0x10000, ...rounds([0x81, 0xed, ...le32(0x10203), 0x9c, 0x5b, 0x01, 0xd8, 0x9c, 0x31, 0xd2, 0x9d, 0x11, 0xc6]));
    }).map((t) => t.cpu.getState());
    expect(compiled!.gpr).toEqual(interpreted!.gpr);
    expect(compiled!.rflags).toBe(interpreted!.rflags);
  });

  it('a TF that POPF loads traps after the next instruction', () => {
    const sums = both((t) => {
      t.flat(0x10000);
      // pushf; or dword [esp],0x100; popf; inc esi; inc edi; pushf; and dword [esp],~0x100; popf
      t.put(0x10000, ...rounds([0x9c, 0x81, 0x0c, 0x24, ...le32(0x100), 0x9d, 0x46, 0x47, 0x90]));
      // #DB: mov ebx,esi; sub ebx,edi; add [COUNT],ebx; and dword [esp+8],~0x100; iret
      t.put(0x4000, 0x89, 0xf3, 0x29, 0xfb, 0x01, 0x1d, ...le32(COUNT), 0x81, 0x64, 0x24, 0x08, ...le32(~0x100), 0xcf);
      t.guest.write32(8, 0x00084000);
    }).map((t) => t.guest.read32(COUNT));
    expect(sums).toEqual([ROUNDS, ROUNDS]);
  });
});

/** 64-bit user code at 0x20000 that calls the system at 0x10200 ROUNDS times; `system` is what that does, `user` what comes before each call. */
function calls(t: TestCpu, user: number[], system: number[]): void {
  t.long(0x10000, [0, 0, 0, 0, 0x8000]);
  for (const at of [0x9000, 0x9ff8, 0xa000, 0xb000, 0xb008]) t.guest.write32(at, t.guest.read32(at) | 4);
  const msr = (number: number, low: number, high: number): number[] => [
    0xb9,
    ...le32(number),
    0xb8,
    ...le32(low),
    0xba,
    ...le32(high),
    0x0f,
    0x30,
  ];
  // STAR: SYSCALL to CS 8, SYSRET to CS 0x13 + 16; LSTAR; FMASK: IF.
  const setUp = [
    ...msr(0xc0000081, 0, 0x00100008),
    ...msr(0xc0000082, 0x10200, 0),
    ...msr(0xc0000084, 0x200, 0),
    ...msr(0xc0000102, 0x7000, 0),
  ];
  t.put(0x10000, ...setUp, 0xb9, ...le32(0x20000), 0x41, 0xbb, ...le32(2), 0x48, 0x0f, 0x07); // mov ecx,0x20000; mov r11d,2; sysretq
  const body = [...user, 0x0f, 0x05]; // syscall
  t.put(0x20000, 0xbd, ...le32(ROUNDS), ...body, 0xff, 0xcd, 0x0f, 0x85, ...le32(-(body.length + 8)), 0xb8, ...le32(1), 0x0f, 0x05);
  // test eax,eax; jz go; hlt; go: swapgs; inc rbx; ...; swapgs; sysretq
  t.put(0x10200, 0x85, 0xc0, 0x74, 0x01, HLT, 0x0f, 0x01, 0xf8, 0x48, 0xff, 0xc3, ...system, 0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07);
}

describe('SYSCALL and SYSRET between regions', () => {
  it('change privilege there and back', () => {
    const [interpreted, compiled] = both((t) => calls(t, [0x31, 0xc0, 0x48, 0xff, 0xc6], [0x8c, 0xc8, 0x01, 0xc7])).map((t) =>
      t.cpu.getState(),
    ); // xor eax,eax; inc rsi / mov eax,cs; add edi,eax
    expect(compiled!.gpr[3]).toBe(BigInt(ROUNDS));
    expect(compiled!.gpr[7]).toBe(BigInt(ROUNDS * 8));
    expect(compiled!.gpr).toEqual(interpreted!.gpr);
    expect(compiled!.segments).toEqual(interpreted!.segments);
  });

  it('does not come back to the run loop once the regions are there', () => {
    const MANY = 5000;
    const t = new TestCpu({ recompiler: EAGER });
    calls(t, [0x31, 0xc0, 0x48, 0xff, 0xc6], [0x8c, 0xc8, 0x01, 0xc7]);
    t.guest.write32(0x20001, MANY);
    t.untilHalt();
    expect(t.cpu.getState().gpr[3]).toBe(BigInt(MANY));
    // Two regions a call; slices end now and then.
    expect(t.cpu.statistics().exits['entered compiled code']).toBeLessThan(MANY);
  });

  it('run what the system has just written into the code of the user', () => {
    // xor eax,eax; add rsi,imm32: the system counts the immediate up.
    const [interpreted, compiled] = both((t) =>
      calls(t, [0x31, 0xc0, 0x48, 0x81, 0xc6, ...le32(1)], [0xff, 0x04, 0x25, ...le32(0x2000a)]),
    ).map((t) => t.cpu.getState());
    expect(compiled!.gpr[6]).toBe(BigInt((ROUNDS * (ROUNDS + 1)) / 2));
    expect(compiled!.gpr).toEqual(interpreted!.gpr);
  });
});
