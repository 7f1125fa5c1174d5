/**
 * Floating-point instructions on XMM registers (SDM volume 2; volume 1, 11.5). The host's arithmetic is used where it gives the same value and
 * leaves MXCSR alone; everything else is the interpreter's.
 *
 * Arithmetic needs MXCSR as in Emitter.floatAllowed(): all exceptions masked, round to nearest, no flushing, PE set already, so that inexact
 * results change nothing. Then what may still set a flag, or differ from the host, are
 *   - denormal operands (DE),
 *   - infinities and NaNs (IE, ZE, which NaN): results are never finite then, but for a division by infinity, whose result is zero,
 *   - overflow (OE): the result is infinite,
 *   - underflow (UE) of multiplication and division: the result is not above the smallest normal number (one that equals it may have been
 *     rounded up from a tiny one). Zero is right when a factor, or the dividend, is zero. Tiny sums are exact and underflow nothing.
 * Comparisons, minimum and maximum don't round: with operands that are zero or normal (or infinite) they change nothing whatever MXCSR says.
 */
import { FEAT_SSE3, FEAT_SSE41 } from '../interp/wasm/features.ts';
import { FLAG_ARITH } from '../interp/wasm/jitoffsets.ts';
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import {
  bytes,
  first,
  halvesOf,
  lanes,
  needing,
  setHalves,
  setLow,
  source,
  sourceLow,
  type Translation,
  vectorTemp,
  either,
} from './sseoperand.ts';
import { I32, OP, SIMD } from './wasmcode.ts';

/** Opcodes and constants of one of the two formats. */
interface Format {
  double: boolean;
  size: 4 | 8;
  extractBits: number;
  extract: number;
  replace: number;
  /** Scalar opcodes: add, mul, sub, div by x86 opcode; sqrt. */
  arithmetic: Record<number, number>;
  sqrt: number;
  packed: Record<number, number>;
  /** lt, gt, eq of scalars and vectors. */
  lt: number;
  gt: number;
  eq: number;
  vectorLt: number;
  vectorLe: number;
  vectorGt: number;
  vectorGe: number;
  vectorEq: number;
  vectorNe: number;
  abs: number;
  allTrue: number;
  pmin: number;
  pmax: number;
  /** To the nearest, down, up, toward zero. */
  round: readonly number[];
  /** Splats: smallest normal number, largest finite one. */
  least: bigint;
  most: bigint;
}

const ADD = 0x158;
const MUL = 0x159;
const SUB = 0x15c;
const DIV = 0x15e;
const SQRT = 0x151;

const DOUBLE: Format = {
  double: true,
  size: 8,
  extractBits: SIMD.i64x2ExtractLane,
  extract: SIMD.f64x2ExtractLane,
  replace: SIMD.f64x2ReplaceLane,
  arithmetic: { [ADD]: OP.f64Add, [MUL]: OP.f64Mul, [SUB]: OP.f64Sub, [DIV]: OP.f64Div },
  sqrt: OP.f64Sqrt,
  packed: { [ADD]: SIMD.f64x2Add, [MUL]: SIMD.f64x2Mul, [SUB]: SIMD.f64x2Sub, [DIV]: SIMD.f64x2Div, [SQRT]: SIMD.f64x2Sqrt },
  lt: OP.f64Lt,
  gt: OP.f64Gt,
  eq: OP.f64Eq,
  vectorLt: SIMD.f64x2Lt,
  vectorLe: SIMD.f64x2Le,
  vectorGt: SIMD.f64x2Gt,
  vectorGe: SIMD.f64x2Ge,
  vectorEq: SIMD.f64x2Eq,
  vectorNe: SIMD.f64x2Ne,
  abs: SIMD.f64x2Abs,
  allTrue: SIMD.i64x2AllTrue,
  pmin: SIMD.f64x2Pmin,
  pmax: SIMD.f64x2Pmax,
  round: [SIMD.f64x2Nearest, SIMD.f64x2Floor, SIMD.f64x2Ceil, SIMD.f64x2Trunc],
  least: 0x0010_0000_0000_0000n,
  most: 0x7fef_ffff_ffff_ffffn,
};
const SINGLE: Format = {
  double: false,
  size: 4,
  extractBits: SIMD.i32x4ExtractLane,
  extract: SIMD.f32x4ExtractLane,
  replace: SIMD.f32x4ReplaceLane,
  arithmetic: { [ADD]: OP.f32Add, [MUL]: OP.f32Mul, [SUB]: OP.f32Sub, [DIV]: OP.f32Div },
  sqrt: OP.f32Sqrt,
  packed: { [ADD]: SIMD.f32x4Add, [MUL]: SIMD.f32x4Mul, [SUB]: SIMD.f32x4Sub, [DIV]: SIMD.f32x4Div, [SQRT]: SIMD.f32x4Sqrt },
  lt: OP.f32Lt,
  gt: OP.f32Gt,
  eq: OP.f32Eq,
  vectorLt: SIMD.f32x4Lt,
  vectorLe: SIMD.f32x4Le,
  vectorGt: SIMD.f32x4Gt,
  vectorGe: SIMD.f32x4Ge,
  vectorEq: SIMD.f32x4Eq,
  vectorNe: SIMD.f32x4Ne,
  abs: SIMD.f32x4Abs,
  allTrue: SIMD.i32x4AllTrue,
  pmin: SIMD.f32x4Pmin,
  pmax: SIMD.f32x4Pmax,
  round: [SIMD.f32x4Nearest, SIMD.f32x4Floor, SIMD.f32x4Ceil, SIMD.f32x4Trunc],
  least: 0x0080_0000_0080_0000n,
  most: 0x7f7f_ffff_7f7f_ffffn,
};

