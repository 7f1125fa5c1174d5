/** MMX, SSE and SSE2 instructions under test, and how their start states are drawn. */
import { LANES } from '../integers.ts';
import { ARITHMETIC_ROWS, ROOT_ROWS } from '../simd/rows.ts';
import { FX_FCW, FX_FSW, FX_FTW, FX_MXCSR, FX_ST, FX_XMM, R_FX, R_MEMORY, type Random } from './record.ts';
import { DOUBLES, randomDouble, randomExtended, randomSingle, SINGLES } from './values.ts';
import { blank, putExtended } from './x87cases.ts';

export interface SimdInstruction {
  name: string;
  bytes: readonly number[];
  /** What the operands are. */
  kind: 'int' | 'f32' | 'f64' | 'mmx' | 'mmxf32' | 'mmxf64';
  relative?: number;
  /** Bytes 1.. of this many immediates are appended at random. */
  immediate?: number;
  undefinedBits?: number;
}

/** ModRM: xmm0, xmm1 and xmm0, [esi]. */
const RR = 0xc1;
const RM = 0x06;

const out: SimdInstruction[] = [];
function both(name: string, bytes: number[], kind: SimdInstruction['kind'], more: Partial<SimdInstruction> = {}): void {
  out.push({ name, bytes: [...bytes, RR], kind, ...more }, { name: `${name} mem`, bytes: [...bytes, RM], kind, ...more });
}
function one(name: string, bytes: number[], kind: SimdInstruction['kind'], more: Partial<SimdInstruction> = {}): void {
  out.push({ name, bytes, kind, ...more });
}

for (const [name, op] of [...ARITHMETIC_ROWS, ...ROOT_ROWS]) {
  both(`${name}PS`, [0x0f, op], 'f32');
  both(`${name}PD`, [0x66, 0x0f, op], 'f64');
  both(`${name}SS`, [0xf3, 0x0f, op], 'f32');
  both(`${name}SD`, [0xf2, 0x0f, op], 'f64');
}
const PREDICATES = ['EQ', 'LT', 'LE', 'UNORD', 'NEQ', 'NLT', 'NLE', 'ORD'];
PREDICATES.forEach((p, i) => {
  one(`CMP${p}PS`, [0x0f, 0xc2, RR, i], 'f32');
  one(`CMP${p}PD`, [0x66, 0x0f, 0xc2, RR, i], 'f64');
  one(`CMP${p}SS`, [0xf3, 0x0f, 0xc2, RR, i], 'f32');
  one(`CMP${p}SD`, [0xf2, 0x0f, 0xc2, RM, i], 'f64');
});
both('UCOMISS', [0x0f, 0x2e], 'f32');
both('UCOMISD', [0x66, 0x0f, 0x2e], 'f64');
both('COMISS', [0x0f, 0x2f], 'f32');
both('COMISD', [0x66, 0x0f, 0x2f], 'f64');
// Twice 1.5 * 2^-12: the host's estimate has an error of its own.
both('RCPPS', [0x0f, 0x53], 'f32', { relative: 3 / 4096 });
both('RSQRTPS', [0x0f, 0x52], 'f32', { relative: 3 / 4096 });
both('RCPSS', [0xf3, 0x0f, 0x53], 'f32', { relative: 3 / 4096 });
both('RSQRTSS', [0xf3, 0x0f, 0x52], 'f32', { relative: 3 / 4096 });

