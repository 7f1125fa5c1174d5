/**
 * Pairs of instructions that are one handler. A dispatch costs a mispredicted jump in code that has no short loops, so a pair costs little
 * more than its dearer half.
 *
 * Compare and branch: CMP, TEST or DEC directly before a conditional jump decides from the operands instead of from stored flags. The flags are
 * stored all the same. Only instructions that write no memory are fused: the jump's record must still be valid after them.
 *
 * Common neighbours (PAIRS): what compiled 32-bit code has most of, counted over Linux and busybox: register saves and restores, argument
 * pushes, loads and stores. When the first half writes memory it may hit the second, which is then looked at again.
 */
import { CONDITIONS } from './table.ts';

/** Condition as text over a, b (unsigned) and sa, sb (signed) of a comparison; undefined: not worth a handler. */
const AFTER_SUB: Record<string, string> = {
  z: 'a == b',
  nz: 'a != b',
  b: 'a < b',
  nb: 'a >= b',
  be: 'a <= b',
  nbe: 'a > b',
  l: 'sa < sb',
  nl: 'sa >= sb',
  le: 'sa <= sb',
  nle: 'sa > sb',
};

/** Over r (signed), with CF and OF clear. */
const AFTER_LOGIC: Record<string, string> = {
  z: 'r == 0',
  nz: 'r != 0',
  l: 'r < 0',
  nl: 'r >= 0',
  le: 'r <= 0',
  nle: 'r > 0',
  s: 'r < 0',
  ns: 'r >= 0',
};

/** Over the result r (signed) of DEC. */
const AFTER_DEC: Record<string, string> = { z: 'r == 0', nz: 'r != 0', s: 'r < 0', ns: 'r >= 0' };

const OPERAND = '(?:[egb](?:8|32|64)\\(rec\\)|imm(?:64)?\\(rec\\)|linRead(?:8|32|64)\\(baseLin\\(rec\\)\\))';
const COMPARE = new RegExp(`^sub(8|32|64)\\((${OPERAND}), (${OPERAND})\\); break;$`);
const TEST = new RegExp(`^logic(8|32|64)\\((${OPERAND}) & (${OPERAND})\\); break;$`);
const DECREMENT = /^setE(32|64)\(rec, dec\1\(e\1\(rec\)\)\); break;$/;

/**
 * Body of `body` followed by the jump on condition number `condition`, or undefined when the pair has no handler of its own; `long`: in 64-bit
 * mode.
 */
export function fusedBody(body: string, condition: number, long = false): string | undefined {
  const name = CONDITIONS[condition]!;
  let first: string;
  let test: string | undefined;
  const compare = COMPARE.exec(body);
  const logic = TEST.exec(body);
  const decrement = DECREMENT.exec(body);
  if (compare) {
    const [, size, a, b] = compare;
    // Byte compares of a register with memory are rare.
    if (size === '8' && /^(b8|lin).*g8|^g8.*(b8|lin)/.test(`${a} ${b}`)) return undefined;
    // Immediates come sign-extended.
    const narrow = size === '8' ? '<u32>(<u8>' : '(';
    first = `const a = ${narrow}${a}); const b = ${narrow}${b}); sub${size}(a, b);`;
    const wide = size === '64' ? 'i64' : 'i32';
    test = AFTER_SUB[name]?.replaceAll('sa', `<${wide}>(<i${size}>a)`).replaceAll('sb', `<${wide}>(<i${size}>b)`);
  } else if (logic) {
    const [, size, a, b] = logic;
    first = `const r = <${size === '64' ? 'i64' : 'i32'}>(<i${size}>logic${size}(${a} & ${b}));`;
    test = AFTER_LOGIC[name];
  } else if (decrement) {
    const size = decrement[1];
    first = `const r = <i${size}>dec${size}(e${size}(rec)); setE${size}(rec, <u${size}>r);`;
    test = AFTER_DEC[name];
  } else return undefined;
  if (test === undefined) return undefined;
  return `${first} rec += REC_SIZE; if (${test}) { Run.rec = rec; rec = jump${long ? '64' : ''}(rec); if (!rec) return; continue; } fell(rec); break;`;
}

/** Instructions that occur in PAIRS, by the body of their handler. */
const HALVES = {
  push: 'pushFlat(e32(rec)); break;',
  pushImmediate: 'pushFlat(imm(rec)); break;',
  pop: 'setE32(rec, popFlat()); break;',
  load: 'setG32(rec, b32(rec)); break;',
  loadByte: 'setG8(rec, b8(rec)); break;',
  store: 'setB32(rec, g32(rec)); break;',
  move: 'setE32(rec, g32(rec)); break;',
  moveImmediate: 'setE32(rec, imm(rec)); break;',
  lea: 'setG32(rec, baseOff(rec)); break;',
  add: 'setE32(rec, add32(e32(rec), imm(rec))); break;',
  sub: 'setE32(rec, sub32(e32(rec), imm(rec))); break;',
  xor: 'setE32(rec, xor32(e32(rec), g32(rec))); break;',
  call: 'checkJump(rec); pushFlat(nextEip(rec)); rec = jump(rec); if (!rec) return; continue;',
  ret: 'rec = retFlat(rec, 0); if (!rec) return; continue;',
} as const;
type Half = keyof typeof HALVES;

