/** Integer and bitwise instructions on XMM registers, SSE to SSE4.2 (SDM volume 2). Same results as core/cpu/interp/wasm/simd. */
import { FEAT_SSE41, FEAT_SSE42, FEAT_SSSE3 } from '../interp/wasm/features.ts';
import { FLAG_ARITH } from '../interp/wasm/jitoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import {
  binary,
  bytes,
  first,
  halvesOf,
  lanes,
  needing,
  setHalves,
  setLow,
  source,
  source128,
  sourceLow,
  type Translation,
  unary,
  vectorTemp,
} from './sseoperand.ts';
import { I32, I64, OP, SIMD } from './wasmcode.ts';

/** The host has the instruction, possibly with its operands the other way round. */
const direct = (op: number): Translation => binary((e, a, b) => e.c.get(a).get(b).simd(op));
const reversed = (op: number): Translation => binary((e, a, b) => e.c.get(b).get(a).simd(op));
const shuffled = (order: number[]): Translation => binary((e, a, b) => e.c.get(a).get(b).shuffle(order));
/** `op` on the even and the odd lanes of both. */
const horizontal = (size: 2 | 4, op: number): Translation =>
  binary((e, a, b) => {
    const even = Array.from({ length: 16 / size }, (_, i) => i * 2);
    const odd = even.map((n) => n + 1);
    e.c
      .get(a)
      .get(b)
      .shuffle(lanes(size, ...even));
    e.c
      .get(a)
      .get(b)
      .shuffle(lanes(size, ...odd))
      .simd(op);
  });
/** Upper halves of the products of words, found in two vectors of doublewords. */
const multiplyHigh = (low: number, high: number): Translation =>
  binary((e, a, b) => {
    e.c.get(a).get(b).simd(low).get(a).get(b).simd(high);
    e.c.shuffle(lanes(2, 1, 3, 5, 7, 9, 11, 13, 15));
  });
/** Products of the even doublewords. */
const multiplyEven = (op: number): Translation =>
  binary((e, a, b) => {
    for (const v of [a, b])
      e.c
        .get(v)
        .get(v)
        .shuffle(lanes(4, 0, 2, 0, 2));
    e.c.simd(op);
  });
/** PSADBW. */
const sumDifferences = binary((e, a, b) => {
  e.c.get(a).get(b).simd(SIMD.i8x16MaxU).get(a).get(b).simds(SIMD.i8x16MinU, SIMD.i8x16Sub);
  e.c.simds(SIMD.i16x8ExtaddPairwiseI8x16U, SIMD.i32x4ExtaddPairwiseI16x8U);
  const sums = vectorTemp(e);
  e.c.get(sums).get(sums).i32(32).simds(SIMD.i64x2ShrU, SIMD.i64x2Add).simd64(0xffffn).simd(SIMD.and);
});
/** PSIGNx: negated, kept or zeroed. */
const sign = (neg: number, shift: number, bits: number, equal: number): Translation =>
  binary((e, a, b) => {
    e.c.get(a).simd(neg).get(a).get(b).i32(bits).simd(shift).simd(SIMD.bitselect);
    e.c.get(b).simd64(0n).simd(equal).simd(SIMD.andnot);
  });
/** PMADDUBSW: unsigned bytes of the register times signed bytes of the source. */
const multiplyAddBytes = binary((e, a, b) => {
  e.c.get(a).simd(SIMD.i16x8ExtendLowI8x16U).get(b).simds(SIMD.i16x8ExtendLowI8x16S, SIMD.i16x8Mul);
  const low = vectorTemp(e);
  e.c.get(a).simd(SIMD.i16x8ExtendHighI8x16U).get(b).simds(SIMD.i16x8ExtendHighI8x16S, SIMD.i16x8Mul);
  const high = vectorTemp(e);
  for (const odd of [0, 1])
    e.c
      .get(low)
      .get(high)
      .shuffle(lanes(2, ...[0, 2, 4, 6, 8, 10, 12, 14].map((n) => n + odd)));
  e.c.simd(SIMD.i16x8AddSatS);
});
/** PMULHRSW: -1 * -1 stays 8000h, where the host's instruction saturates. */
const multiplyRound = binary((e, a, b) => {
  const least = 0x8000_8000_8000_8000n;
  e.c.get(a).get(b).simd(SIMD.i16x8Q15MulrSatS);
  e.c.get(a).simd64(least).simd(SIMD.i16x8Eq).get(b).simd64(least).simd(SIMD.i16x8Eq).simds(SIMD.and, SIMD.xor);
});
const shuffleBytes = binary((e, a, b) => {
  // A selector above 15 gives zero on the host, one with bit 7 here.
  e.c.get(a).get(b).simd64(0x8f8f_8f8f_8f8f_8f8fn).simds(SIMD.and, SIMD.swizzle);
});

