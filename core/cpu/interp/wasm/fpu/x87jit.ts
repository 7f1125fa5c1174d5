/**
 * x87 operations on values that a compiled region holds in its locals (core/cpu/jit/x87*.ts). Nothing here touches the processor's state: the
 * second word of a result, in SJ_X87, tells the flags; with an exception that is not masked it is -1, and the interpreter executes the
 * instruction instead.
 *
 *   SJ_X87   15..0 sign and exponent   21..16 PE UE OE ZE DE IE   25 C1   or all ones
 *
 * An operand with bit 16 of its sign and exponent set was widened from a denormal single or double.
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { SJ_X87 } from '../jitoffsets';
import { add80, classify80, Ctl, div80, F, K_NAN, mul80, quieten80, sqrt80 } from './f80';
import { fromF32, fromF64, roundInt80, Source, toFloat, toInt } from './f80convert';
import { compare80, scale80 } from './f80misc';
import { FP, FP_DE, FP_IE, FP_ZE, RC_ZERO } from './unpacked';
import { begin } from './x87stack';

const RESULT: usize = CPU_STATE_BASE + SJ_X87;
const WIDENED: u32 = 0x10000;

function deliver(se: u32): void {
  const flags = FP.flags;
  store<u32>(RESULT, flags & ~Ctl.masks ? 0xffffffff : (se & 0xffff) | (flags << 16) | (FP.up << 25));
}

/** DE of a widened denormal, unless the other operand or the operation raised something of higher priority. */
function widened(as: u32, ag: u64, bs: u32, bg: u64): void {
  if (((as | bs) & WIDENED) == 0 || FP.flags & (FP_IE | FP_ZE)) return;
  if ((as & WIDENED ? classify80(bs, bg) : classify80(as, ag)) < K_NAN) FP.flags |= FP_DE;
}

/** op: 0 a + b, 1 a * b, 4 a - b, 6 a / b; 8 square root, 9 rounding of a; 10 a scaled by b; 16 FCOM, 17 FUCOM (the relation is returned). */
export function jitX87Arith(op: u32, as: u32, ag: u64, bs: u32, bg: u64): u64 {
  begin();
  let relation: u32 = 0;
  const a = as & 0xffff;
  const b = bs & 0xffff;
  switch (op) {
    case 0:
      add80(a, ag, b, bg, 0);
      break;
    case 1:
      mul80(a, ag, b, bg);
      break;
    case 4:
      add80(a, ag, b, bg, 0x8000);
      break;
    case 6:
      div80(a, ag, b, bg);
      break;
    case 8:
      sqrt80(a, ag);
      break;
    case 9:
      roundInt80(a, ag);
      break;
    case 10:
      scale80(a, ag, b, bg);
      break;
    default:
      relation = compare80(a, ag, b, bg, op == 17);
      break;
  }
  widened(as, ag, bs, bg);
  deliver(F.se);
  return op < 16 ? F.sig : <u64>relation;
}

/** A single (kind bit 0 clear) or double as an operand, or (bit 1) as FLD delivers it. */
export function jitX87Widen(bits: u64, kind: u32): u64 {
  begin();
  if (kind & 1) fromF64(bits);
  else fromF32(<u32>bits);
  if ((kind & 2) == 0) {
    store<u32>(RESULT, F.se | (Source.denormal ? WIDENED : 0));
    return F.sig;
  }
  if (classify80(F.se, F.sig) == K_NAN) quieten80(F.se, F.sig);
  if (Source.denormal) FP.flags |= FP_DE;
  deliver(F.se);
  return F.sig;
}

/** The single (p = 24) or double (p = 53) that FST stores. */
export function jitX87Narrow(se: u32, sig: u64, p: u32): u64 {
  begin();
  const v = toFloat(se, sig, p);
  deliver(0);
  return v;
}

/** The integer of `size` bits that FIST stores; with bit 7 of `size` set, FISTTP. */
export function jitX87Integer(se: u32, sig: u64, size: u32): u64 {
  begin();
  const v = toInt(se, sig, size & 0x7f, size & 0x80 ? RC_ZERO : Ctl.rc);
  deliver(0);
  return <u64>v;
}
