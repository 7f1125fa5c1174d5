/**
 * Control flow graph of a region in the form that WebAssembly wants: reverse postorder, dominators, loop headers, merge points (Ramsey, "Beyond
 * Relooper", ICFP 2022). Edges that would make the graph irreducible go through the dispatcher: a loop around everything whose header goes to any
 * of the region's entries. So do the targets of returns, indirect calls and jumps.
 */
import { type Block, type Region, VIA_FALL, VIA_TARGET } from './region.ts';

/** Most entries of the dispatcher. */
const MAX_ENTRIES = 200;

export interface FlowGraph {
  /** The block where everything begins: the region's first, or the dispatcher, which is in `region.blocks` too. */
  root: number;
  hasDispatcher: boolean;
  /** Blocks in reverse postorder. */
  order: number[];
  /** Position of a block in `order`; -1 when it can't be reached. */
  position: Int32Array;
  /** Children in the dominator tree, by block, in reverse postorder. */
  children: number[][];
  isLoopHeader: Uint8Array;
  /** Has two or more forward edges into it. */
  isMerge: Uint8Array;
  /** Longest number of instructions on any path from the block's first instruction to an exit or a back edge. */
  longest: Int32Array;
}

const SIDES = [
  ['fallBlock', VIA_FALL],
  ['targetBlock', VIA_TARGET],
] as const;

function successors(region: Region, block: number): number[] {
  const { ending, fallBlock, targetBlock, via } = region.blocks[block]!;
  if (ending === 'dispatch') return region.entries;
  const list: number[] = [];
  if (fallBlock >= 0 && !(via & VIA_FALL)) list.push(fallBlock);
  if (targetBlock >= 0 && targetBlock !== fallBlock && !(via & VIA_TARGET)) list.push(targetBlock);
  return list;
}

function dispatcher(region: Region): Block {
  return {
    start: region.entry,
    insns: [],
    ending: 'dispatch',
    fall: NaN,
    target: NaN,
    pages: 0,
    fallBlock: -1,
    targetBlock: -1,
    copied: false,
    via: 0,
    frame: 0,
    look: 0,
  };
}

function postorder(region: Region, root: number): number[] {
  const order: number[] = [];
  const state = new Uint8Array(region.blocks.length);
  const stack: { block: number; next: number; list: number[] }[] = [{ block: root, next: 0, list: successors(region, root) }];
  state[root] = 1;
  while (stack.length) {
    const top = stack[stack.length - 1]!;
    const child = top.list[top.next++];
    if (child === undefined) {
      order.push(top.block);
      stack.pop();
    } else if (!state[child]) {
      state[child] = 1;
      stack.push({ block: child, next: 0, list: successors(region, child) });
    }
  }
  return order;
}

/**
 * Analyses the region. May add the dispatcher to its blocks, and entries; may cut edges of it (sets fallBlock or targetBlock to -1). Without
 * `dispatching` only the first block is an entry.
 */
export function analyse(region: Region, dispatching: boolean): FlowGraph {
  let root = 0;
  if (!dispatching) region.entries.length = 1;
  for (;;) {
    if (region.entries.length > 1 && !root) root = region.blocks.push(dispatcher(region)) - 1;
    const n = region.blocks.length;
    const order = postorder(region, root).reverse();
    const position = new Int32Array(n).fill(-1);
    order.forEach((block, i) => {
      position[block] = i;
    });
    const preds: number[][] = Array.from({ length: n }, () => []);
    for (const block of order) for (const child of successors(region, block)) preds[child]!.push(block);
    // Cooper, Harvey, Kennedy: a simple, fast dominance algorithm. `idom` holds positions.
    const idom = new Int32Array(order.length).fill(-1);
    idom[0] = 0;
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 1; i < order.length; i++) {
        let best = -1;
        for (const pred of preds[order[i]!]!) {
          let p = position[pred]!;
          if (idom[p] === -1) continue;
          if (best === -1) best = p;
          else
            while (p !== best) {
              while (p > best) p = idom[p]!;
              while (best > p) best = idom[best]!;
            }
        }
        if (idom[i] !== best) {
          idom[i] = best;
          changed = true;
        }
      }
    }
    const dominates = (a: number, b: number): boolean => {
      let i = b;
      while (i > a) i = idom[i]!;
      return i === a;
    };
    let cut = false;
    const isLoopHeader = new Uint8Array(n);
    const forward = new Int32Array(n);
    for (const block of order) {
      const b = region.blocks[block]!;
      const from = position[block]!;
      for (const [side, via] of SIDES) {
        const to = b[side];
        if (to < 0 || b.via & via) continue;
        if (position[to]! > from) forward[to]!++;
        else if (dominates(position[to]!, from)) isLoopHeader[to] = 1;
        else {
          cut = true;
          const known = region.entries.includes(to);
          if (!dispatching || (!known && region.entries.length >= MAX_ENTRIES)) b[side] = -1;
          else {
            if (!known) region.entries.push(to);
            b.via |= via;
          }
        }
      }
    }
    if (cut) continue;
    const children: number[][] = Array.from({ length: n }, () => []);
    for (let i = 1; i < order.length; i++) children[order[idom[i]!]!]!.push(order[i]!);
    const longest = new Int32Array(n);
    for (let i = order.length - 1; i >= 0; i--) {
      const block = order[i]!;
      let most = 0;
      for (const child of successors(region, block)) if (position[child]! > i) most = Math.max(most, longest[child]!);
      longest[block] = most + region.blocks[block]!.insns.length;
    }
    const isMerge = Uint8Array.from(forward, (count) => (count >= 2 ? 1 : 0));
    const hasDispatcher = root > 0;
    if (hasDispatcher) {
      isLoopHeader[root] = 1;
      for (const entry of region.entries) isMerge[entry] = 1;
    }
    return { root, hasDispatcher, order, position, children, isLoopHeader, isMerge, longest };
  }
}
