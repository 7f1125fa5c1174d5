/** MUL, IMUL, DIV, IDIV (SDM volume 2). CF and OF of a product say that its upper half is significant; SF and PF follow the lower half, ZF
 * and AF are clear (undefined by the manual; what current processors do). */
import { raiseFault } from './fault';
import { LAZY_AUX, LAZY_RES } from './flags';
import { gpr16, gpr32, setGpr16, setGpr32 } from './state';
import { VEC_DE } from './stateoffsets';

// @ts-ignore: decorator
@inline
export function productFlags(low: i32, significant: bool): void {
  // Bit 8 keeps ZF clear and leaves SF and PF alone.
  store<i64>(LAZY_RES, <i64>(low ? low : 0x100));
  // CF and OF together: bit 31 set, bit 30 clear.
  store<u64>(LAZY_AUX, <u64>((<u32>significant) << 31));
}

export function mul8(v: u32): void {
  const r = (gpr16(0) & 0xff) * v;
  setGpr16(0, r);
  productFlags(<i32>(<i8>r), r > 0xff);
}
export function mul16(v: u32): void {
  const r = gpr16(0) * v;
  setGpr16(0, r);
  setGpr16(2, r >>> 16);
  productFlags(<i32>(<i16>r), r > 0xffff);
}
export function mul32(v: u32): void {
  const r = <u64>gpr32(0) * <u64>v;
  setGpr32(0, <u32>r);
  setGpr32(2, <u32>(r >>> 32));
  productFlags(<i32>r, r > 0xffff_ffff);
}
export function imul8(v: u32): void {
  const r = <i32>(<i8>gpr16(0)) * <i32>(<i8>v);
  setGpr16(0, <u32>r);
  productFlags(<i32>(<i8>r), r != <i32>(<i8>r));
}
export function imul16(v: u32): void {
  const r = <i32>(<i16>gpr16(0)) * <i32>(<i16>v);
  setGpr16(0, <u32>r);
  setGpr16(2, <u32>r >>> 16);
  productFlags(<i32>(<i16>r), r != <i32>(<i16>r));
}
export function imul32(v: u32): void {
  const r = <i64>(<i32>gpr32(0)) * <i64>(<i32>v);
  setGpr32(0, <u32>r);
  setGpr32(2, <u32>(r >>> 32));
  productFlags(<i32>r, r != <i64>(<i32>r));
}
/** Two- and three-operand forms: the truncated product. */
// @ts-ignore: decorator
@inline
export function imulTrunc16(a: u32, b: u32): u32 {
  const r = <i32>(<i16>a) * <i32>(<i16>b);
  productFlags(<i32>(<i16>r), r != <i32>(<i16>r));
  return <u32>r & 0xffff;
}
// @ts-ignore: decorator
@inline
export function imulTrunc32(a: u32, b: u32): u32 {
  const r = <i64>(<i32>a) * <i64>(<i32>b);
  productFlags(<i32>r, r != <i64>(<i32>r));
  return <u32>r;
}

export function div8(v: u32): void {
  const n = gpr16(0);
  if (v == 0 || n >>> 8 >= v) raiseFault(VEC_DE);
  setGpr16(0, n / v | (n % v << 8));
}
export function div16(v: u32): void {
  const n = (gpr16(2) << 16) | gpr16(0);
  if (v == 0 || n >>> 16 >= v) raiseFault(VEC_DE);
  setGpr16(0, n / v);
  setGpr16(2, n % v);
}
export function div32(v: u32): void {
  const high = gpr32(2);
  if (high >= v) raiseFault(VEC_DE);
  const n = (<u64>high << 32) | <u64>gpr32(0);
  setGpr32(0, <u32>(n / <u64>v));
  setGpr32(2, <u32>(n % <u64>v));
}
export function idiv8(v: u32): void {
  const d = <i32>(<i8>v);
  if (d == 0) raiseFault(VEC_DE);
  const n = <i32>(<i16>gpr16(0));
  const q = n / d;
  if (q != <i32>(<i8>q)) raiseFault(VEC_DE);
  setGpr16(0, (<u32>q & 0xff) | (<u32>(n % d) << 8));
}
export function idiv16(v: u32): void {
  const d = <i64>(<i16>v);
  if (d == 0) raiseFault(VEC_DE);
  const n = <i64>(<i32>((gpr16(2) << 16) | gpr16(0)));
  const q = n / d;
  if (q != <i64>(<i16>q)) raiseFault(VEC_DE);
  setGpr16(0, <u32>q);
  setGpr16(2, <u32>(n % d));
}
export function idiv32(v: u32): void {
  const d = <i64>(<i32>v);
  if (d == 0) raiseFault(VEC_DE);
  const n = <i64>((<u64>gpr32(2) << 32) | <u64>gpr32(0));
  // -2^63 / -1 would trap in WebAssembly.
  if (d == -1 && n == i64.MIN_VALUE) raiseFault(VEC_DE);
  const q = n / d;
  if (q != <i64>(<i32>q)) raiseFault(VEC_DE);
  setGpr32(0, <u32>q);
  setGpr32(2, <u32>(n % d));
}
