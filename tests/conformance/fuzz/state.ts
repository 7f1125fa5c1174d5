/** Random states and memory for a piece of code. */
import { ARITHMETIC, DF } from '../flags.ts';
import { Random } from '../fp/record.ts';
import { INTEGERS } from '../integers.ts';
import { randomDouble, randomExtended, randomSingle } from '../fp/values.ts';
import type { Code } from './code.ts';
import { windowAddress } from './encode.ts';
import * as L from './layout.ts';
import { baseOf, drawSelectors, isNarrow, type Selectors } from './segments.ts';

const POOL = 2048;
interface Pools {
  /** 64-bit patterns: doubles, pairs of singles, integers. */
  words: BigUint64Array;
  /** 80-bit numbers, 16 bytes each. */
  extended: Uint8Array;
}
let pools: Pools | undefined;

function drawInteger(random: Random): bigint {
  const kind = random.below(10);
  if (kind < 3) return random.pick(INTEGERS);
  if (kind < 5) return BigInt(random.below(256));
  if (kind < 6) return BigInt.asUintN(64, -BigInt(random.below(256)));
  if (kind < 8) return random.big() >> BigInt(random.below(64));
  return random.big();
}

/** Values are drawn once and picked from afterwards: drawing is slow. */
function thePools(): Pools {
  if (pools) return pools;
  const random = new Random(77);
  const words = new BigUint64Array(POOL);
  const extended = new Uint8Array(POOL * 16);
  const view = new DataView(extended.buffer);
  for (let i = 0; i < POOL; i++) {
    const kind = i & 3;
    words[i] = kind === 0 ? randomDouble(random) : kind === 1 ? (randomSingle(random) << 32n) | randomSingle(random) : drawInteger(random);
    const [exponent, significand] = randomExtended(random);
    view.setBigUint64(i * 16, significand, true);
    view.setUint16(i * 16 + 8, exponent, true);
  }
  pools = { words, extended };
  return pools;
}

/** Fills `record` with a start for `code`. */
export function drawState(record: Uint8Array, code: Code, seed: number, segments: boolean | Selectors = false): void {
  const random = new Random(seed);
  const { words, extended } = thePools();
  const view = new DataView(record.buffer, record.byteOffset, L.RECORD_SIZE);
  const long = code.roles.bits === 64;
  const selectors = segments === true ? drawSelectors(random) : segments || undefined;
  record.fill(0);
  view.setUint32(L.R_CODE_AT, code.at, true);
  view.setUint32(L.R_CODE2_AT, code.at2, true);
  view.setUint32(L.R_MODE, code.roles.bits, true);
  let flags = 0x202 | (random.next() & ARITHMETIC);
  if (random.chance(12)) flags |= DF;
  // Alignment checks, single step.
  if (random.chance(1)) flags |= 0x40000;
  if (random.chance(1)) flags |= 0x100;
  view.setUint32(L.R_FLAGS, flags, true);
  for (let r = 0; r < (long ? 16 : 8); r++) {
    let value = random.chance(25) ? drawInteger(random) : words[random.below(POOL)]!;
    if (code.roles.pointers.includes(r)) {
      let address = windowAddress(random);
      if (r === code.roles.pointers[0]) address = (random.chance(70) ? 0x201400 : 0x202800) + 64 * random.below(3);
      else if (random.chance(60)) address &= ~15;
      value = BigInt(address);
      // Also the upper half of the address space, where nothing is, and addresses that are none.
      if (random.chance(1)) value = random.pick([0n, 0x7ffffffffffffff8n, 0xffff800000000000n, 0x7ffffffffff8n, 0xfffffffffffffff8n]);
    } else if (r === code.roles.index) value = BigInt.asUintN(64, BigInt(random.below(17) - 8));
    else if (r === 1 && random.chance(70)) value = BigInt(random.below(40));
    else if (r === 4) {
      const kind = random.below(100);
      let stack = 0x202880 + 8 * random.below(8);
      if (kind < 6) stack = 0x201000 + random.below(40);
      else if (kind < 10) stack = 0x205000 + random.below(40);
      else if (kind < 13) stack = 0x203000 - random.below(24);
      else if (kind < 15) stack = 0x202000 + random.below(32) - 16;
      else if (kind < 16) stack = 0xffffffc0 + random.below(64);
      else if (kind < 20) stack += random.below(8);
      value = BigInt(stack);
    }
    // Strings go to ES, EBP and ESP mean SS.
    if (selectors && (r === 4 || code.roles.pointers.includes(r)))
      value -= BigInt(baseOf(r === 4 || r === 5 ? selectors[4] : r === 7 && random.chance(50) ? selectors[1] : selectors[0]));
    // Addresses of 16 bits mind the lower halves alone.
    if (code.roles.bits === 16 && r !== 4 && code.roles.pointers.includes(r))
      value = (value & 0xffffn) | (random.chance(20) ? random.big() & 0xffff0000n : 0n);
    if (selectors && r === 4 && isNarrow(selectors[4])) value &= 0xffffn;
    view.setBigUint64(L.R_GPR + r * 8, BigInt.asUintN(long ? 64 : 32, value), true);
  }
  view.setBigUint64(L.R_RIP, BigInt(code.at), true);
  selectors?.forEach((selector, i) => {
    view.setUint16(L.R_SELECTORS + 2 * i, selector, true);
  });
  if (!selectors) {
    view.setBigUint64(L.R_FS, BigInt(random.pick([0, 0, 0x10, 0x100])), true);
    view.setBigUint64(L.R_GS, BigInt(random.pick([0, 0x40, 0x1000])), true);
  }
  drawFloating(record, view, random, words, extended);
  for (let at = L.R_DATA; at < L.RECORD_SIZE; at += 16) {
    const kind = random.below(8);
    if (kind === 0) record.copyWithin(at, at - 16, at);
    else if (kind === 1) {
      const from = random.below(POOL) * 16;
      record.set(extended.subarray(from, from + 16), at);
    } else {
      view.setBigUint64(at, words[random.below(POOL)]!, true);
      view.setBigUint64(at + 8, words[random.below(POOL)]!, true);
    }
  }
  record.set(code.code, L.R_CODE);
  record.set(code.code2, L.R_CODE2);
}