/** The same for 64-bit code. */
const HALVES_64: Partial<Record<Half | 'load32' | 'store32' | 'move32', string>> = {
  push: 'push64(e64(rec)); break;',
  pop: 'setE64(rec, pop64()); break;',
  load: 'setG64(rec, linRead64(baseLin(rec))); break;',
  load32: 'setG32(rec, linRead32(baseLin(rec))); break;',
  store: 'linWrite64(baseLin(rec), g64(rec)); break;',
  store32: 'linWrite32(baseLin(rec), g32(rec)); break;',
  move: 'setE64(rec, g64(rec)); break;',
  move32: 'setE32(rec, g32(rec)); break;',
  moveImmediate: 'setE32(rec, imm(rec)); break;',
  lea: 'setG64(rec, baseLin(rec)); break;',
  add: 'setE64(rec, add64(e64(rec), imm64(rec))); break;',
  sub: 'setE64(rec, sub64(e64(rec), imm64(rec))); break;',
  xor: 'setE32(rec, xor32(e32(rec), g32(rec))); break;',
  call: 'checkJump64(rec); push64(nextRip(rec)); rec = jump64(rec); if (!rec) return; continue;',
  ret: 'rec = ret64(rec, 0); if (!rec) return; continue;',
};
const PAIRS_64: readonly (readonly [keyof typeof HALVES_64, keyof typeof HALVES_64])[] = [
  ['push', 'push'],
  ['push', 'move'],
  ['push', 'sub'],
  ['pop', 'pop'],
  ['pop', 'ret'],
  ['load', 'load'],
  ['load', 'store'],
  ['load', 'move'],
  ['load', 'lea'],
  ['load', 'call'],
  ['load', 'load32'],
  ['load32', 'load'],
  ['load32', 'load32'],
  ['store', 'load'],
  ['store', 'store'],
  ['store', 'move'],
  ['store', 'call'],
  ['store', 'lea'],
  ['store32', 'load'],
  ['move', 'push'],
  ['move', 'move'],
  ['move', 'move32'],
  ['move32', 'move'],
  ['move', 'load'],
  ['move', 'store'],
  ['move', 'call'],
  ['move', 'sub'],
  ['moveImmediate', 'move'],
  ['moveImmediate', 'call'],
  ['lea', 'move'],
  ['lea', 'call'],
  ['lea', 'store'],
  ['add', 'pop'],
  ['add', 'ret'],
  ['sub', 'move'],
  ['xor', 'move'],
  ['xor', 'pop'],
];

const WRITES_MEMORY: readonly string[] = ['push', 'pushImmediate', 'store', 'store32'];

const PAIRS: readonly (readonly [Half, Half])[] = [
  ['push', 'push'],
  ['push', 'pushImmediate'],
  ['push', 'move'],
  ['push', 'sub'],
  ['push', 'call'],
  ['pushImmediate', 'push'],
  ['pushImmediate', 'pushImmediate'],
  ['pushImmediate', 'call'],
  ['pop', 'pop'],
  ['pop', 'ret'],
  ['load', 'load'],
  ['load', 'store'],
  ['load', 'move'],
  ['load', 'lea'],
  ['load', 'push'],
  ['load', 'call'],
  ['load', 'ret'],
  ['store', 'load'],
  ['store', 'store'],
  ['store', 'move'],
  ['store', 'call'],
  ['move', 'push'],
  ['move', 'move'],
  ['move', 'load'],
  ['move', 'loadByte'],
  ['move', 'store'],
  ['move', 'call'],
  ['moveImmediate', 'load'],
  ['moveImmediate', 'call'],
  ['lea', 'push'],
  ['lea', 'store'],
  ['add', 'pop'],
  ['add', 'ret'],
  ['sub', 'call'],
  ['xor', 'store'],
];

/** Number of a handler's body among the halves of PAIRS, from 1; 0 when it is none of them. Below PAIR_CLASSES. */
export function pairClass(body: string, long = false): number {
  return Object.values(long ? HALVES_64 : HALVES).indexOf(body as never) + 1;
}
export const PAIR_CLASSES = 16;

/** The pairs: classes of both halves and the body of the handler for the first one's record. */
export function pairBodies(long = false): { first: number; second: number; name: string; body: string }[] {
  const halves: Record<string, string> = long ? HALVES_64 : HALVES;
  return (long ? PAIRS_64 : PAIRS).map(([a, b]) => {
    const check = WRITES_MEMORY.includes(a) ? `if (load<u16>(rec) == HANDLER_STALE) { resume${long ? '64' : ''}(rec); return; } ` : '';
    return {
      first: pairClass(halves[a]!, long),
      second: pairClass(halves[b]!, long),
      name: `${a} + ${b}`,
      body: `${halves[a]!.replace(/ break;$/, '')} rec += REC_SIZE; Run.rec = rec; ${check}${halves[b]!}`,
    };
  });
}
