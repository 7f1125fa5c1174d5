/**
 * Conversions between integers, singles and doubles (SDM volume 2, CVT*), where the host's give the same and leave MXCSR alone; everything else
 * is the interpreter's. Emitter.floatAllowed() means that an inexact result changes nothing.
 */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { first, halvesOf, setHalves, setLow, source, source128, sourceLow, type Translation, vectorTemp, either } from './sseoperand.ts';
import { F64, I32, I64, OP, SIMD } from './wasmcode.ts';

/** Bit patterns of doubles. */
const POWER_31 = 0x41e0_0000_0000_0000n;
const POWER_63 = 0x43e0_0000_0000_0000n;
/** Splats of singles: smallest normal number, largest finite one, 2^31. */
const LEAST = 0x0080_0000_0080_0000n;
const MOST = 0x7f7f_ffff_7f7f_ffffn;
const SINGLES_31 = 0x4f00_0000_4f00_0000n;

/** CVTSI2SS, CVTSI2SD. Memory is read only after the choice, so that it is read once. */
const fromInteger: Translation = (e, insn) => {
  const { c } = e;
  const double = insn.prefix === 0xf2;
  const width = insn.osize === 8 ? 8 : 4;
  const quick = () => {
    const value = e.temp(width === 8 ? I64 : I32);
    if (insn.memory) e.load(e.address(insn), width);
    else e.reg(insn.rm, width);
    c.set(value).get(first(e, insn)).get(value);
    if (double) c.op(width === 8 ? OP.f64ConvertI64S : OP.f64ConvertI32S).simd(SIMD.f64x2ReplaceLane);
    else c.op(width === 8 ? OP.f32ConvertI64S : OP.f32ConvertI32S).simd(SIMD.f32x4ReplaceLane);
    c.byte(0);
    setLow(e, insn);
  };
  // A doubleword always fits a double.
  if (double && width === 4) quick();
  else {
    e.floatAllowed();
    either(e, quick, () => e.interpretVector());
  }
};

/** CVTTSS2SI, CVTTSD2SI (2C), CVTSS2SI, CVTSD2SI (2D). */
const toInteger: Translation = (e, insn) => {
  const { c } = e;
  const double = insn.prefix === 0xf2;
  const wide = insn.osize === 8;
  const x = e.temp(F64);
  const whole = e.temp(F64);
  c.get(sourceLow(e, insn, double ? 8 : 4, true))
    .simd(double ? SIMD.f64x2ExtractLane : SIMD.f32x4ExtractLane)
    .byte(0);
  if (!double) c.op(OP.f64PromoteF32);
  c.tee(x)
    .op(insn.op === 0x12c ? OP.f64Trunc : OP.f64Nearest)
    .set(whole);
  e.floatAllowed();
  if (insn.op === 0x12c) c.get(x).get(whole).op(OP.f64Eq, OP.i32Or);
  // -2^31 up to below 2^31, or the same of 63; no NaN is.
  const limit = wide ? POWER_63 : POWER_31;
  c.get(whole)
    .i64(BigInt.asIntN(64, limit | (1n << 63n)))
    .op(OP.f64ReinterpretI64, OP.f64Ge, OP.i32And);
  c.get(whole).i64(limit).op(OP.f64ReinterpretI64, OP.f64Lt, OP.i32And);
  either(
    e,
    () => {
      c.get(whole).op(wide ? OP.i64TruncF64S : OP.i32TruncF64S);
      e.setReg(insn.reg, wide ? 8 : 4);
    },
    () => e.interpretVector({ writes: 1 << insn.reg }),
  );
};

/** Mask of the singles that are zero or normal. */
function ordinarySingles(e: Emitter, v: number): void {
  const { c } = e;
  c.get(v).simd(SIMD.f32x4Abs).simd64(LEAST).simd(SIMD.f32x4Ge);
  c.get(v).simd64(0n).simds(SIMD.f32x4Eq, SIMD.or);
  c.get(v).simd(SIMD.f32x4Abs).simd64(MOST).simds(SIMD.f32x4Le, SIMD.and);
}

/** A temporary with the low 4 or 8 bytes of `from`, zero otherwise. */
function lowOnly(e: Emitter, from: number, width: 4 | 8): number {
  e.c.simd64(0n).get(from);
  if (width === 4) e.c.simd(SIMD.i32x4ExtractLane).byte(0).simd(SIMD.i32x4ReplaceLane).byte(0);
  else e.c.simd(SIMD.i64x2ExtractLane).byte(0).simd(SIMD.i64x2ReplaceLane).byte(0);
  return vectorTemp(e);
}
/** Locals of two halves from the low and the high quadword of a 128-bit source; of one half without VEX.L. */
function spread(e: Emitter, insn: Insn, once = false): number[] {
  if (!insn.wide) return [sourceLow(e, insn, 8, once)];
  const from = source128(e, insn, once);
  e.c.get(from);
  const low = vectorTemp(e);
  e.c.get(from).get(from).shuffle(HIGH_QUAD);
  return [low, vectorTemp(e)];
}
const HIGH_QUAD = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
/** Low quadwords of two vectors. */
const LOW_QUADS = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

