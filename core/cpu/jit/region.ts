/**
 * Regions: the instructions reachable from one entry by direct jumps inside its page, as basic blocks with one entry. What can't be
 * decoded here, and every way out of the page, is an exit.
 */
import { type CodeMode, decodeInsn, type Insn } from './decode.ts';

/** Most instructions of one region; a compile costs tens of microseconds each. */
const MAX_INSTRUCTIONS = 400;

export type Ending =
  /** Control goes on at `fall` (another block, or an exit when there is none). */
  | 'fall'
  /** Direct jump to `target`. */
  | 'jump'
  /** Conditional jump: `target` or `fall`. */
  | 'branch'
  /** Direct or indirect call, return, indirect jump: leaves the region unless the target of a direct call is in it. */
  | 'call'
  | 'leave';

export interface Block {
  /** Offset of its first byte. */
  start: number;
  insns: Insn[];
  ending: Ending;
  /** Offset where control goes when the last instruction does not jump; the exit address of a block that ends for want of a translation. */
  fall: number;
  /** Offset of the jump target; it may lie outside the page. */
  target: number;
  /** Numbers of the blocks in `region.blocks` at these offsets, -1 when there is none. */
  fallBlock: number;
  targetBlock: number;
}

export interface Region {
  mode: CodeMode;
  /** The page. */
  bytes: Uint8Array;
  entry: number;
  /** blocks[0] is the entry. */
  blocks: Block[];
  /** Bytes from `low` up to, not including, `high` are what the region was made from. */
  low: number;
  high: number;
}

const isBranch = (op: number): boolean => (op >= 0x70 && op <= 0x7f) || (op >= 0x180 && op <= 0x18f) || (op >= 0xe0 && op <= 0xe3);

/** How the instruction ends a block, undefined when it does not. */
function endingOf(insn: Insn): Ending | undefined {
  const { op } = insn;
  if (isBranch(op)) return 'branch';
  if (op === 0xe9 || op === 0xeb) return 'jump';
  if (op === 0xe8) return 'call';
  if (op === 0xc2 || op === 0xc3) return 'leave';
  if (op === 0xff) {
    const kind = insn.reg & 7;
    if (kind === 2 || kind === 4) return 'leave';
  }
  return undefined;
}

/**
 * The region that starts at `entry` of `bytes` (one page), undefined when not even its first instruction can be translated. `translatable` says
 * which decoded instructions can.
 */
export function findRegion(bytes: Uint8Array, entry: number, mode: CodeMode, translatable: (insn: Insn) => boolean): Region | undefined {
  const insns = new Map<number, Insn | undefined>();
  const at = (offset: number): Insn | undefined => {
    if (insns.has(offset)) return insns.get(offset);
    let insn = decodeInsn(bytes, offset, mode);
    if (insn && !translatable(insn)) insn = undefined;
    insns.set(offset, insn);
    return insn;
  };
  if (!at(entry)) return undefined;
  const leaders = new Set<number>([entry]);
  const seen = new Set<number>();
  const work: number[] = [entry];
  let count = 0;
  const inside = (offset: number): boolean => offset >= 0 && offset < bytes.length;
  for (let next = 0; next < work.length; next++) {
    let offset = work[next]!;
    while (!seen.has(offset)) {
      const insn = at(offset);
      if (!insn || count >= MAX_INSTRUCTIONS) break;
      seen.add(offset);
      count++;
      const ending = endingOf(insn);
      if (ending === 'branch' || ending === 'jump' || ending === 'call') {
        const target = insn.next + insn.imm;
        // A call goes on here only when it is to the region's own entry: recursion.
        if (inside(target) && (ending !== 'call' || target === entry) && at(target)) {
          leaders.add(target);
          work.push(target);
        }
      }
      if (ending === 'branch') leaders.add(insn.next);
      else if (ending) break;
      offset = insn.next;
      if (!inside(offset)) break;
    }
    // A walk that runs into known code splits it there.
    if (seen.has(offset)) leaders.add(offset);
  }
  const blocks: Block[] = [];
  const numbers = new Map<number, number>();
  for (const start of [entry, ...[...leaders].filter((l) => l !== entry).sort((a, b) => a - b)]) {
    if (!seen.has(start)) continue;
    const block: Block = { start, insns: [], ending: 'fall', fall: start, target: -1, fallBlock: -1, targetBlock: -1 };
    let offset = start;
    for (;;) {
      const insn = seen.has(offset) ? insns.get(offset) : undefined;
      if (!insn || (offset !== start && leaders.has(offset))) break;
      block.insns.push(insn);
      offset = insn.next;
      const ending = endingOf(insn);
      if (ending) {
        block.ending = ending;
        if (ending !== 'leave') block.target = insn.next + insn.imm;
        break;
      }
    }
    block.fall = offset;
    numbers.set(start, blocks.length);
    blocks.push(block);
  }
  let low = bytes.length;
  let high = 0;
  for (const block of blocks) {
    block.fallBlock = block.ending === 'fall' || block.ending === 'branch' ? (numbers.get(block.fall) ?? -1) : -1;
    block.targetBlock = block.target >= 0 ? (numbers.get(block.target) ?? -1) : -1;
    low = Math.min(low, block.start);
    high = Math.max(high, block.fall);
  }
  return { mode, bytes, entry, blocks, low, high };
}
