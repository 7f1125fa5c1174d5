import { describe, expect, it } from 'vitest';
import { type CpuModel, cpuModels } from '../../contract/cpumodels.ts';
import { featureWord } from '../models.ts';
import { featureBit } from '../x86/features.ts';
import { type Instruction, INSTRUCTIONS } from '../x86/table.ts';
import { TestCpu } from './testing/testcpu.ts';

/**
 * What CPUID announces of each CPU model, beside the levels of the x86-64 psABI (table 3.1), and that what a model has not is #UD. The encodings are written down
 * from the manuals (SDM volume 2, APM volume 3), apart from those drawn from our own table at the end.
 */
const CODE = 0x10000;
const HLT = 0xf4;
const UD = 6;
const LEVEL: { readonly [M in CpuModel]: number } = { i686: 0, 'x86-64': 1, 'x86-64-v2': 2, 'x86-64-v3': 3 };
type Bits = 32 | 64;
const MODES: [CpuModel, Bits][] = cpuModels.flatMap((model): [CpuModel, Bits][] =>
  model === 'i686'
    ? [[model, 32]]
    : [
        [model, 32],
        [model, 64],
      ],
);

/** Leaf, subleaf, register (EAX, ECX, EDX, EBX by number) and bit. */
type Bit = readonly [leaf: number, subleaf: number, register: 0 | 1 | 2 | 3, bit: number];
const PSABI: readonly { readonly [name: string]: Bit }[] = [
  // What every system asks for that calls itself i686.
  {
    fpu: [1, 0, 2, 0],
    tsc: [1, 0, 2, 4],
    msr: [1, 0, 2, 5],
    cx8: [1, 0, 2, 8],
    cmov: [1, 0, 2, 15],
    mmx: [1, 0, 2, 23],
    fxsr: [1, 0, 2, 24],
    sse: [1, 0, 2, 25],
    sse2: [1, 0, 2, 26],
  },
  { lm: [0x80000001, 0, 2, 29], syscall: [0x80000001, 0, 2, 11] },
  {
    sse3: [1, 0, 1, 0],
    ssse3: [1, 0, 1, 9],
    cx16: [1, 0, 1, 13],
    sse41: [1, 0, 1, 19],
    sse42: [1, 0, 1, 20],
    popcnt: [1, 0, 1, 23],
    lahf: [0x80000001, 0, 1, 0],
  },
  {
    fma: [1, 0, 1, 12],
    movbe: [1, 0, 1, 22],
    xsave: [1, 0, 1, 26],
    osxsave: [1, 0, 1, 27],
    avx: [1, 0, 1, 28],
    f16c: [1, 0, 1, 29],
    bmi1: [7, 0, 3, 3],
    avx2: [7, 0, 3, 5],
    bmi2: [7, 0, 3, 8],
    lzcnt: [0x80000001, 0, 1, 5],
  },
  // The level above.
  { avx512f: [7, 0, 3, 16], avx512dq: [7, 0, 3, 17], avx512cd: [7, 0, 3, 28], avx512bw: [7, 0, 3, 30], avx512vl: [7, 0, 3, 31] },
];

