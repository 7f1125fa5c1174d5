import { beforeEach, describe, expect, it } from 'vitest';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import type { CpuState } from '../../../core/cpu/cpustate.ts';

const HLT = 0xf4;
const UD = 6;
const NM = 7;
const GP = 13;
const PF = 14;
const MF = 16;
const XM = 19;
const CR0 = 0x31n; // PE ET NE
const MP = 2n;
const EM = 4n;
const TS = 8n;
const NE = 0x20n;
const CR4 = 0x600n; // OSFXSR OSXMMEXCPT
const CODE = 0x10000;
const DATA = 0x20000;
const ESI = 6;
const EDI = 7;

let t: TestCpu;
beforeEach(() => {
  t = new TestCpu();
});

interface Setup {
  cr0?: bigint;
  cr4?: bigint;
  change?: (s: CpuState) => void;
}

/** Runs the bytes and HLT in flat 32-bit mode with esi = edi = DATA; gives the state and the vector taken, -1 for none. */
function run(bytes: number[], { cr0 = CR0, cr4 = CR4, change }: Setup = {}): { vector: number; state: CpuState } {
  const gpr = Array.from({ length: 8 }, () => 0);
  gpr[4] = 0x8000;
  gpr[ESI] = DATA;
  gpr[EDI] = DATA;
  t.put(CODE, ...bytes, HLT);
  t.flat(CODE, gpr);
  t.patch((s) => {
    s.cr0 = cr0;
    s.cr4 = cr4;
    change?.(s);
  });
  const state = t.untilHalt();
  return { vector: TestCpu.vectorOf(state), state };
}
const vector = (bytes: number[], setup?: Setup): number => run(bytes, setup).vector;

const FLD1 = [0xd9, 0xe8];
const FWAIT = [0x9b];
const PADDB_MM = [0x0f, 0xfc, 0xc1];
const ADDPS = [0x0f, 0x58, 0xc1];
const CVTPI2PS = [0x0f, 0x2a, 0xc1];
const FXSAVE = [0x0f, 0xae, 0x06];
const FXRSTOR = [0x0f, 0xae, 0x0e];
const LDMXCSR = [0x0f, 0xae, 0x16];
const MFENCE = [0x0f, 0xae, 0xf0];
const MOVNTI = [0x0f, 0xc3, 0x06];
const EMMS = [0x0f, 0x77];

describe('availability by CR0 and CR4 (SDM volume 3, tables 2-2, 12-1 and 13-1)', () => {
  it.each([
    ['x87 with EM', FLD1, { cr0: CR0 | EM }, NM],
    ['x87 with TS', FLD1, { cr0: CR0 | TS }, NM],
    ['x87 with MP alone', FLD1, { cr0: CR0 | MP }, -1],
    ['FWAIT with TS', FWAIT, { cr0: CR0 | TS }, -1],
    ['FWAIT with MP and TS', FWAIT, { cr0: CR0 | TS | MP }, NM],
    ['FWAIT with EM', FWAIT, { cr0: CR0 | EM }, -1],
    ['MMX with EM', PADDB_MM, { cr0: CR0 | EM }, UD],
    ['MMX with EM and TS', PADDB_MM, { cr0: CR0 | EM | TS }, UD],
    ['MMX with TS', PADDB_MM, { cr0: CR0 | TS }, NM],
    ['MMX without OSFXSR', PADDB_MM, { cr4: 0n }, -1],
    ['EMMS with TS', EMMS, { cr0: CR0 | TS }, NM],
    ['SSE with EM', ADDPS, { cr0: CR0 | EM }, UD],
    ['SSE with TS', ADDPS, { cr0: CR0 | TS }, NM],
    ['SSE without OSFXSR', ADDPS, { cr4: 0x400n }, UD],
    ['SSE without OSFXSR and with TS', ADDPS, { cr0: CR0 | TS, cr4: 0n }, UD],
    ['CVTPI2PS with TS', CVTPI2PS, { cr0: CR0 | TS }, NM],
    ['LDMXCSR without OSFXSR', LDMXCSR, { cr4: 0n }, UD],
    ['FXSAVE with TS', FXSAVE, { cr0: CR0 | TS }, NM],
    ['FXSAVE with EM', FXSAVE, { cr0: CR0 | EM }, NM],
    ['FXSAVE without OSFXSR', FXSAVE, { cr4: 0n }, -1],
    ['MFENCE with EM', MFENCE, { cr0: CR0 | EM, cr4: 0n }, -1],
    ['MOVNTI with EM and TS', MOVNTI, { cr0: CR0 | EM | TS, cr4: 0n }, -1],
    ['PREFETCHNTA with EM', [0x0f, 0x18, 0x06], { cr0: CR0 | EM, cr4: 0n }, -1],
  ] as [string, number[], Setup, number][])('%s', (_, bytes, setup, want) => {
    expect(vector(bytes, setup)).toBe(want);
  });
});

