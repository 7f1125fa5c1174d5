/** x87 instructions under test, and how their start states are drawn. */
import {
  FX_FCW,
  FX_FSW,
  FX_FTW,
  FX_MXCSR,
  FX_ST,
  MEMORY_SIZE,
  NO_TRAP,
  R_EAX,
  R_ECX,
  R_EDX,
  R_EFLAGS,
  R_FX,
  R_LENGTH,
  R_MEMORY,
  R_TRAP,
  type Random,
  RECORD_SIZE,
} from './record.ts';
import { DOUBLES, EXTENDED, type Extended, randomDouble, randomExtended, randomSingle, SINGLES } from './values.ts';

export interface Instruction {
  name: string;
  bytes: readonly number[];
  /** What memory at (e)si holds: 'f32', 'f64', 'f80', 'int', 'bcd', 'env' or nothing in particular. */
  source?: 'f32' | 'f64' | 'f80' | 'int' | 'bcd' | 'env' | 'control';
  /** How many stack operands pair up in the special-value sweep. */
  operands: 0 | 1 | 2;
  /** Results may differ from the host's by this many units in the last place of the significand. */
  ulp?: number;
  /** Condition codes the manual leaves undefined (status word bits). */
  undefinedBits?: number;
  /** Only values in the defined domain: [lowest exponent, highest exponent] of ST(0) without bias. */
  domain?: readonly [number, number];
  /** Bytes of memory that hold instruction and data pointers, which processors keep differently. */
  ignoreMemory?: readonly (readonly [number, number])[];
  ownUnderflow?: boolean;
}

export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
const CC = C0 | C2 | C3;
/** mod 0, rm 6: [esi]. */
const memory = (reg: number): number => (reg << 3) | 6;

const reg2 = (name: string, bytes: number[], undefinedBits = CC): Instruction => ({ name, bytes, operands: 2, undefinedBits });
const reg1 = (name: string, bytes: number[], undefinedBits = CC): Instruction => ({ name, bytes, operands: 1, undefinedBits });
const load = (name: string, bytes: number[], source: NonNullable<Instruction['source']>, undefinedBits = CC): Instruction => ({
  name,
  bytes,
  operands: 1,
  source,
  undefinedBits,
});

const ARITH = ['FADD', 'FMUL', 'FCOM', 'FCOMP', 'FSUB', 'FSUBR', 'FDIV', 'FDIVR'];
const arithmetic = (op: number, suffix: string, source: NonNullable<Instruction['source']>): Instruction[] =>
  ARITH.map((name, i) => load(`${name} ${suffix}`, [op, memory(i)], source, i === 2 || i === 3 ? 0 : CC));

