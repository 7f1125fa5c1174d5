/**
 * Cache of decoded records, keyed by page of the shared memory and code mode, so that it survives every remapping of linear addresses.
 *
 *   DIRECTORY  u16 for each (host page, Run.mode): slot number + 1
 *   GROUPS     49151 pieces of an index: for 32 bytes of a page, u32 address of the record of the instruction that starts there, 0 when none
 *   SLOTS      16 bytes a slot: directory key, first chunk, current chunk, next free record
 *   TABLES     for each slot, u16 for each 32 bytes of its page: their group, 0 when nothing is decoded there
 *   TARGETS    branch target cache: byte of the memory -> record, valid while `key` matches (what is forgotten as a whole, privilege, code mode);
 *              16 bytes each: u64 key, u32 byte, u32 record
 *   CHUNKS     4 KiB pieces of 128 records: record 0 links the chunks of a page (in its first also u32 how many, at 4), the last record is kept
 *              for a HANDLER_CONTINUE
 *
 * Dropping a page overwrites its records with HANDLER_STALE, so that a run of records that is being executed stops at the next one, and
 * links inside the page (they never leave it) die with it.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE, DECODE_CACHE_BASE } from '../../../memory/layout';
import { HANDLER_JIT, HANDLER_STALE } from './generated/tables';
import { jitWritten } from './imports';
import { CODE_JIT } from './jit';
import { REC_ENTERED, REC_FELL, REC_HANDLER, REC_LENGTH, REC_SIZE, REC_SIZES } from './record';
import { Run } from './runstate';
import { SY_TLB_CUR } from './sysstate';
import { TLB_USER, tlbProtectCode } from './tlb';

/** Pages of code. GCC's compiler goes through more than these, Linux and its shell through as many. */
const SLOT_COUNT: u32 = 2048;
/** Run.mode in the low bits of a directory key: the four slot numbers of a page are one u64. */
const MODE_BITS = 2;
const CHUNK_SIZE: usize = 4096;
const GROUP_SHIFT = 5;
const GROUP_SIZE: usize = 4 << GROUP_SHIFT;
const GROUP_COUNT: u32 = 49152;
/** Bytes of a slot's table. */
const TABLE_SIZE: usize = (4096 >> GROUP_SHIFT) * 2;
const DIRECTORY: usize = DECODE_CACHE_BASE;
const DIRECTORY_SIZE: usize = 0x80_0000;
const GROUPS: usize = DIRECTORY + DIRECTORY_SIZE;
const SLOTS: usize = GROUPS + <usize>GROUP_COUNT * GROUP_SIZE;
const TABLES: usize = SLOTS + <usize>SLOT_COUNT * 16;
const TARGETS: usize = TABLES + <usize>SLOT_COUNT * TABLE_SIZE;
const TARGET_COUNT: u32 = 16384;
const CHUNKS: usize = TARGETS + 0x4_0000;
const CHUNKS_END: usize = CHUNKS + 0x100_0000;
/** Chunks of a page before it is decoded anew. One with an instruction at each byte needs 33 and what runs leave; records that regions replaced stay. */
const MOST_CHUNKS: u32 = 48;

const SLOT_KEY: usize = 0;
const SLOT_FIRST: usize = 4;
const SLOT_CHUNK: usize = 8;
const SLOT_NEXT: usize = 12;
/** Key of a slot that holds no page. */
const NO_KEY: u32 = 0xffff_ffff;
/** Key of a branch target that never matches. */
const NO_TARGET: u64 = 0xffff_ffff_ffff_ffff;

/** A byte for each slot: its page was entered since the hand last passed. */
const USED: usize = memory.data(2048);