describe('encodings that do not exist', () => {
  it.each([
    ['D9 D1', [0xd9, 0xd1]],
    ['D9 E2', [0xd9, 0xe2]],
    ['D9 EF', [0xd9, 0xef]],
    ['DB E5', [0xdb, 0xe5]],
    ['DE D8', [0xde, 0xd8]],
    ['DF E1', [0xdf, 0xe1]],
    ['FISTTP m32', [0xdb, 0x0e]],
    ['D9 /1 memory', [0xd9, 0x0e]],
    ['MOVNTPS register', [0x0f, 0x2b, 0xc1]],
    ['MOVLPD register', [0x66, 0x0f, 0x12, 0xc1]],
    ['MOVMSKPS memory', [0x0f, 0x50, 0x06]],
    ['PSRLW /0', [0x0f, 0x71, 0xc1, 1]],
    ['PSRLDQ on MMX', [0x0f, 0x73, 0xd9, 1]],
    ['PUNPCKLQDQ on MMX', [0x0f, 0x6c, 0xc1]],
    ['0F AE /0 register', [0x0f, 0xae, 0xc0]],
    ['XSAVE', [0x0f, 0xae, 0x26]],
    ['F2 0F 5B', [0xf2, 0x0f, 0x5b, 0xc1]],
    ['HADDPD', [0x66, 0x0f, 0x7c, 0xc1]],
    ['ADDSUBPS', [0xf2, 0x0f, 0xd0, 0xc1]],
    ['LDDQU', [0xf2, 0x0f, 0xf0, 0x06]],
  ] as [string, number[]][])('%s is #UD', (_, bytes) => {
    expect(vector(bytes)).toBe(UD);
  });
});

describe('pending x87 exceptions', () => {
  /** fninit; fldcw [esi] with ZM clear; fldz; fld1; fdiv st0, st1: 1 / 0 stays pending. */
  const pending = [0xdb, 0xe3, 0xd9, 0x2e, 0xd9, 0xee, 0xd9, 0xe8, 0xd8, 0xf1];
  beforeEach(() => t.put(DATA, 0x7b, 0x03));

  it('the faulting instruction itself ends quietly', () => {
    const { vector: v, state } = run(pending);
    expect(v).toBe(-1);
    expect(state.fpu.status & 0x8084).toBe(0x8084);
  });
  it.each([
    ['x87', FLD1],
    ['FWAIT', FWAIT],
    ['MMX', PADDB_MM],
    ['CVTPI2PS', CVTPI2PS],
    ['FLDCW', [0xd9, 0x2e]],
    ['FNOP', [0xd9, 0xd0]],
    ['EMMS', EMMS],
  ] as [string, number[]][])('#MF at the next waiting instruction: %s', (_, next) => {
    const { vector: v, state } = run([...pending, ...next]);
    expect(v).toBe(MF);
    expect(state.fpu.status & 0x3800).toBe(0x3000);
    // The frame names the waiting instruction, FIP the one that failed.
    expect(t.guest.read32(0x8000 - 12)).toBe(CODE + pending.length);
    expect(state.fpu.instructionPointer).toBe(BigInt(CODE + pending.length - 2));
    expect(state.fpu.opcode).toBe(0x0f1);
    expect(state.fpu.instructionSelector).toBe(8);
  });
  it.each([
    ['FNSTSW AX', [0xdf, 0xe0]],
    ['FNSTCW', [0xd9, 0x7e, 0x10]],
    ['FNSTENV', [0xd9, 0x76, 0x10]],
    ['FNSAVE', [0xdd, 0x76, 0x10]],
    ['FNCLEX', [0xdb, 0xe2]],
    ['FNINIT', [0xdb, 0xe3]],
    ['FXSAVE', [0x0f, 0xae, 0x46, 0x10]],
    ['ADDPS', ADDPS],
    ['MOVNTI', [0x0f, 0xc3, 0x46, 0x10]],
  ] as [string, number[]][])('%s does not wait', (_, next) => {
    expect(vector([...pending, ...next])).toBe(-1);
  });
  it('FNCLEX takes the exception away', () => {
    expect(vector([...pending, 0xdb, 0xe2, ...FLD1])).toBe(-1);
  });
  it('FLDCW that unmasks a sticky flag makes it pending', () => {
    // fninit; fldz; fld1; fdiv st0, st1; fldcw [esi]
    const { state } = run([0xdb, 0xe3, 0xd9, 0xee, 0xd9, 0xe8, 0xd8, 0xf1, 0xd9, 0x2e]);
    expect(state.fpu.status & 0x8080).toBe(0x8080);
  });
  it('with CR0.NE clear nothing faults', () => {
    const { vector: v, state } = run([...pending, ...FLD1], { cr0: CR0 & ~NE });
    expect(v).toBe(-1);
    expect(state.fpu.status & 0x8080).toBe(0x8080);
  });
});