/** CVTSS2SD, CVTPS2PD: every ordinary single is a double. */
const widen: Translation = (e, insn) => {
  const { c } = e;
  if (insn.prefix === 0xf3) {
    const v = lowOnly(e, sourceLow(e, insn, 4, true), 4);
    ordinarySingles(e, v);
    c.simd(SIMD.i32x4AllTrue);
    either(e, () => {
      c.get(first(e, insn)).get(v).simd(SIMD.f32x4ExtractLane).byte(0).op(OP.f64PromoteF32).simd(SIMD.f64x2ReplaceLane).byte(0);
      setLow(e, insn);
    });
    return;
  }
  const from = spread(e, insn, true).map((half) => lowOnly(e, half, 8));
  for (const half of halvesOf(insn)) {
    ordinarySingles(e, from[half]!);
    if (half) c.simd(SIMD.and);
  }
  c.simd(SIMD.i32x4AllTrue);
  either(e, () => setHalves(e, insn, (half) => c.get(from[half]!).simd(SIMD.f64x2PromoteLowF32x4)));
};

/**
 * CVTSD2SS, CVTPD2PS where the host's arithmetic is allowed: doubles that are zero or give a single above the smallest normal one (a result that
 * equals it may have been rounded up from a tiny one).
 */
const narrow: Translation = (e, insn) => {
  const { c } = e;
  const scalar = insn.prefix === 0xf2;
  const from = scalar ? [lowOnly(e, sourceLow(e, insn, 8, true), 8)] : source(e, insn, true);
  const results = from.map((half) => {
    c.get(half).simd(SIMD.f32x4DemoteF64x2Zero);
    return vectorTemp(e);
  });
  from.forEach((half, i) => {
    // Two masks of two lanes each: of the doubles that are zero, and of the singles, widened.
    c.get(half).simd64(0n).simd(SIMD.f64x2Eq);
    c.get(results[i]!).simd(SIMD.f32x4Abs).simd64(LEAST).simd(SIMD.f32x4Gt);
    c.get(results[i]!).simd(SIMD.f32x4Abs).simd64(MOST).simds(SIMD.f32x4Le, SIMD.and, SIMD.i64x2ExtendLowI32x4S, SIMD.or);
    if (i) c.simd(SIMD.and);
  });
  c.simd(SIMD.i64x2AllTrue);
  e.floatAllowed();
  c.op(OP.i32And);
  either(e, () => {
    if (scalar) c.get(first(e, insn)).get(results[0]!).simd(SIMD.f32x4ExtractLane).byte(0).simd(SIMD.f32x4ReplaceLane).byte(0);
    else if (insn.wide) c.get(results[0]!).get(results[1]!).shuffle(LOW_QUADS);
    else c.get(results[0]!);
    setLow(e, insn);
  });
};

/** CVTDQ2PD. */
const doublewordsToDoubles: Translation = (e, insn) => {
  const from = spread(e, insn);
  setHalves(e, insn, (half) => e.c.get(from[half]!).simd(SIMD.f64x2ConvertLowI32x4S));
};
/** CVTDQ2PS. */
const doublewordsToSingles: Translation = (e, insn) => {
  e.floatAllowed();
  either(e, () => {
    const from = source(e, insn);
    setHalves(e, insn, (half) => e.c.get(from[half]!).simd(SIMD.f32x4ConvertI32x4S));
  });
};
/** CVTTPS2DQ, CVTPS2DQ. */
const singlesToDoublewords: Translation = (e, insn) => {
  const { c } = e;
  const from = source(e, insn, true);
  for (const half of halvesOf(insn)) {
    c.get(from[half]!).simd(SIMD.f32x4Abs).simd64(SINGLES_31).simd(SIMD.f32x4Lt);
    if (half) c.simd(SIMD.and);
  }
  c.simd(SIMD.i32x4AllTrue);
  e.floatAllowed();
  c.op(OP.i32And);
  either(e, () =>
    setHalves(e, insn, (half) => {
      c.get(from[half]!);
      // Allowed arithmetic rounds to the nearest.
      if (insn.prefix === 0x66) c.simd(SIMD.f32x4Nearest);
      c.simd(SIMD.i32x4TruncSatF32x4S);
    }),
  );
};
/** CVTTPD2DQ (66), CVTPD2DQ (F2). */
const doublesToDoublewords: Translation = (e, insn) => {
  const { c } = e;
  const from = source(e, insn, true);
  const whole = from.map((half) => {
    c.get(half).simd(insn.prefix === 0x66 ? SIMD.f64x2Trunc : SIMD.f64x2Nearest);
    return vectorTemp(e);
  });
  whole.forEach((half, i) => {
    c.get(half).simd(SIMD.f64x2Abs).simd64(POWER_31).simd(SIMD.f64x2Lt);
    if (i) c.simd(SIMD.and);
  });
  c.simd(SIMD.i64x2AllTrue);
  e.floatAllowed();
  c.op(OP.i32And);
  either(e, () => {
    for (const half of whole) c.get(half).simd(SIMD.i32x4TruncSatF64x2SZero);
    if (insn.wide) c.shuffle(LOW_QUADS);
    setLow(e, insn);
  });
};

export function convertTranslation(insn: Insn): Translation | undefined {
  const { op, prefix } = insn;
  const scalar = prefix === 0xf2 || prefix === 0xf3;
  switch (op) {
    case 0x12a:
      return scalar ? fromInteger : undefined;
    case 0x12c:
    case 0x12d:
      return scalar ? toInteger : undefined;
    case 0x15a:
      return prefix === 0xf3 || prefix === 0 ? widen : narrow;
    case 0x15b:
      return prefix === 0 ? doublewordsToSingles : prefix === 0xf2 ? undefined : singlesToDoublewords;
    case 0x1e6:
      return prefix === 0xf3 ? doublewordsToDoubles : prefix ? doublesToDoublewords : undefined;
  }
  return undefined;
}