const unpackLow = (size: number): number[] =>
  Array.from({ length: 8 / size }, (_, i) => [...bytes(i * size, size), ...bytes(16 + i * size, size)]).flat();
const unpackHigh = (size: number): number[] => unpackLow(size).map((n) => n + 8);

/** 66 0F map, by opcode. */
const MAP_0F = new Map<number, Translation>([
  [0x154, direct(SIMD.and)],
  [0x155, reversed(SIMD.andnot)],
  [0x156, direct(SIMD.or)],
  [0x157, direct(SIMD.xor)],
  [0x160, shuffled(unpackLow(1))],
  [0x161, shuffled(unpackLow(2))],
  [0x162, shuffled(unpackLow(4))],
  [0x16c, shuffled(unpackLow(8))],
  [0x168, shuffled(unpackHigh(1))],
  [0x169, shuffled(unpackHigh(2))],
  [0x16a, shuffled(unpackHigh(4))],
  [0x16d, shuffled(unpackHigh(8))],
  [0x163, direct(SIMD.i8x16NarrowI16x8S)],
  [0x167, direct(SIMD.i8x16NarrowI16x8U)],
  [0x16b, direct(SIMD.i16x8NarrowI32x4S)],
  [0x164, direct(SIMD.i8x16GtS)],
  [0x165, direct(SIMD.i16x8GtS)],
  [0x166, direct(SIMD.i32x4GtS)],
  [0x174, direct(SIMD.i8x16Eq)],
  [0x175, direct(SIMD.i16x8Eq)],
  [0x176, direct(SIMD.i32x4Eq)],
  [0x1d4, direct(SIMD.i64x2Add)],
  [0x1d5, direct(SIMD.i16x8Mul)],
  [0x1d8, direct(SIMD.i8x16SubSatU)],
  [0x1d9, direct(SIMD.i16x8SubSatU)],
  [0x1da, direct(SIMD.i8x16MinU)],
  [0x1db, direct(SIMD.and)],
  [0x1dc, direct(SIMD.i8x16AddSatU)],
  [0x1dd, direct(SIMD.i16x8AddSatU)],
  [0x1de, direct(SIMD.i8x16MaxU)],
  [0x1df, reversed(SIMD.andnot)],
  [0x1e0, direct(SIMD.i8x16AvgrU)],
  [0x1e3, direct(SIMD.i16x8AvgrU)],
  [0x1e4, multiplyHigh(SIMD.i32x4ExtmulLowI16x8U, SIMD.i32x4ExtmulHighI16x8U)],
  [0x1e5, multiplyHigh(SIMD.i32x4ExtmulLowI16x8S, SIMD.i32x4ExtmulHighI16x8S)],
  [0x1e8, direct(SIMD.i8x16SubSatS)],
  [0x1e9, direct(SIMD.i16x8SubSatS)],
  [0x1ea, direct(SIMD.i16x8MinS)],
  [0x1eb, direct(SIMD.or)],
  [0x1ec, direct(SIMD.i8x16AddSatS)],
  [0x1ed, direct(SIMD.i16x8AddSatS)],
  [0x1ee, direct(SIMD.i16x8MaxS)],
  [0x1ef, direct(SIMD.xor)],
  [0x1f4, multiplyEven(SIMD.i64x2ExtmulLowI32x4U)],
  [0x1f5, direct(SIMD.i32x4DotI16x8S)],
  [0x1f6, sumDifferences],
  [0x1f8, direct(SIMD.i8x16Sub)],
  [0x1f9, direct(SIMD.i16x8Sub)],
  [0x1fa, direct(SIMD.i32x4Sub)],
  [0x1fb, direct(SIMD.i64x2Sub)],
  [0x1fc, direct(SIMD.i8x16Add)],
  [0x1fd, direct(SIMD.i16x8Add)],
  [0x1fe, direct(SIMD.i32x4Add)],
]);

