/**
 * Compare-and-branch pairs: CMP, TEST or DEC directly before a conditional jump is one handler, which saves a dispatch and decides from the
 * operands instead of from stored flags. The flags are stored all the same. Only instructions that write no memory are fused: the jump's
 * record must still be valid after them.
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
