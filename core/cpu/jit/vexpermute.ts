/** VEX-encoded permutations and shifts by element (SDM volume 2): VPERMx, VPERMILPx, VPERM2x128, VINSERTx128, VEXTRACTx128, VPSxxVx. */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { binary, first, lanes, setHalves, setLow, source, source128, type Translation, unary, vectorTemp } from './sseoperand.ts';
import { I32, I64, OP, SIMD } from './wasmcode.ts';

/** Both halves of the result, made before either is set. */
function setBoth(e: Emitter, insn: Insn, compute: (half: number) => void): void {
  const made = [0, 1].map((half) => {
    compute(half);
    return vectorTemp(e);
  });
  setHalves(e, insn, (half) => e.c.get(made[half]!));
}

/** VPERMQ, VPERMPD: quadwords of the source by pairs of bits. */
const permuteQuads: Translation = (e, insn) => {
  const b = source(e, insn);
  const order = [0, 2, 4, 6].map((shift) => (insn.imm >> shift) & 3);
  setBoth(e, insn, (half) =>
    e.c
      .get(b[0]!)
      .get(b[1]!)
      .shuffle(lanes(8, order[half * 2]!, order[half * 2 + 1]!)),
  );
};

/** VPERM2F128, VPERM2I128: halves 0..1 of the first source, 2..3 of the second; bit 3 gives zero. */
const permuteHalves: Translation = (e, insn) => {
  const b = source(e, insn);
  setBoth(e, insn, (half) => {
    const select = (insn.imm >> (half * 4)) & 15;
    if (select & 8) e.c.simd64(0n);
    else e.c.get(select & 2 ? b[select & 1]! : first(e, insn, select & 1));
  });
};

/** VPERMD, VPERMPS: any of the eight doublewords of the source, by the low three bits of those of VEX.vvvv. */
const permuteDoublewords: Translation = (e, insn) => {
  const { c } = e;
  const b = source(e, insn);
  setBoth(e, insn, (half) => {
    // Byte numbers 0..31: four times the index in each byte, plus 0..3. Out of a vector's range a swizzle gives zero.
    const index = first(e, insn, half);
    c.get(index).get(index).shuffle([0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]);
    c.simd64(0x0707_0707_0707_0707n).simd(SIMD.and).i32(2).simd(SIMD.i32x4Shl).simd64(0x0302_0100_0302_0100n).simd(SIMD.or);
    const at = vectorTemp(e);
    c.get(b[0]!).get(at).simd(SIMD.swizzle);
    c.get(b[1]!).get(at).simd64(0x1010_1010_1010_1010n).simds(SIMD.i8x16Sub, SIMD.swizzle, SIMD.or);
  });
};

/** VPERMILPS by register: elements of the same half, by two bits. */
const permuteSingles = binary((e, a, b) => {
  e.c
    .get(a)
    .get(b)
    .get(b)
    .shuffle([0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12])
    .simd64(0x0303_0303_0303_0303n)
    .simd(SIMD.and)
    .i32(2)
    .simd(SIMD.i32x4Shl)
    .simd64(0x0302_0100_0302_0100n)
    .simds(SIMD.or, SIMD.swizzle);
});
/** VPERMILPD by register: by bit 1. */
const permuteDoubles = binary((e, a, b) => {
  e.c
    .get(a)
    .get(b)
    .get(b)
    .shuffle([0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8])
    .simd64(0x0202_0202_0202_0202n)
    .simd(SIMD.and)
    .i32(2)
    .simd(SIMD.i32x4Shl)
    .simd64(0x0706_0504_0302_0100n)
    .simds(SIMD.or, SIMD.swizzle);
});

/** VPERMILPS, VPERMILPD by immediate: two bits an element, the same for both halves; or one bit, four in all. */
function permuteByImmediate(insn: Insn): Translation {
  const { imm } = insn;
  if (insn.op === 0x304) {
    const order = lanes(4, imm & 3, (imm >> 2) & 3, (imm >> 4) & 3, (imm >> 6) & 3);
    return unary((e, b) => e.c.get(b).get(b).shuffle(order));
  }
  return (e, i) => {
    const b = source(e, i);
    setHalves(e, i, (half) => {
      const bits = imm >> (half * 2);
      e.c
        .get(b[half]!)
        .get(b[half]!)
        .shuffle(lanes(8, bits & 1, (bits >> 1) & 1));
    });
  };
}

const insertHalf: Translation = (e, insn) => {
  const b = source128(e, insn);
  setBoth(e, insn, (half) => e.c.get(half === (insn.imm & 1) ? b : first(e, insn, half)));
};
const extractHalf: Translation = (e, insn) => {
  const from = e.vectorLocal(insn.reg, insn.imm & 1);
  if (insn.memory) e.storeV(e.address(insn), from);
  else {
    e.c.get(from);
    setLow(e, insn, insn.rm);
  }
};

/** VPSRLVx (45), VPSRAVD (46), VPSLLVx (47): a count of its own for each element. The host has none, so one after the other. */
function shiftVariable(insn: Insn): Translation {
  const quad = insn.w;
  const bits = quad ? 64 : 32;
  const left = insn.op === 0x247;
  const arithmetic = insn.op === 0x246;
  return (e, i) => {
    const { c } = e;
    const b = source(e, i);
    const count = e.temp(quad ? I64 : I32);
    const most = () => (quad ? c.i64(63) : c.i32(31));
    const element = (from: number, n: number) =>
      c
        .get(from)
        .simd(quad ? SIMD.i64x2ExtractLane : SIMD.i32x4ExtractLane)
        .byte(n);
    setHalves(e, i, (half) => {
      const a = first(e, i, half);
      c.simd64(0n);
      for (let n = 0; n < 128 / bits; n++) {
        element(b[half]!, n);
        c.set(count);
        element(a, n);
        if (arithmetic) {
          c.get(count);
          most();
          c.get(count);
          most();
          c.op(OP.i32LtU, OP.select, OP.i32ShrS);
        } else {
          c.get(count).op(left ? (quad ? OP.i64Shl : OP.i32Shl) : quad ? OP.i64ShrU : OP.i32ShrU);
          if (quad) c.i64(0);
          else c.i32(0);
          c.get(count);
          most();
          c.op(quad ? OP.i64LeU : OP.i32LeU, OP.select);
        }
        c.simd(quad ? SIMD.i64x2ReplaceLane : SIMD.i32x4ReplaceLane).byte(n);
      }
    });
  };
}

/** Of an instruction whose operands the table allows; opcodes without VEX_OP. */
export function permuteVexTranslation(insn: Insn): Translation | undefined {
  switch (insn.op) {
    case 0x20c:
      return permuteSingles;
    case 0x20d:
      return permuteDoubles;
    case 0x216:
    case 0x236:
      return permuteDoublewords;
    case 0x245:
    case 0x246:
    case 0x247:
      return shiftVariable(insn);
    case 0x300:
    case 0x301:
      return permuteQuads;
    case 0x304:
    case 0x305:
      return permuteByImmediate(insn);
    case 0x306:
    case 0x346:
      return permuteHalves;
    case 0x318:
    case 0x338:
      return insertHalf;
    case 0x319:
    case 0x339:
      return extractHalf;
  }
  return undefined;
}
