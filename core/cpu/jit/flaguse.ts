/** Which instructions read and write the arithmetic flags (SDM volume 1, appendix A), so that nobody computes what nobody sees. */
import type { Insn } from './decode.ts';
import type { Block } from './region.ts';

const READS_FLAGS = new Set<number>([0xf5, 0x9f]);
function readsFlags(insn: Insn): boolean {
  const { op } = insn;
  if ((op >= 0x10 && op < 0x20) || READS_FLAGS.has(op)) return true;
  if (op >= 0x140 && op <= 0x14f) return true;
  if (op >= 0x180 && op <= 0x19f) return true;
  if (op === 0x80 || op === 0x81 || op === 0x83) return (insn.reg & 7) === 2 || (insn.reg & 7) === 3;
  // Everything that keeps a part of the flags counts as a reader.
  return !overwritesFlags(insn) && !keepsFlags(insn);
}
/** Writes all six flags whatever the operands. */
function overwritesFlags(insn: Insn): boolean {
  const { op } = insn;
  if (op < 0x40) return (op & 7) < 6 && (op < 0x10 || op >= 0x20);
  switch (op) {
    case 0x80:
    case 0x81:
    case 0x83:
      return (insn.reg & 7) !== 2 && (insn.reg & 7) !== 3;
    case 0x84:
    case 0x85:
    case 0xa8:
    case 0xa9:
    case 0x69:
    case 0x6b:
    case 0x1af:
      return true;
    case 0xf6:
    case 0xf7: {
      const kind = insn.reg & 7;
      return kind < 2 || kind === 3;
    }
  }
  return false;
}
/** Neither reads nor writes flags, nor leaves the region or faults, apart from memory operands. */
function keepsFlags(insn: Insn): boolean {
  const { op } = insn;
  return (
    (op >= 0x88 && op <= 0x8b) ||
    (op >= 0xa0 && op <= 0xa3) ||
    op === 0x8d ||
    (op >= 0xb0 && op <= 0xbf) ||
    op === 0x90 ||
    op === 0x98 ||
    op === 0x99 ||
    (op === 0x63 && insn.hasModrm) ||
    op === 0x1b6 ||
    op === 0x1b7 ||
    op === 0x1be ||
    op === 0x1bf ||
    (op >= 0x1c8 && op <= 0x1cf) ||
    ((op === 0xf6 || op === 0xf7) && (insn.reg & 7) === 2)
  );
}

/** Nobody sees the flags of instruction `k`: the next ones overwrite them before any use, possible fault or exit. */
export function flagsDeadAfter(block: Block, k: number): boolean {
  for (let j = k + 1; j < block.insns.length; j++) {
    const next = block.insns[j]!;
    if (next.memory && next.op !== 0x8d) return false;
    if (readsFlags(next)) return false;
    if (overwritesFlags(next)) return true;
    if (!keepsFlags(next)) return false;
  }
  return false;
}