both('CVTPS2PD', [0x0f, 0x5a], 'f32');
both('CVTPD2PS', [0x66, 0x0f, 0x5a], 'f64');
both('CVTSS2SD', [0xf3, 0x0f, 0x5a], 'f32');
both('CVTSD2SS', [0xf2, 0x0f, 0x5a], 'f64');
both('CVTDQ2PS', [0x0f, 0x5b], 'int');
both('CVTPS2DQ', [0x66, 0x0f, 0x5b], 'f32');
both('CVTTPS2DQ', [0xf3, 0x0f, 0x5b], 'f32');
both('CVTTPD2DQ', [0x66, 0x0f, 0xe6], 'f64');
both('CVTDQ2PD', [0xf3, 0x0f, 0xe6], 'int');
both('CVTPD2DQ', [0xf2, 0x0f, 0xe6], 'f64');
both('CVTPI2PS', [0x0f, 0x2a], 'mmx');
both('CVTPI2PD', [0x66, 0x0f, 0x2a], 'mmx');
both('CVTSI2SS', [0xf3, 0x0f, 0x2a], 'int');
both('CVTSI2SD', [0xf2, 0x0f, 0x2a], 'int');
for (const [t, op] of [
  ['T', 0x2c],
  ['', 0x2d],
] as const) {
  both(`CVT${t}PS2PI`, [0x0f, op], 'mmxf32');
  both(`CVT${t}PD2PI`, [0x66, 0x0f, op], 'mmxf64');
  both(`CVT${t}SS2SI`, [0xf3, 0x0f, op], 'f32');
  both(`CVT${t}SD2SI`, [0xf2, 0x0f, op], 'f64');
}

