/**
 * SSE4.2 string comparison: PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI (SDM volume 1, 12.10; volume 2, 4.1).
 *
 * Immediate: 1..0 elements (u8 u16 s8 s16), 3..2 comparison (equal any, ranges, equal each, equal ordered), 5..4 polarity, 6 last index or
 * full mask.
 */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { F_CF, F_OF, F_SF, F_ZF, setArith } from '../flags';
import { S_GPR } from '../stateoffsets';
import { xmmPtr } from './operand';

const EQUAL_ANY = 0;
const RANGES = 1;
const EQUAL_EACH = 2;

function element(at: usize, index: u32, how: u32): i32 {
  switch (how & 3) {
    case 0:
      return load<u8>(at + <usize>index);
    case 1:
      return load<u16>(at + (<usize>index << 1));
    case 2:
      return <i32>load<i8>(at + <usize>index);
    default:
      return <i32>load<i16>(at + (<usize>index << 1));
  }
}

/** Length up to the first zero element. */
function implicitLength(at: usize, how: u32, count: u32): u32 {
  let n: u32 = 0;
  while (n < count && element(at, n, how) != 0) n++;
  return n;
}
/** Length from a register: its magnitude, at most `count`. */
function explicitLength(index: usize, wide: bool, count: u32): u32 {
  const v: i64 = wide ? load<i64>(CPU_STATE_BASE + S_GPR + (index << 3)) : <i64>load<i32>(CPU_STATE_BASE + S_GPR + (index << 3));
  const m: u64 = v < 0 ? 0 - <u64>v : <u64>v;
  return m > <u64>count ? count : <u32>m;
}

/** Intermediate result 1: bit j tells about element j of `b`; elements beyond the lengths follow table 4-7 of volume 2. */
function compareStrings(a: usize, la: u32, b: usize, lb: u32, how: u32, count: u32): u32 {
  const kind = (how >> 2) & 3;
  let result: u32 = 0;
  for (let j: u32 = 0; j < count; j++) {
    let hit = false;
    if (kind == EQUAL_ANY) {
      if (j < lb) for (let i: u32 = 0; i < la && !hit; i++) hit = element(a, i, how) == element(b, j, how);
    } else if (kind == RANGES) {
      if (j < lb) {
        const v = element(b, j, how);
        // A lower bound without its upper one is beyond the end: no range.
        for (let i: u32 = 0; i + 1 < la && !hit; i += 2) hit = v >= element(a, i, how) && v <= element(a, i + 1, how);
      }
    } else if (kind == EQUAL_EACH) {
      hit = j < la && j < lb ? element(a, j, how) == element(b, j, how) : j >= la && j >= lb;
    } else {
      hit = true;
      for (let i: u32 = 0; i + j < count && i < la && hit; i++) hit = i + j < lb && element(a, i, how) == element(b, i + j, how);
    }
    if (hit) result |= 1 << j;
  }
  return result;
}

/** 60 PCMPESTRM, 61 PCMPESTRI, 62 PCMPISTRM, 63 PCMPISTRI; `wide` = lengths are in RAX and RDX. `clearHigh` = the mask in XMM0 zeroes the rest of YMM0. */
export function stringCompare(op: u32, a: usize, b: usize, how: u32, wide: bool, clearHigh: bool): void {
  const count: u32 = how & 1 ? 8 : 16;
  const all: u32 = (1 << count) - 1;
  let la: u32;
  let lb: u32;
  if (op & 2) {
    la = implicitLength(a, how, count);
    lb = implicitLength(b, how, count);
  } else {
    la = explicitLength(0, wide, count);
    lb = explicitLength(2, wide, count);
  }
  let r = compareStrings(a, la, b, lb, how, count);
  if ((how & 0x30) == 0x10) r ^= all;
  else if ((how & 0x30) == 0x30) r ^= (1 << lb) - 1;
  if (op & 1) {
    const index = r == 0 ? count : how & 0x40 ? 31 - clz<u32>(r) : ctz<u32>(r);
    store<u64>(CPU_STATE_BASE + S_GPR + 8, <u64>index);
  } else {
    const d = xmmPtr(0);
    if (how & 0x40) {
      for (let i: u32 = 0; i < count; i++) {
        const v: u32 = r & (1 << i) ? 0xffff : 0;
        if (count == 16) store<u8>(d + <usize>i, <u8>v);
        else store<u16>(d + (<usize>i << 1), <u16>v);
      }
    } else {
      store<u64>(d, <u64>r);
      store<u64>(d, 0, 8);
    }
    if (clearHigh) v128.store(d, i64x2.splat(0), 16);
  }
  setArith((r ? F_CF : 0) | (lb < count ? F_ZF : 0) | (la < count ? F_SF : 0) | (r & 1 ? F_OF : 0));
}
