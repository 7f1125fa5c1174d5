/**
 * Fused multiply-add (SDM volume 2, VFMADDxxx and kin) with one rounding, out of operations that round each: WebAssembly has no exact one.
 *
 * Doubles: the product and its error (Veltkamp's split, Dekker's product), two exact sums, the small parts added with rounding to odd, then one
 * rounding (Boldo, Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008). No step of it may
 * overflow or underflow, so operands are zero or between 2^-400 and 2^400; then MXCSR stays as it is as well, where the host's arithmetic is
 * allowed (ssefloat.ts). Singles: their product is a double, the sum is rounded to odd as a double, and has bits enough to be rounded again.
 */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { X87_HELPERS, HELPERS } from './helpers.ts';
import { bytes, halvesOf, lanes, setHalves, setLow, source, sourceLow, type Translation, vectorTemp } from './sseoperand.ts';
import { OP, SIMD, V128, WasmCode } from './wasmcode.ts';
import { X87_FUNCTION_COUNT } from './x87functions.ts';

/** Splats of doubles: 2^27 + 1, the limits of operands. */
const SPLIT = 0x41a0_0000_0200_0000n;
const SMALL = 0x26f0_0000_0000_0000n;
const LARGE = 0x58f0_0000_0000_0000n;
/** Splats of singles: smallest normal number, largest finite one. */
const LEAST = 0x0080_0000_0080_0000n;
const MOST = 0x7f7f_ffff_7f7f_ffffn;
const SIGN_64 = 0x8000_0000_0000_0000n;
const SIGNS_32 = 0x8000_0000_8000_0000n;

/** A function of the region's module: three vectors in, the result and the mask of lanes where it may be used out. */
export const FUSED_TYPE: [parameters: number[], results: number[]] = [
  [V128, V128, V128],
  [V128, V128],
];
class Body {
  readonly c = new WasmCode();
  /** Locals: the parameters, then temporaries. */
  locals = FUSED_TYPE[0].length;
}
/** The vector on the stack goes to a temporary. */
function held(e: Body): number {
  e.c.set(e.locals);
  return e.locals++;
}

/** The operation on two temporaries, in a third. */
function op2(e: Body, op: number, a: number, b: number): number {
  e.c.get(a).get(b).simd(op);
  return held(e);
}
const add = (e: Body, a: number, b: number): number => op2(e, SIMD.f64x2Add, a, b);
const sub = (e: Body, a: number, b: number): number => op2(e, SIMD.f64x2Sub, a, b);
const mul = (e: Body, a: number, b: number): number => op2(e, SIMD.f64x2Mul, a, b);

/** a + b and what its rounding lost (Knuth). */
function twoSum(e: Body, a: number, b: number): [sum: number, error: number] {
  const sum = add(e, a, b);
  const rest = sub(e, sum, a);
  return [sum, add(e, sub(e, a, sub(e, sum, rest)), sub(e, b, rest))];
}

/** a + b rounded to odd: an inexact sum whose last bit is 0 goes to its neighbour on the side of what was lost. */
function oddSum(e: Body, a: number, b: number): number {
  const { c } = e;
  const [sum, error] = twoSum(e, a, b);
  // 1 or -1 by the signs being the same, in lanes that are inexact and even.
  c.get(sum);
  c.get(sum).get(error).simd(SIMD.xor).i32(63).simd(SIMD.i64x2ShrS).simd64(1n).simd(SIMD.or);
  c.get(error).simd64(0n).simds(SIMD.f64x2Ne, SIMD.and);
  c.get(sum).simd64(1n).simd(SIMD.and).simd64(0n).simds(SIMD.i64x2Eq, SIMD.and);
  c.simd(SIMD.i64x2Add);
  return held(e);
}

/** Upper and lower half of the significand. */
function split(e: Body, a: number): [high: number, low: number] {
  const { c } = e;
  c.get(a).simd64(SPLIT).simd(SIMD.f64x2Mul);
  const t = held(e);
  const high = sub(e, t, sub(e, t, a));
  return [high, sub(e, a, high)];
}

/** a * b + c of doubles; on the stack the mask of lanes where it may be used. */
function fusedDoubles(e: Body, a: number, b: number, addend: number): number {
  const { c } = e;
  const product = mul(e, a, b);
  const [ah, al] = split(e, a);
  const [bh, bl] = split(e, b);
  const lost = add(e, add(e, add(e, sub(e, mul(e, ah, bh), product), mul(e, ah, bl)), mul(e, al, bh)), mul(e, al, bl));
  const [th, tl] = twoSum(e, addend, lost);
  const [vh, vl] = twoSum(e, product, th);
  const z = oddSum(e, tl, vl);
  // Where the product is zero the plain sum is exact, and has the right sign.
  c.get(product).get(addend).simd(SIMD.f64x2Add).get(vh).get(z).simd(SIMD.f64x2Add);
  c.get(product).simd64(0n).simds(SIMD.f64x2Eq, SIMD.bitselect);
  const r = held(e);
  [a, b, addend].forEach((v, i) => {
    c.get(v).simd(SIMD.f64x2Abs);
    const magnitude = held(e);
    c.get(magnitude).simd64(SMALL).simd(SIMD.f64x2Ge).get(magnitude).simd64(LARGE).simds(SIMD.f64x2Le, SIMD.and);
    c.get(v).simd64(0n).simds(SIMD.f64x2Eq, SIMD.or);
    if (i) c.simd(SIMD.and);
  });
  return r;
}