/** By the first level that has it; 9: none. `only64`: an instruction of 64-bit mode, or one that only that mode may lack. */
const ENCODINGS: readonly (readonly [level: number, name: string, code: string, only64?: true])[] = [
  [2, 'ADDSUBPD', '66 0f d0 c1'],
  [2, 'HADDPS', 'f2 0f 7c c1'],
  [2, 'LDDQU', 'f2 0f f0 06'],
  [2, 'MOVDDUP', 'f2 0f 12 c1'],
  [2, 'MOVSHDUP', 'f3 0f 16 c1'],
  [2, 'FISTTP', 'df 0e'],
  [2, 'PSHUFB', '66 0f 38 00 c1'],
  [2, 'PABSB mm', '0f 38 1c c1'],
  [2, 'PALIGNR', '66 0f 3a 0f c1 04'],
  [2, 'PHADDW mm', '0f 38 01 c1'],
  [2, 'PMULLD', '66 0f 38 40 c1'],
  [2, 'BLENDVPS', '66 0f 38 14 c1'],
  [2, 'ROUNDSD', '66 0f 3a 0b c1 00'],
  [2, 'PEXTRB', '66 0f 3a 14 c0 00'],
  [2, 'PTEST', '66 0f 38 17 c1'],
  [2, 'MOVNTDQA', '66 0f 38 2a 06'],
  [2, 'DPPS', '66 0f 3a 40 c1 ff'],
  [2, 'MPSADBW', '66 0f 3a 42 c1 00'],
  [2, 'INSERTPS', '66 0f 3a 21 c1 00'],
  [2, 'PCMPGTQ', '66 0f 38 37 c1'],
  [2, 'PCMPESTRI', '66 0f 3a 61 c1 00'],
  [2, 'CRC32', 'f2 0f 38 f1 c1'],
  [2, 'POPCNT', 'f3 0f b8 c1'],
  [2, 'CMPXCHG16B', '48 0f c7 0e', true],
  [2, 'LAHF', '9f', true],
  [2, 'SAHF', '9e', true],
  [2, 'AESENC', '66 0f 38 dc c1'],
  [2, 'AESKEYGENASSIST', '66 0f 3a df c1 00'],
  [2, 'PCLMULQDQ', '66 0f 3a 44 c1 00'],
  [2, 'RDTSCP', '0f 01 f9'],
  [2, 'RDRAND', '0f c7 f0'],
  [2, 'RDFSBASE', 'f3 0f ae c0', true],
  [3, 'VADDPS', 'c5 f0 58 c1'],
  [3, 'VZEROUPPER', 'c5 f8 77'],
  [3, 'VBROADCASTSS', 'c4 e2 7d 18 06'],
  [3, 'VPERM2F128', 'c4 e3 75 06 c1 00'],
  [3, 'VAESENC', 'c4 e2 71 dc c1'],
  [3, 'VPADDD ymm', 'c5 f5 fe c1'],
  [3, 'VPBROADCASTB', 'c4 e2 7d 78 c1'],
  [3, 'VPSLLVQ', 'c4 e2 f5 47 c1'],
  [3, 'VGATHERDPS', 'c4 e2 69 92 04 0e'],
  [3, 'VFMADD132PD', 'c4 e2 f1 98 c1'],
  [3, 'VCVTPH2PS', 'c4 e2 79 13 c1'],
  [3, 'ANDN', 'c4 e2 70 f2 c1'],
  [3, 'BLSI', 'c4 e2 78 f3 d9'],
  [3, 'BEXTR', 'c4 e2 70 f7 c1'],
  [3, 'MULX', 'c4 e2 73 f6 c1'],
  [3, 'RORX', 'c4 e3 7b f0 c1 01'],
  [3, 'PDEP', 'c4 e2 73 f5 c1'],
  [3, 'SHLX', 'c4 e2 71 f7 c1'],
  [3, 'MOVBE', '0f 38 f0 06'],
  [3, 'ADCX', '66 0f 38 f6 c1'],
  [3, 'ADOX', 'f3 0f 38 f6 c1'],
  [3, 'XGETBV', '0f 01 d0'],
  [3, 'XSAVE', '0f ae 26'],
  [3, 'XSAVEOPT', '0f ae 36'],
  [3, 'RDSEED', '0f c7 f8'],
  [3, 'INVPCID', '66 0f 38 82 0e'],
  [3, 'RDPID', 'f3 0f c7 f8'],
  [3, 'STAC', '0f 01 cb'],
  [9, 'AVX-512 VADDPS', '62 f1 74 48 58 c1', true],
  [9, 'SHA1NEXTE', '0f 38 c8 c1'],
  [9, 'SHA256RNDS2', '0f 38 cb c1'],
  [9, 'GF2P8MULB', '66 0f 38 cf c1'],
  [9, 'VAES ymm', 'c4 e2 75 dc c1'],
  [9, 'VPCLMULQDQ ymm', 'c4 e3 75 44 c1 00'],
  [9, 'KMOVW', 'c5 f8 92 c0'],
  [9, 'PFADD (3DNow!)', '0f 0f c1 9e'],
  [9, 'FEMMS', '0f 0e'],
  [9, 'EXTRQ (SSE4a)', '66 0f 79 c1'],
  [9, 'VFRCZPS (XOP)', '8f e9 78 80 c1'],
  [9, 'VFMADDPS (FMA4)', 'c4 e3 71 68 c1 20'],
  [9, 'BEXTR (TBM)', '8f ea 78 10 c1 00 00 00 00'],
  [9, 'MONITOR', '0f 01 c8'],
  [9, 'MWAIT', '0f 01 c9'],
  [9, 'XBEGIN', 'c7 f8 00 00 00 00'],
  [9, 'XTEST', '0f 01 d6'],
  [9, 'GETSEC', '0f 37'],
  [9, 'VMRUN', '0f 01 d8'],
  [9, 'VMREAD', '0f 78 c1'],
  [9, 'RDPKRU', '0f 01 ee'],
  [9, 'SERIALIZE', '0f 01 e8'],
  [9, 'XSAVES', '0f c7 2e'],
  [9, 'CLWB', '66 0f ae 36'],
  [9, 'CLFLUSHOPT', '66 0f ae 3e'],
  [9, 'MOVDIRI', '0f 38 f9 06'],
  [9, 'SALC', 'd6', true],
  [9, 'UD0', '0f ff c1'],
  [9, 'UD1', '0f b9 c1'],
  [9, 'UD2', '0f 0b'],
];
const bytesOf = (code: string): number[] => code.split(' ').map((byte) => Number.parseInt(byte, 16));

