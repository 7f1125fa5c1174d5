/** What the instruction table (core/cpu/x86/table.ts) says of decoded instructions: which VEX encodings are valid, which features they need. */
import { featureBit } from '../x86/features.ts';
import { INSTRUCTIONS, type Instruction } from '../x86/table.ts';
import { type Insn, VEX_OP } from './decode.ts';

const PREFIX = { any: 0, np: 0, '66': 0x66, f3: 0xf3, f2: 0xf2 };

/** By opcode and mandatory prefix; extensions of modrm.reg side by side. Without VEX only rows that need a feature. */
const rows = new Map<number, Instruction[]>();
const key = (op: number, prefix: number): number => op * 256 + prefix;
for (const row of INSTRUCTIONS) {
  if (!row.vex && (row.feature === undefined || row.prefix === 'any')) continue;
  const at = key((row.vex ? VEX_OP : 0) + row.map * 0x100 + row.opcode, PREFIX[row.prefix]);
  const list = rows.get(at);
  if (list) list.push(row);
  else rows.set(at, [row]);
}

const find = (insn: Insn): Instruction | undefined =>
  rows.get(key(insn.op, insn.prefix))?.find((row) => row.extension < 0 || row.extension === (insn.reg & 7));

/** The row of a VEX-encoded instruction; undefined when the encoding is not valid. What feature it needs is not looked at. */
export function vexRow(insn: Insn): Instruction | undefined {
  const row = find(insn);
  if (!row) return undefined;
  if ((row.noVvvv && insn.vvvv) || (row.length0 && insn.wide) || (row.wide0 && insn.w)) return undefined;
  if (row.mode === 'only64' && insn.asize !== 8) return undefined;
  return row;
}

/** Bit of SY_FEATURES that the row needs. */
export const rowFeature = (row: Instruction): number => (row.feature === undefined ? 0 : 1 << featureBit(row.feature));

/** The same of an instruction that is not VEX-encoded, 0 for none. */
export function legacyFeature(insn: Insn): number {
  const row = find(insn);
  return row ? rowFeature(row) : 0;
}