/** The same of four singles. */
function fusedSingles(e: Body, a: number, b: number, addend: number): number {
  const { c } = e;
  const widened = (v: number, high: boolean): number => {
    c.get(v);
    if (high) c.get(v).shuffle(lanes(8, 1, 1));
    c.simd(SIMD.f64x2PromoteLowF32x4);
    return held(e);
  };
  const sums = [false, true].map((high) => oddSum(e, mul(e, widened(a, high), widened(b, high)), widened(addend, high)));
  for (const sum of sums) c.get(sum).simd(SIMD.f32x4DemoteF64x2Zero);
  c.shuffle(lanes(8, 0, 2));
  const r = held(e);
  // Results above the smallest normal number, or exactly zero.
  c.get(r).simd(SIMD.f32x4Abs);
  const magnitude = held(e);
  c.get(magnitude).simd64(LEAST).simd(SIMD.f32x4Gt).get(magnitude).simd64(MOST).simds(SIMD.f32x4Le, SIMD.and);
  for (const sum of sums) c.get(sum).simd64(0n).simd(SIMD.f64x2Eq);
  c.shuffle(lanes(4, 0, 2, 4, 6)).simd(SIMD.or);
  for (const v of [a, b, addend]) {
    c.get(v).simd(SIMD.f32x4Abs).simd64(LEAST).simd(SIMD.f32x4Ge);
    c.get(v).simd64(0n).simds(SIMD.f32x4Eq, SIMD.or);
    c.get(v).simd(SIMD.f32x4Abs).simd64(MOST).simds(SIMD.f32x4Le, SIMD.and, SIMD.and);
  }
  return r;
}

/** Fused multiply-add of doubles and of singles, as functions beside the region: one of 256 bits is more than a kilobyte. */
const BODIES = [fusedDoubles, fusedSingles];
export const FUSED_FUNCTION_COUNT = BODIES.length;

/** Appends their bodies to a code section. */
export function fusedBodies(section: WasmCode): void {
  for (const compute of BODIES) {
    const body = new Body();
    const r = compute(body, 0, 1, 2);
    const mask = held(body);
    body.c.get(r).get(mask).end();
    const declared = new WasmCode()
      .u32(1)
      .u32(body.locals - FUSED_TYPE[0].length)
      .byte(V128);
    section
      .u32(declared.length + body.c.length)
      .raw(declared.view())
      .raw(body.c.view());
  }
}

/** Calls one of them, which come after the imports and the x87 functions. Leaves the mask on the stack and gives the temporary of the result. */
function callFused(e: Emitter, double: boolean, a: number, b: number, addend: number): number {
  const before = HELPERS.length + X87_HELPERS.length + X87_FUNCTION_COUNT;
  e.usesFused = true;
  e.c
    .get(a)
    .get(b)
    .get(addend)
    .call(before + (double ? 0 : 1));
  const mask = vectorTemp(e);
  const r = vectorTemp(e);
  e.c.get(mask);
  return r;
}

/** Pushes the sign bits of the addend that are turned round: in all elements, even or odd ones; or of the product. */
function signs(e: Emitter, double: boolean, even: boolean, odd: boolean): void {
  const { c } = e;
  if (double) {
    c.simd64(even ? SIGN_64 : 0n).simd64(odd ? SIGN_64 : 0n);
    c.shuffle(lanes(8, 0, 3));
  } else c.simd64(even && odd ? SIGNS_32 : even ? 0x8000_0000n : SIGN_64);
}
function negated(e: Emitter, v: number, double: boolean, even: boolean, odd: boolean): number {
  if (!even && !odd) return v;
  e.c.get(v);
  signs(e, double, even, odd);
  e.c.simd(SIMD.xor);
  return vectorTemp(e);
}

const fused: Translation = (e, insn) => {
  const { c } = e;
  const double = insn.w;
  const kind = insn.op & 15;
  const row = insn.op & 0xf0;
  const scalar = kind >= 9 && (kind & 1) === 1;
  const from = scalar ? [sourceLow(e, insn, double ? 8 : 4, true)] : source(e, insn, true);
  const halves = scalar ? [0] : halvesOf(insn);
  const results = halves.map((half) => {
    const d = e.vectorLocal(insn.reg, half);
    const v = e.vectorLocal(insn.vvvv, half);
    const s = from[half]!;
    // 132: d * s + v, 213: v * d + s, 231: v * s + d.
    const x = row === 0x90 ? d : v;
    const y = row === 0xa0 ? d : s;
    const z = row === 0x90 ? v : row === 0xa0 ? s : d;
    const turned = (kind & 2) !== 0;
    const product = negated(e, x, double, kind >= 12, kind >= 12);
    const addend = negated(e, z, double, kind === 6 || (kind > 7 && turned), kind === 7 || (kind > 7 && turned));
    const r = callFused(e, double, product, y, addend);
    if (half) c.simd(SIMD.and);
    return r;
  });
  if (scalar) c.simd(SIMD.i32x4ExtractLane).byte(0);
  else c.simd(double ? SIMD.i64x2AllTrue : SIMD.i32x4AllTrue);
  e.floatAllowed();
  c.op(OP.i32And);
  e.openIf();
  if (scalar) {
    const size = double ? 8 : 4;
    c.get(e.vectorLocal(insn.reg, 0))
      .get(results[0]!)
      .shuffle([...bytes(16, size), ...bytes(size, 16 - size)]);
    setLow(e, insn);
  } else setHalves(e, insn, (half) => c.get(results[half]!));
  c.else();
  e.interpretVector();
  e.close();
};

/** Of an instruction in the form that the table has; opcodes without VEX_OP. */
export function fusedVexTranslation(insn: Insn): Translation | undefined {
  const row = insn.op & 0xff0;
  return row >= 0x290 && row <= 0x2b0 && (insn.op & 15) >= 6 ? fused : undefined;
}