let freeChunk: usize = 0;
let chunkTop: usize = CHUNKS;
/** Group 0 stands for none. */
let freeGroup: u32 = 0;
let groupTop: u32 = 1;
/** First of the slots that hold no page, + 1, linked by SLOT_FIRST; behind `usedSlots` none was ever used. */
let freeSlots: u32 = 0;
let usedSlots: u32 = 0;
/** The slot that room was last looked for at. */
let hand: u32 = 0;
let droppedPages: u32 = 0;
/** Changes whenever records die. */
let generation: u32 = 0;
/** Changes when all branch targets are forgotten. */
let targetGeneration: u32 = 0;

// @ts-ignore: decorator
@inline
function slotAt(slot: u32): usize {
  return SLOTS + (<usize>slot << 4);
}
// @ts-ignore: decorator
@inline
function directoryAt(key: u32): usize {
  return DIRECTORY + (<usize>key << 1);
}
// @ts-ignore: decorator
@inline
function tableAt(slot: u32, offset: u32): usize {
  return TABLES + <usize>slot * TABLE_SIZE + (<usize>(offset >>> GROUP_SHIFT) << 1);
}
// @ts-ignore: decorator
@inline
function groupAt(group: u32): usize {
  return GROUPS + <usize>group * GROUP_SIZE;
}

/** Forgets everything; also makes a fresh memory usable. */
export function clearCache(): void {
  for (let slot: u32 = 0; slot < usedSlots; slot++) if (load<u32>(slotAt(slot)) != NO_KEY) dropSlot(slot);
  generation++;
  targetGeneration++;
}

/** Value that a branch target entry must carry to be valid now. */
// @ts-ignore: decorator
@inline
export function targetKey(): u64 {
  return (<u64>targetGeneration << 8) | <u64>((load<u32>(CPU_STATE_BASE + SY_TLB_CUR) == TLB_USER ? 4 : 0) | Run.mode);
}

/** Changes whenever records die that something may have found before. */
// @ts-ignore: decorator
@inline
export function codeGeneration(): u32 {
  return generation;
}

/** Pages whose decoded code was dropped so far, for statistics. */
export function codePagesDropped(): u32 {
  return droppedPages;
}

// @ts-ignore: decorator
@inline
export function targetAt(host: u32): usize {
  return TARGETS + (<usize>((host ^ (host >>> 12)) & (TARGET_COUNT - 1)) << 4);
}

function takeChunk(keep: u32): usize {
  while (true) {
    if (freeChunk) {
      const chunk = freeChunk;
      freeChunk = load<u32>(chunk);
      return chunk;
    }
    if (chunkTop + CHUNK_SIZE <= CHUNKS_END) {
      const chunk = chunkTop;
      chunkTop += CHUNK_SIZE;
      return chunk;
    }
    evict(keep);
  }
}

/** A group in which nothing is decoded. */
function takeGroup(keep: u32): u32 {
  while (true) {
    if (freeGroup) {
      const group = freeGroup;
      freeGroup = load<u32>(groupAt(group));
      store<u32>(groupAt(group), 0);
      return group;
    }
    if (groupTop < GROUP_COUNT) return groupTop++;
    evict(keep);
  }
}

/** Drops a page other than the one in slot `keep`: the first that was not entered since the hand passed it before (the clock algorithm). */
function evict(keep: u32): void {
  while (true) {
    hand = (hand + 1) % SLOT_COUNT;
    if (hand == keep || hand >= usedSlots || load<u32>(slotAt(hand)) == NO_KEY) continue;
    if (!load<u8>(USED + <usize>hand)) {
      dropSlot(hand);
      return;
    }
    // Who enters it next finds no branch target, and says so.
    store<u8>(USED + <usize>hand, 0);
    forgetTargetsIn(hand);
  }
}

/** No decoded code of the page is left; compiled code may be. */
function forgetCode(page: u32): void {
  const at = CODE_MAP_BASE + page;
  store<u8>(at, load<u8>(at) & CODE_JIT);
}

/** The branch target cache has nothing of byte `host` any longer. */
export function forgetTarget(host: u32): void {
  const entry = targetAt(host);
  if (load<u32>(entry, 8) == host) store<u64>(entry, NO_TARGET);
  generation++;
}

