/** CALL and JMP through a far pointer in memory: offset first, then the selector. */
import { recOff32, recSeg } from './ea';
import { farCall, farJump } from './far';
import { memRead16, memRead32 } from './mem';

let selector: u32 = 0;

function readPointer(rec: usize, opsize: i32): u32 {
  const seg = recSeg(rec);
  const off = recOff32(rec);
  const size: u32 = opsize == 2 ? 4 : 2;
  const target = opsize == 2 ? memRead32(seg, <u64>off) : memRead16(seg, <u64>off);
  selector = memRead16(seg, <u64>(off + size));
  return target;
}

/** `opsize` as in far.ts: 1 = 16, 2 = 32 bits. */
export function farCallMem(rec: usize, opsize: i32, nextRip: u32): void {
  const target = readPointer(rec, opsize);
  farCall(selector, <u64>target, opsize, <u64>nextRip);
}

export function farJumpMem(rec: usize, opsize: i32, nextRip: u32): void {
  const target = readPointer(rec, opsize);
  farJump(selector, <u64>target, opsize, <u64>nextRip);
}