const formatOf = (insn: Insn): Format => (insn.prefix === 0x66 || insn.prefix === 0xf2 ? DOUBLE : SINGLE);
const isScalar = (insn: Insn): boolean => insn.prefix >= 0xf2;

// ---- Scalars: tests on bit patterns shifted left by one, so that the sign is gone ------------------------------------------------------------

/** `2 * magnitude` of the bit pattern in lane 0 of the temporary. */
function doubledBits(e: Emitter, f: Format, vector: number): void {
  e.c.get(vector).simd(f.extractBits).byte(0);
  if (f.double) e.c.i64(1).op(OP.i64Shl);
  else e.c.i32(1).op(OP.i32Shl);
}
function bitsConst(e: Emitter, f: Format, value: bigint): void {
  if (f.double) e.c.i64(BigInt.asIntN(64, value));
  else e.c.i32(Number(BigInt.asIntN(32, value)));
}
/** Doubled bit patterns: of the smallest normal number, of infinity. */
const least2 = (f: Format): bigint => (f.double ? 1n << 53n : 1n << 24n);
const infinity2 = (f: Format): bigint => (f.double ? 0x7ffn << 53n : 0xffn << 24n);

/** 1 when lane 0 is no denormal. Doubled patterns of denormals are 2 up to least - 2; less one, unsigned, only they are below least - 1. */
function notDenormal(e: Emitter, f: Format, vector: number): void {
  doubledBits(e, f, vector);
  bitsConst(e, f, 1n);
  e.c.op(f.double ? OP.i64Sub : OP.i32Sub);
  bitsConst(e, f, least2(f) - 1n);
  e.c.op(f.double ? OP.i64GeU : OP.i32GeU);
}
/** 1 when lane 0 is zero. */
function zero(e: Emitter, f: Format, vector: number): void {
  doubledBits(e, f, vector);
  e.c.op(f.double ? OP.i64Eqz : OP.i32Eqz);
}
/** 1 when lane 0 is neither infinite nor a NaN. */
function finite(e: Emitter, f: Format, vector: number): void {
  doubledBits(e, f, vector);
  bitsConst(e, f, infinity2(f));
  e.c.op(f.double ? OP.i64LtU : OP.i32LtU);
}
/** 1 when lane 0 is above the smallest normal number in magnitude and finite. */
function safe(e: Emitter, f: Format, vector: number): void {
  doubledBits(e, f, vector);
  bitsConst(e, f, least2(f) + 1n);
  e.c.op(f.double ? OP.i64Sub : OP.i32Sub);
  bitsConst(e, f, infinity2(f) - least2(f) - 1n);
  e.c.op(f.double ? OP.i64LtU : OP.i32LtU);
}

/** Locals of the operands. What of memory is not at hand is a NaN, so that the interpreter executes the instruction, and reads it once. */
function scalarOperands(e: Emitter, insn: Insn, f: Format): [a: number, b: number] {
  const b = sourceLow(e, insn, f.size, true);
  return [first(e, insn), b];
}
function lane(e: Emitter, f: Format, vector: number): void {
  e.c.get(vector).simd(f.extract).byte(0);
}
/** The float on the stack becomes lane 0 of the register, whose value is in the temporary `old`; the result is in a temporary. */
function replaced(e: Emitter, f: Format, old: number, emit: () => void): number {
  e.c.get(old);
  emit();
  e.c.simd(f.replace).byte(0);
  return vectorTemp(e);
}