/** The same for every instruction of a slot's page that is decoded. */
function forgetTargetsIn(slot: u32): void {
  const page = load<u32>(slotAt(slot), SLOT_KEY) >>> MODE_BITS << 12;
  for (let offset: u32 = 0; offset < 4096; offset += 1 << GROUP_SHIFT) {
    const group = <u32>load<u16>(tableAt(slot, offset));
    if (!group) continue;
    const records = groupAt(group);
    for (let i: u32 = 0; i < 1 << GROUP_SHIFT; i++) {
      if (!load<u32>(records + (<usize>i << 2))) continue;
      const host = page + offset + i;
      const entry = targetAt(host);
      if (load<u32>(entry, 8) == host) store<u64>(entry, NO_TARGET);
    }
  }
}

function freeGroups(slot: u32): void {
  for (let offset: u32 = 0; offset < 4096; offset += 1 << GROUP_SHIFT) {
    const place = tableAt(slot, offset);
    const group = <u32>load<u16>(place);
    if (!group) continue;
    store<u16>(place, 0);
    memory.fill(groupAt(group), 0, GROUP_SIZE);
    store<u32>(groupAt(group), freeGroup);
    freeGroup = group;
  }
}

function dropSlot(slot: u32): void {
  const at = slotAt(slot);
  const key = load<u32>(at, SLOT_KEY);
  forgetTargetsIn(slot);
  let chunk: usize = load<u32>(at, SLOT_FIRST);
  while (chunk) {
    for (let rec = chunk + REC_SIZE; rec < chunk + CHUNK_SIZE; rec += REC_SIZE) store<u16>(rec, HANDLER_STALE, REC_HANDLER);
    const next: usize = load<u32>(chunk);
    store<u32>(chunk, <u32>freeChunk);
    freeChunk = chunk;
    chunk = next;
  }
  freeGroups(slot);
  store<u16>(directoryAt(key), 0);
  store<u32>(at, NO_KEY, SLOT_KEY);
  store<u32>(at, freeSlots, SLOT_FIRST);
  freeSlots = slot + 1;
  if (load<u64>(directoryAt(key & ~3)) == 0) forgetCode(key >>> MODE_BITS);
  droppedPages++;
  generation++;
}

/** Slot of the page that holds byte `host`, made when there is none. */
export function slotFor(host: u32, mode: u32): u32 {
  const key = ((host >>> 12) << MODE_BITS) | mode;
  const known = <u32>load<u16>(directoryAt(key));
  const slot = known ? known - 1 : newSlot(key);
  store<u8>(USED + <usize>slot, 1);
  return slot;
}

function newSlot(key: u32): u32 {
  const slot = takeSlot();
  const at = slotAt(slot);
  store<u32>(at, key, SLOT_KEY);
  store<u32>(at, 0, SLOT_FIRST);
  store<u32>(at, 0, SLOT_CHUNK);
  store<u32>(at, 0, SLOT_NEXT);
  store<u16>(directoryAt(key), <u16>(slot + 1));
  const page = key >>> MODE_BITS;
  const flags = load<u8>(CODE_MAP_BASE + page);
  store<u8>(CODE_MAP_BASE + page, flags | 1);
  if (!flags) tlbProtectCode(page);
  return slot;
}

function takeSlot(): u32 {
  if (!freeSlots) {
    if (usedSlots < SLOT_COUNT) return usedSlots++;
    evict(SLOT_COUNT);
  }
  const slot = freeSlots - 1;
  freeSlots = load<u32>(slotAt(slot), SLOT_FIRST);
  return slot;
}

/** The slot of a page in which something more is to be decoded: `slot`, or another that begins empty. */
export function slotToDecode(slot: u32, host: u32, mode: u32): u32 {
  const first: usize = load<u32>(slotAt(slot), SLOT_FIRST);
  if (!first || load<u32>(first, 4) < MOST_CHUNKS) return slot;
  dropSlot(slot);
  return slotFor(host, mode);
}

