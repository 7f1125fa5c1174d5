/**
 * CPU state block in shared memory: byte offsets from CPU_STATE_BASE and inline accessors. Also compiled by TypeScript readers
 * (core/cpu/interp/stateblock.ts) through the plain constants; keep every constant an untyped literal.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import * as O from './stateoffsets';

// @ts-ignore: decorator
@inline
export function gpr64(r: i32): u64 {
  return load<u64>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3));
}
// @ts-ignore: decorator
@inline
export function setGpr64(r: i32, v: u64): void {
  store<u64>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3), v);
}
// @ts-ignore: decorator
@inline
export function gpr32(r: i32): u32 {
  return load<u32>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3));
}
/** Zero-extends into the upper half, as the hardware does. */
// @ts-ignore: decorator
@inline
export function setGpr32(r: i32, v: u32): void {
  store<u64>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3), <u64>v);
}
// @ts-ignore: decorator
@inline
export function gpr16(r: i32): u32 {
  return load<u16>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3));
}
// @ts-ignore: decorator
@inline
export function setGpr16(r: i32, v: u32): void {
  store<u16>(CPU_STATE_BASE + O.S_GPR + (<usize>r << 3), <u16>v);
}
