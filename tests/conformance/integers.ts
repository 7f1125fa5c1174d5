/** Integers at whose edges instructions go wrong: ends of every size, alone and in each lane. */
export const INTEGERS = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  0xfffffffffffffffen,
  0xffffffff80000000n,
  0xffffffff00000000n,
  0x8000800080008000n,
  0x7fff7fff7fff7fffn,
  0x0001000100010001n,
  0xff00ff00ff00ff00n,
];

/** Pairs, fours and eights of such integers, and zero and ones. */
export const LANES = [
  0n,
  0xffffffffffffffffn,
  0x8000800080008000n,
  0x7fff7fff7fff7fffn,
  0x8080808080808080n,
  0x8000000080000000n,
  0x7fffffff7fffffffn,
  0x8000000000000000n,
  0x7fffffffffffffffn,
];