// The integer map: MMX and SSE2 forms.
for (let op = 0x60; op <= 0x6b; op++) {
  both(`MMX ${op.toString(16)}`, [0x0f, op], 'mmx');
  both(`SSE2 ${op.toString(16)}`, [0x66, 0x0f, op], 'int');
}
for (const op of [0x6c, 0x6d]) both(`SSE2 ${op.toString(16)}`, [0x66, 0x0f, op], 'int');
const INTEGER = [
  0x74, 0x75, 0x76, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8,
  0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe,
];
for (const op of INTEGER) {
  both(`MMX ${op.toString(16)}`, [0x0f, op], 'mmx');
  both(`SSE2 ${op.toString(16)}`, [0x66, 0x0f, op], 'int');
}
for (const op of [0x71, 0x72, 0x73]) {
  for (const reg of [2, 4, 6]) {
    if (op === 0x73 && reg === 4) continue;
    one(`MMX ${op.toString(16)}/${reg}`, [0x0f, op, 0xc0 | (reg << 3)], 'mmx', { immediate: 1 });
    one(`SSE2 ${op.toString(16)}/${reg}`, [0x66, 0x0f, op, 0xc0 | (reg << 3)], 'int', { immediate: 1 });
  }
}
one('PSRLDQ', [0x66, 0x0f, 0x73, 0xd8], 'int', { immediate: 1 });
one('PSLLDQ', [0x66, 0x0f, 0x73, 0xf8], 'int', { immediate: 1 });
both('PSHUFW', [0x0f, 0x70], 'mmx', { immediate: 1 });
both('PSHUFD', [0x66, 0x0f, 0x70], 'int', { immediate: 1 });
both('PSHUFHW', [0xf3, 0x0f, 0x70], 'int', { immediate: 1 });
both('PSHUFLW', [0xf2, 0x0f, 0x70], 'int', { immediate: 1 });
both('SHUFPS', [0x0f, 0xc6], 'int', { immediate: 1 });
both('SHUFPD', [0x66, 0x0f, 0xc6], 'int', { immediate: 1 });
both('PINSRW mm', [0x0f, 0xc4], 'mmx', { immediate: 1 });
both('PINSRW xmm', [0x66, 0x0f, 0xc4], 'int', { immediate: 1 });
one('PEXTRW mm', [0x0f, 0xc5, RR], 'mmx', { immediate: 1 });
one('PEXTRW xmm', [0x66, 0x0f, 0xc5, RR], 'int', { immediate: 1 });
one('PMOVMSKB mm', [0x0f, 0xd7, RR], 'mmx');
one('PMOVMSKB xmm', [0x66, 0x0f, 0xd7, RR], 'int');
one('MOVMSKPS', [0x0f, 0x50, RR], 'int');
one('MOVMSKPD', [0x66, 0x0f, 0x50, RR], 'int');
one('MASKMOVQ', [0x0f, 0xf7, RR], 'mmx');
one('MASKMOVDQU', [0x66, 0x0f, 0xf7, RR], 'int');
for (const op of [0x54, 0x55, 0x56, 0x57, 0x14, 0x15]) {
  both(`PS ${op.toString(16)}`, [0x0f, op], 'int');
  both(`PD ${op.toString(16)}`, [0x66, 0x0f, op], 'int');
}
for (const op of [0x10, 0x11]) {
  both(`MOVUPS ${op}`, [0x0f, op], 'int');
  both(`MOVUPD ${op}`, [0x66, 0x0f, op], 'int');
  both(`MOVSS ${op}`, [0xf3, 0x0f, op], 'int');
  both(`MOVSD ${op}`, [0xf2, 0x0f, op], 'int');
}
for (const op of [0x12, 0x16]) {
  both(`MOVxPS ${op.toString(16)}`, [0x0f, op], 'int');
  one(`MOVxPD ${op.toString(16)}`, [0x66, 0x0f, op, RM], 'int');
  one(`MOVxPS ${(op + 1).toString(16)}`, [0x0f, op + 1, RM], 'int');
  one(`MOVxPD ${(op + 1).toString(16)}`, [0x66, 0x0f, op + 1, RM], 'int');
}
for (const op of [0x28, 0x29]) {
  both(`MOVAPS ${op.toString(16)}`, [0x0f, op], 'int');
  both(`MOVAPD ${op.toString(16)}`, [0x66, 0x0f, op], 'int');
}
one('MOVNTPS', [0x0f, 0x2b, RM], 'int');
one('MOVNTPD', [0x66, 0x0f, 0x2b, RM], 'int');
one('MOVNTDQ', [0x66, 0x0f, 0xe7, RM], 'int');
one('MOVNTQ', [0x0f, 0xe7, RM], 'mmx');
one('MOVNTI', [0x0f, 0xc3, 0x0e], 'int');
one('MOVAPS misaligned', [0x0f, 0x28, 0x46, 0x04], 'int');
one('MOVAPS store misaligned', [0x0f, 0x29, 0x46, 0x08], 'int');
one('ADDPS misaligned', [0x0f, 0x58, 0x46, 0x04], 'f32');
one('MOVUPS at 3', [0x0f, 0x10, 0x46, 0x03], 'int');
one('MOVDQU at 5', [0xf3, 0x0f, 0x6f, 0x46, 0x05], 'int');
both('MOVD mm', [0x0f, 0x6e], 'mmx');
both('MOVD xmm', [0x66, 0x0f, 0x6e], 'int');
both('MOVD from mm', [0x0f, 0x7e], 'mmx');
both('MOVD from xmm', [0x66, 0x0f, 0x7e], 'int');
both('MOVQ mm', [0x0f, 0x6f], 'mmx');
both('MOVQ to mm', [0x0f, 0x7f], 'mmx');
both('MOVDQA', [0x66, 0x0f, 0x6f], 'int');
both('MOVDQA store', [0x66, 0x0f, 0x7f], 'int');
both('MOVDQU', [0xf3, 0x0f, 0x6f], 'int');
both('MOVDQU store', [0xf3, 0x0f, 0x7f], 'int');
both('MOVQ xmm', [0xf3, 0x0f, 0x7e], 'int');
both('MOVQ store', [0x66, 0x0f, 0xd6], 'int');
one('MOVQ2DQ', [0xf3, 0x0f, 0xd6, RR], 'mmx');
one('MOVDQ2Q', [0xf2, 0x0f, 0xd6, RR], 'mmx');
one('EMMS', [0x0f, 0x77], 'mmx');
one('STMXCSR', [0x0f, 0xae, 0x1e], 'int');
one('LDMXCSR', [0x0f, 0xae, 0x16], 'int');
one('LFENCE', [0x0f, 0xae, 0xe8], 'int');
one('MFENCE', [0x0f, 0xae, 0xf0], 'int');
one('SFENCE', [0x0f, 0xae, 0xf8], 'int');
one('PREFETCHT0', [0x0f, 0x18, 0x0e], 'int');

