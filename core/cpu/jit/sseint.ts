/** Integer and bitwise instructions on XMM registers, SSE to SSE4.2 (SDM volume 2). Same results as core/cpu/interp/wasm/simd. */
import { FEAT_SSE41, FEAT_SSE42, FEAT_SSSE3 } from '../interp/wasm/features.ts';
import { FLAG_ARITH } from '../interp/wasm/jitoffsets.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { bytes, lanes, source128, sourceLow, type Translation, vectorTemp } from './sseoperand.ts';
import { I32, I64, OP, SIMD } from './wasmcode.ts';

/** Register = f(register, source), where `compute` finds both in the temporaries it is given and leaves the result on the stack. */
function binary(compute: (e: Emitter, a: number, b: number) => void): Translation {
  return (e, insn) => {
    const from = source128(e, insn);
    from();
    const b = vectorTemp(e);
    e.xmm(insn.reg);
    const a = vectorTemp(e);
    compute(e, a, b);
    e.setXmm(insn.reg);
  };
}
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
  [0x21c, binary((e, _a, b) => e.c.get(b).simd(SIMD.i8x16Abs))],
  [0x21d, binary((e, _a, b) => e.c.get(b).simd(SIMD.i16x8Abs))],
  [0x21e, binary((e, _a, b) => e.c.get(b).simd(SIMD.i32x4Abs))],
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
  if (size === 2 && insn.memory) return undefined;
  return (e) => {
    e.features |= 1 << FEAT_SSE41;
    sourceLow(e, insn, size === 4 ? 4 : 8)();
    e.c.simds(...steps);
    e.setXmm(insn.reg);
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

/** Count in the low quadword of the source. The host takes it modulo the lane. */
const shiftByRegister: Translation = (e, insn) => {
  const { c } = e;
  const [op, bits] = SHIFTS.get(insn.op)!;
  const count = e.temp(I64);
  source128(e, insn)();
  c.simd(SIMD.i64x2ExtractLane).byte(0).set(count);
  const most = () => c.i64(bits - 1);
  e.xmm(insn.reg);
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
  e.setXmm(insn.reg);
};

/** 71, 72, 73. */
function shiftByImmediate(insn: Insn): Translation | undefined {
  const kind = insn.reg & 7;
  const count = insn.imm & 0xff;
  if (insn.memory) return undefined;
  if (insn.op === 0x173 && (kind === 3 || kind === 7)) {
    const n = Math.min(count, 16);
    return (e) => {
      // Bytes of zeroes:register or register:zeroes.
      if (kind === 7) e.c.simd64(0n);
      e.xmm(insn.rm);
      if (kind === 3) e.c.simd64(0n);
      e.c.shuffle(bytes(kind === 3 ? n : 16 - n));
      e.setXmm(insn.rm);
    };
  }
  if ((kind !== 2 && kind !== 4 && kind !== 6) || (kind === 4 && insn.op === 0x173)) return undefined;
  const register = (kind === 2 ? 0x1d0 : kind === 4 ? 0x1e0 : 0x1f0) + insn.op - 0x170;
  const [op, bits] = SHIFTS.get(register)!;
  return (e) => {
    if (count >= bits && !arithmetic(register)) e.c.simd64(0n);
    else {
      e.xmm(insn.rm);
      e.c.i32(Math.min(count, bits - 1)).simd(op);
    }
    e.setXmm(insn.rm);
  };
}

/** Numbers 0..3 in the pairs of bits of an immediate. */
const quarters = (imm: number): [number, number, number, number] => [imm & 3, (imm >> 2) & 3, (imm >> 4) & 3, (imm >> 6) & 3];

/** PSHUFD, PSHUFHW, PSHUFLW. */
const shuffleWords: Translation = (e, insn) => {
  const order = quarters(insn.imm);
  const from = source128(e, insn);
  from();
  from();
  if (insn.prefix === 0x66) e.c.shuffle(lanes(4, ...order));
  else if (insn.prefix === 0xf3) e.c.shuffle([...bytes(0, 8), ...lanes(2, ...order.map((n) => n + 4))]);
  else e.c.shuffle([...lanes(2, ...order), ...bytes(8, 8)]);
  e.setXmm(insn.reg);
};
/** SHUFPS, SHUFPD. */
function shuffleFloats(insn: Insn): Translation {
  const [a, b, c, d] = quarters(insn.imm);
  return shuffled(insn.prefix ? lanes(8, insn.imm & 1, ((insn.imm >> 1) & 1) + 2) : lanes(4, a, b, c + 4, d + 4));
}

/** PINSRB, PINSRW, PINSRD, PINSRQ, and their opposites. */
const insert =
  (size: Width, op: number): Translation =>
  (e, insn) => {
    const value = e.temp(size === 8 ? I64 : I32);
    if (insn.memory) e.load(e.address(insn), size);
    else e.reg(insn.rm, size === 8 ? 8 : 4);
    e.c.set(value);
    e.xmm(insn.reg);
    e.c
      .get(value)
      .simd(op)
      .byte(insn.imm & (16 / size - 1));
    e.setXmm(insn.reg);
  };
const extract =
  (size: Width, op: number): Translation =>
  (e, insn) => {
    const value = e.temp(size === 8 ? I64 : I32);
    const ea = insn.memory ? e.address(insn) : -1;
    e.xmm(insn.reg);
    e.c
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
  e.xmm(insn.rm);
  e.c.simd(SIMD.i16x8ExtractLaneU).byte(insn.imm & 7);
  e.setReg(insn.reg, 4);
};

/** PALIGNR: bytes of register:source from `imm` on. */
function alignRight(insn: Insn): Translation {
  const n = insn.imm & 0xff;
  return (e) => {
    e.features |= 1 << FEAT_SSSE3;
    const from = source128(e, insn);
    if (n > 31) e.c.simd64(0n);
    else if (n > 16) {
      e.xmm(insn.reg);
      e.c.simd64(0n).shuffle(bytes(n - 16));
    } else {
      from();
      e.xmm(insn.reg);
      e.c.shuffle(bytes(n));
    }
    e.setXmm(insn.reg);
  };
}

/** Blends by immediate: lanes of `size` bytes. */
function blend(insn: Insn, size: 2 | 4 | 8): Translation {
  const order = Array.from({ length: 16 / size }, (_, i) => (insn.imm & (1 << i) ? 16 / size + i : i));
  return shuffled(lanes(size, ...order));
}
/** Blends by the top bits of XMM0. */
const blendVariable =
  (shift: number, bits: number): Translation =>
  (e, insn) => {
    const from = source128(e, insn);
    from();
    e.xmm(insn.reg);
    e.xmm(0);
    e.c.i32(bits).simds(shift, SIMD.bitselect);
    e.setXmm(insn.reg);
  };

/** PTEST: ZF when source & register is zero, CF when source & ~register is. */
const testBits: Translation = (e, insn) => {
  const { c } = e;
  const from = source128(e, insn);
  const flags = e.temp(I32);
  from();
  e.xmm(insn.reg);
  c.simds(SIMD.and, SIMD.anyTrue).op(OP.i32Eqz).i32(6).op(OP.i32Shl);
  from();
  e.xmm(insn.reg);
  c.simds(SIMD.andnot, SIMD.anyTrue).op(OP.i32Eqz, OP.i32Or).set(flags);
  e.setFlags32(FLAG_ARITH, 1, flags);
};

const needing =
  (feature: number, translation: Translation): Translation =>
  (e, insn) => {
    e.features |= 1 << feature;
    translation(e, insn);
  };

function map38(insn: Insn): Translation | undefined {
  const { op } = insn;
  const simple = BINARY_38.get(op);
  if (simple) return needing(feature38(op), simple);
  if ((op >= 0x220 && op <= 0x225) || (op >= 0x230 && op <= 0x235)) return widen(insn);
  switch (op) {
    case 0x210:
      return needing(FEAT_SSE41, blendVariable(SIMD.i8x16ShrS, 7));
    case 0x214:
      return needing(FEAT_SSE41, blendVariable(SIMD.i32x4ShrS, 31));
    case 0x215:
      return needing(FEAT_SSE41, blendVariable(SIMD.i64x2ShrS, 63));
    case 0x217:
      return needing(FEAT_SSE41, testBits);
  }
  return undefined;
}

function map3a(insn: Insn): Translation | undefined {
  const wide = insn.osize === 8;
  switch (insn.op) {
    case 0x30c:
      return needing(FEAT_SSE41, blend(insn, 4));
    case 0x30d:
      return needing(FEAT_SSE41, blend(insn, 8));
    case 0x30e:
      return needing(FEAT_SSE41, blend(insn, 2));
    case 0x30f:
      return alignRight(insn);
    case 0x314:
      return needing(FEAT_SSE41, extract(1, SIMD.i8x16ExtractLaneU));
    case 0x315:
      return needing(FEAT_SSE41, extract(2, SIMD.i16x8ExtractLaneU));
    case 0x316:
      return needing(FEAT_SSE41, wide ? extract(8, SIMD.i64x2ExtractLane) : extract(4, SIMD.i32x4ExtractLane));
    case 0x317:
      return needing(FEAT_SSE41, extract(4, SIMD.i32x4ExtractLane));
    case 0x320:
      return needing(FEAT_SSE41, insert(1, SIMD.i8x16ReplaceLane));
    case 0x322:
      return needing(FEAT_SSE41, wide ? insert(8, SIMD.i64x2ReplaceLane) : insert(4, SIMD.i32x4ReplaceLane));
  }
  return undefined;
}

export function integerVectorTranslation(insn: Insn): Translation | undefined {
  const { op, prefix } = insn;
  const packed = prefix === 0 || prefix === 0x66;
  if (op === 0x170) return prefix ? shuffleWords : undefined;
  if (op === 0x1c6) return packed ? shuffleFloats(insn) : undefined;
  if (op === 0x114) return packed ? shuffled(unpackLow(prefix ? 8 : 4)) : undefined;
  if (op === 0x115) return packed ? shuffled(unpackHigh(prefix ? 8 : 4)) : undefined;
  if (op >= 0x154 && op <= 0x157) return packed ? MAP_0F.get(op) : undefined;
  if (prefix !== 0x66) return undefined;
  if (op >= 0x300) return map3a(insn);
  if (op >= 0x200) return map38(insn);
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
