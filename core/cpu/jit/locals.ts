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
/** The state is in memory: a fault must not store the locals over it. */
export const INMEMORY = 8;
export const GPR = 9;
export const XMM = 25;
/** MXCSR is such that ordinary floating-point operations change nothing in it (FLOAT_FIELDS). */
export const FLOAT = 41;
/** Pages beside the entry's that are where they were compiled from, as bits of their numbers. */
export const PAGES = 42;
/** Where the dispatcher goes (dispatchemitter.ts). */
export const NEXT = 43;
export const TEMPS = 44;