export const X87: readonly Instruction[] = [
  ...ARITH.map((name, i) => reg2(`${name} ST0,ST1`, [0xd8, 0xc1 + i * 8], i === 2 || i === 3 ? 0 : CC)),
  ...[0, 1, 4, 5, 6, 7].map((i) => reg2(`DC/${i} ST1,ST0`, [0xdc, 0xc1 + i * 8])),
  ...[0, 1, 4, 5, 6, 7].map((i) => reg2(`DE/${i} ST1,ST0`, [0xde, 0xc1 + i * 8])),
  ...arithmetic(0xd8, 'm32', 'f32'),
  ...arithmetic(0xdc, 'm64', 'f64'),
  ...arithmetic(0xda, 'm32int', 'int'),
  ...arithmetic(0xde, 'm16int', 'int'),
  load('FLD m32', [0xd9, memory(0)], 'f32'),
  load('FLD m64', [0xdd, memory(0)], 'f64'),
  load('FLD m80', [0xdb, memory(5)], 'f80'),
  load('FILD m16', [0xdf, memory(0)], 'int'),
  load('FILD m32', [0xdb, memory(0)], 'int'),
  load('FILD m64', [0xdf, memory(5)], 'int'),
  load('FBLD', [0xdf, memory(4)], 'bcd'),
  reg1('FST m32', [0xd9, memory(2)]),
  reg1('FSTP m32', [0xd9, memory(3)]),
  reg1('FST m64', [0xdd, memory(2)]),
  reg1('FSTP m64', [0xdd, memory(3)]),
  reg1('FSTP m80', [0xdb, memory(7)]),
  reg1('FIST m16', [0xdf, memory(2)]),
  reg1('FISTP m16', [0xdf, memory(3)]),
  reg1('FIST m32', [0xdb, memory(2)]),
  reg1('FISTP m32', [0xdb, memory(3)]),
  reg1('FISTP m64', [0xdf, memory(7)]),
  reg1('FBSTP', [0xdf, memory(6)]),
  reg2('FLD ST1', [0xd9, 0xc1]),
  reg2('FLD ST7', [0xd9, 0xc7]),
  reg2('FXCH ST1', [0xd9, 0xc9]),
  reg2('FST ST1', [0xdd, 0xd1]),
  reg2('FSTP ST1', [0xdd, 0xd9]),
  reg2('FSTP ST0', [0xdd, 0xd8]),
  reg2('FFREE ST1', [0xdd, 0xc1]),
  reg2('FUCOM', [0xdd, 0xe1], 0),
  reg2('FUCOMP', [0xdd, 0xe9], 0),
  reg2('FUCOMPP', [0xda, 0xe9], 0),
  reg2('FCOMPP', [0xde, 0xd9], 0),
  reg2('FUCOMI', [0xdb, 0xe9]),
  reg2('FCOMI', [0xdb, 0xf1]),
  reg2('FUCOMIP', [0xdf, 0xe9]),
  reg2('FCOMIP', [0xdf, 0xf1]),
  ...[0xda, 0xdb].flatMap((op) => [0, 1, 2, 3].map((i) => reg2(`FCMOV ${op.toString(16)}/${i}`, [op, 0xc1 + i * 8]))),
  reg1('FNOP', [0xd9, 0xd0], CC | C1),
  reg1('FCHS', [0xd9, 0xe0]),
  reg1('FABS', [0xd9, 0xe1]),
  reg1('FTST', [0xd9, 0xe4], 0),
  reg1('FXAM', [0xd9, 0xe5], 0),
  ...[0, 1, 2, 3, 4, 5, 6].map((i) => reg1(`FLDconst ${i}`, [0xd9, 0xe8 + i])),
  reg1('FDECSTP', [0xd9, 0xf6]),
  reg1('FINCSTP', [0xd9, 0xf7]),
  reg1('FXTRACT', [0xd9, 0xf4]),
  { ...reg2('FPREM1', [0xd9, 0xf5], 0), ownUnderflow: true },
  { ...reg2('FPREM', [0xd9, 0xf8], 0), ownUnderflow: true },
  reg1('FSQRT', [0xd9, 0xfa]),
  reg1('FRNDINT', [0xd9, 0xfc]),
  reg2('FSCALE', [0xd9, 0xfd]),
  reg1('FNSTSW AX', [0xdf, 0xe0], CC | C1),
  reg1('FNSTSW m16', [0xdd, memory(7)], CC | C1),
  reg1('FNSTCW m16', [0xd9, memory(7)], CC | C1),
  reg1('FNCLEX', [0xdb, 0xe2], CC | C1),
  reg1('FNINIT', [0xdb, 0xe3], 0),
  load('FLDCW', [0xd9, memory(5)], 'control', CC | C1),
  { ...reg1('FNSTENV', [0xd9, memory(6)], CC | C1), ignoreMemory: [[12, 28]] },
  { ...reg1('FNSTENV 16', [0x66, 0xd9, memory(6)], CC | C1), ignoreMemory: [[6, 14]] },
  { ...reg1('FNSAVE', [0xdd, memory(6)], CC | C1), ignoreMemory: [[12, 28]] },
  { ...reg1('FNSAVE 16', [0x66, 0xdd, memory(6)], CC | C1), ignoreMemory: [[6, 14]] },
  load('FLDENV', [0xd9, memory(4)], 'env', 0),
  load('FLDENV 16', [0x66, 0xd9, memory(4)], 'env', 0),
  load('FRSTOR', [0xdd, memory(4)], 'env', 0),
  load('FRSTOR 16', [0x66, 0xdd, memory(4)], 'env', 0),
];

/** Within 1 ulp of the host's answer, whose own error is below 1 ulp. C1 follows the rounding of the last bit and is not compared. */
const TRANSCENDENTALS: readonly Instruction[] = [
  { ...reg1('F2XM1', [0xd9, 0xf0], CC | C1), ulp: 1, domain: [-70, -1] },
  { ...reg2('FYL2X', [0xd9, 0xf1], CC | C1), ulp: 1 },
  { ...reg1('FPTAN', [0xd9, 0xf2], C0 | C3 | C1), ulp: 1 },
  { ...reg2('FPATAN', [0xd9, 0xf3], CC | C1), ulp: 1 },
  { ...reg2('FYL2XP1', [0xd9, 0xf9], CC | C1), ulp: 1, domain: [-70, -3] },
  { ...reg1('FSINCOS', [0xd9, 0xfb], C0 | C3 | C1), ulp: 1 },
  { ...reg1('FSIN', [0xd9, 0xfe], C0 | C3 | C1), ulp: 1 },
  { ...reg1('FCOS', [0xd9, 0xff], C0 | C3 | C1), ulp: 1 },
  // Every argument the circular functions take, so that the reduction by the 66-bit pi is walked.
  { ...reg1('FSIN, any', [0xd9, 0xfe], C0 | C3 | C1), ulp: 1, domain: [-72, 62] },
  { ...reg1('FCOS, any', [0xd9, 0xff], C0 | C3 | C1), ulp: 1, domain: [-72, 62] },
  { ...reg1('FPTAN, any', [0xd9, 0xf2], C0 | C3 | C1), ulp: 1, domain: [-72, 62] },
  { ...reg2('FYL2X near 1', [0xd9, 0xf1], CC | C1), ulp: 1, domain: [-1, 0] },
  { ...reg2('FYL2XP1, all of its range', [0xd9, 0xf9], CC | C1), ulp: 1, domain: [-80, -2] },
];
export const TRANSCENDENTAL: readonly Instruction[] = TRANSCENDENTALS.map((instruction) => ({ ...instruction, ownUnderflow: true }));

