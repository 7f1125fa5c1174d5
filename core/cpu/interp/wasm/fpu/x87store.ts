/** FST(P), FIST(P), FBSTP to memory. An unmasked exception other than PE leaves memory and stack alone (SDM volume 1, 8.5). */
import { memProbeW, memWrite16, memWrite32, memWrite64 } from '../memsegment';
import { Ctl } from './f80';
import { toFloat, toInt } from './f80convert';
import { FP, FP_IE, FP_PE, RC_ZERO } from './unpacked';
import { Bcd, bcdFrom80 } from './x87bcd';
import { begin, commitFlags, isEmpty, pop, stackFault, stSe, stSig } from './x87stack';

/** The flags in FP forbid the store; nothing was rounded then. */
function refused(): bool {
  if ((FP.flags & ~FP_PE & ~Ctl.masks) == 0) return false;
  FP.flags &= ~FP_PE;
  FP.up = 0;
  return true;
}

/** ST(0) is empty: true when the indefinite is to be stored (which `size` bytes of memory are known to take). */
function storeEmpty(seg: i32, off: u64, size: u32): bool {
  if (Ctl.masks & FP_IE) memProbeW(seg, off, size);
  return stackFault(0);
}

/** p = 24: single, 53: double. */
export function storeFloat(seg: i32, off: u64, p: u32, popAfter: bool): void {
  begin();
  let v: u64 = p == 24 ? 0xffc00000 : 0xfff8000000000000;
  const empty = isEmpty(0);
  if (empty) {
    if (!storeEmpty(seg, off, p == 24 ? 4 : 8)) return;
  } else {
    v = toFloat(stSe(0), stSig(0), p);
    if (refused()) {
      commitFlags();
      return;
    }
  }
  if (p == 24) memWrite32(seg, off, <u32>v);
  else memWrite64(seg, off, v);
  if (!empty) commitFlags();
  if (popAfter) pop();
}

export function storeInt(seg: i32, off: u64, size: u32, popAfter: bool): void {
  begin();
  storeRounded(seg, off, size, popAfter);
}
/** FISTTP (SSE3): rounds toward zero and pops. */
export function storeTruncated(seg: i32, off: u64, size: u32): void {
  begin();
  Ctl.rc = RC_ZERO;
  storeRounded(seg, off, size, true);
}

function storeRounded(seg: i32, off: u64, size: u32, popAfter: bool): void {
  let v: i64 = 0 - (<i64>1 << <i64>(size - 1));
  const empty = isEmpty(0);
  if (empty) {
    if (!storeEmpty(seg, off, size >> 3)) return;
  } else {
    v = toInt(stSe(0), stSig(0), size, Ctl.rc);
    if (refused()) {
      commitFlags();
      return;
    }
  }
  if (size == 16) memWrite16(seg, off, <u32>v & 0xffff);
  else if (size == 32) memWrite32(seg, off, <u32>v);
  else memWrite64(seg, off, <u64>v);
  if (!empty) commitFlags();
  if (popAfter) pop();
}

function probeTen(seg: i32, off: u64, rest: u64): void {
  memProbeW(seg, off, 8);
  memProbeW(seg, rest, 2);
}

/** FSTP m80; the last two bytes go to `rest`. */
export function storeExtended(seg: i32, off: u64, rest: u64): void {
  begin();
  let se: u32 = 0xffff;
  let sig: u64 = 0xc000000000000000;
  if (isEmpty(0)) {
    // Not stored when that is not masked: then no segment or page has a say.
    if (Ctl.masks & FP_IE) probeTen(seg, off, rest);
    if (!stackFault(0)) return;
  } else {
    probeTen(seg, off, rest);
    se = stSe(0);
    sig = stSig(0);
    commitFlags();
  }
  memWrite64(seg, off, sig);
  memWrite16(seg, rest, se);
  pop();
}

export function storeBcd(seg: i32, off: u64, rest: u64): void {
  begin();
  let low: u64 = 0xc000000000000000;
  Bcd.high = 0xffff;
  const empty = isEmpty(0);
  if (empty) {
    if (Ctl.masks & FP_IE) probeTen(seg, off, rest);
    if (!stackFault(0)) return;
  } else {
    low = bcdFrom80(stSe(0), stSig(0));
    if (refused()) {
      commitFlags();
      return;
    }
    probeTen(seg, off, rest);
  }
  memWrite64(seg, off, low);
  memWrite16(seg, rest, Bcd.high);
  if (!empty) commitFlags();
  pop();
}
