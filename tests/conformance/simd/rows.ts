/** Opcodes of the 0F map that mean the same for packed and scalar numbers of both widths. */
export const ARITHMETIC_ROWS = [
  ['ADD', 0x58],
  ['MUL', 0x59],
  ['SUB', 0x5c],
  ['MIN', 0x5d],
  ['DIV', 0x5e],
  ['MAX', 0x5f],
] as const;
/** With one source. */
export const ROOT_ROWS = [['SQRT', 0x51]] as const;

export const hex = (n: number): string => n.toString(16).padStart(2, '0');
