import { beforeEach, describe, expect, it } from 'vitest';
import type { CpuState } from '../../../core/cpu/cpustate.ts';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import { FEATURES, type Feature } from '../../../core/cpu/x86/features.ts';
import { Random } from '../fp/record.ts';
import { CASES } from './cases.ts';
import { encode } from './encode.ts';

const HLT = 0xf4;
const UD = 6;
const NM = 7;
const GP = 13;
const PF = 14;
const PE_ET_NE = 0x31n;
const TS = 8n;
const OSFXSR = 0x600n;
const OSXSAVE = 0x40000n;
const CODE = 0x10000;
const DATA = 0x20000;
const EAX = 0;
const EDX = 2;
const ESI = 6;
const EDI = 7;

interface Setup {
  cr0?: bigint;
  cr4?: bigint;
  xcr0?: bigint;
  features?: readonly Feature[];
  change?: (s: CpuState) => void;
}

let t: TestCpu;
beforeEach(() => {
  t = new TestCpu();
});

/** Runs the bytes and HLT in flat 32-bit mode with esi = edi = DATA; gives the state and the vector taken, -1 for none. */
function run(bytes: readonly number[], setup: Setup = {}): { vector: number; state: CpuState } {
  t.features(...(setup.features ?? FEATURES));
  const gpr = [0, 0, 0, 0, 0x8000, 0, DATA, DATA];
  t.put(CODE, ...bytes, HLT);
  t.flat(CODE, gpr);
  t.patch((s) => {
    s.cr0 = setup.cr0 ?? PE_ET_NE;
    s.cr4 = setup.cr4 ?? OSFXSR | OSXSAVE;
    s.xcr0 = setup.xcr0 ?? 7n;
    setup.change?.(s);
  });
  const state = t.untilHalt();
  return { vector: TestCpu.vectorOf(state), state };
}
const vector = (bytes: readonly number[], setup?: Setup): number => run(bytes, setup).vector;

/** Gathers want three different registers: destination, mask and index (VEX.C4 with SIB, 32-bit mode). */
function overlaps(bytes: readonly number[]): boolean {
  const vex = bytes.indexOf(0xc4);
  const [d, m, x] = [bytes[vex + 4]! >> 3, ~bytes[vex + 2]! >> 3, bytes[vex + 5]! >> 3].map((byte) => byte & 7);
  return d === m || d === x || m === x;
}

/** A form of each instruction under test that faults for no reason of its own. */
const SAMPLES = CASES.map((c) => {
  const random = new Random(c.name.length * 31 + c.opcode);
  const plain = { ...c, options: c.options.filter((o) => o !== 'ud') };
  let { bytes } = encode(random, plain, 32);
  // No memory operands: their addresses are those of the host test.
  for (let i = 0; i < 50 && (bytes[bytes.length - 1 - (c.operands.some((o) => /^[IL]/.test(o)) ? 1 : 0)]! & 0xc0) !== 0xc0; i++)
    ({ bytes } = encode(random, plain, 32));
  while (c.operands.includes('X') && overlaps(bytes)) ({ bytes } = encode(random, plain, 32));
  return { ...c, bytes, general: c.operands.some((o) => /^[GB]/.test(o)) && !c.operands.some((o) => /^[VUWHPQN]/.test(o)) };
});

