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

const OPERAND = '(?:[egb](?:8|32)\\(rec\\)|imm\\(rec\\))';
const COMPARE = new RegExp(`^sub(8|32)\\((${OPERAND}), (${OPERAND})\\); break;$`);
const TEST = new RegExp(`^logic(8|32)\\((${OPERAND}) & (${OPERAND})\\); break;$`);
const DECREMENT = /^setE32\(rec, dec32\(e32\(rec\)\)\); break;$/;

/** Body of `body` followed by the jump on condition number `condition`, or undefined when the pair has no handler of its own. */
export function fusedBody(body: string, condition: number): string | undefined {
  const name = CONDITIONS[condition]!;
  let first: string;
  let test: string | undefined;
  const compare = COMPARE.exec(body);
  const logic = TEST.exec(body);
  if (compare) {
    const [, size, a, b] = compare;
    // Byte compares of a register with memory are rare.
    if (size === '8' && /^b8.*g8|^g8.*b8/.test(`${a} ${b}`)) return undefined;
    // Immediates come sign-extended.
    const narrow = size === '8' ? '<u32>(<u8>' : '(';
    first = `const a = ${narrow}${a}); const b = ${narrow}${b}); sub${size}(a, b);`;
    test = AFTER_SUB[name]?.replaceAll('sa', `<i32>(<i${size}>a)`).replaceAll('sb', `<i32>(<i${size}>b)`);
  } else if (logic) {
    const [, size, a, b] = logic;
    first = `const r = <i32>(<i${size}>logic${size}(${a} & ${b}));`;
    test = AFTER_LOGIC[name];
  } else if (DECREMENT.test(body)) {
    first = 'const r = <i32>dec32(e32(rec)); setE32(rec, <u32>r);';
    test = AFTER_DEC[name];
  } else return undefined;
  if (test === undefined) return undefined;
  return `${first} rec += REC_SIZE; if (${test}) { Run.rec = rec; rec = jump(rec); if (!rec) return; continue; } break;`;
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

const WRITES_MEMORY: readonly Half[] = ['push', 'pushImmediate', 'store'];

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
export function pairClass(body: string): number {
  return Object.values(HALVES).indexOf(body as never) + 1;
}
export const PAIR_CLASSES = 16;

/** The pairs: classes of both halves and the body of the handler for the first one's record. */
export function pairBodies(): { first: number; second: number; name: string; body: string }[] {
  return PAIRS.map(([a, b]) => {
    const check = WRITES_MEMORY.includes(a) ? 'if (load<u16>(rec) == HANDLER_STALE) { resume(rec); return; } ' : '';
    return {
      first: pairClass(HALVES[a]),
      second: pairClass(HALVES[b]),
      name: `${a} + ${b}`,
      body: `${HALVES[a].replace(/ break;$/, '')} rec += REC_SIZE; Run.rec = rec; ${check}${HALVES[b]}`,
    };
  });
}
