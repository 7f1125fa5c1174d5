/** Linear accesses of the rare handlers (generated/dispatch64.ts) as calls: the inlined ones of mem.ts made most of the module's code. */
import { linRead16, linRead32, linRead64, linRead8, linReadW16, linReadW32, linReadW64, linReadW8, linWrite16, linWrite32, linWrite64, linWrite8 } from './mem';

export function coldRead8(lin: u64): u32 {
  return linRead8(lin);
}
export function coldRead16(lin: u64): u32 {
  return linRead16(lin);
}
export function coldRead32(lin: u64): u32 {
  return linRead32(lin);
}
export function coldRead64(lin: u64): u64 {
  return linRead64(lin);
}
export function coldReadW8(lin: u64): u32 {
  return linReadW8(lin);
}
export function coldReadW16(lin: u64): u32 {
  return linReadW16(lin);
}
export function coldReadW32(lin: u64): u32 {
  return linReadW32(lin);
}
export function coldReadW64(lin: u64): u64 {
  return linReadW64(lin);
}
export function coldWrite8(lin: u64, v: u32): void {
  linWrite8(lin, v);
}
export function coldWrite16(lin: u64, v: u32): void {
  linWrite16(lin, v);
}
export function coldWrite32(lin: u64, v: u32): void {
  linWrite32(lin, v);
}
export function coldWrite64(lin: u64, v: u64): void {
  linWrite64(lin, v);
}