describe('availability', () => {
  const gone: readonly Feature[] = FEATURES.filter(
    (f) => !/^(sse3|ssse3|sse41|sse42|popcnt|aes|pclmul|movbe|bmi1|bmi2|lzcnt|adx|avx|avx2|fma|f16c)$/.test(f),
  );
  // LZCNT and TZCNT are BSR and BSF to a processor without them.
  it.each(SAMPLES.filter((c) => !/^[LT]ZCNT/.test(c.name)))('$name is #UD on a processor that lacks it', ({ bytes }) => {
    expect(vector(bytes, { features: gone })).toBe(UD);
  });
  it.each(SAMPLES.filter((c) => !c.general))('$name is #NM with CR0.TS', ({ bytes }) => {
    expect(vector(bytes, { cr0: PE_ET_NE | TS })).toBe(NM);
  });
  it.each(SAMPLES.filter((c) => c.vex && !c.general))('$name is #UD without CR4.OSXSAVE or AVX in XCR0', ({ bytes }) => {
    expect(vector(bytes, { cr4: OSFXSR })).toBe(UD);
    expect(vector(bytes, { xcr0: 3n })).toBe(UD);
  });
  it.each(SAMPLES.filter((c) => !c.vex && !c.general && !c.operands.some((o) => /^[PQN]/.test(o))))(
    '$name is #UD without CR4.OSFXSR',
    ({ bytes }) => {
      expect(vector(bytes, { cr4: OSXSAVE })).toBe(UD);
    },
  );

  const VADDPS = [0xc5, 0xf0, 0x58, 0xc1];
  it('VEX instructions do not look at CR0.EM and CR4.OSFXSR', () => {
    expect(vector(VADDPS, { cr0: PE_ET_NE | 4n, cr4: OSXSAVE })).toBe(-1);
  });
  it.each([
    ['66', 0x66],
    ['F2', 0xf2],
    ['F3', 0xf3],
    ['LOCK', 0xf0],
  ])('%s before VEX is #UD', (_, prefix) => {
    expect(vector([prefix, ...VADDPS])).toBe(UD);
  });
  it('256-bit integer instructions need AVX2, 128-bit ones only AVX', () => {
    const features = FEATURES.filter((f) => f !== 'avx2');
    expect(vector([0xc5, 0xf1, 0xfc, 0xc1], { features })).toBe(-1);
    expect(vector([0xc5, 0xf5, 0xfc, 0xc1], { features })).toBe(UD);
    // VBROADCASTSS from a register.
    expect(vector([0xc4, 0xe2, 0x79, 0x18, 0x06], { features })).toBe(-1);
    expect(vector([0xc4, 0xe2, 0x79, 0x18, 0xc1], { features })).toBe(UD);
  });
  it('VEX in real mode is #UD', () => {
    t.features(...FEATURES);
    t.real(0x1000);
    t.patch((s) => {
      s.cr4 = OSFXSR | OSXSAVE;
      s.xcr0 = 7n;
    });
    t.put(0x1000, ...VADDPS, HLT);
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(UD);
    t.real(0x1000);
    // andn eax, ecx, edx
    t.put(0x1000, 0xc4, 0xe2, 0x70, 0xf2, 0xc2, HLT);
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(UD);
  });
});

