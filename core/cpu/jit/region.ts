/**
 * Regions: the instructions reachable from one entry by direct jumps inside its page and those known beside it, as basic blocks with one entry, and
 * small functions of these pages that they call, copied in at each call. What can't be decoded here, and every way out of the pages, is an exit.
 */
import type { CodePages } from './codepages.ts';
import type { CodeMode, Insn } from './decode.ts';
import { leavesRegion } from './system.ts';

/** Most instructions of one region; a compile costs tens of microseconds each. */
const MAX_INSTRUCTIONS = 400;
/** The same for one that is compiled again with what its indirect branches went to. */
const MAX_WITH_HINTS = 700;
/** Called functions are copied into the region of the caller: how deep, and while it has fewer instructions than this. */
const MAX_INLINE_DEPTH = 3;
const MAX_BEFORE_INLINE = 200;
const INT = 0xcd;
const STI = 0xfb;

export type Ending =
  /** Control goes on at `fall` (another block, or an exit when there is none). */
  | 'fall'
  /** Direct jump to `target`. */
  | 'jump'
  /** Conditional jump: `target` or `fall`. */
  | 'branch'
  /** Direct call: goes to `target`, in the region when the called function is copied into it. */
  | 'call'
  /** Return of a copied function: goes to `fall` when the address popped is the one that its call pushed, else out. */
  | 'return'
  /** Return, indirect call or jump: leaves the region, or goes to one of its entries through the dispatcher. */
  | 'leave'
  /** System instruction behind which nothing of the region may be executed: the interpreter does it. */
  | 'system'
  /** The dispatcher (structure.ts), no block of code. */
  | 'dispatch';

/** Bits of Block.via. */
export const VIA_FALL = 1;
export const VIA_TARGET = 2;

/** Bits of Block.look. */
export const LOOK_FALL = 1;
export const LOOK_TARGET = 2;
export const NO_LOOK_FALL = 4;
export const NO_LOOK_TARGET = 8;

export interface Block {
  /** Offset of its first byte. */
  start: number;
  insns: Insn[];
  ending: Ending;
  /** Offset where control goes when the last instruction does not jump; the exit address of a block that ends for want of a translation. */
  fall: number;
  /** Offset of the jump target; it may lie outside the pages. */
  target: number;
  /** Pages beside the entry's that its instructions lie in, as bits of their numbers in `region.pages`. */
  pages: number;
  /** Numbers of the blocks in `region.blocks` at these offsets, -1 when there is none. */
  fallBlock: number;
  targetBlock: number;
  /** Lies in a copy of a called function. */
  copied: boolean;
  /** Which of the two edges goes through the dispatcher (VIA_*). */
  via: number;
  /** Number of the copy of a function that it lies in, 0 for the region's own code. */
  frame: number;
  /** On which of the two edges the slice is looked at (LOOK_*), and on which not although it goes back (NO_LOOK_*; see loopheaders.ts). */
  look: number;
}

export interface Region {
  mode: CodeMode;
  pages: CodePages;
  entry: number;
  /** blocks[0] is the entry. */
  blocks: Block[];
  /** Numbers of the blocks that the dispatcher goes to, 0 first: places that returns, indirect calls and jumps may come to. */
  entries: number[];
  parts: RegionPart[];
}

/** What a region was made from: bytes from `low` up to, not including, `high` of one of its pages. */
export interface RegionPart {
  /** Number of the page in `region.pages`. */
  page: number;
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
  if (leavesRegion(insn)) return 'system';
  return undefined;
}

/** One copy of a function in the region. */
interface Frame {
  /** Where it begins; of the region's own code, where that is entered. */
  start: number;
  depth: number;
  /** Who called it and where it returns to; none for the region's own code. */
  caller: Frame | undefined;
  back: number;
  leaders: Set<number>;
  seen: Set<number>;
  /** Copies made for its calls, by offset of the call. */
  calls: Map<number, Frame>;
}

const newFrame = (caller: Frame | undefined, start: number, back: number): Frame => ({
  start,
  depth: caller ? caller.depth + 1 : 0,
  caller,
  back,
  leaders: new Set(),
  seen: new Set(),
  calls: new Map(),
});

