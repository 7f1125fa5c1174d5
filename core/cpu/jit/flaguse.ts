/** Which instructions read and write the arithmetic flags (SDM volume 1, appendix A), so that nobody computes what nobody sees. */
import type { Insn } from './decode.ts';
import type { Block } from './region.ts';

const isShift = (op: number): boolean => op === 0xc0 || op === 0xc1 || (op >= 0xd0 && op <= 0xd3);
/** Count of a shift by 1 or an immediate; 0 when it is known only at run time. */
function shiftCount({ op, imm, osize }: Insn): number {
  if (op === 0xd0 || op === 0xd1) return 1;
  if (op >= 0xd2) return 0;
  return imm & (op === 0xc1 && osize === 8 ? 63 : 31);
}

/** Writes all six flags whatever the operands. */
function overwritesFlags(insn: Insn): boolean {
  const { op } = insn;
  const kind = insn.reg & 7;
  if (op < 0x40) return (op & 7) < 6 && (op < 0x10 || op >= 0x20);
  if (isShift(op)) return kind >= 4 && shiftCount(insn) > 0;
  switch (op) {
    case 0x80:
    case 0x81:
    case 0x83:
      return kind !== 2 && kind !== 3;
    case 0x84:
    case 0x85:
    case 0xa8:
    case 0xa9:
    case 0x69:
    case 0x6b:
    case 0x1af:
      return true;
    case 0xf6:
    case 0xf7:
      // TEST, NEG, MUL, IMUL.
      return kind !== 2 && kind < 6;
  }
  return false;
}

/** Leaves all flags alone, and neither leaves the region nor faults, apart from memory operands. */
function keepsFlags(insn: Insn): boolean {
  const { op } = insn;
  return (
    (op >= 0x86 && op <= 0x8b) ||
    (op >= 0x90 && op <= 0x97) ||
    (op >= 0xa0 && op <= 0xa3) ||
    op === 0x8d ||
    (op >= 0xb0 && op <= 0xbf) ||
    ((op === 0xc6 || op === 0xc7) && (insn.reg & 7) === 0) ||
    op === 0x98 ||
    op === 0x99 ||
    (op === 0x63 && insn.hasModrm) ||
    op === 0x1b6 ||
    op === 0x1b7 ||
    op === 0x1be ||
    op === 0x1bf ||
    (op >= 0x1c8 && op <= 0x1cf && insn.osize !== 2) ||
    ((op === 0xf6 || op === 0xf7) && (insn.reg & 7) === 2)
  );
}

/**
 * Changes some flags, and what it reads of them goes into flags only: where nobody sees those that it leaves, nobody sees those that it finds. It
 * does not fault, apart from memory operands, and is not the interpreter's.
 */
function passesFlags(insn: Insn): boolean {
  const { op } = insn;
  const kind = insn.reg & 7;
  // INC and DEC.
  if (op >= 0x40 && op < 0x50) return true;
  if (op === 0xfe || op === 0xff) return kind < 2;
  // Rotates but not through the carry, and shifts by what may be zero.
  if (isShift(op)) return kind !== 2 && kind !== 3;
  // CMC, CLC, STC.
  if (op === 0xf5 || op === 0xf8 || op === 0xf9) return true;
  // Bit tests.
  if (op === 0x1a3 || op === 0x1ab || op === 0x1b3 || op === 0x1bb || (op === 0x1ba && kind >= 4)) return insn.osize !== 2;
  return false;
}

/** Nobody sees the flags of instruction `k`: the next ones overwrite them before any use, possible fault or exit. */
export function flagsDeadAfter(block: Block, k: number): boolean {
  for (let j = k + 1; j < block.insns.length; j++) {
    const next = block.insns[j]!;
    if (next.vex || next.lock || (next.memory && next.op !== 0x8d)) return false;
    if (overwritesFlags(next)) return true;
    if (!keepsFlags(next) && !passesFlags(next)) return false;
  }
  return false;
}
