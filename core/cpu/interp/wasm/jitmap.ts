/**
 * Which compiled region begins at which byte of the shared memory: an open-addressed table in JIT_MAP_BASE that outlives the decoded records of
 * a page. Each entry is itself a record (record.ts) that enters its region, so that finding one costs no decoding:
 *
 *   REC_HANDLER  HANDLER_JIT, 0 when the entry is empty       REC_OPCODE  function of the region
 *   REC_NEXT     offset in the page; REC_LENGTH is 0          REC_IMM     key: byte of the memory, then mode * 2 + user in the upper half
 *
 * Records keep no links to these entries, and the branch target cache forgets those that go or move: they do when a neighbour is deleted.
 */
import { JIT_MAP_BASE, JIT_MAP_SIZE } from '../../../memory/layout';
import { forgetTarget } from './codecache';
import { HANDLER_JIT } from './generated/tables';
import { REC_DISP, REC_HANDLER, REC_IMM, REC_LENGTH, REC_NEXT, REC_OPCODE, REC_SIZE } from './record';

/** Twice the functions of the table (TABLE_SIZE of interpreter.ts), so that searches stay short. */
const ENTRIES: u32 = <u32>(JIT_MAP_SIZE / REC_SIZE);
const MASK: u32 = ENTRIES - 1;

// @ts-ignore: decorator
@inline
function at(index: u32): usize {
  return JIT_MAP_BASE + <usize>index * REC_SIZE;
}
// @ts-ignore: decorator
@inline
function keyOf(host: u32, mode: u32, user: u32): u64 {
  return <u64>host | (<u64>(mode * 2 + user) << 32);
}
/** Knuth's multiplicative hash of the key's halves. */
// @ts-ignore: decorator
@inline
function home(key: u64): u32 {
  return ((((<u32>key) ^ (<u32>(key >> 32) << 20)) * 0x9e37_79b1) >>> 12) & MASK;
}
// @ts-ignore: decorator
@inline
function empty(rec: usize): bool {
  return load<u16>(rec, REC_HANDLER) == 0;
}

/** The record that enters the region at byte `host`, 0 when there is none. */
export function mappedRegion(host: u32, mode: u32, user: u32): usize {
  const key = keyOf(host, mode, user);
  let i = home(key);
  while (!empty(at(i))) {
    if (load<u64>(at(i), REC_IMM) == key) return at(i);
    i = (i + 1) & MASK;
  }
  return 0;
}

/** Is `rec` an entry of this table rather than a decoded instruction? */
// @ts-ignore: decorator
@inline
export function isMapped(rec: usize): bool {
  return rec >= <usize>JIT_MAP_BASE;
}

/** The region at byte `host` is function `index`; the table never holds more than half its entries. */
export function mapRegion(host: u32, mode: u32, user: u32, index: u32): void {
  const key = keyOf(host, mode, user);
  let i = home(key);
  while (!empty(at(i)) && load<u64>(at(i), REC_IMM) != key) i = (i + 1) & MASK;
  const rec = at(i);
  store<u16>(rec, <u16>HANDLER_JIT, REC_HANDLER);
  store<u8>(rec, 0, REC_LENGTH);
  store<u16>(rec, <u16>index, REC_OPCODE);
  store<u16>(rec, <u16>(host & 0xfff), REC_NEXT);
  store<u64>(rec, 0, REC_DISP);
  store<u64>(rec, key, REC_IMM);
}

/** Deletes the entry, and moves those behind it that would no longer be found (Knuth, volume 3, algorithm 6.4R). */
export function unmapRegion(host: u32, mode: u32, user: u32): void {
  const found = mappedRegion(host, mode, user);
  if (!found) return;
  let hole = <u32>((found - JIT_MAP_BASE) / REC_SIZE);
  for (let i = (hole + 1) & MASK; !empty(at(i)); i = (i + 1) & MASK) {
    const from = home(load<u64>(at(i), REC_IMM));
    // It may move when its home does not lie between the hole and it.
    if (((i - from) & MASK) < ((i - hole) & MASK)) continue;
    forgetTarget(load<u32>(at(i), REC_IMM));
    memory.copy(at(hole), at(i), REC_SIZE);
    hole = i;
  }
  store<u16>(at(hole), 0, REC_HANDLER);
}

/** First use of the memory. */
export function clearMap(): void {
  memory.fill(JIT_MAP_BASE, 0, JIT_MAP_SIZE);
}
