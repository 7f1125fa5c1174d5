/**
 * Rows of the instruction table (table.ts) for the extensions after SSE2: SSE3 to SSE4.2, AES, PCLMULQDQ, and the general-register ones (SDM
 * volume 2, tables ).
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
`;
