/**
 * Where innermost loops begin. A region's loops have their headers where control comes to them first: at the entry, wherever the sample fell. Two things are costly
 * there: flags that the last iteration left, because a fault or the end of the slice may want them, so that they are carried around; and a second way into
 * the loop, because one of the two then leads through a header of its own, or through the dispatcher. Compilers test at the end of a loop and jump there first, so both are
 * common.
 *
 * So a loop gets one header, best where the flags that it finds are dead, if necessary in the middle of a block; who comes to another place of the loop
 * goes there by copies of the blocks in between. The slice is still looked at where the code itself jumps back: that is where the interpreter would come
 * to a region.
 */
import { flagsDeadAfter } from './flaguse.ts';
import { type Block, LOOK_FALL, LOOK_TARGET, NO_LOOK_FALL, NO_LOOK_TARGET, type Region } from './region.ts';
import type { Insn } from './decode.ts';

/** Most instructions of a loop that gets another header, */
const MAX_LOOP = 96;
/** and of the copies that lead there. */
const MAX_COPIED = 24;
const STI = 0xfb;

const SIDES = ['fallBlock', 'targetBlock'] as const;
type Side = (typeof SIDES)[number];
const LOOK = { fallBlock: LOOK_FALL, targetBlock: LOOK_TARGET };
const NO_LOOK = { fallBlock: NO_LOOK_FALL, targetBlock: NO_LOOK_TARGET };

interface Loop {
  /** Where the code jumps back to. */
  top: number;
  body: Set<number>;
}

/** A place in a block. */
interface Place {
  block: number;
  insn: number;
}

const edges = (block: Block): Side[] => SIDES.filter((side) => block[side] >= 0);
/** The code itself jumps back by this edge. */
const isBack = (blocks: Block[], from: Block, side: Side): boolean => {
  const to = blocks[from[side]]!;
  return side === 'targetBlock' && from.ending !== 'call' && to.frame === from.frame && to.start <= from.start;
};

/** Loops by jumps back with no other such jump inside, in code of one function. */
function innermost(blocks: Block[], predecessors: number[][]): Loop[] {
  const jumps: { top: number; bottom: number }[] = [];
  blocks.forEach((block, bottom) => {
    for (const side of edges(block)) if (isBack(blocks, block, side)) jumps.push({ top: block[side], bottom });
  });
  const ends = new Map<number, number>();
  for (const { top, bottom } of jumps) {
    const known = ends.get(top);
    if (known === undefined || blocks[bottom]!.start > blocks[known]!.start) ends.set(top, bottom);
  }
  const loops: Loop[] = [];
  for (const [top, bottom] of ends) {
    const { start: low, frame } = blocks[top]!;
    const high = blocks[bottom]!.start;
    const within = (number: number): boolean => {
      const block = blocks[number]!;
      return block.frame === frame && block.start >= low && block.start <= high;
    };
    if (jumps.some((jump) => jump.top !== top && within(jump.top) && within(jump.bottom))) continue;
    const body = new Set([top]);
    const left = jumps.flatMap((jump) => (jump.top === top && within(jump.bottom) ? [jump.bottom] : []));
    for (let block = left.pop(); block !== undefined; block = left.pop()) {
      if (body.has(block)) continue;
      body.add(block);
      left.push(...predecessors[block]!.filter(within));
    }
    // What leads there without being part of the loop, as the way from the region's entry.
    const around = new Set<number>();
    const on = [top];
    for (let block = on.pop(); block !== undefined; block = on.pop()) {
      if (around.has(block) || !body.has(block)) continue;
      around.add(block);
      for (const side of edges(blocks[block]!)) on.push(blocks[block]![side]);
    }
    for (const block of body) if (!around.has(block)) body.delete(block);
    const simple = [...body].every((block) => ['fall', 'jump', 'branch'].includes(blocks[block]!.ending));
    let count = 0;
    for (const block of body) count += blocks[block]!.insns.length;
    if (simple && count <= MAX_LOOP) loops.push({ top, body });
  }
  return loops;
}

/** Every way around the loop leads through the block. */
function onAllWays(blocks: Block[], { body }: Loop, through: number): boolean {
  const state = new Map<number, 'open' | 'done'>();
  const free = (block: number): boolean => {
    state.set(block, 'open');
    for (const side of edges(blocks[block]!)) {
      const to = blocks[block]![side];
      if (to === through || !body.has(to)) continue;
      const known = state.get(to);
      if (known === 'open' || (!known && !free(to))) return false;
    }
    state.set(block, 'done');
    return true;
  };
  return [...body].every((block) => block === through || state.has(block) || free(block));
}

