/**
 * Flags of RFLAGS: which of them the letters of the instruction table mean, and which an instruction leaves undefined (SDM volume 2, "Flags
 * Affected" of each).
 */
import type { Instruction } from '../../core/cpu/x86/table.ts';

export const CF = 1;
export const PF = 4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const DF = 0x400;
export const OF = 0x800;
export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;

const LETTERS: { readonly [letter: string]: number } = { o: OF, s: SF, z: ZF, a: AF, p: PF, c: CF };
/** Arithmetic flags of the table's letters. */
export const flagBits = (letters: string): number => [...letters].reduce((sum, letter) => sum | (LETTERS[letter] ?? 0), 0);

export const isShift = (mnemonic: string): boolean => /^(rol|ror|rcl|rcr|shl|shr|sar|shld|shrd)$/.test(mnemonic);

/** Undefined after the instruction. `size`: of its operands, in bits; `count`: of a shift, when it is known. */
export function undefinedFlags(row: Instruction, size: number, count: number | undefined): number {
  const masked = count === undefined ? undefined : count & (size === 64 ? 63 : 31);
  switch (row.mnemonic) {
    case 'mul':
    case 'imul':
      return SF | ZF | AF | PF;
    case 'div':
    case 'idiv':
      return ARITHMETIC;
    case 'and':
    case 'or':
    case 'xor':
    case 'test':
      return AF;
    case 'bsf':
    case 'bsr':
      return CF | OF | SF | AF | PF;
    case 'tzcnt':
    case 'lzcnt':
      return OF | SF | AF | PF;
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      return OF | SF | AF | PF;
    case 'andn':
    case 'blsr':
    case 'blsmsk':
    case 'blsi':
    case 'bzhi':
      return AF | PF;
    case 'bextr':
      return SF | AF | PF;
    case 'aam':
    case 'aad':
      return OF | AF | CF;
    case 'aaa':
    case 'aas':
      return OF | SF | ZF | PF;
    case 'daa':
    case 'das':
      return OF;
    case 'rol':
    case 'ror':
    case 'rcl':
    case 'rcr':
      return masked === undefined || masked > 1 ? OF : 0;
    case 'shl':
    case 'shr':
      if (masked === undefined) return AF | OF | CF;
      return masked ? AF | (masked > 1 ? OF : 0) | (masked >= size ? CF : 0) : 0;
    case 'sar':
      return masked === 0 ? 0 : AF;
    case 'shld':
    case 'shrd':
      if (size === 16 && (masked === undefined || masked > 16)) return ARITHMETIC;
      if (masked === undefined) return AF | OF;
      return masked ? AF | (masked > 1 ? OF : 0) : 0;
  }
  return 0;
}
