/** VEX-encoded instructions that exist, from the instruction table (core/cpu/x86/table.ts); and what they depend on. */
import { featureBit } from '../x86/features.ts';
import { INSTRUCTIONS, type Instruction } from '../x86/table.ts';
import { type Insn, VEX_OP } from './decode.ts';

const PREFIX = { any: 0, np: 0, '66': 0x66, f3: 0xf3, f2: 0xf2 };

/** By opcode and prefix; extensions of modrm.reg side by side. */
const rows = new Map<number, Instruction[]>();
const key = (op: number, prefix: number): number => op * 256 + prefix;
for (const row of INSTRUCTIONS) {
  if (!row.vex) continue;
  const at = key(VEX_OP + row.map * 0x100 + row.opcode, PREFIX[row.prefix]);
  const list = rows.get(at);
  if (list) list.push(row);
  else rows.set(at, [row]);
}

/** The row of a VEX-encoded instruction; undefined when the encoding is not valid. What feature it needs is not looked at. */
export function vexRow(insn: Insn): Instruction | undefined {
  const list = rows.get(key(insn.op, insn.prefix));
  const row = list?.find((r) => r.extension < 0 || r.extension === (insn.reg & 7));
  if (!row) return undefined;
  if ((row.noVvvv && insn.vvvv) || (row.length0 && insn.wide) || (row.wide0 && insn.w)) return undefined;
  if (row.mode === 'only64' && insn.asize !== 8) return undefined;
  return row;
}

/** Bit of SY_FEATURES that the row needs. */
export const rowFeature = (row: Instruction): number => (row.feature === undefined ? 0 : 1 << featureBit(row.feature));
