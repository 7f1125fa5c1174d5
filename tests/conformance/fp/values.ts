/** Operands that matter: every class of number and the edges between them, in the three formats. */
import type { Random } from './record.ts';

/** [sign and exponent, significand] */
export type Extended = readonly [number, bigint];

const TOP = 1n << 63n;
const ONES = (1n << 64n) - 1n;
const BIAS = 16383;

const POSITIVE: Extended[] = [
  [0, 0n],
  [0, 1n], // smallest denormal
  [0, TOP - 1n], // largest denormal
  [0, TOP], // pseudo-denormal
  [1, TOP], // smallest normal
  [1, ONES],
  [0x7ffe, ONES], // largest normal
  [0x7ffe, TOP],
  [0x7fff, TOP], // infinity
  [0x7fff, TOP | (1n << 62n)],
  [0x7fff, ONES],
  [0x7fff, TOP | 0x1234n], // signalling NaN
  [0x7fff, TOP | (1n << 61n) | 0x800n], // signalling NaN, larger
  [0x7fff, 0n], // pseudo-infinity
  [0x7fff, 5n], // pseudo-NaN
  [0x3fff, 1n << 62n], // unnormal
  [BIAS, TOP],
  [BIAS, TOP | 1n],
  [BIAS - 1, ONES],
  [BIAS - 1, TOP],
  [BIAS, 3n << 62n],
  [BIAS + 1, TOP],
  [BIAS + 1, 0xc90fdaa22168c235n], // pi
  [BIAS, 0xc90fdaa22168c235n],
  [BIAS - 1, 0xc90fdaa22168c234n],
  [BIAS - 2, TOP | (5n << 59n)],
  [BIAS + 14, 0xfffe000000000000n], // 32767
  [BIAS + 14, 0xffff000000000000n], // 32767.5
  [BIAS + 15, TOP],
  [BIAS + 30, 0xffffffff00000000n],
  [BIAS + 31, TOP],
  [BIAS + 62, ONES],
  [BIAS + 63, TOP],
  [BIAS + 64, ONES],
  [BIAS + 59, 0xde0b6b3a76400000n >> 0n], // 10^18
  [BIAS + 59, 0xde0b6b3a763fffe0n], // 10^18 - small
  [BIAS + 59, 0xde0b6b3a763ffff8n],
  [BIAS + 127, 0xffffff0000000000n], // largest single
  [BIAS + 127, 0xffffff8000000000n],
  [BIAS + 128, TOP],
  [BIAS - 126, TOP],
  [BIAS - 127, ONES],
  [BIAS - 149, TOP],
  [BIAS - 150, TOP],
  [BIAS - 150, TOP | 1n],
  [BIAS + 1023, 0xfffffffffffff800n], // largest double
  [BIAS + 1023, 0xfffffffffffffc00n],
  [BIAS - 1022, TOP],
  [BIAS - 1023, ONES],
  [BIAS - 1074, TOP],
  [BIAS - 1075, TOP | 1n],
];
export const EXTENDED: readonly Extended[] = POSITIVE.flatMap(([e, s]): Extended[] => [
  [e, s],
  [e | 0x8000, s],
]);

/** Any class, with ordinary magnitudes the most likely. */
export function randomExtended(random: Random): Extended {
  const kind = random.below(16);
  if (kind === 0) return random.pick(EXTENDED);
  const sign = random.chance(50) ? 0x8000 : 0;
  let sig = random.big() | TOP;
  if (random.chance(30)) sig &= ONES << BigInt(random.below(64));
  if (random.chance(10)) sig |= (1n << BigInt(random.below(64))) - 1n;
  sig |= TOP;
  if (kind < 8) return [sign | (BIAS - 20 + random.below(40)), sig];
  if (kind < 12) return [sign | (BIAS - 2 + random.below(5)), sig];
  if (kind < 13) return [sign | random.below(0x7fff), sig];
  if (kind < 14) return [sign | random.pick([1, 2, 30, 64, 0x7ffe, 0x7ffd, 0x7fc0]), sig];
  if (kind < 15) return [sign | (BIAS - 1080 + random.below(2160)), sig];
  return [sign, sig >> BigInt(1 + random.below(63))];
}