const BINARY_38 = new Map<number, Translation>([
  [0x200, shuffleBytes],
  [0x201, horizontal(2, SIMD.i16x8Add)],
  [0x202, horizontal(4, SIMD.i32x4Add)],
  [0x203, horizontal(2, SIMD.i16x8AddSatS)],
  [0x204, multiplyAddBytes],
  [0x205, horizontal(2, SIMD.i16x8Sub)],
  [0x206, horizontal(4, SIMD.i32x4Sub)],
  [0x207, horizontal(2, SIMD.i16x8SubSatS)],
  [0x208, sign(SIMD.i8x16Neg, SIMD.i8x16ShrS, 7, SIMD.i8x16Eq)],
  [0x209, sign(SIMD.i16x8Neg, SIMD.i16x8ShrS, 15, SIMD.i16x8Eq)],
  [0x20a, sign(SIMD.i32x4Neg, SIMD.i32x4ShrS, 31, SIMD.i32x4Eq)],
  [0x20b, multiplyRound],
  [0x21c, unary((e, b) => e.c.get(b).simd(SIMD.i8x16Abs))],
  [0x21d, unary((e, b) => e.c.get(b).simd(SIMD.i16x8Abs))],
  [0x21e, unary((e, b) => e.c.get(b).simd(SIMD.i32x4Abs))],
  [0x228, multiplyEven(SIMD.i64x2ExtmulLowI32x4S)],
  [0x229, direct(SIMD.i64x2Eq)],
  [0x22b, direct(SIMD.i16x8NarrowI32x4U)],
  [0x237, direct(SIMD.i64x2GtS)],
  [0x238, direct(SIMD.i8x16MinS)],
  [0x239, direct(SIMD.i32x4MinS)],
  [0x23a, direct(SIMD.i16x8MinU)],
  [0x23b, direct(SIMD.i32x4MinU)],
  [0x23c, direct(SIMD.i8x16MaxS)],
  [0x23d, direct(SIMD.i32x4MaxS)],
  [0x23e, direct(SIMD.i16x8MaxU)],
  [0x23f, direct(SIMD.i32x4MaxU)],
  [0x240, direct(SIMD.i32x4Mul)],
]);

const feature38 = (op: number): number => (op <= 0x21e ? FEAT_SSSE3 : op === 0x237 ? FEAT_SSE42 : FEAT_SSE41);

/** PMOVSX and PMOVZX: bytes of the source and the steps of extension, by opcode and 15. */
const WIDENING: [size: 4 | 8 | 2, steps: number[]][] = [];
for (const signed of [true, false]) {
  const steps = signed
    ? [SIMD.i16x8ExtendLowI8x16S, SIMD.i32x4ExtendLowI16x8S, SIMD.i64x2ExtendLowI32x4S]
    : [SIMD.i16x8ExtendLowI8x16U, SIMD.i32x4ExtendLowI16x8U, SIMD.i64x2ExtendLowI32x4U];
  const base = signed ? 0 : 6;
  WIDENING[base] = [8, steps.slice(0, 1)];
  WIDENING[base + 1] = [4, steps.slice(0, 2)];
  WIDENING[base + 2] = [2, steps];
  WIDENING[base + 3] = [8, steps.slice(1, 2)];
  WIDENING[base + 4] = [4, steps.slice(1)];
  WIDENING[base + 5] = [8, steps.slice(2)];
}
function widen(insn: Insn): Translation | undefined {
  const kind = WIDENING[(insn.op & 7) + (insn.op >= 0x230 ? 6 : 0)];
  if (!kind || (insn.op & 15) > 5) return undefined;
  const [size, steps] = kind;
  return (e) => {
    const { c } = e;
    const step = insn.wide ? size * 2 : size;
    let from: number;
    if (step === 16) from = source128(e, insn);
    else if (step > 2) from = sourceLow(e, insn, step === 4 ? 4 : 8);
    else if (insn.memory) {
      e.load(e.address(insn), 2);
      c.simd(SIMD.i16x8Splat);
      from = vectorTemp(e);
    } else from = e.vectorLocal(insn.rm, 0);
    if (insn.wide && !insn.memory) {
      // It may be the destination.
      c.get(from);
      from = vectorTemp(e);
    }
    setHalves(e, insn, (half) => {
      c.get(from);
      if (half) c.get(from).shuffle(bytes(size));
      c.simds(...steps);
    });
  };
}

