/**
 * Conversions between integers, singles and doubles (SDM volume 2, CVT*), where the host's give the same and leave MXCSR alone; everything else
 * is the interpreter's. Emitter.floatAllowed() means that an inexact result changes nothing.
 */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { source128, sourceLow, type Translation, vectorTemp } from './sseoperand.ts';
import { F64, I32, I64, OP, SIMD, V128 } from './wasmcode.ts';

/** Bit patterns of doubles. */
const POWER_31 = 0x41e0_0000_0000_0000n;
const POWER_63 = 0x43e0_0000_0000_0000n;
/** Splats of singles: smallest normal number, largest finite one, 2^31. */
const LEAST = 0x0080_0000_0080_0000n;
const MOST = 0x7f7f_ffff_7f7f_ffffn;
const SINGLES_31 = 0x4f00_0000_4f00_0000n;

/** On the stack is whether `quick` may be used. */
function either(e: Emitter, quick: () => void, slow: () => void = () => e.interpretVector()): void {
  e.openIf();
  quick();
  e.c.else();
  slow();
  e.close();
}

/** CVTSI2SS, CVTSI2SD. */
const fromInteger: Translation = (e, insn) => {
  const { c } = e;
  const double = insn.prefix === 0xf2;
  const width = insn.osize === 8 ? 8 : 4;
  const value = e.temp(width === 8 ? I64 : I32);
  if (insn.memory) e.load(e.address(insn), width);
  else e.reg(insn.rm, width);
  c.set(value);
  const quick = () => {
    e.xmm(insn.reg);
    c.get(value);
    if (double) c.op(width === 8 ? OP.f64ConvertI64S : OP.f64ConvertI32S).simd(SIMD.f64x2ReplaceLane);
    else c.op(width === 8 ? OP.f32ConvertI64S : OP.f32ConvertI32S).simd(SIMD.f32x4ReplaceLane);
    c.byte(0);
    e.setXmm(insn.reg);
  };
  // A doubleword always fits a double.
  if (double && width === 4) quick();
  else {
    e.floatAllowed();
    either(e, quick, () => e.interpretVector({ reads: insn.memory ? 0 : 1 << insn.rm }));
  }
};

/** CVTTSS2SI, CVTTSD2SI (2C), CVTSS2SI, CVTSD2SI (2D). */
const toInteger: Translation = (e, insn) => {
  const { c } = e;
  const double = insn.prefix === 0xf2;
  const wide = insn.osize === 8;
  const x = e.temp(F64);
  const whole = e.temp(F64);
  sourceLow(e, insn, double ? 8 : 4)();
  c.simd(double ? SIMD.f64x2ExtractLane : SIMD.f32x4ExtractLane).byte(0);
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

/** Whether all singles of the temporary are zero or normal. */
function ordinarySingles(e: Emitter, v: number): void {
  const { c } = e;
  c.get(v).simd(SIMD.f32x4Abs).simd64(LEAST).simd(SIMD.f32x4Ge);
  c.get(v).simd64(0n).simds(SIMD.f32x4Eq, SIMD.or);
  c.get(v).simd(SIMD.f32x4Abs).simd64(MOST).simds(SIMD.f32x4Le, SIMD.and, SIMD.i32x4AllTrue);
}

/** CVTSS2SD, CVTPS2PD: every ordinary single is a double. */
const widen: Translation = (e, insn) => {
  const { c } = e;
  const scalar = insn.prefix === 0xf3;
  const v = e.temp(V128);
  c.simd64(0n);
  sourceLow(e, insn, scalar ? 4 : 8)();
  if (scalar) c.simd(SIMD.i32x4ExtractLane).byte(0).simd(SIMD.i32x4ReplaceLane).byte(0);
  else c.simd(SIMD.i64x2ExtractLane).byte(0).simd(SIMD.i64x2ReplaceLane).byte(0);
  c.set(v);
  ordinarySingles(e, v);
  either(e, () => {
    if (scalar) {
      e.xmm(insn.reg);
      c.get(v).simd(SIMD.f32x4ExtractLane).byte(0).op(OP.f64PromoteF32).simd(SIMD.f64x2ReplaceLane).byte(0);
    } else c.get(v).simd(SIMD.f64x2PromoteLowF32x4);
    e.setXmm(insn.reg);
  });
};

/** CVTDQ2PD. */
const doublewordsToDoubles: Translation = (e, insn) => {
  sourceLow(e, insn, 8)();
  e.c.simd(SIMD.f64x2ConvertLowI32x4S);
  e.setXmm(insn.reg);
};
/** CVTDQ2PS. */
const doublewordsToSingles: Translation = (e, insn) => {
  source128(e, insn)();
  const v = vectorTemp(e);
  e.floatAllowed();
  either(e, () => {
    e.c.get(v).simd(SIMD.f32x4ConvertI32x4S);
    e.setXmm(insn.reg);
  });
};
/** CVTTPS2DQ. */
const truncateSingles: Translation = (e, insn) => {
  source128(e, insn)();
  const v = vectorTemp(e);
  e.floatAllowed();
  e.c.get(v).simd(SIMD.f32x4Abs).simd64(SINGLES_31).simds(SIMD.f32x4Lt, SIMD.i32x4AllTrue).op(OP.i32And);
  either(e, () => {
    e.c.get(v).simd(SIMD.i32x4TruncSatF32x4S);
    e.setXmm(insn.reg);
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
      return prefix === 0xf3 || prefix === 0 ? widen : undefined;
    case 0x15b:
      return prefix === 0 ? doublewordsToSingles : prefix === 0xf3 ? truncateSingles : undefined;
    case 0x1e6:
      return prefix === 0xf3 ? doublewordsToDoubles : undefined;
  }
  return undefined;
}
