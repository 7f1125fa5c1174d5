/**
 * Locals of a region function: its parameters, what every region has, guest registers, and from TEMPS on temporaries. Emitter classes only.
 */
export const LEFT = 0;
export const PAGE64 = 1;
/** Byte 0 of the page, as a word of the mode. */
export const PAGE = 2;
export const RIP = 3;
/** Flags: FLAG_* with size, and its operands. */
export const KIND = 4;
export const FA = 5;
export const FB = 6;
export const FC = 7;
export const GPR = 8;
export const XMM = 24;
/** MXCSR is such that ordinary floating-point operations change nothing in it (FLOAT_FIELDS). */
export const FLOAT = 40;
/** Pages beside the entry's that are where they were compiled from, as bits of their numbers. */
export const PAGES = 41;
/** Where the dispatcher goes (dispatchemitter.ts). */
export const NEXT = 42;
export const TEMPS = 43;