function drawFloating(record: Uint8Array, view: DataView, random: Random, words: BigUint64Array, extended: Uint8Array): void {
  const control = random.chance(60) ? 0x37f : 0x40 | (random.next() & 0xf00) | (random.chance(50) ? 0x3f : random.next() & 0x3f);
  view.setUint16(L.R_FX + L.FX_CONTROL, control, true);
  const top = random.below(8);
  // Only exceptions that are masked: others would have to be pending.
  const status = (top << 11) | (random.next() & 0x4700) | (random.chance(20) ? random.next() & control & 0x3f : 0);
  view.setUint16(L.R_FX + L.FX_STATUS, status, true);
  let used = 0;
  const depth = random.below(9);
  for (let i = 0; i < depth; i++) used |= 1 << ((top + i) & 7);
  if (random.chance(10)) used = random.next() & 255;
  record[L.R_FX + L.FX_TAG] = used;
  const mmx = random.chance(30);
  for (let i = 0; i < 8; i++) {
    const at = L.R_FX + L.FX_ST + i * 16;
    const from = random.below(POOL) * 16;
    if (mmx) {
      view.setBigUint64(at, words[random.below(POOL)]!, true);
      view.setUint16(at + 8, 0xffff, true);
    } else record.set(extended.subarray(from, from + 10), at);
  }
  let mxcsr = 0x1f80;
  if (random.chance(35)) mxcsr = (random.next() & 0xe07f) | (random.chance(70) ? 0x1f80 : random.next() & 0x1f80);
  // A flag of an unmasked exception says nothing, but may stay.
  view.setUint32(L.R_FX + L.FX_MXCSR, mxcsr, true);
  const small = random.chance(10);
  for (let i = 0; i < 32; i++) {
    const at = i < 16 ? L.R_FX + L.FX_XMM + i * 16 : L.R_YMMH + (i - 16) * 16;
    view.setBigUint64(at, small ? BigInt(random.below(32)) : words[random.below(POOL)]!, true);
    view.setBigUint64(at + 8, small ? BigInt(random.below(32)) : words[random.below(POOL)]!, true);
  }
}
