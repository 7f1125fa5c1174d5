/**
 * Rows of the instruction table (table.ts) for the extensions after SSE2: SSE3 to SSE4.2, AES, PCLMULQDQ, and the general-register ones (SDM
 * volume 2, tables A-3 to A-5).
 */
const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** Opcodes as numbers or [first, last]. */
export type Opcodes = readonly (number | readonly [number, number])[];

/** One row an opcode: `prefix` and map in the notation of the table, then the rest of the row. */
export function rows(prefix: string, opcodes: Opcodes, rest: string): string {
  let text = '';
  for (const entry of opcodes) {
    const [first, last] = typeof entry === 'number' ? [entry, entry] : entry;
    for (let op = first; op <= last; op++) text += `${prefix}${hex(op)} ${rest}\n`;
  }
  return text;
}

/** VEX-encoded vector instructions: AVX, AVX2, FMA, F16C. Where 256 bits or registers came later, the executor looks at the feature. */
const AVX_ROWS = `
${rows('vnp0f', [0x10, 0x11, 0x28, 0x29, 0x52, 0x53, 0x5b], 'avx Vx,Wx simd avx nov')}
${rows('v660f', [0x10, 0x11, 0x28, 0x29, 0x5b], 'avx Vx,Wx simd avx nov')}
${rows('vf30f', [0x10, 0x11], 'avx Vx,Hx,Wx simd avx')}
${rows('vf30f', [0x12, 0x16], 'avx Vx,Wx simd avx nov')}
${rows('vf20f', [0x10, 0x11], 'avx Vx,Hx,Wx simd avx')}
vf20f12 avx Vx,Wx simd avx nov
${rows('vnp0f', [0x12, 0x13, 0x16, 0x17], 'avx Vx,Wx simd avx l0')}
${rows('v660f', [0x12, 0x13, 0x16, 0x17], 'avx Vx,Wx simd avx l0')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0x14, 0x15, [0x54, 0x59], 0x5c, 0x5d, 0x5e, 0x5f], 'avx Vx,Hx,Wx simd avx')).join('')}
${['vf30f', 'vf20f'].map((p) => rows(p, [0x51, 0x58, 0x59, 0x5a, 0x5c, 0x5d, 0x5e, 0x5f], 'avx Vx,Hx,Wx simd avx')).join('')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0x51, 0x5a], 'avx Vx,Wx simd avx nov')).join('')}
${rows('vf30f', [0x52, 0x53], 'avx Vx,Hx,Wx simd avx')}
${['vf30f', 'vf20f'].map((p) => `${rows(p, [0x2a], 'avx Vx,Hx,Ey simd avx')}${rows(p, [0x2c, 0x2d], 'avx Gy,Wx simd avx nov')}`).join('')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0x2e, 0x2f], 'avx Vx,Wx simd avx nov w:oszapc')).join('')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0x2b], 'avx Mx,Vx simd avx nov')).join('')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0x50], 'avx Gd,Ux simd avx nov')).join('')}
${['vnp0f', 'v660f', 'vf30f', 'vf20f'].map((p) => rows(p, [0xc2], 'avx Vx,Hx,Wx,Ib simd avx')).join('')}
${['vnp0f', 'v660f'].map((p) => rows(p, [0xc6], 'avx Vx,Hx,Wx,Ib simd avx')).join('')}
${['v660f', 'vf20f'].map((p) => rows(p, [0x7c, 0x7d, 0xd0], 'avx Vx,Hx,Wx simd avx')).join('')}
${['v660f', 'vf30f', 'vf20f'].map((p) => rows(p, [0xe6], 'avx Vx,Wx simd avx nov')).join('')}
vf30f5b avx Vx,Wx simd avx nov
vnp0f77 vzero - simd avx nov
vnp0fae/2 vldmxcsr Mx simd avx nov l0
vnp0fae/3 vstmxcsr Mx simd avx nov l0
v660f6e avx Vx,Ey simd avx nov l0
v660f7e avx Ey,Vx simd avx nov l0
vf30f7e avx Vx,Wx simd avx nov l0
v660fd6 avx Wx,Vx simd avx nov l0
${['v660f', 'vf30f'].map((p) => rows(p, [0x6f, 0x7f], 'avx Vx,Wx simd avx nov')).join('')}
${['v660f', 'vf30f', 'vf20f'].map((p) => rows(p, [0x70], 'avx Vx,Wx,Ib simd avx nov')).join('')}
${[0x71, 0x72, 0x73].flatMap((op) => [2, 4, 6].filter((reg) => op !== 0x73 || reg !== 4).map((reg) => `v660f${hex(op)}/${reg} avx Hx,Ux,Ib simd avx\n`)).join('')}
v660f73/3 avx Hx,Ux,Ib simd avx
v660f73/7 avx Hx,Ux,Ib simd avx
v660fc4 avx Vx,Hx,Ex,Ib simd avx l0
v660fc5 avx Gd,Ux,Ib simd avx nov l0
v660fd7 avx Gd,Ux simd avx nov
v660fe7 avx Mx,Vx simd avx nov
vf20ff0 avx Vx,Mx simd avx nov
v660ff7 avx Vx,Ux simd avx nov l0
${rows(
  'v660f',
  [
    [0x60, 0x6d],
    [0x74, 0x76],
    [0xd1, 0xd5],
    [0xd8, 0xe5],
    [0xe8, 0xef],
    [0xf1, 0xf6],
    [0xf8, 0xfe],
  ],
  'avx Vx,Hx,Wx simd avx',
)}
${rows('v660f38', [[0x00, 0x0b], [0x28, 0x29], 0x2b, 0x37, [0x38, 0x40]], 'avx Vx,Hx,Wx simd avx')}
${rows('v660f38', [0x0c, 0x0d], 'avx Vx,Hx,Wx simd avx w0')}
${rows('v660f38', [0x0e, 0x0f], 'avx Vx,Wx simd avx w0 nov w:oszapc')}
v660f3813 vcvtph2ps Vx,Wx simd f16c w0 nov
v660f3816 avx Vx,Hx,Wx simd avx2 w0
v660f3817 avx Vx,Wx simd avx nov w:oszapc
${rows('v660f38', [0x18, 0x19, 0x1a], 'avx Vx,Wx simd avx w0 nov')}
${rows(
  'v660f38',
  [
    [0x1c, 0x1e],
    [0x20, 0x25],
    [0x30, 0x35],
  ],
  'avx Vx,Wx simd avx nov',
)}
v660f382a avx Vx,Mx simd avx nov
${rows('v660f38', [[0x2c, 0x2f]], 'avx Vx,Hx,Mx simd avx w0')}
v660f3836 avx Vx,Hx,Wx simd avx2 w0
v660f3841 avx Vx,Wx simd avx nov l0
${rows('v660f38', [0x45, 0x47], 'avx Vx,Hx,Wx simd avx2')}
v660f3846 avx Vx,Hx,Wx simd avx2 w0
${rows('v660f38', [0x58, 0x59, 0x5a, 0x78, 0x79], 'avx Vx,Wx simd avx2 w0 nov')}
${rows('v660f38', [0x8c, 0x8e], 'avx Vx,Hx,Mx simd avx2')}
${rows('v660f38', [[0x90, 0x93]], 'gather Vx,Mx,Hx simd avx2 vsib')}
${rows(
  'v660f38',
  [
    [0x96, 0x9f],
    [0xa6, 0xaf],
    [0xb6, 0xbf],
  ],
  'fma Vx,Hx,Wx simd fma',
)}
v660f38db avx Vx,Wx simd aes nov l0
${rows('v660f38', [[0xdc, 0xdf]], 'avx Vx,Hx,Wx simd aes l0')}
${rows('v660f3a', [0x00, 0x01], 'avx Vx,Wx,Ib simd avx2 nov')}
v660f3a02 avx Vx,Hx,Wx,Ib simd avx2 w0
${rows('v660f3a', [0x04, 0x05], 'avx Vx,Wx,Ib simd avx w0 nov')}
v660f3a06 avx Vx,Hx,Wx,Ib simd avx w0
${rows('v660f3a', [0x08, 0x09], 'avx Vx,Wx,Ib simd avx nov')}
${rows('v660f3a', [[0x0a, 0x0f]], 'avx Vx,Hx,Wx,Ib simd avx')}
${rows('v660f3a', [[0x14, 0x17]], 'avx Ex,Vx,Ib simd avx nov l0')}
v660f3a18 avx Vx,Hx,Wx,Ib simd avx w0
v660f3a19 avx Wx,Vx,Ib simd avx w0 nov
v660f3a1d vcvtps2ph Wx,Vx,Ib simd f16c w0 nov
${rows('v660f3a', [[0x20, 0x22]], 'avx Vx,Hx,Ex,Ib simd avx l0')}
v660f3a38 avx Vx,Hx,Wx,Ib simd avx2 w0
v660f3a39 avx Wx,Vx,Ib simd avx2 w0 nov
v660f3a40 avx Vx,Hx,Wx,Ib simd avx
v660f3a41 avx Vx,Hx,Wx,Ib simd avx l0
v660f3a42 avx Vx,Hx,Wx,Ib simd avx
v660f3a44 avx Vx,Hx,Wx,Ib simd pclmul l0
v660f3a46 avx Vx,Hx,Wx,Ib simd avx2 w0
${rows('v660f3a', [[0x4a, 0x4c]], 'avx Vx,Hx,Wx,Ib simd avx w0')}
${rows('v660f3a', [[0x60, 0x63]], 'avx Vx,Wx,Ib simd avx nov l0 w:oszapc')}
v660f3adf avx Vx,Wx,Ib simd aes nov l0
`;