/** Shifts: instruction, bits of a lane. */
const SHIFTS = new Map<number, [op: number, bits: number]>([
  [0x1d1, [SIMD.i16x8ShrU, 16]],
  [0x1d2, [SIMD.i32x4ShrU, 32]],
  [0x1d3, [SIMD.i64x2ShrU, 64]],
  [0x1e1, [SIMD.i16x8ShrS, 16]],
  [0x1e2, [SIMD.i32x4ShrS, 32]],
  [0x1f1, [SIMD.i16x8Shl, 16]],
  [0x1f2, [SIMD.i32x4Shl, 32]],
  [0x1f3, [SIMD.i64x2Shl, 64]],
]);
const arithmetic = (op: number): boolean => op === 0x1e1 || op === 0x1e2;

/** Count in the low quadword of the source, for both halves. The host takes it modulo the lane. */
const shiftByRegister: Translation = (e, insn) => {
  const { c } = e;
  const [op, bits] = SHIFTS.get(insn.op)!;
  const count = e.temp(I64);
  c.get(source128(e, insn)).simd(SIMD.i64x2ExtractLane).byte(0).set(count);
  const most = () => c.i64(bits - 1);
  setHalves(e, insn, (half) => {
    c.get(first(e, insn, half));
    if (arithmetic(insn.op)) {
      c.get(count);
      most();
      c.get(count);
      most();
      c.op(OP.i64LtU, OP.select, OP.i32WrapI64).simd(op);
    } else {
      c.get(count).op(OP.i32WrapI64).simd(op);
      c.i32(0).get(count);
      most();
      c.op(OP.i64LeU, OP.i32Sub).simds(SIMD.i32x4Splat, SIMD.and);
    }
  });
};

/** 71, 72, 73. The destination is the register shifted, or that of VEX.vvvv. */
function shiftByImmediate(insn: Insn): Translation | undefined {
  const kind = insn.reg & 7;
  const count = insn.imm & 0xff;
  if (insn.memory) return undefined;
  const shifted = (compute: (e: Emitter, from: number) => void): Translation => {
    return (e) => setHalves(e, insn, (half) => compute(e, e.vectorLocal(insn.rm, half)), insn.vex ? insn.vvvv : insn.rm);
  };
  if (insn.op === 0x173 && (kind === 3 || kind === 7)) {
    const n = Math.min(count, 16);
    return shifted((e, from) => {
      // Bytes of zeroes:register or register:zeroes.
      if (kind === 7) e.c.simd64(0n);
      e.c.get(from);
      if (kind === 3) e.c.simd64(0n);
      e.c.shuffle(bytes(kind === 3 ? n : 16 - n));
    });
  }
  if ((kind !== 2 && kind !== 4 && kind !== 6) || (kind === 4 && insn.op === 0x173)) return undefined;
  const register = (kind === 2 ? 0x1d0 : kind === 4 ? 0x1e0 : 0x1f0) + insn.op - 0x170;
  const [op, bits] = SHIFTS.get(register)!;
  return shifted((e, from) => {
    if (count >= bits && !arithmetic(register)) e.c.simd64(0n);
    else
      e.c
        .get(from)
        .i32(Math.min(count, bits - 1))
        .simd(op);
  });
}

/** Numbers 0..3 in the pairs of bits of an immediate. */
const quarters = (imm: number): [number, number, number, number] => [imm & 3, (imm >> 2) & 3, (imm >> 4) & 3, (imm >> 6) & 3];

/** PSHUFD, PSHUFHW, PSHUFLW. */
function shuffleWords(insn: Insn): Translation {
  const order = quarters(insn.imm);
  const shuffle =
    insn.prefix === 0x66
      ? lanes(4, ...order)
      : insn.prefix === 0xf3
        ? [...bytes(0, 8), ...lanes(2, ...order.map((n) => n + 4))]
        : [...lanes(2, ...order), ...bytes(8, 8)];
  return unary((e, b) => e.c.get(b).get(b).shuffle(shuffle));
}
/** A shuffle of its own for each half. */
function shuffledHalves(order: (half: number) => number[]): Translation {
  return (e, insn) => {
    const b = source(e, insn);
    setHalves(e, insn, (half) =>
      e.c
        .get(first(e, insn, half))
        .get(b[half]!)
        .shuffle(order(half)),
    );
  };
}
/** SHUFPS; SHUFPD, which has two bits of the immediate for each half. */
function shuffleFloats(insn: Insn): Translation {
  const [a, b, c, d] = quarters(insn.imm);
  if (!insn.prefix) return shuffled(lanes(4, a, b, c + 4, d + 4));
  return shuffledHalves((half) => {
    const bits = insn.imm >> (half * 2);
    return lanes(8, bits & 1, ((bits >> 1) & 1) + 2);
  });
}