/** The slot of the page that holds byte `host`, -1 when there is none. */
export function slotIfAny(host: u32, mode: u32): i32 {
  return <i32>load<u16>(directoryAt(((host >>> 12) << MODE_BITS) | mode)) - 1;
}

/** The record of the instruction that starts at byte `offset` of the page, 0 when it is not decoded. */
// @ts-ignore: decorator
@inline
export function recordAt(slot: u32, offset: u32): usize {
  const group = <u32>load<u16>(tableAt(slot, offset));
  return group ? load<u32>(placeIn(group, offset)) : 0;
}
/** A bit for each byte of a page, the lowest of a byte first, twice: REACHED_FELL bytes in those of conditional branches. */
const REACHED: usize = memory.data(1024);
const REACHED_FELL: usize = 512;

/**
 * For the compiler: where control went in the page that holds byte `host`, until the next call; 0 when nothing of it is decoded. 512 bytes with a bit for each instruction that it came to by a
 * jump, call or return, and as many for the conditional branches that were once not taken. Of an instruction that begins a region both are set.
 */
export function jitReached(host: u32, mode: u32): usize {
  const slot = slotIfAny(host, mode);
  if (slot < 0) return 0;
  for (let offset: u32 = 0; offset < 4096; offset += 1 << GROUP_SHIFT) {
    const group = <u32>load<u16>(tableAt(slot, offset));
    let entered: u32 = 0;
    let fell: u32 = 0;
    if (group)
      for (let i: u32 = 0; i < 1 << GROUP_SHIFT; i++) {
        const rec: usize = load<u32>(groupAt(group) + (<usize>i << 2));
        if (!rec) continue;
        const region = load<u16>(rec, REC_HANDLER) == HANDLER_JIT;
        if (region || load<u8>(rec, REC_SIZES) & REC_ENTERED) entered |= 1 << i;
        if (region || load<u8>(rec, REC_FELL)) fell |= 1 << i;
      }
    store<u32>(REACHED + (<usize>offset >> 3), entered);
    store<u32>(REACHED + REACHED_FELL + (<usize>offset >> 3), fell);
  }
  return REACHED;
}

// @ts-ignore: decorator
@inline
function placeIn(group: u32, offset: u32): usize {
  return groupAt(group) + (<usize>(offset & ((1 << GROUP_SHIFT) - 1)) << 2);
}

/** May drop other pages for room. */
export function setRecordAt(slot: u32, offset: u32, rec: usize): void {
  const table = tableAt(slot, offset);
  let group = <u32>load<u16>(table);
  if (!group) {
    group = takeGroup(slot);
    store<u16>(table, <u16>group);
  }
  store<u32>(placeIn(group, offset), <u32>rec);
}

/** The record that newRecord() gives next, when the chunk has room for it and one more; 0 otherwise. */
export function roomFor(slot: u32): bool {
  const next: usize = load<u32>(slotAt(slot), SLOT_NEXT);
  return next != 0 && next + 2 * REC_SIZE <= (next & ~(CHUNK_SIZE - 1)) + CHUNK_SIZE;
}

/** A fresh record of the page; consecutive calls give consecutive records while roomFor() says so. */
export function newRecord(slot: u32): usize {
  const at = slotAt(slot);
  let next: usize = load<u32>(at, SLOT_NEXT);
  if (!next) {
    const chunk = takeChunk(slot);
    const current: usize = load<u32>(at, SLOT_CHUNK);
    store<u32>(chunk, 0);
    if (current) store<u32>(current, <u32>chunk);
    else {
      store<u32>(at, <u32>chunk, SLOT_FIRST);
      store<u32>(chunk, 0, 4);
    }
    const first: usize = load<u32>(at, SLOT_FIRST);
    store<u32>(first, load<u32>(first, 4) + 1, 4);
    store<u32>(at, <u32>chunk, SLOT_CHUNK);
    next = chunk + REC_SIZE;
  }
  const after = next + REC_SIZE;
  store<u32>(at, <u32>(after & (CHUNK_SIZE - 1) ? after : 0), SLOT_NEXT);
  return next;
}