/** Instructions of the blocks that lead from the `entered` ones to the place, and of its block those before it. */
function copiedInstructions(blocks: Block[], { body }: Loop, entered: number[], { block: header, insn }: Place): number {
  const seen = new Set<number>();
  const left = entered.filter((block) => block !== header || insn > 0);
  let count = 0;
  for (let block = left.pop(); block !== undefined; block = left.pop()) {
    if (seen.has(block)) continue;
    seen.add(block);
    if (block === header) {
      count += insn;
      continue;
    }
    count += blocks[block]!.insns.length;
    for (const side of edges(blocks[block]!)) {
      const to = blocks[block]![side];
      if (body.has(to) && (to !== header || insn > 0)) left.push(to);
    }
  }
  return count;
}

/** Where the loop, which is entered at these blocks, is best begun; undefined: it may stay as it is. */
function bestHeader(blocks: Block[], loop: Loop, entered: number[]): Place | undefined {
  let best: { place: Place; cost: number } | undefined;
  const consider = (place: Place): void => {
    const cost = copiedInstructions(blocks, loop, entered, place);
    if (cost <= MAX_COPIED && (!best || cost < best.cost)) best = { place, cost };
  };
  const possible = [...loop.body].filter((block) => onAllWays(blocks, loop, block));
  for (const block of possible) {
    const { insns } = blocks[block]!;
    const dead = (insn: number): boolean => flagsDeadAfter(blocks[block]!, insn - 1) && insns[insn - 1]?.op !== STI;
    const insn = insns.findIndex((_, k) => dead(k));
    if (insn >= 0) consider({ block, insn });
  }
  if (!best && entered.length > 1) for (const block of possible) if (entered.includes(block)) consider({ block, insn: 0 });
  return best?.place;
}

/** The block becomes two; gives back the number of the second one. */
function split(blocks: Block[], number: number, at: number): number {
  const block = blocks[number]!;
  const insns: Insn[] = block.insns.slice(at);
  const second = blocks.push({ ...block, start: insns[0]!.at, insns }) - 1;
  blocks[number] = {
    ...block,
    insns: block.insns.slice(0, at),
    ending: 'fall',
    fall: insns[0]!.at,
    target: NaN,
    fallBlock: second,
    targetBlock: -1,
    look: 0,
  };
  return second;
}

function rotate(region: Region, loop: Loop, { block, insn }: Place): void {
  const { blocks } = region;
  const { body } = loop;
  let header = block;
  if (insn > 0) {
    header = split(blocks, block, insn);
    body.add(header);
  }
  const copies = new Map<number, number>();
  /** Where somebody who comes from outside goes, in place of this block. */
  const outside = (to: number): number => {
    if (to === header || !body.has(to)) return to;
    let copy = copies.get(to);
    if (copy === undefined) {
      const original = blocks[to]!;
      const made: Block = { ...original, look: 0 };
      copy = blocks.push(made) - 1;
      copies.set(to, copy);
      for (const side of edges(original)) made[side] = outside(original[side]);
    }
    return copy;
  };
  const count = blocks.length;
  for (let number = 0; number < count; number++) {
    const from = blocks[number]!;
    const inside = body.has(number);
    for (const side of edges(from)) {
      const to = from[side];
      if (!body.has(to)) continue;
      if (!inside) from[side] = outside(to);
      else if (to === loop.top && to !== header) from.look |= LOOK[side];
      else if (to === header && header !== loop.top) from.look |= NO_LOOK[side];
    }
  }
  region.entries.forEach((entry, i) => {
    if (i) region.entries[i] = outside(entry);
  });
  // The region begins with its first block: what is in the loop moves away from there.
  if (!body.has(0) || header === 0) return;
  const moved = blocks.push(blocks[0]!) - 1;
  for (const each of blocks) for (const side of edges(each)) if (each[side] === 0) each[side] = moved;
  body.delete(0);
  body.add(moved);
  const first: Block = { ...blocks[moved]!, look: 0 };
  blocks[0] = first;
  for (const side of edges(first)) first[side] = outside(first[side]);
}

/** Gives the region's innermost loops other headers where that is better. Before anything is known of blocks by their numbers. */
export function placeLoopHeaders(region: Region): void {
  const { blocks } = region;
  const predecessors: number[][] = blocks.map(() => []);
  blocks.forEach((block, number) => {
    for (const side of edges(block)) predecessors[block[side]]!.push(number);
  });
  const taken = new Set<number>();
  for (const loop of innermost(blocks, predecessors)) {
    const { body } = loop;
    if ([...body].some((block) => taken.has(block))) continue;
    const starts = new Set(region.entries);
    const entered = [...body].filter((block) => starts.has(block) || predecessors[block]!.some((from) => !body.has(from)));
    const place = bestHeader(blocks, loop, entered);
    if (!place || (place.insn === 0 && entered.length === 1 && entered[0] === place.block)) continue;
    for (const block of body) taken.add(block);
    rotate(region, loop, place);
  }
}