/** PINSRB, PINSRW, PINSRD, PINSRQ, and their opposites. */
const insert =
  (size: Width, op: number): Translation =>
  (e, insn) => {
    const value = e.temp(size === 8 ? I64 : I32);
    if (insn.memory) e.load(e.address(insn), size);
    else e.reg(insn.rm, size === 8 ? 8 : 4);
    e.c.set(value);
    e.c
      .get(first(e, insn))
      .get(value)
      .simd(op)
      .byte(insn.imm & (16 / size - 1));
    setLow(e, insn);
  };
const extract =
  (size: Width, op: number): Translation =>
  (e, insn) => {
    const value = e.temp(size === 8 ? I64 : I32);
    const ea = insn.memory ? e.address(insn) : -1;
    e.c
      .get(e.vectorLocal(insn.reg, 0))
      .simd(op)
      .byte(insn.imm & (16 / size - 1))
      .set(value);
    if (insn.memory) e.store(ea, size, value);
    else {
      e.c.get(value);
      e.setReg(insn.rm, size === 8 ? 8 : 4);
    }
  };
/** PEXTRW r, xmm, imm8. */
const extractWord: Translation = (e, insn) => {
  e.c
    .get(e.vectorLocal(insn.rm, 0))
    .simd(SIMD.i16x8ExtractLaneU)
    .byte(insn.imm & 7);
  e.setReg(insn.reg, 4);
};
/** INSERTPS: an element of the source to any place, then zeroes by the low bits of the immediate. */
const insertSingle: Translation = (e, insn) => {
  const { c } = e;
  const from = sourceLow(e, insn, 4);
  const to = (insn.imm >> 4) & 3;
  const element = insn.memory ? 0 : (insn.imm >> 6) & 3;
  c.get(first(e, insn))
    .get(from)
    .shuffle(lanes(4, ...[0, 1, 2, 3].map((n) => (n === to ? 4 + element : n))));
  if (insn.imm & 15) c.simd64(0n).shuffle(lanes(4, ...[0, 1, 2, 3].map((n) => (insn.imm & (1 << n) ? 4 : n))));
  setLow(e, insn);
};

/** PALIGNR: bytes of first source:source from `imm` on. */
function alignRight(insn: Insn): Translation {
  const n = insn.imm & 0xff;
  return binary((e, a, b) => {
    if (n > 31) e.c.simd64(0n);
    else if (n > 16)
      e.c
        .get(a)
        .simd64(0n)
        .shuffle(bytes(n - 16));
    else e.c.get(b).get(a).shuffle(bytes(n));
  });
}

/** Blends by immediate: lanes of `size` bytes, a bit each; PBLENDW has the same eight for both halves. */
export function blend(insn: Insn, size: 2 | 4 | 8): Translation {
  const count = 16 / size;
  return shuffledHalves((half) => {
    const bits = size === 2 ? insn.imm : insn.imm >> (half * count);
    return lanes(size, ...Array.from({ length: count }, (_, i) => (bits & (1 << i) ? count + i : i)));
  });
}
/** Blends by the top bits of XMM0, or with VEX of the register in the immediate. */
const blendVariable =
  (shift: number, bits: number): Translation =>
  (e, insn) => {
    const b = source(e, insn);
    const mask = insn.vex ? (insn.imm >> 4) & (e.mode === 64 ? 15 : 7) : 0;
    setHalves(e, insn, (half) => {
      e.c
        .get(b[half]!)
        .get(first(e, insn, half))
        .get(e.vectorLocal(mask, half));
      e.c.i32(bits).simds(shift, SIMD.bitselect);
    });
  };

/**
 * PTEST: ZF when source & register is zero, CF when source & ~register is. VTESTPS and VTESTPD look at sign bits (`mask`) only.
 */
const testBits =
  (mask = -1n): Translation =>
  (e, insn) => {
    const { c } = e;
    const b = source(e, insn);
    const flags = e.temp(I32);
    const any = (op: number) => {
      for (const half of halvesOf(insn)) {
        c.get(b[half]!).get(e.vectorLocal(insn.reg, half)).simd(op);
        if (half) c.simd(SIMD.or);
      }
      if (mask !== -1n) c.simd64(mask).simd(SIMD.and);
      c.simd(SIMD.anyTrue).op(OP.i32Eqz);
    };
    any(SIMD.and);
    c.i32(6).op(OP.i32Shl);
    any(SIMD.andnot);
    c.op(OP.i32Or).set(flags);
    e.setFlags32(FLAG_ARITH, 1, flags);
  };