describe('SIMD floating-point exceptions', () => {
  const unmaskZero = (s: CpuState) => {
    s.mxcsr = 0x1d80;
    s.xmm.fill(0);
    new DataView(s.xmm.buffer, s.xmm.byteOffset).setFloat32(0, 1, true);
  };
  const DIVSS = [0xf3, 0x0f, 0x5e, 0xc1];
  it('#XM with OSXMMEXCPT, flag set and destination untouched', () => {
    const { vector: v, state } = run(DIVSS, { change: unmaskZero });
    expect(v).toBe(XM);
    expect(state.mxcsr & 0x3f).toBe(4);
    expect(new DataView(state.xmm.buffer, state.xmm.byteOffset).getFloat32(0, true)).toBe(1);
  });
  it('#UD without', () => {
    expect(vector(DIVSS, { cr4: 0x200n, change: unmaskZero })).toBe(UD);
  });
});

describe('memory operands', () => {
  it.each([
    ['MOVAPS load', [0x0f, 0x28, 0x46, 0x08]],
    ['MOVAPS store', [0x0f, 0x29, 0x46, 0x08]],
    ['MOVDQA', [0x66, 0x0f, 0x6f, 0x46, 0x04]],
    ['ADDPS', [0x0f, 0x58, 0x46, 0x04]],
    ['MOVNTPS', [0x0f, 0x2b, 0x46, 0x01]],
    ['FXSAVE', [0x0f, 0xae, 0x46, 0x08]],
    ['FXRSTOR', [0x0f, 0xae, 0x4e, 0x08]],
  ] as [string, number[]][])('%s at a misaligned address is #GP(0)', (_, bytes) => {
    expect(vector(bytes)).toBe(GP);
    expect(t.guest.read32(0x8000 - 16)).toBe(0);
  });
  it('LDMXCSR and FXRSTOR refuse reserved bits', () => {
    t.put(DATA, 0x80, 0x1f, 1, 0);
    expect(vector(LDMXCSR)).toBe(GP);
    t.put(DATA + 24, 0x80, 0x1f, 1, 0);
    expect(vector(FXRSTOR)).toBe(GP);
  });
  it('a store that crosses into a missing page changes neither memory nor the stack', () => {
    t.guest.write32(0x100000, 0x101003);
    for (let i = 0; i < 1024; i++) t.guest.write32(0x101000 + i * 4, (i << 12) | 3);
    t.guest.write32(0x101000 + 0x22 * 4, 0);
    const at = 0x22000 - 6;
    const paging = (s: CpuState) => {
      s.cr3 = 0x100000n;
      s.cr0 = CR0 | 0x80000000n;
      s.gpr[ESI] = BigInt(at);
      s.fpu.status = 0x3800;
      s.fpu.tag = 0x3fff;
      s.fpu.registers.set([1, 2, 3, 4, 5, 6, 7, 0x88, 0xff, 0x3f], 70);
    };
    for (const bytes of [
      [0xdb, 0x3e], // fstp m80
      [0xdd, 0x1e], // fstp m64
      [0xdf, 0x36], // fbstp
      [0xdd, 0x36], // fnsave
      [0xd9, 0x36], // fnstenv
      [0x0f, 0x11, 0x06], // movups
    ]) {
      for (let i = 0; i < 6; i++) t.guest.write8(at + i, 0xaa);
      const { vector: v, state } = run(bytes, { change: paging });
      expect(v).toBe(PF);
      expect(state.cr2).toBe(0x22000n);
      expect(state.fpu.status).toBe(0x3800);
      expect(state.fpu.tag & 0xc000).toBe(0);
      expect(state.fpu.control).toBe(0x37f);
      for (let i = 0; i < 6; i++) expect(t.guest.read8(at + i)).toBe(0xaa);
    }
  });
  it('MASKMOVDQU touches only the selected bytes', () => {
    for (let i = 0; i < 16; i++) t.guest.write8(DATA + i, 0x55);
    run([0x66, 0x0f, 0xf7, 0xc1], {
      change: (s) => {
        s.xmm.fill(0);
        for (let i = 0; i < 16; i++) s.xmm[i] = i;
        s.xmm[16 + 3] = 0x80;
        s.xmm[16 + 9] = 0xff;
        s.xmm[16 + 4] = 0x7f;
      },
    });
    const bytes = Array.from({ length: 16 }, (_, i) => t.guest.read8(DATA + i));
    expect(bytes).toEqual([0x55, 0x55, 0x55, 3, 0x55, 0x55, 0x55, 0x55, 0x55, 9, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55]);
  });
});