/** A processor of a model whose system has switched on all that the model has. */
function prepare(t: TestCpu, model: CpuModel, bits: Bits, code: number[]): void {
  if (bits === 64) t.long(CODE, [0, 0, 0, 0, 0x8000, 0, 0x20000, 0x20000], model);
  else t.flat(CODE, [0, 0, 0, 0, 0x8000, 0, 0x20000, 0x20000]);
  t.put(CODE, ...code, HLT, ...Array.from({ length: 16 }, () => HLT));
  t.patch((s) => {
    s.model = model;
    s.cr4 = (s.cr4 & 0x20n) | 0x600n;
    // FSGSBASE, OSXSAVE, SMAP.
    if (LEVEL[model] >= 2) s.cr4 |= 0x10000n;
    if (LEVEL[model] >= 3) {
      s.cr4 |= 0x240000n;
      s.xcr0 = 7n;
    }
  });
}

/** Vector of the exception that ended it, -1 without one. */
function run(t: TestCpu, model: CpuModel, bits: Bits, code: number[]): number {
  prepare(t, model, bits, code);
  return TestCpu.vectorOf(t.untilHalt());
}

function cpuid(t: TestCpu, model: CpuModel, bits: Bits, leaf: number, subleaf: number): bigint[] {
  const le32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, v >>> 24];
  prepare(t, model, bits, [0xb8, ...le32(leaf), 0xb9, ...le32(subleaf), 0x0f, 0xa2]);
  return t.untilHalt().gpr;
}

describe.each(MODES)('%s in %i-bit code', (model, bits) => {
  const t = new TestCpu();

  it('announces what its level of the psABI asks for, and of the levels above what they share alone', () => {
    const wrong: string[] = [];
    for (const [level, features] of PSABI.entries())
      for (const [name, [leaf, subleaf, register, bit]] of Object.entries(features)) {
        // Above the highest leaf there is no answer to go by.
        const highest = cpuid(t, model, bits, leaf & 0x80000000, 0)[0]!;
        const has = BigInt(leaf) <= highest && ((cpuid(t, model, bits, leaf, subleaf)[register]! >> BigInt(bit)) & 1n) === 1n;
        // Intel's processors announce SYSCALL in 64-bit mode alone.
        const wanted = level <= LEVEL[model] && !(name === 'syscall' && bits === 32);
        if (has !== wanted) wrong.push(`${name}: ${has}`);
      }
    expect(wrong).toEqual([]);
  });

  it('executes the instructions of its level, and of those above none', () => {
    const wrong: string[] = [];
    for (const [level, name, code, only64] of ENCODINGS) {
      if (only64 && bits === 32) continue;
      const vector = run(t, model, bits, bytesOf(code));
      if ((vector === UD) !== level > LEVEL[model]) wrong.push(`${name} (${code}): ${vector === UD ? '#UD' : `vector ${vector}`}`);
    }
    expect(wrong).toEqual([]);
  });

  it('has none of the rows of the instruction table that want a feature of a level above', () => {
    const word = featureWord(model);
    const rows = INSTRUCTIONS.filter(
      (row) =>
        row.feature &&
        ((word >> BigInt(featureBit(row.feature))) & 1n) === 0n &&
        MEANS_OTHERWISE.every((name) => name !== row.mnemonic) &&
        row.mode !== (bits === 64 ? 'not64' : 'only64'),
    );
    const wrong = rows.flatMap((row) =>
      encodings(row)
        .filter((code) => run(t, model, bits, code) !== UD)
        .map((code) => `${row.mnemonic} ${Buffer.from(code).toString('hex')}`),
    );
    expect(wrong).toEqual([]);
    if (LEVEL[model] < 3) expect(rows.length).toBeGreaterThan(50);
  });
});

/** Older processors have another instruction there: BSR, BSF, a NOP. */
const MEANS_OTHERWISE = ['lzcnt', 'tzcnt', 'prefetchw'];

/** A row with a register and with memory behind RSI. */
function encodings(row: Instruction): number[][] {
  const map = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!;
  const pp = ['np', '66', 'f3', 'f2'].indexOf(row.prefix === 'any' ? 'np' : row.prefix);
  const field = (row.extension < 0 ? 0 : row.extension) << 3;
  return [0xc1 | field, 6 | field].map((modrm) =>
    row.vex
      ? [0xc4, 0xe0 | row.map, 0x70 | pp, row.opcode, modrm, 0]
      : [...(pp > 0 ? [[], [0x66], [0xf3], [0xf2]][pp]! : []), ...map, row.opcode, modrm, 0],
  );
}