function map38(insn: Insn): Translation | undefined {
  const { op } = insn;
  const simple = BINARY_38.get(op);
  if (simple) return needing(feature38(op), simple);
  if ((op >= 0x220 && op <= 0x225) || (op >= 0x230 && op <= 0x235)) {
    const extend = widen(insn);
    return extend && needing(FEAT_SSE41, extend);
  }
  switch (op) {
    case 0x210:
      return needing(FEAT_SSE41, BLEND_BYTES);
    case 0x214:
      return needing(FEAT_SSE41, BLEND_SINGLES);
    case 0x215:
      return needing(FEAT_SSE41, BLEND_DOUBLES);
    case 0x217:
      return needing(FEAT_SSE41, testBits());
  }
  return undefined;
}
const BLEND_BYTES = blendVariable(SIMD.i8x16ShrS, 7);
const BLEND_SINGLES = blendVariable(SIMD.i32x4ShrS, 31);
const BLEND_DOUBLES = blendVariable(SIMD.i64x2ShrS, 63);

function map3a(insn: Insn): Translation | undefined {
  const wide = insn.osize === 8;
  switch (insn.op) {
    case 0x30c:
      return blend(insn, 4);
    case 0x30d:
      return blend(insn, 8);
    case 0x30e:
      return blend(insn, 2);
    case 0x30f:
      return alignRight(insn);
    case 0x314:
      return extract(1, SIMD.i8x16ExtractLaneU);
    case 0x315:
      return extract(2, SIMD.i16x8ExtractLaneU);
    case 0x316:
      return wide ? extract(8, SIMD.i64x2ExtractLane) : extract(4, SIMD.i32x4ExtractLane);
    case 0x317:
      return extract(4, SIMD.i32x4ExtractLane);
    case 0x320:
      return insert(1, SIMD.i8x16ReplaceLane);
    case 0x321:
      return insertSingle;
    case 0x322:
      return wide ? insert(8, SIMD.i64x2ReplaceLane) : insert(4, SIMD.i32x4ReplaceLane);
  }
  return undefined;
}

function map0f(insn: Insn): Translation | undefined {
  const { op, prefix } = insn;
  const packed = prefix === 0 || prefix === 0x66;
  if (op === 0x170) return prefix ? shuffleWords(insn) : undefined;
  if (op === 0x1c6) return packed ? shuffleFloats(insn) : undefined;
  if (op === 0x114) return packed ? shuffled(unpackLow(prefix ? 8 : 4)) : undefined;
  if (op === 0x115) return packed ? shuffled(unpackHigh(prefix ? 8 : 4)) : undefined;
  if (op >= 0x154 && op <= 0x157) return packed ? MAP_0F.get(op) : undefined;
  if (prefix !== 0x66) return undefined;
  if (SHIFTS.has(op)) return shiftByRegister;
  switch (op) {
    case 0x171:
    case 0x172:
    case 0x173:
      return shiftByImmediate(insn);
    case 0x1c4:
      return insert(2, SIMD.i16x8ReplaceLane);
    case 0x1c5:
      return insn.memory ? undefined : extractWord;
  }
  return MAP_0F.get(op);
}

/** Legacy encodings. */
export function integerVectorTranslation(insn: Insn): Translation | undefined {
  if (insn.op < 0x200) return map0f(insn);
  if (insn.prefix !== 0x66) return undefined;
  if (insn.op < 0x300) return map38(insn);
  const own = map3a(insn);
  return own && needing(insn.op === 0x30f ? FEAT_SSSE3 : FEAT_SSE41, own);
}

/** The same of a VEX-encoded instruction, its opcode without VEX_OP. It has been looked up in the table, with what it depends on. */
export function integerVexTranslation(insn: Insn): Translation | undefined {
  const { op } = insn;
  if (op < 0x200) return map0f(insn);
  if (op >= 0x300) {
    switch (op) {
      case 0x302:
        return blend(insn, 4);
      case 0x34a:
        return BLEND_SINGLES;
      case 0x34b:
        return BLEND_DOUBLES;
      case 0x34c:
        return BLEND_BYTES;
    }
    return map3a(insn);
  }
  if ((op >= 0x220 && op <= 0x225) || (op >= 0x230 && op <= 0x235)) return widen(insn);
  switch (op) {
    case 0x20e:
      return testBits(0x8000_0000_8000_0000n);
    case 0x20f:
      return testBits(0x8000_0000_0000_0000n);
    case 0x217:
      return testBits();
  }
  return BINARY_38.get(op);
}
