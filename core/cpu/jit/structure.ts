/**
 * Control flow graph of a region in the form that WebAssembly wants: reverse postorder, dominators, loop headers, merge points (Ramsey, "Beyond
 * Relooper", ICFP 2022). Edges that would make the graph irreducible are cut: they become exits.
 */
import type { Region } from './region.ts';

export interface FlowGraph {
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

function successors(region: Region, block: number): number[] {
  const { fallBlock, targetBlock } = region.blocks[block]!;
  const list: number[] = [];
  if (fallBlock >= 0) list.push(fallBlock);
  if (targetBlock >= 0 && targetBlock !== fallBlock) list.push(targetBlock);
  return list;
}

function postorder(region: Region): number[] {
  const order: number[] = [];
  const state = new Uint8Array(region.blocks.length);
  const stack: { block: number; next: number; list: number[] }[] = [{ block: 0, next: 0, list: successors(region, 0) }];
  state[0] = 1;
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

/** Analyses the region; may cut edges of it (sets fallBlock or targetBlock to -1). */
export function analyse(region: Region): FlowGraph {
  const n = region.blocks.length;
  for (;;) {
    const order = postorder(region).reverse();
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
      for (const side of ['fallBlock', 'targetBlock'] as const) {
        const to = b[side];
        if (to < 0) continue;
        if (position[to]! > from) forward[to]!++;
        else if (dominates(position[to]!, from)) isLoopHeader[to] = 1;
        else {
          b[side] = -1;
          cut = true;
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
    return { order, position, children, isLoopHeader, isMerge, longest };
  }
}