export const SIMD: readonly SimdInstruction[] = out;

/** MXCSR values: everyday (twice, so that the quick way is walked), any rounding, DAZ and FTZ, unmasked exceptions. */
function drawMxcsr(random: Random): number {
  const kind = random.below(10);
  if (kind < 3) return 0x1fa0 | (random.chance(50) ? random.next() & 0x3f : 0);
  if (kind < 4) return 0x1f80;
  let v = 0x1f80 | (random.next() & 0x3f) | (random.below(4) << 13);
  if (random.chance(40)) v |= random.next() & 0x8040;
  if (kind >= 8) v &= ~(random.next() & 0x1f80) | ~0x1f80;
  // Flags whose mask is clear would not trap by themselves; draw them all the same.
  return v & 0xffff;
}

function putVector(random: Random, view: DataView, at: number, kind: SimdInstruction['kind'], index: number, which: 0 | 1): void {
  if (kind === 'f32' || kind === 'mmxf32') {
    const n = SINGLES.length;
    for (let i = 0; i < 16; i += 4) {
      const k = which === 0 ? (index + i * 5) % n : Math.floor((index + i * 5) / n) % n;
      // Lanes of a scalar or a quick packed case are better all ordinary than one in four special.
      const v = index < n * n && (i === 0 || random.chance(25)) ? SINGLES[k] : randomSingle(random);
      view.setUint32(at + i, Number(v), true);
    }
  } else if (kind === 'f64' || kind === 'mmxf64') {
    const n = DOUBLES.length;
    for (let i = 0; i < 16; i += 8) {
      const k = which === 0 ? (index + i * 5) % n : Math.floor((index + i * 5) / n) % n;
      const v = index < n * n && (i === 0 || random.chance(50)) ? DOUBLES[k] : randomDouble(random);
      view.setBigUint64(at + i, v as bigint, true);
    }
  } else {
    for (let i = 0; i < 16; i += 8) {
      let v = random.big();
      const shape = random.below(10);
      if (shape < 2) v = BigInt(random.below(80));
      else if (shape < 4) v = random.pick(LANES);
      view.setBigUint64(at + i, v, true);
    }
  }
}

export function simdCase(random: Random, instruction: SimdInstruction, index: number): DataView {
  const bytes = [...instruction.bytes];
  for (let i = 0; i < (instruction.immediate ?? 0); i++) bytes.push(random.chance(70) ? random.below(72) : random.below(256));
  const view = blank(random, { bytes });
  const fx = R_FX;
  view.setUint16(fx + FX_FCW, 0x37f, true);
  view.setUint16(fx + FX_FSW, (random.next() & 0x4700) | (random.below(8) << 11), true);
  view.setUint8(fx + FX_FTW, random.next() & 0xff);
  view.setUint32(fx + FX_MXCSR, drawMxcsr(random), true);
  for (let i = 0; i < 8; i++) {
    putExtended(view, fx + FX_ST + i * 16, randomExtended(random));
    putVector(random, view, fx + FX_XMM + i * 16, 'int', index, 0);
  }
  if (instruction.name === 'LDMXCSR') view.setUint32(R_MEMORY, random.next() & (random.chance(80) ? 0xffff : 0x1ffff), true);
  else putVector(random, view, R_MEMORY, instruction.kind, index, 1);
  if (instruction.kind !== 'mmx') {
    putVector(random, view, fx + FX_XMM, instruction.kind, index, 0);
    putVector(random, view, fx + FX_XMM + 16, instruction.kind, index, 1);
  }
  // MMX operands are MM0 and MM1, which are R0 and R1; the image holds ST(i), so place them by TOP.
  const top = (view.getUint16(fx + FX_FSW, true) >> 11) & 7;
  for (const r of [0, 1]) {
    const at = fx + FX_ST + ((r - top) & 7) * 16;
    const v = random.chance(20) ? BigInt(random.below(70)) : random.big();
    view.setBigUint64(at, v, true);
  }
  return view;
}