describe('memory operands at page ends', () => {
  const MISSING = 0x22000;
  /** The page at MISSING is not there. */
  function paging(s: CpuState): void {
    t.guest.write32(0x100000, 0x101003);
    for (let i = 0; i < 1024; i++) t.guest.write32(0x101000 + i * 4, (i << 12) | 3);
    t.guest.write32(0x101000 + (MISSING >> 12) * 4, 0);
    s.cr3 = 0x100000n;
    s.cr0 = PE_ET_NE | 0x80000000n;
  }

  it('a 256-bit store that crosses into a missing page changes nothing', () => {
    const at = MISSING - 20;
    for (let i = 0; i < 20; i++) t.guest.write8(at + i, 0xaa);
    const { vector: v, state } = run([0xc5, 0xfc, 0x11, 0x06], {
      change: (s) => {
        paging(s);
        s.gpr[ESI] = BigInt(at);
      },
    });
    expect(v).toBe(PF);
    expect(state.cr2).toBe(BigInt(MISSING));
    for (let i = 0; i < 20; i++) expect(t.guest.read8(at + i)).toBe(0xaa);
  });
  it('masked loads and stores touch only what the mask selects', () => {
    // vmaskmovps ymm0, ymm1, [esi]; vmaskmovps [esi], ymm1, ymm0
    for (const op of [0x2c, 0x2e]) {
      const { vector: v } = run([0xc4, 0xe2, 0x75, op, 0x06], {
        change: (s) => {
          paging(s);
          s.gpr[ESI] = BigInt(MISSING - 8);
          s.xmm.fill(0);
          s.ymmHigh.fill(0);
          s.xmm[16 + 3] = 0x80;
          s.xmm[16 + 7] = 0x80;
        },
      });
      expect(v).toBe(-1);
    }
  });
  it('a gather stopped by a page fault keeps what it has and goes on from there', () => {
    // vpgatherdd ymm0, [esi + ymm2 * 4], ymm1
    const gather = [0xc4, 0xe2, 0x75, 0x90, 0x04, 0x96];
    for (let i = 0; i < 8; i++) t.guest.write32(MISSING - 16 + i * 4, 0x1000 + i);
    const { vector: v, state } = run(gather, {
      change: (s) => {
        paging(s);
        s.gpr[ESI] = BigInt(MISSING - 16);
        s.xmm.fill(0x11, 0, 16);
        s.ymmHigh.fill(0x11, 0, 16);
        s.xmm.fill(0xff, 16, 32);
        s.ymmHigh.fill(0xff, 16, 32);
        const index = new DataView(s.xmm.buffer, s.xmm.byteOffset);
        const high = new DataView(s.ymmHigh.buffer, s.ymmHigh.byteOffset);
        for (let i = 0; i < 4; i++) {
          index.setInt32(32 + i * 4, i, true);
          high.setInt32(32 + i * 4, 4 + i, true);
        }
      },
    });
    expect(v).toBe(PF);
    const low = (s: CpuState, r: number): number[] =>
      Array.from({ length: 4 }, (_, i) => new DataView(s.xmm.buffer, s.xmm.byteOffset).getUint32(r * 16 + i * 4, true));
    const high = (s: CpuState, r: number): number[] =>
      Array.from({ length: 4 }, (_, i) => new DataView(s.ymmHigh.buffer, s.ymmHigh.byteOffset).getUint32(r * 16 + i * 4, true));
    expect(low(state, 0)).toEqual([0x1000, 0x1001, 0x1002, 0x1003]);
    expect(high(state, 0)).toEqual([0x11111111, 0x11111111, 0x11111111, 0x11111111]);
    expect(low(state, 1)).toEqual([0, 0, 0, 0]);
    expect(high(state, 1)).toEqual([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]);
    // The page appears; the first elements must not be read again.
    t.guest.write32(0x101000 + (MISSING >> 12) * 4, MISSING | 3);
    t.guest.write32(MISSING - 16, 0xdead);
    t.put(CODE, ...gather, HLT);
    t.patch((s) => {
      s.rip = BigInt(CODE);
      s.halted = false;
    });
    const end = t.untilHalt();
    expect([...low(end, 0), ...high(end, 0)]).toEqual([0x1000, 0x1001, 0x1002, 0x1003, 0x1004, 0x1005, 0x1006, 0x1007]);
    expect([...low(end, 1), ...high(end, 1)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
  it.each([
    ['destination and mask', [0xc4, 0xe2, 0x7d, 0x90, 0x04, 0x96]],
    ['mask and index', [0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x96]],
    ['destination and index', [0xc4, 0xe2, 0x75, 0x90, 0x14, 0x96]],
    ['no vector index', [0xc4, 0xe2, 0x75, 0x90, 0x06]],
  ])('a gather with %s is #UD', (_, bytes) => {
    expect(vector(bytes as number[])).toBe(UD);
  });
});

describe('XSAVE and XRSTOR (SDM volume 1, chapter 13)', () => {
  const XSAVE = [0x0f, 0xae, 0x26];
  const XSAVEOPT = [0x0f, 0xae, 0x36];
  const XRSTOR = [0x0f, 0xae, 0x2f];
  const BV = DATA + 512;
  const filled = (s: CpuState): void => {
    s.gpr[EAX] = 7n;
    for (let i = 0; i < 256; i++) {
      s.xmm[i] = i;
      s.ymmHigh[i] = 255 - i;
    }
    s.mxcsr = 0x1fa5;
    s.fpu.control = 0x27f;
    s.fpu.registers.set([1, 2, 3, 4, 5, 6, 7, 0x88, 0xff, 0x3f], 0);
  };

  it('saves x87, XMM, the upper halves and MXCSR, and says so in the header', () => {
    t.ram.fill(0x77, DATA, DATA + 1024);
    expect(run(XSAVE, { change: filled }).vector).toBe(-1);
    expect(t.guest.read32(BV) & 7).toBe(7);
    expect(t.guest.read16(DATA)).toBe(0x27f);
    expect(t.guest.read32(DATA + 24)).toBe(0x1fa5);
    // Eight registers outside 64-bit mode.
    expect([...t.ram.subarray(DATA + 160, DATA + 288)]).toEqual(Array.from({ length: 128 }, (_, i) => i));
    expect([...t.ram.subarray(DATA + 288, DATA + 304)]).toEqual(new Array(16).fill(0x77));
    expect([...t.ram.subarray(DATA + 576, DATA + 704)]).toEqual(Array.from({ length: 128 }, (_, i) => 255 - i));
    expect([...t.ram.subarray(DATA + 704, DATA + 720)]).toEqual(new Array(16).fill(0x77));
    expect([...t.ram.subarray(BV + 8, BV + 64)]).toEqual(new Array(56).fill(0x77));
  });
  it('saves only what EDX:EAX and XCR0 ask for', () => {
    for (const [mask, xcr0] of [
      [4n, 7n],
      [7n, 3n],
    ] as const) {
      t.ram.fill(0, DATA, DATA + 1024);
      t.guest.write32(BV, 1);
      const change = (s: CpuState): void => {
        filled(s);
        s.gpr[EAX] = mask;
      };
      expect(run(XSAVE, { xcr0, change }).vector).toBe(-1);
      expect(t.guest.read32(BV)).toBe(mask === 4n ? 5 : 3);
      expect(t.ram[DATA + 161]).toBe(mask === 4n ? 0 : 1);
      expect(t.ram[DATA + 576]).toBe(mask === 4n ? 255 : 0);
      expect(t.guest.read16(DATA)).toBe(mask === 4n ? 0 : 0x27f);
      expect(t.guest.read32(DATA + 24)).toBe(0x1fa5);
    }
  });
  it('XSTATE_BV leaves out what is in its initial configuration; XSAVEOPT does not write that', () => {
    for (const code of [XSAVE, XSAVEOPT]) {
      t.ram.fill(0x55, DATA, DATA + 1024);
      t.guest.write32(BV, 0);
      t.guest.write32(BV + 4, 0);
      const change = (s: CpuState): void => {
        s.gpr[EAX] = 7n;
        s.xmm[3] = 9;
        s.ymmHigh.fill(0);
      };
      expect(run(code, { change }).vector).toBe(-1);
      expect(t.guest.read32(BV)).toBe(2);
      expect(t.ram[DATA + 163]).toBe(9);
      expect(t.ram[DATA + 576]).toBe(code === XSAVE ? 0 : 0x55);
    }
  });
  it('XRSTOR loads what the header names and clears the rest', () => {
    run(XSAVE, { change: filled });
    t.guest.write32(BV, 4);
    for (let i = BV + 4; i < BV + 64; i++) t.guest.write8(i, 0);
    const { vector: v, state } = run(XRSTOR, {
      change: (s) => {
        filled(s);
        s.ymmHigh.fill(1);
        s.mxcsr = 0x1f80;
      },
    });
    expect(v).toBe(-1);
    expect(state.fpu.control).toBe(0x37f);
    expect(state.fpu.tag).toBe(0xffff);
    expect(state.mxcsr).toBe(0x1fa5);
    expect([...state.xmm.subarray(0, 128)]).toEqual(new Array(128).fill(0));
    // XMM8 to XMM15 are out of reach outside 64-bit mode.
    expect(state.xmm[129]).toBe(129);
    expect([...state.ymmHigh.subarray(0, 128)]).toEqual(Array.from({ length: 128 }, (_, i) => 255 - i));
    expect(state.ymmHigh[128]).toBe(1);
  });
  it.each([
    ['XSAVE without CR4.OSXSAVE', XSAVE, { cr4: OSFXSR }, UD],
    ['XSAVE with CR0.TS', XSAVE, { cr0: PE_ET_NE | TS }, NM],
    ['XSAVE on a processor without', XSAVE, { features: ['avx'] }, UD],
    ['XSAVEOPT on a processor without', XSAVEOPT, { features: ['xsave'] }, UD],
    ['XSAVE off its 64-byte boundary', [0x0f, 0xae, 0x66, 0x20], {}, GP],
    ['XRSTOR off its 64-byte boundary', [0x0f, 0xae, 0x6e, 0x20], {}, GP],
    ['XSAVE with 66', [0x66, ...XSAVE], {}, UD],
  ] as [string, number[], Setup, number][])('%s', (_, bytes, setup, want) => {
    expect(vector(bytes, setup)).toBe(want);
  });
  it.each([
    ['a component outside XCR0', BV, 8],
    ['XCOMP_BV', BV + 12, 0x80000000],
    ['reserved header bytes', BV + 16, 1],
    ['reserved MXCSR bits', DATA + 24, 0x10000],
  ])('XRSTOR refuses %s', (_, at, value) => {
    t.guest.write32(at, value);
    expect(vector(XRSTOR, { change: (s) => s.gpr.splice(EAX, 1, 7n) })).toBe(GP);
  });
  it('XGETBV and XSETBV reach XCR0', () => {
    // xgetbv; mov esi, eax; xor edx, edx; mov eax, 7; xsetbv
    const { vector: v, state } = run([0x0f, 0x01, 0xd0, 0x89, 0xc6, 0x31, 0xd2, 0xb8, 7, 0, 0, 0, 0x0f, 0x01, 0xd1], { xcr0: 3n });
    expect(v).toBe(-1);
    expect(state.gpr[ESI]).toBe(3n);
    expect(state.gpr[EDX]).toBe(0n);
    expect(state.xcr0).toBe(7n);
    expect(state.gpr[EDI]).toBe(BigInt(DATA));
  });
});

describe('legacy instructions and the upper halves', () => {
  it('SSE leaves bits 255 to 128 alone, VEX.128 clears them', () => {
    const set = (s: CpuState): void => void s.ymmHigh.fill(0x99);
    expect(run([0x0f, 0x58, 0xc1], { change: set }).state.ymmHigh[0]).toBe(0x99);
    expect(run([0x66, 0x0f, 0x38, 0x1c, 0xc1], { change: set }).state.ymmHigh[0]).toBe(0x99);
    const after = run([0xc5, 0xf0, 0x58, 0xc1], { change: set }).state;
    expect([...after.ymmHigh.subarray(0, 16)]).toEqual(new Array(16).fill(0));
    expect(after.ymmHigh[16]).toBe(0x99);
  });
});