/** Before a new run: moves on to a new chunk when this one has little room left. A run never begins with its own HANDLER_CONTINUE. */
export function startRun(slot: u32): void {
  const next: usize = load<u32>(slotAt(slot), SLOT_NEXT);
  if ((next & (CHUNK_SIZE - 1)) > CHUNK_SIZE - 8 * REC_SIZE) store<u32>(slotAt(slot), 0, SLOT_NEXT);
}

/** Everything decoded from the page that holds byte `host`. */
export function dropCodePage(host: u32): void {
  const key = (host >>> 12) << MODE_BITS;
  for (let mode: u32 = 0; mode < 4; mode++) {
    const slot = load<u16>(directoryAt(key | mode));
    if (slot) dropSlot(slot - 1);
  }
  if (load<u8>(CODE_MAP_BASE + (host >>> 12)) & CODE_JIT) jitWritten(host & 0xffff_f000, 0x1000);
  forgetCode(host >>> 12);
}

/** True when a decoded instruction of the slot covers any of the bytes first..last of the page. */
function covers(slot: u32, first: u32, last: u32): bool {
  const from: u32 = first > 14 ? first - 14 : 0;
  for (let offset = from; offset <= last; offset++) {
    const rec = recordAt(slot, offset);
    if (!rec) continue;
    // Length 0: an instruction that reaches into the next page.
    const length = <u32>load<u8>(rec, REC_LENGTH);
    if (!length || offset + length > first) return true;
  }
  return false;
}

/**
 * Counts of writes beside the code of a page, direct-mapped: u32 page, u32 count and, in the upper 8 bits, how often the page was dropped for it.
 * Memory that once held code is often data later (of a BIOS, a boot loader, an ended program), and each write to it takes the slow way.
 */
const BESIDE: usize = memory.data(1024 * 8);
/** Writes after which the page is dropped; each time twice as many. */
const BESIDE_FIRST: u32 = 256;
const BESIDE_DOUBLINGS: u32 = 14;

/** A write hit the page but no instruction of it. True: it is time to forget its code, so that it may be written like any data. */
function writtenBeside(page: u32): bool {
  const at = BESIDE + (<usize>(page & 1023) << 3);
  if (load<u32>(at) != page) {
    store<u32>(at, page);
    store<u32>(at, 0, 4);
  }
  const word = load<u32>(at, 4) + 1;
  const times = word >>> 24;
  const due = (word & 0xff_ffff) >= BESIDE_FIRST << times;
  store<u32>(at, due ? min(times + 1, BESIDE_DOUBLINGS) << 24 : word, 4);
  return due;
}

/**
 * Up to 8 bytes at `host`, in a page with decoded code, were written. The page is dropped when an instruction was hit, or after many writes
 * that hit none: data beside code is common in boot sectors and BIOSes.
 */
export function invalidateCodePage(host: u32): void {
  codeWritten(host, 8);
}

/** The same for `size` bytes, clipped to the page. */
export function codeWritten(host: u32, size: u32): void {
  const key = (host >>> 12) << MODE_BITS;
  const first = host & 0xfff;
  let last = first + size - 1;
  if (last > 0xfff) last = 0xfff;
  for (let mode: u32 = 0; mode < 4; mode++) {
    const slot = load<u16>(directoryAt(key | mode));
    if (slot && covers(slot - 1, first, last)) dropSlot(slot - 1);
  }
  if (load<u8>(CODE_MAP_BASE + (host >>> 12)) & CODE_JIT) jitWritten(host, last - first + 1);
  if (load<u8>(CODE_MAP_BASE + (host >>> 12)) && writtenBeside(host >>> 12)) dropCodePage(host);
}