const scalarArithmetic: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { c } = e;
  const [a, b] = scalarOperands(e, insn, f);
  const r = replaced(e, f, a, () => {
    lane(e, f, a);
    lane(e, f, b);
    c.op(f.arithmetic[insn.op]!);
  });
  e.floatAllowed();
  notDenormal(e, f, a);
  notDenormal(e, f, b);
  c.op(OP.i32And, OP.i32And);
  if (insn.op === ADD || insn.op === SUB) finite(e, f, r);
  else {
    safe(e, f, r);
    // Zero as a factor or dividend, unless the result is no number.
    zero(e, f, a);
    if (insn.op === MUL) {
      zero(e, f, b);
      c.op(OP.i32Or);
    }
    finite(e, f, r);
    c.op(OP.i32And, OP.i32Or);
  }
  c.op(OP.i32And);
  either(e, () => {
    c.get(r);
    setLow(e, insn);
  });
};

const scalarRoot: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { c } = e;
  const [a, b] = scalarOperands(e, insn, f);
  e.floatAllowed();
  // Positive, normal: the pattern is from least up to below infinity.
  c.get(b).simd(f.extractBits).byte(0);
  bitsConst(e, f, least2(f) >> 1n);
  c.op(f.double ? OP.i64Sub : OP.i32Sub);
  bitsConst(e, f, (infinity2(f) - least2(f)) >> 1n);
  c.op(f.double ? OP.i64LtU : OP.i32LtU);
  zero(e, f, b);
  c.op(OP.i32Or, OP.i32And);
  either(e, () => {
    c.get(a);
    lane(e, f, b);
    c.op(f.sqrt).simd(f.replace).byte(0);
    setLow(e, insn);
  });
};

/** Neither denormal nor NaN, both. */
function comparable(e: Emitter, f: Format, a: number, b: number): void {
  const { c } = e;
  notDenormal(e, f, a);
  notDenormal(e, f, b);
  c.op(OP.i32And);
  for (const v of [a, b]) {
    lane(e, f, v);
    lane(e, f, v);
    c.op(f.eq, OP.i32And);
  }
}

/** MINSS, MINSD, MAXSS, MAXSD: the source unless the register is less, or greater. */
const scalarExtreme: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { c } = e;
  const [a, b] = scalarOperands(e, insn, f);
  comparable(e, f, a, b);
  either(e, () => {
    c.get(a);
    lane(e, f, a);
    lane(e, f, b);
    lane(e, f, a);
    lane(e, f, b);
    c.op(insn.op === 0x15d ? f.lt : f.gt, OP.select);
    c.simd(f.replace).byte(0);
    setLow(e, insn);
  });
};

/** COMISx and UCOMISx. */
const compareFlags: Translation = (e, insn) => {
  const f = insn.prefix === 0x66 ? DOUBLE : SINGLE;
  const { c } = e;
  const b = sourceLow(e, insn, f.size, true);
  const a = e.vectorLocal(insn.reg, 0);
  const flags = e.temp(I32);
  const set = () => e.setFlags32(FLAG_ARITH, 1, flags);
  comparable(e, f, a, b);
  either(
    e,
    () => {
      lane(e, f, a);
      lane(e, f, b);
      c.op(f.lt);
      lane(e, f, a);
      lane(e, f, b);
      c.op(f.eq).i32(6).op(OP.i32Shl, OP.i32Or).set(flags);
      set();
    },
    () =>
      e.interpretVector({
        after: () => {
          // CF, ZF and PF as the interpreter has left them; the other three are zero.
          e.storedCondition(2);
          e.storedCondition(4);
          c.i32(6).op(OP.i32Shl, OP.i32Or);
          e.storedCondition(10);
          c.i32(2).op(OP.i32Shl, OP.i32Or).set(flags);
          set();
        },
      }),
  );
};

// ---- Vectors: masks of lanes ------------------------------------------------------------------------------------------------------------------

/** Lanes that are zero, normal or infinite. */
function plainLanes(e: Emitter, f: Format, v: number): void {
  e.c.get(v).simd(f.abs).simd64(f.least).simd(f.vectorGe);
  zeroLanes(e, f, v);
  e.c.simd(SIMD.or);
}
function zeroLanes(e: Emitter, f: Format, v: number): void {
  e.c.get(v).simd64(0n).simd(f.vectorEq);
}
function finiteLanes(e: Emitter, f: Format, v: number): void {
  e.c.get(v).simd(f.abs).simd64(f.most).simd(f.vectorLe);
}

