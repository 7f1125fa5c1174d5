/** Packed decimal: 18 digits, two a byte, sign in bit 7 of byte 9 (SDM volume 1, 4.7). */
import { classify80, Ctl, exp80, K_FINITE, K_ZERO, set80, sig80 } from './f80';
import { IntRound, roundMagnitude } from './f80convert';
import { FP, FP_IE, FP_PE } from './unpacked';

const BCD_LIMIT: u64 = 1000000000000000000;

/** Low 8 bytes as the return value, bytes 8 and 9 in `Bcd.high`. */
export class Bcd {
  static high: u32 = 0;
}

/** FBLD: digits above 9 are undefined by the manual; each nibble simply weighs in. */
export function bcdTo80(low: u64, high: u32): void {
  let m: u64 = 0;
  for (let i = 1; i >= 0; i--) m = m * 10 + <u64>((high >> (<u32>i * 4)) & 15);
  for (let i = 15; i >= 0; i--) m = m * 10 + ((low >> <u64>(i * 4)) & 15);
  const sign = high & 0x8000;
  if (m == 0) {
    set80(sign, 0);
    return;
  }
  const n = clz<u64>(m);
  set80(sign | (16383 + 63 - <u32>n), m << n);
}

/** FBSTP: integer by rounding control; decimal indefinite when it does not fit. */
export function bcdFrom80(se: u32, sig: u64): u64 {
  const k = classify80(se, sig);
  let m: u64 = BCD_LIMIT;
  if (k == K_ZERO) m = 0;
  else if (k == K_FINITE) {
    const e = exp80(se, sig);
    if (e < 63) {
      m = roundMagnitude(se >> 15, e, sig80(sig), Ctl.rc);
      if (m < BCD_LIMIT && IntRound.inexact) {
        FP.flags |= FP_PE;
        FP.up = IntRound.up;
      }
    }
  }
  if (m >= BCD_LIMIT) {
    FP.flags |= FP_IE;
    Bcd.high = 0xffff;
    return 0xc000000000000000;
  }
  let low: u64 = 0;
  for (let i = 0; i < 16; i++) {
    low |= (m % 10) << <u64>(i * 4);
    m /= 10;
  }
  Bcd.high = (se & 0x8000) | <u32>(m % 10) | (<u32>(m / 10) << 4);
  return low;
}
