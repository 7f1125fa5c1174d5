import type { Decoded } from './disassembleprefix.ts';

/** Operand size in bytes by mode, prefixes and the row. */
export function operandSize(decoded: Decoded): 2 | 4 | 8 {
  const { bits, prefixes, syntax } = decoded;
  const small = prefixes.operandSize;
  if (bits === 16) return small ? 4 : 2;
  if (bits === 32) return small ? 2 : 4;
  if (prefixes.rex & 8 || syntax.size64 === 'forced64') return 8;
  if (small) return 2;
  return syntax.size64 === 'default64' ? 8 : 4;
}

/** Address size in bytes. */
export function addressSize({ bits, prefixes }: Decoded): 2 | 4 | 8 {
  if (bits === 16) return prefixes.addressSize ? 4 : 2;
  if (bits === 32) return prefixes.addressSize ? 2 : 4;
  return prefixes.addressSize ? 4 : 8;
}

/** 4, or 8 with REX.W. */
export function wideSize({ bits, prefixes }: Decoded): 4 | 8 {
  return bits === 64 && prefixes.rex & 8 ? 8 : 4;
}

/** Notes that the operand size shows in the text, so that its prefix need not. */
export function useOperandSize(decoded: Decoded): 2 | 4 | 8 {
  decoded.used = { ...decoded.used, operandSize: true, wide: true };
  return operandSize(decoded);
}