describe('x87 environment formats (SDM volume 1, figures 8-9 to 8-12)', () => {
  const words = (at: number, n: number): number[] => Array.from({ length: n }, (_, i) => t.guest.read16(at + i * 2));
  it('32-bit protected mode: offset and selector of instruction and operand', () => {
    // fld dword [esi+0x40]; fnstenv [esi]
    run([0xd9, 0x46, 0x40, 0xd9, 0x36]);
    expect(t.guest.read32(DATA + 12)).toBe(CODE);
    expect(t.guest.read32(DATA + 16)).toBe(8 | (0x146 << 16));
    expect(t.guest.read32(DATA + 20)).toBe(DATA + 0x40);
    expect(t.guest.read32(DATA + 24)).toBe(0xffff0010);
  });
  it('16-bit protected mode: low words and selectors', () => {
    run([0xd9, 0x46, 0x40, 0x66, 0xd9, 0x36]);
    expect(words(DATA + 6, 4)).toEqual([0, 8, 0x40, 0x10]);
  });
  it('real mode: 20-bit linear addresses and the opcode', () => {
    // mov ax, 0x1234; mov ds, ax; fninit; fld dword [0x40]; fnstenv [0x100]; o32 fnstenv [0x200]
    t.put(0x1000, 0xb8, 0x34, 0x12, 0x8e, 0xd8, 0xdb, 0xe3, 0xd9, 0x06, 0x40, 0, 0xd9, 0x36, 0, 1, 0x66, 0xd9, 0x36, 0, 2, HLT);
    t.real(0x1000);
    t.untilHalt();
    const base = 0x12340;
    expect(words(base + 0x106, 4)).toEqual([0x1007, 0x106, 0x2380, 0x1000]);
    expect(t.guest.read32(base + 0x20c)).toBe(0xffff1007);
    expect(t.guest.read32(base + 0x210)).toBe(0x106);
    expect(t.guest.read32(base + 0x214)).toBe(0xffff2380);
    expect(t.guest.read32(base + 0x218)).toBe(0x1000);
  });
});