function mirrored(list: number[] | bigint[], sign: bigint): bigint[] {
  return [...list].flatMap((v) => [BigInt(v), BigInt(v) | sign]);
}
export const DOUBLES: readonly bigint[] = mirrored(
  [
    0n,
    1n,
    0xfffffffffffffn,
    0x10000000000000n,
    0x10000000000001n,
    0x1fffffffffffffn,
    0x7fefffffffffffffn,
    0x7fe0000000000000n,
    0x7ff0000000000000n,
    0x7ff8000000000000n,
    0x7fffffffffffffffn,
    0x7ff0000000001234n,
    0x7ff4000000000000n,
    0x3ff0000000000000n,
    0x3ff0000000000001n,
    0x3fefffffffffffffn,
    0x3fe0000000000000n,
    0x3ff8000000000000n,
    0x4000000000000000n,
    0x4004000000000000n,
    0x400921fb54442d18n,
    0x41dfffffffc00000n,
    0x41dfffffffe00000n,
    0x41e0000000000000n,
    0x41e0000000200000n,
    0x43dfffffffffffffn,
    0x43e0000000000000n,
    0x47efffffe0000000n,
    0x47effffff0000000n,
    0x47efffffefffffffn,
    0x3810000000000000n,
    0x380fffffffffffffn,
    0x380fffffe0000000n,
    0x36a0000000000000n,
    0x3690000000000000n,
    0x3690000000000001n,
    0x3cb0000000000000n,
    0x1ff0000000000000n,
    0x2000000000000000n,
    0x5fe0000000000000n,
    0x0340000000000000n,
    0x0350000000000003n,
  ],
  1n << 63n,
);
export const SINGLES: readonly bigint[] = mirrored(
  [
    0, 1, 0x7fffff, 0x800000, 0x800001, 0xffffff, 0x7f7fffff, 0x7f000000, 0x7f800000, 0x7fc00000, 0x7fffffff, 0x7f801234, 0x7fa00000,
    0x3f800000, 0x3f800001, 0x3f7fffff, 0x3f000000, 0x3fc00000, 0x40000000, 0x40200000, 0x40490fdb, 0x4effffff, 0x4f000000, 0x4f000001,
    0x33800000, 0x1f800000, 0x20000000, 0x5f7fffff, 0x0c000000, 0x0d800003,
  ],
  1n << 31n,
);

export function randomDouble(random: Random): bigint {
  const kind = random.below(12);
  if (kind === 0) return random.pick(DOUBLES);
  let fraction = random.big() & ((1n << 52n) - 1n);
  if (random.chance(30)) fraction &= ~((1n << BigInt(random.below(52))) - 1n);
  const exponent =
    kind < 8
      ? 1003 + random.below(40)
      : kind < 9
        ? random.below(2047)
        : kind < 10
          ? random.pick([0, 1, 2, 53, 54, 2046, 2045])
          : 880 + random.below(290);
  return (random.chance(50) ? 1n << 63n : 0n) | (BigInt(exponent) << 52n) | fraction;
}
export function randomSingle(random: Random): bigint {
  const kind = random.below(12);
  if (kind === 0) return random.pick(SINGLES);
  let fraction = random.next() & 0x7fffff;
  if (random.chance(30)) fraction &= ~((1 << random.below(23)) - 1);
  const exponent = kind < 8 ? 117 + random.below(20) : kind < 10 ? random.below(255) : random.pick([0, 1, 2, 24, 25, 254, 253, 158, 157]);
  return (random.chance(50) ? 1n << 31n : 0n) | (BigInt(exponent) << 23n) | BigInt(fraction);
}