export function putExtended(view: DataView, at: number, [se, sig]: Extended): void {
  view.setBigUint64(at, sig, true);
  view.setUint16(at + 8, se, true);
}

/** A record with random but legal state everywhere. */
export function blank(random: Random, instruction: { bytes: readonly number[] }): DataView {
  const view = new DataView(new ArrayBuffer(RECORD_SIZE));
  instruction.bytes.forEach((b, i) => {
    view.setUint8(i, b);
  });
  view.setUint8(R_LENGTH, instruction.bytes.length);
  for (const at of [R_EAX, R_ECX, R_EDX]) view.setUint32(at, random.next(), true);
  view.setUint32(R_EFLAGS, random.next() & 0x8d5, true);
  view.setUint32(R_TRAP, NO_TRAP, true);
  for (let i = 0; i < MEMORY_SIZE; i += 8) view.setBigUint64(R_MEMORY + i, random.big(), true);
  view.setUint32(R_FX + FX_MXCSR, 0x1f80, true);
  return view;
}

function source(random: Random, view: DataView, kind: Instruction['source'], i: number): void {
  const m = R_MEMORY;
  if (kind === 'f32') view.setUint32(m, Number(i < SINGLES.length ? SINGLES[i] : randomSingle(random)), true);
  else if (kind === 'f64') view.setBigUint64(m, (i < DOUBLES.length ? DOUBLES[i] : randomDouble(random)) as bigint, true);
  else if (kind === 'f80') putExtended(view, m, i < EXTENDED.length ? (EXTENDED[i] as Extended) : randomExtended(random));
  else if (kind === 'int') {
    const v = random.chance(30)
      ? BigInt(random.pick([0, 1, -1, 2, 0x7fff, -0x8000, 0x7fffffff, -0x80000000]))
      : BigInt.asIntN(64, random.big()) >> BigInt(random.below(64));
    view.setBigInt64(m, v, true);
  } else if (kind === 'bcd') {
    for (let b = 0; b < 9; b++) view.setUint8(m + b, random.below(10) | (random.below(10) << 4));
    if (random.chance(20)) for (let b = random.below(9); b < 9; b++) view.setUint8(m + b, 0);
    view.setUint8(m + 9, random.chance(50) ? 0x80 : 0);
  } else if (kind === 'control') view.setUint16(m, random.next() & 0xffff, true);
  else if (kind === 'env') {
    const wide = view.getUint8(0) !== 0x66;
    const step = wide ? 4 : 2;
    const control = random.next() & 0xffff;
    // A pending exception would make the host trap when it is next saved by the kernel: keep flags to masked ones.
    const status = (random.next() & 0x7f40) | (random.next() & control & 0x3f);
    view.setUint16(m, control, true);
    view.setUint16(m + step, status, true);
    view.setUint16(m + 2 * step, random.next() & 0xffff, true);
  }
}

/** `index` walks the special values first; then everything is random. */
export function x87Case(random: Random, instruction: Instruction, index: number): DataView {
  const view = blank(random, instruction);
  const fx = R_FX;
  const n = EXTENDED.length;
  const unmasked = random.chance(20);
  const control = (unmasked ? random.next() & 0x3f : 0x3f) | (random.below(4) << 10) | (random.pick([0, 2, 3, 3, 3, 3]) << 8) | 0x40;
  const top = random.below(8);
  const status = (random.next() & 0x4740) | (top << 11) | (random.next() & control & 0x3f);
  view.setUint16(fx + FX_FCW, control, true);
  view.setUint16(fx + FX_FSW, status, true);
  let tags = 0xff;
  if (random.chance(12)) tags = random.below(256);
  // Loads need a free register below the top, most of the time.
  else if (random.chance(80)) tags &= ~(1 << ((top + 7) & 7));
  view.setUint8(fx + FX_FTW, tags);
  for (let i = 0; i < 8; i++) putExtended(view, fx + FX_ST + i * 16, randomExtended(random));
  if (instruction.operands === 2 && index < n * n) {
    putExtended(view, fx + FX_ST, EXTENDED[index % n] as Extended);
    putExtended(view, fx + FX_ST + 16, EXTENDED[Math.floor(index / n)] as Extended);
  } else if (instruction.operands === 1 && instruction.source === undefined && index < 4 * n) {
    putExtended(view, fx + FX_ST, EXTENDED[index % n] as Extended);
  }
  if (instruction.domain) {
    const [low, high] = instruction.domain;
    const e = (view.getUint16(fx + FX_ST + 8, true) & 0x7fff) - 16383;
    const sig = view.getBigUint64(fx + FX_ST, true);
    const special = e === 16384 || (e === -16383 && sig === 0n);
    if (!special && (e < low || e > high)) {
      putExtended(view, fx + FX_ST, [
        (random.chance(50) ? 0x8000 : 0) | (16383 + low + random.below(high - low + 1)),
        random.big() | (1n << 63n),
      ]);
    }
  }
  source(random, view, instruction.source, index);
  return view;
}