/** Locals of the halves of both operands; memory as for scalars. */
function vectorOperands(e: Emitter, insn: Insn): { a: number[]; b: number[] } {
  const b = source(e, insn, true);
  return { a: halvesOf(insn).map((half) => first(e, insn, half)), b };
}
/** On the stack: all lanes of all halves are true in the masks that `test` pushes. */
function allLanes(e: Emitter, insn: Insn, f: Format, test: (half: number) => void): void {
  for (const half of halvesOf(insn)) {
    test(half);
    if (half) e.c.simd(SIMD.and);
  }
  e.c.simd(f.allTrue);
}

/** The result of `op` in a temporary, and on the stack the mask of lanes where it may be used. */
function quickLanes(e: Emitter, f: Format, op: number, a: number, b: number): number {
  const { c } = e;
  c.get(a).get(b).simd(f.packed[op]!);
  const r = vectorTemp(e);
  plainLanes(e, f, a);
  plainLanes(e, f, b);
  finiteLanes(e, f, r);
  c.simds(SIMD.and, SIMD.and);
  if (op === MUL || op === DIV) {
    c.get(r).simd(f.abs).simd64(f.least).simd(f.vectorGt);
    zeroLanes(e, f, a);
    c.simd(SIMD.or);
    if (op === MUL) {
      zeroLanes(e, f, b);
      c.simd(SIMD.or);
    }
    c.simd(SIMD.and);
  }
  return r;
}

/** Results made by `quick`, which leaves the mask on the stack, where they may be used; else the interpreter. */
function vectorEither(e: Emitter, insn: Insn, f: Format, quick: (half: number) => number): void {
  const results: number[] = [];
  allLanes(e, insn, f, (half) => {
    results[half] = quick(half);
  });
  e.floatAllowed();
  e.c.op(OP.i32And);
  either(e, () => setHalves(e, insn, (half) => e.c.get(results[half]!)));
}

const packedArithmetic: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { a, b } = vectorOperands(e, insn);
  vectorEither(e, insn, f, (half) => quickLanes(e, f, insn.op, a[half]!, b[half]!));
};

/** HADDPx, HSUBPx: neighbours of the first source, then of the source. Singles have prefix F2 here. */
const horizontal: Translation = (e, insn) => {
  const f = insn.prefix === 0x66 ? DOUBLE : SINGLE;
  const even = f.double ? [0, 2] : [0, 2, 4, 6];
  const { a, b } = vectorOperands(e, insn);
  vectorEither(e, insn, f, (half) => {
    const operands = [0, 1].map((odd) => {
      e.c
        .get(a[half]!)
        .get(b[half]!)
        .shuffle(lanes(f.size, ...even.map((n) => n + odd)));
      return vectorTemp(e);
    });
    return quickLanes(e, f, insn.op === 0x17c ? ADD : SUB, operands[0]!, operands[1]!);
  });
};
/** ADDSUBPx: even lanes are subtracted, odd ones added. */
const addSubtract: Translation = (e, insn) => {
  const f = insn.prefix === 0x66 ? DOUBLE : SINGLE;
  const { a, b } = vectorOperands(e, insn);
  vectorEither(e, insn, f, (half) => {
    const difference = quickLanes(e, f, SUB, a[half]!, b[half]!);
    const sum = quickLanes(e, f, ADD, a[half]!, b[half]!);
    const order = f.double ? lanes(8, 0, 3) : lanes(4, 0, 5, 2, 7);
    // The masks of the two, then the results.
    e.c.shuffle(order);
    e.c.get(difference).get(sum).shuffle(order);
    return vectorTemp(e);
  });
};

const packedRoot: Translation = (e, insn) => {
  const f = formatOf(insn);
  const b = source(e, insn, true);
  vectorEither(e, insn, f, (half) => {
    const from = b[half]!;
    e.c.get(from).simd(f.packed[SQRT]!);
    const r = vectorTemp(e);
    e.c.get(from).simd64(f.least).simd(f.vectorGe);
    zeroLanes(e, f, from);
    e.c.simd(SIMD.or);
    finiteLanes(e, f, from);
    e.c.simd(SIMD.and);
    return r;
  });
};

