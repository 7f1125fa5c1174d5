/** CALL and JMP through a far pointer in memory: offset first, then the selector. */
import { recLin, recOff32, recSeg } from './ea';
import { farCall, farJump } from './far';
import { linRead16, linRead32, linRead64 } from './mem';
import { memRead16, memRead32 } from './memsegment';

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

/** In 64-bit mode; `opsize` 3 = 64 bits. */
function readPointer64(rec: usize, opsize: i32): u64 {
  const lin = recLin(rec);
  const target: u64 = opsize == 3 ? linRead64(lin) : opsize == 2 ? <u64>linRead32(lin) : <u64>linRead16(lin);
  selector = linRead16(lin + ((<u64>1) << opsize));
  return target;
}

export function farCallMem64(rec: usize, opsize: i32, nextRip: u64): void {
  const target = readPointer64(rec, opsize);
  farCall(selector, target, opsize, nextRip);
}

export function farJumpMem64(rec: usize, opsize: i32, nextRip: u64): void {
  const target = readPointer64(rec, opsize);
  farJump(selector, target, opsize, nextRip);
}
