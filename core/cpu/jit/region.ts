/**
 * Regions: the instructions reachable from one entry by direct jumps inside its page and those known beside it, as basic blocks with one entry, and
 * small functions of these pages that they call, copied in at each call. What can't be decoded here, and every way out of the pages, is an exit.
 */
import type { CodePages } from './codepages.ts';
import type { CodeMode, Insn } from './decode.ts';

/** Most instructions of one region; a compile costs tens of microseconds each. */
const MAX_INSTRUCTIONS = 400;
/** Called functions are copied into the region of the caller: how deep, and while it has fewer instructions than this. */
const MAX_INLINE_DEPTH = 3;
const MAX_BEFORE_INLINE = 200;

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
  /** Return, indirect call or jump: leaves the region. */
  | 'leave';

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
}

export interface Region {
  mode: CodeMode;
  pages: CodePages;
  entry: number;
  /** blocks[0] is the entry. */
  blocks: Block[];
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
  return undefined;
}

/** One copy of a function in the region. */
interface Frame {
  depth: number;
  /** Who called it and where it returns to; none for the region's own code. */
  caller: Frame | undefined;
  back: number;
  leaders: Set<number>;
  seen: Set<number>;
  /** Copies made for its calls, by offset of the call. */
  calls: Map<number, Frame>;
}

const newFrame = (caller: Frame | undefined, back: number): Frame => ({
  depth: caller ? caller.depth + 1 : 0,
  caller,
  back,
  leaders: new Set(),
  seen: new Set(),
  calls: new Map(),
});

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
 * which decoded instructions can.
 */
export function findRegion(pages: CodePages, entry: number, mode: CodeMode, translatable: (insn: Insn) => boolean): Region | undefined {
  const insns = new Map<number, Insn | undefined>();
  const at = (offset: number): Insn | undefined => {
    if (insns.has(offset)) return insns.get(offset);
    let insn = pages.decode(offset, mode);
    if (insn && !translatable(insn)) insn = undefined;
    insns.set(offset, insn);
    return insn;
  };
  const first = at(entry);
  if (!first || pages.beside(first)) return undefined;
  const root = newFrame(undefined, -1);
  const frames: Frame[] = [root];
  let count = 0;
  const inside = (offset: number): boolean => pages.has(offset);
  // Callers before what they call, so that copies never crowd out the code itself.
  const work: { frame: Frame; offset: number }[][] = Array.from({ length: MAX_INLINE_DEPTH + 1 }, () => []);
  const begin = (frame: Frame, offset: number): void => {
    frame.leaders.add(offset);
    work[frame.depth]!.push({ frame, offset });
  };
  begin(root, entry);
  for (;;) {
    const item = work.find((list) => list.length > 0)?.shift();
    if (!item) break;
    const { frame } = item;
    let { offset } = item;
    let beside = -1;
    while (!frame.seen.has(offset)) {
      const insn = at(offset);
      if (!insn || count >= MAX_INSTRUCTIONS) break;
      // A block lies in the same pages from its first instruction to its last.
      if (pages.beside(insn) !== beside) frame.leaders.add(offset);
      beside = pages.beside(insn);
      frame.seen.add(offset);
      count++;
      const ending = endingOf(insn);
      const target = insn.next + insn.imm;
      if ((ending === 'branch' || ending === 'jump') && inside(target) && at(target)) begin(frame, target);
      else if (
        ending === 'call' &&
        frame.depth < MAX_INLINE_DEPTH &&
        count < MAX_BEFORE_INLINE &&
        inside(target) &&
        at(target) &&
        inside(insn.next)
      ) {
        const copy = newFrame(frame, insn.next);
        frames.push(copy);
        frame.calls.set(offset, copy);
        begin(copy, target);
        if (at(insn.next)) begin(frame, insn.next);
      }
      if (ending === 'branch') frame.leaders.add(insn.next);
      else if (ending) break;
      offset = insn.next;
    }
    // A walk that runs into known code splits it there.
    if (frame.seen.has(offset)) frame.leaders.add(offset);
  }
  const blocks: Block[] = [];
  const numbers = new Map<Frame, Map<number, number>>();
  const links: { block: Block; frame: Frame; call: Frame | undefined }[] = [];
  for (const frame of frames) {
    const own = new Map<number, number>();
    numbers.set(frame, own);
    const front = frame === root ? [entry] : [];
    for (const start of [...front, ...[...frame.leaders].filter((l) => l !== front[0]).sort((a, b) => a - b)]) {
      if (!frame.seen.has(start)) continue;
      const block: Block = { start, insns: [], ending: 'fall', fall: start, target: NaN, pages: 0, fallBlock: -1, targetBlock: -1 };
      let offset = start;
      block.pages = pages.beside(insns.get(start)!);
      let call: Frame | undefined;
      for (;;) {
        const insn = frame.seen.has(offset) ? insns.get(offset) : undefined;
        if (!insn || (offset !== start && frame.leaders.has(offset))) break;
        block.insns.push(insn);
        const ending = endingOf(insn);
        if (ending) {
          block.ending = ending;
          if (ending === 'call') call = frame.calls.get(offset);
          if (ending !== 'leave') block.target = insn.next + insn.imm;
          else if (frame.caller && (insn.op === 0xc2 || insn.op === 0xc3)) block.ending = 'return';
        }
        offset = insn.next;
        if (ending) break;
      }
      block.fall = block.ending === 'return' ? frame.back : offset;
      own.set(start, blocks.length);
      blocks.push(block);
      links.push({ block, frame, call });
    }
  }
  for (const { block, frame, call } of links) {
    const own = numbers.get(frame)!;
    if (block.ending === 'fall' || block.ending === 'branch') block.fallBlock = own.get(block.fall) ?? -1;
    else if (block.ending === 'return') block.fallBlock = numbers.get(frame.caller!)!.get(block.fall) ?? -1;
    if (block.ending === 'branch' || block.ending === 'jump') block.targetBlock = own.get(block.target) ?? -1;
    else if (block.ending === 'call' && call) block.targetBlock = numbers.get(call)!.get(block.target) ?? -1;
  }
  return {
    mode,
    pages,
    entry,
    blocks,
    parts: partsOf(
      pages,
      blocks.flatMap((block) => block.insns),
    ),
  };
}