/** A copy of the function at `target` in `frame` would be one in itself: recursive ones would fill the region with their copies. */
function recursive(frame: Frame, target: number): boolean {
  for (let each: Frame | undefined = frame; each; each = each.caller) if (each.start === target) return true;
  return false;
}

/** The parts of the pages that these instructions take. */
function partsOf(pages: CodePages, insns: Iterable<Insn>): RegionPart[] {
  const parts = new Map<number, RegionPart>();
  for (const insn of insns)
    for (let at = insn.at; at < insn.next; at = (at | 0xfff) + 1) {
      const page = pages.numberOf(at);
      const low = at & 0xfff;
      const high = Math.min(low + insn.next - at, 0x1000);
      const part = parts.get(page);
      if (part) {
        part.low = Math.min(part.low, low);
        part.high = Math.max(part.high, high);
      } else parts.set(page, { page, low, high });
    }
  return [...parts.values()];
}

/**
 * The region that starts at `entry` of the first of `pages`, undefined when not even its first instruction can be translated. `translatable` says
 * which decoded instructions can. `hints` are offsets that calls and indirect branches of the region went to.
 */
export function findRegion(
  pages: CodePages,
  entry: number,
  mode: CodeMode,
  translatable: (insn: Insn) => boolean,
  hints: readonly number[] = [],
): Region | undefined {
  const insns = new Map<number, Insn | undefined>();
  const at = (offset: number): Insn | undefined => {
    let insn = insns.get(offset);
    if (insn || insns.has(offset)) return insn;
    insn = pages.decode(offset, mode);
    if (insn && !translatable(insn)) insn = undefined;
    insns.set(offset, insn);
    return insn;
  };
  const first = at(entry);
  if (!first) return undefined;
  // INT n stores RF, which the run loop has cleared before a region (interp/wasm/resumeflag.ts).
  if (first.op === INT && !first.vex) return undefined;
  const root = newFrame(undefined, entry, -1);
  const frames: Frame[] = [root];
  let count = 0;
  const inside = (offset: number): boolean => pages.has(offset);
  // Callers before what they call, so that copies never crowd out the code itself; what is called without a copy comes last, and only when calls
  // were seen to leave the region often.
  const work: { frame: Frame; offset: number }[][] = Array.from({ length: MAX_INLINE_DEPTH + 2 }, () => []);
  const begin = (frame: Frame, offset: number, rank = frame.depth): void => {
    frame.leaders.add(offset);
    work[rank]!.push({ frame, offset });
  };
  const most = hints.length ? MAX_WITH_HINTS : MAX_INSTRUCTIONS;
  /** Offsets in the region's own code that the dispatcher goes to. */
  const reached = new Set<number>();
  const reach = (offset: number, rank: number): void => {
    if (!at(offset) || reached.has(offset)) return;
    reached.add(offset);
    begin(root, offset, rank);
  };
  work[0]!.push({ frame: root, offset: entry });
  /** Code of the region runs on into the entry. */
  let passes = false;
  for (const hint of hints) reach(hint, MAX_INLINE_DEPTH + 1);
  for (;;) {
    const item = work.find((list) => list.length > 0)?.shift();
    if (!item) break;
    const { frame } = item;
    let { offset } = item;
    let beside = -1;
    while (!frame.seen.has(offset)) {
      const insn = at(offset);
      if (!insn || count >= most) break;
      // A block lies in the same pages from its first instruction to its last.
      if (beside >= 0 && pages.beside(insn) !== beside) frame.leaders.add(offset);
      beside = pages.beside(insn);
      frame.seen.add(offset);
      count++;
      const ending = endingOf(insn);
      const target = insn.next + insn.imm;
      if ((ending === 'branch' || ending === 'jump') && inside(target) && pages.reached(target) && at(target)) begin(frame, target);
      else if (
        ending === 'call' &&
        frame.depth < MAX_INLINE_DEPTH &&
        count < MAX_BEFORE_INLINE &&
        !recursive(frame, target) &&
        inside(target) &&
        pages.reached(target) &&
        at(target) &&
        inside(insn.next)
      ) {
        const copy = newFrame(frame, target, insn.next);
        frames.push(copy);
        frame.calls.set(offset, copy);
        begin(copy, target);
        if (pages.reached(insn.next) && at(insn.next)) begin(frame, insn.next);
      } else if (hints.length && ending === 'call' && inside(target) && pages.reached(target) && at(target)) {
        begin(root, target, MAX_INLINE_DEPTH + 1);
        reach(insn.next, 0);
      } else if (ending === 'leave' && hints.length && insn.op === 0xff && (insn.reg & 7) === 2) reach(insn.next, 0);
      if (ending === 'branch') {
        if (!pages.fell(offset) && !pages.reached(insn.next)) break;
        frame.leaders.add(insn.next);
      } else if (ending) break;
      offset = insn.next;
    }
    // A walk that runs into known code splits it there, but not at the entry.
    if (offset !== item.offset && frame.seen.has(offset)) {
      if (frame === root && offset === entry) passes = true;
      else frame.leaders.add(offset);
    }
  }
  const blocks: Block[] = [];
  const numbers = new Map<Frame, Map<number, number>>();
  const links: { block: Block; frame: Frame; call: Frame | undefined }[] = [];
  for (const [number, frame] of frames.entries()) {
    const own = new Map<number, number>();
    numbers.set(frame, own);
    const front = frame === root ? [entry] : [];
    // An entry in the middle of a block, wherever the sample fell, does not split it: what follows it there is in the region twice, the first time
    // for those who come from outside. So the flags are known where the block wants them.
    const apart = passes && !root.leaders.has(entry);
    for (const start of [...front, ...[...frame.leaders].filter((l) => l !== front[0]).sort((a, b) => a - b)]) {
      if (!frame.seen.has(start)) continue;
      const block: Block = {
        start,
        insns: [],
        ending: 'fall',
        fall: start,
        target: NaN,
        pages: 0,
        fallBlock: -1,
        targetBlock: -1,
        copied: frame !== root,
        via: 0,
        frame: number,
        look: 0,
      };
      let offset = start;
      block.pages = pages.beside(insns.get(start)!);
      let call: Frame | undefined;
      for (;;) {
        const insn = frame.seen.has(offset) ? insns.get(offset) : undefined;
        if (!insn) break;
        // What STI's shadow falls on is in its block, and the rest of that one with it: between blocks a slice may end.
        const shadowed = block.insns.at(-1)?.op === STI && pages.beside(insn) === block.pages;
        if (offset !== start && frame.leaders.has(offset) && !shadowed) break;
        block.insns.push(insn);
        const ending = endingOf(insn);
        if (ending) {
          block.ending = ending;
          if (ending === 'call') call = frame.calls.get(offset);
          if (ending !== 'leave' && ending !== 'system') block.target = insn.next + insn.imm;
          else if (frame.caller && (insn.op === 0xc2 || insn.op === 0xc3)) block.ending = 'return';
        }
        offset = insn.next;
        if (ending) break;
      }
      block.fall = block.ending === 'return' ? frame.back : offset;
      if (!(apart && blocks.length === 0)) own.set(start, blocks.length);
      blocks.push(block);
      links.push({ block, frame, call });
    }
  }
  for (const { block, frame, call } of links) {
    const own = numbers.get(frame)!;
    if (block.ending === 'fall' || block.ending === 'branch') block.fallBlock = own.get(block.fall) ?? -1;
    else if (block.ending === 'return') block.fallBlock = numbers.get(frame.caller!)!.get(block.fall) ?? -1;
    if (block.ending === 'branch' || block.ending === 'jump') block.targetBlock = own.get(block.target) ?? -1;
    else if (block.ending === 'call') block.targetBlock = numbers.get(call ?? root)!.get(block.target) ?? -1;
  }
  return {
    mode,
    pages,
    entry,
    blocks,
    entries: [0, ...[...reached].flatMap((offset) => numbers.get(root)!.get(offset) ?? []).filter((block) => block !== 0)],
    parts: partsOf(
      pages,
      blocks.flatMap((block) => block.insns),
    ),
  };
}