/** For what changes nothing in MXCSR when all operands are plain. */
function plainOnly(e: Emitter, insn: Insn, f: Format, a: number[], b: number[], compute: (half: number) => void): void {
  allLanes(e, insn, f, (half) => {
    plainLanes(e, f, a[half]!);
    plainLanes(e, f, b[half]!);
    e.c.simd(SIMD.and);
  });
  either(e, () => setHalves(e, insn, compute));
}

const packedExtreme: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { a, b } = vectorOperands(e, insn);
  plainOnly(e, insn, f, a, b, (half) => {
    // pmin(x, y) is y < x ? y : x.
    e.c
      .get(b[half]!)
      .get(a[half]!)
      .simd(insn.op === 0x15d ? f.pmin : f.pmax);
  });
};

/** The mask of predicate `kind` (SDM volume 2, CMPPD; of all 32 each eight are the same where nothing is a NaN) of ordered operands in every lane, on the stack. */
function predicate(e: Emitter, f: Format, kind: number, a: number, b: number): void {
  const op = [f.vectorEq, f.vectorLt, f.vectorLe, 0, f.vectorNe, f.vectorGe, f.vectorGt, 0][kind]!;
  if (op) e.c.get(a).get(b).simd(op);
  else e.c.simd64(kind === 3 ? 0n : -1n);
}
const compareMask: Translation = (e, insn) => {
  const f = formatOf(insn);
  const { c } = e;
  const kind = insn.imm & 7;
  if (isScalar(insn)) {
    const [a, b] = scalarOperands(e, insn, f);
    comparable(e, f, a, b);
    either(e, () => {
      c.get(a);
      predicate(e, f, kind, a, b);
      c.shuffle([...bytes(16, f.size), ...bytes(f.size, 16 - f.size)]);
      setLow(e, insn);
    });
    return;
  }
  const { a, b } = vectorOperands(e, insn);
  plainOnly(e, insn, f, a, b, (half) => predicate(e, f, kind, a[half]!, b[half]!));
};

/** ROUNDxx: immediate bits 0..1 the direction, bit 2 = MXCSR's, bit 3 = inexact results are not reported. */
const rounding: Translation = (e, insn) => {
  const { c } = e;
  const f = insn.op & 1 ? DOUBLE : SINGLE;
  const scalar = insn.op >= 0x30a;
  // Where the host's arithmetic is allowed MXCSR says to the nearest, and that inexact results change nothing.
  const op = f.round[insn.imm & 4 ? 0 : insn.imm & 3]!;
  const needsMode = (insn.imm & 12) !== 8;
  const b = scalar ? [sourceLow(e, insn, f.size, true)] : source(e, insn, true);
  if (scalar) {
    lane(e, f, b[0]!);
    lane(e, f, b[0]!);
    c.op(f.eq);
    notDenormal(e, f, b[0]!);
    c.op(OP.i32And);
  } else allLanes(e, insn, f, (half) => plainLanes(e, f, b[half]!));
  if (needsMode) {
    e.floatAllowed();
    c.op(OP.i32And);
  }
  either(e, () => {
    if (!scalar) {
      setHalves(e, insn, (half) => c.get(b[half]!).simd(op));
      return;
    }
    c.get(first(e, insn)).get(b[0]!).simd(op);
    c.shuffle([...bytes(16, f.size), ...bytes(f.size, 16 - f.size)]);
    setLow(e, insn);
  });
};

export function floatTranslation(insn: Insn): Translation | undefined {
  const scalar = isScalar(insn);
  switch (insn.op) {
    case 0x12e:
    case 0x12f:
      return scalar ? undefined : compareFlags;
    case ADD:
    case MUL:
    case SUB:
    case DIV:
      return scalar ? scalarArithmetic : packedArithmetic;
    case SQRT:
      return scalar ? scalarRoot : packedRoot;
    case 0x15d:
    case 0x15f:
      return scalar ? scalarExtreme : packedExtreme;
    case 0x1c2:
      return compareMask;
    case 0x17c:
    case 0x17d:
      return insn.prefix === 0x66 || insn.prefix === 0xf2 ? needing(FEAT_SSE3, horizontal) : undefined;
    case 0x1d0:
      return insn.prefix === 0x66 || insn.prefix === 0xf2 ? needing(FEAT_SSE3, addSubtract) : undefined;
    case 0x308:
    case 0x309:
    case 0x30a:
    case 0x30b:
      return insn.prefix === 0x66 ? needing(FEAT_SSE41, rounding) : undefined;
  }
  return undefined;
}