const SSSE3: Opcodes = [
  [0x00, 0x0b],
  [0x1c, 0x1e],
];

export const EXTENSION_ROWS = `
${rows('660f', [0x7c, 0x7d, 0xd0], 'simd Ex simd sse3')}
${rows('f20f', [0x7c, 0x7d, 0xd0], 'simd Ex simd sse3')}
f20ff0 simd Mx simd sse3
${rows('np0f38', SSSE3, 'simd Ex simd ssse3')}
${rows('660f38', SSSE3, 'simd Ex simd ssse3')}
${rows('660f38', [0x10, 0x14, 0x15, [0x20, 0x25], [0x28, 0x29], 0x2b, [0x30, 0x35], [0x38, 0x41]], 'simd Ex simd sse41')}
660f3817 simd Ex simd sse41 w:oszapc
660f382a simd Mx simd sse41
660f3837 simd Ex simd sse42
${rows('660f38', [[0xdb, 0xdf]], 'simd Ex simd aes')}
${rows(
  '660f3a',
  [
    [0x08, 0x0e],
    [0x14, 0x17],
    [0x20, 0x22],
    [0x40, 0x42],
  ],
  'simd Ex,Ib simd sse41',
)}
np0f3a0f simd Ex,Ib simd ssse3
660f3a0f simd Ex,Ib simd ssse3
660f3a44 simd Ex,Ib simd pclmul
${rows('660f3a', [[0x60, 0x63]], 'simd Ex,Ib simd sse42 w:oszapc')}
660f3adf simd Ex,Ib simd aes
f30fbc tzcnt Gv,Ev simd w:oszapc bmi1
f30fbd lzcnt Gv,Ev simd w:oszapc lzcnt
np0f38f0 movbe Gv,Mv simd movbe
660f38f0 movbe Gv,Mv simd movbe
np0f38f1 movbe Mv,Gv simd movbe
660f38f1 movbe Mv,Gv simd movbe
f20f38f0 crc32 Gy,Eb simd sse42
f20f38f1 crc32 Gy,Ev simd sse42
660f38f6 adcx Gy,Ey simd adx w:c r:c
f30f38f6 adox Gy,Ey simd adx w:o r:o
vnp0f38f2 andn Gy,By,Ey simd bmi1 l0 w:oszapc
vnp0f38f3/1 blsr By,Ey simd bmi1 l0 w:oszapc
vnp0f38f3/2 blsmsk By,Ey simd bmi1 l0 w:oszapc
vnp0f38f3/3 blsi By,Ey simd bmi1 l0 w:oszapc
vnp0f38f5 bzhi Gy,Ey,By simd bmi2 l0 w:oszapc
vf30f38f5 pext Gy,By,Ey simd bmi2 l0
vf20f38f5 pdep Gy,By,Ey simd bmi2 l0
vf20f38f6 mulx Gy,By,Ey simd bmi2 l0
vnp0f38f7 bextr Gy,Ey,By simd bmi1 l0 w:oszapc
v660f38f7 shlx Gy,Ey,By simd bmi2 l0
vf30f38f7 sarx Gy,Ey,By simd bmi2 l0
vf20f38f7 shrx Gy,Ey,By simd bmi2 l0
vf20f3af0 rorx Gy,Ey,Ib simd bmi2 l0 nov
${AVX_ROWS}`;
