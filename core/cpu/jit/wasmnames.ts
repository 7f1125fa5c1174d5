/** Names of WebAssembly instructions as its text format has them (core specification 2.0, section 6.5), made from the keys of OP and SIMD. */
import { OP, SIMD } from './wasmcode.ts';

/** Keys whose names don't follow from them. */
const IRREGULAR: { readonly [key: string]: string } = {
  brIf: 'br_if',
  brTable: 'br_table',
  callIndirect: 'call_indirect',
  returnCallIndirect: 'return_call_indirect',
  catchAll: 'catch_all',
  localGet: 'local.get',
  localSet: 'local.set',
  localTee: 'local.tee',
  globalGet: 'global.get',
  globalSet: 'global.set',
  shuffle: 'i8x16.shuffle',
  swizzle: 'i8x16.swizzle',
  i16x8Q15MulrSatS: 'i16x8.q15mulr_sat_s',
};

const TYPED = /^(i8x16|i16x8|i32x4|i64x2|f32x4|f64x2|i32|i64|f32|f64)([A-Z].*)$/;
const snake = (text: string) => text.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();

function nameOf(key: string, vector: boolean): string {
  const irregular = IRREGULAR[key];
  if (irregular) return irregular;
  const typed = TYPED.exec(key);
  if (typed) return `${typed[1]}.${snake(typed[2]!)}`;
  return vector ? `v128.${snake(key)}` : key;
}

const names = (table: { readonly [key: string]: number }, vector: boolean): ReadonlyMap<number, string> =>
  new Map(Object.entries(table).map(([key, code]) => [code, nameOf(key, vector)]));

/** By opcode; the prefix 0xfd is not among them. */
export const PLAIN_NAMES = names(Object.fromEntries(Object.entries(OP).filter(([key]) => key !== 'simd')), false);
/** By opcode behind the prefix 0xfd. */
export const VECTOR_NAMES = names(SIMD, true);

/** Operands from the stack of an instruction that is neither control flow, nor a variable, call or constant. */
export function operandsOf(name: string): 1 | 2 | 3 {
  const verb = name.slice(name.indexOf('.') + 1);
  if (name === 'select' || verb === 'bitselect') return 3;
  if (/^(load|eqz|clz|ctz|popcnt|wrap|extend|trunc|convert|demote|promote|reinterpret|abs|neg|sqrt|nearest|ceil|floor)/.test(verb))
    return 1;
  if (/^(splat|bitmask|all_true|any_true|not$|extract_lane|extadd_pairwise)/.test(verb)) return 1;
  return 2;
}
