/**
 * Shuffles and shifts of whole vectors by an immediate (SDM volume 2), for the SSE and the VEX forms. Operands are addresses of 16 bytes; results
 * are given, so that a destination may be a source.
 */
import { SCRATCH } from './operand';

/** Doublewords: the first two from `a`, the others from `b` (PSHUFD, SHUFPS). */
export function shuffleDwords(a: usize, b: usize, order: u32): v128 {
  let v = v128.load32_zero(a + (<usize>(order & 3) << 2));
  v = i32x4.replace_lane(v, 1, load<u32>(a + (<usize>((order >> 2) & 3) << 2)));
  v = i32x4.replace_lane(v, 2, load<u32>(b + (<usize>((order >> 4) & 3) << 2)));
  return i32x4.replace_lane(v, 3, load<u32>(b + (<usize>((order >> 6) & 3) << 2)));
}

/** Quadwords: the first from `a`, the other from `b` (SHUFPD). */
export function shuffleQwords(a: usize, b: usize, order: u32): v128 {
  const low = v128.load64_zero(a + (<usize>(order & 1) << 3));
  return i64x2.replace_lane(low, 1, load<u64>(b + (<usize>((order >> 1) & 1) << 3)));
}

/** The four words at `h` (PSHUFW). */
export function shuffleWords(h: usize, order: u32): u64 {
  return (
    <u64>load<u16>(h + (<usize>(order & 3) << 1)) |
    (<u64>load<u16>(h + (<usize>((order >> 2) & 3) << 1)) << 16) |
    (<u64>load<u16>(h + (<usize>((order >> 4) & 3) << 1)) << 32) |
    (<u64>load<u16>(h + (<usize>((order >> 6) & 3) << 1)) << 48)
  );
}

/** Words of one half, the other copied (PSHUFHW, PSHUFLW). */
export function shuffleHalf(s: usize, order: u32, high: bool): v128 {
  const four = shuffleWords(s + (high ? 8 : 0), order);
  return high ? i64x2.replace_lane(v128.load(s), 1, four) : i64x2.replace_lane(v128.load(s), 0, four);
}

/** `v` shifted by `n` bytes (PSRLDQ, PSLLDQ); more than 15 leave nothing. */
export function byteShift(v: v128, n: usize, right: bool): v128 {
  if (n > 15) return i64x2.splat(0);
  const pad = SCRATCH + 16;
  v128.store(pad, i64x2.splat(0));
  v128.store(pad, v, 16);
  v128.store(pad, i64x2.splat(0), 32);
  return v128.load(right ? pad + 16 + n : pad + 16 - n);
}
