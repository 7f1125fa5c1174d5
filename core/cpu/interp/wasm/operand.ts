/** Operand access for the generated switch. Register fields of core records hold byte offsets from S_GPR. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { baseOff, indexOff, recOff32, recSeg } from './ea';
import { linRead16, linRead32, linRead8, linWrite32, linWrite8 } from './mem';
import { memRead16, memRead32, memRead8, memWrite16, memWrite32, memWrite8 } from './memsegment';
import { REC_IMM, REC_REG, REC_RM } from './record';
import { S_GPR } from './stateoffsets';

const GPR: usize = CPU_STATE_BASE + S_GPR;

// @ts-ignore: decorator
@inline
export function e8(rec: usize): u32 {
  return load<u8>(GPR + <usize>load<u8>(rec, REC_RM));
}
// @ts-ignore: decorator
@inline
export function setE8(rec: usize, v: u32): void {
  store<u8>(GPR + <usize>load<u8>(rec, REC_RM), <u8>v);
}
// @ts-ignore: decorator
@inline
export function g8(rec: usize): u32 {
  return load<u8>(GPR + <usize>load<u8>(rec, REC_REG));
}
// @ts-ignore: decorator
@inline
export function setG8(rec: usize, v: u32): void {
  store<u8>(GPR + <usize>load<u8>(rec, REC_REG), <u8>v);
}
// @ts-ignore: decorator
@inline
export function m8(rec: usize): u32 {
  return memRead8(recSeg(rec), <u64>recOff32(rec));
}
// @ts-ignore: decorator
@inline
export function setM8(rec: usize, v: u32): void {
  memWrite8(recSeg(rec), <u64>recOff32(rec), v);
}
// @ts-ignore: decorator
@inline
export function a8(): u32 {
  return load<u8>(GPR);
}
// @ts-ignore: decorator
@inline
export function setA8(v: u32): void {
  store<u8>(GPR, <u8>v);
}
// @ts-ignore: decorator
@inline
export function e16(rec: usize): u32 {
  return load<u16>(GPR + <usize>load<u8>(rec, REC_RM));
}
// @ts-ignore: decorator
@inline
export function setE16(rec: usize, v: u32): void {
  store<u16>(GPR + <usize>load<u8>(rec, REC_RM), <u16>v);
}
// @ts-ignore: decorator
@inline
export function g16(rec: usize): u32 {
  return load<u16>(GPR + <usize>load<u8>(rec, REC_REG));
}
// @ts-ignore: decorator
@inline
export function setG16(rec: usize, v: u32): void {
  store<u16>(GPR + <usize>load<u8>(rec, REC_REG), <u16>v);
}
// @ts-ignore: decorator
@inline
export function m16(rec: usize): u32 {
  return memRead16(recSeg(rec), <u64>recOff32(rec));
}
// @ts-ignore: decorator
@inline
export function setM16(rec: usize, v: u32): void {
  memWrite16(recSeg(rec), <u64>recOff32(rec), v);
}
// @ts-ignore: decorator
@inline
export function a16(): u32 {
  return load<u16>(GPR);
}
// @ts-ignore: decorator
@inline
export function setA16(v: u32): void {
  store<u16>(GPR, <u16>v);
}
// @ts-ignore: decorator
@inline
export function e32(rec: usize): u32 {
  return load<u32>(GPR + <usize>load<u8>(rec, REC_RM));
}
// @ts-ignore: decorator
@inline
export function setE32(rec: usize, v: u32): void {
  store<u64>(GPR + <usize>load<u8>(rec, REC_RM), <u64>v);
}
// @ts-ignore: decorator
@inline
export function g32(rec: usize): u32 {
  return load<u32>(GPR + <usize>load<u8>(rec, REC_REG));
}
// @ts-ignore: decorator
@inline
export function setG32(rec: usize, v: u32): void {
  store<u64>(GPR + <usize>load<u8>(rec, REC_REG), <u64>v);
}
// @ts-ignore: decorator
@inline
export function m32(rec: usize): u32 {
  return memRead32(recSeg(rec), <u64>recOff32(rec));
}
// @ts-ignore: decorator
@inline
export function setM32(rec: usize, v: u32): void {
  memWrite32(recSeg(rec), <u64>recOff32(rec), v);
}
// @ts-ignore: decorator
@inline
export function a32(): u32 {
  return load<u32>(GPR);
}
// @ts-ignore: decorator
@inline
export function setA32(v: u32): void {
  store<u64>(GPR, <u64>v);
}
// @ts-ignore: decorator
@inline
export function e64(rec: usize): u64 {
  return load<u64>(GPR + <usize>load<u8>(rec, REC_RM));
}
// @ts-ignore: decorator
@inline
export function setE64(rec: usize, v: u64): void {
  store<u64>(GPR + <usize>load<u8>(rec, REC_RM), v);
}
// @ts-ignore: decorator
@inline
export function g64(rec: usize): u64 {
  return load<u64>(GPR + <usize>load<u8>(rec, REC_REG));
}
// @ts-ignore: decorator
@inline
export function setG64(rec: usize, v: u64): void {
  store<u64>(GPR + <usize>load<u8>(rec, REC_REG), v);
}
// @ts-ignore: decorator
@inline
export function a64(): u64 {
  return load<u64>(GPR);
}
// @ts-ignore: decorator
@inline
export function setA64(v: u64): void {
  store<u64>(GPR, v);
}
/** The immediate at 64 bits: sign-extended. */
// @ts-ignore: decorator
@inline
export function imm64(rec: usize): u64 {
  return load<u64>(rec, REC_IMM);
}
// @ts-ignore: decorator
@inline
export function imm(rec: usize): u32 {
  return load<u32>(rec, REC_IMM);
}
// @ts-ignore: decorator
@inline
export function cl(): u32 {
  return load<u8>(GPR + 8);
}
// @ts-ignore: decorator
@inline
export function dx(): u32 {
  return load<u16>(GPR + 16);
}

// Flat mode: the offset is the linear address.

// @ts-ignore: decorator
@inline
export function b8(rec: usize): u32 {
  return linRead8(<u64>baseOff(rec));
}
// @ts-ignore: decorator
@inline
export function setB8(rec: usize, v: u32): void {
  linWrite8(<u64>baseOff(rec), v);
}
// @ts-ignore: decorator
@inline
export function b16(rec: usize): u32 {
  return linRead16(<u64>baseOff(rec));
}
// @ts-ignore: decorator
@inline
export function b32(rec: usize): u32 {
  return linRead32(<u64>baseOff(rec));
}
// @ts-ignore: decorator
@inline
export function setB32(rec: usize, v: u32): void {
  linWrite32(<u64>baseOff(rec), v);
}
// @ts-ignore: decorator
@inline
export function x8(rec: usize): u32 {
  return linRead8(<u64>indexOff(rec));
}
// @ts-ignore: decorator
@inline
export function setX8(rec: usize, v: u32): void {
  linWrite8(<u64>indexOff(rec), v);
}
// @ts-ignore: decorator
@inline
export function x16(rec: usize): u32 {
  return linRead16(<u64>indexOff(rec));
}
// @ts-ignore: decorator
@inline
export function x32(rec: usize): u32 {
  return linRead32(<u64>indexOff(rec));
}
// @ts-ignore: decorator
@inline
export function setX32(rec: usize, v: u32): void {
  linWrite32(<u64>indexOff(rec), v);
}
