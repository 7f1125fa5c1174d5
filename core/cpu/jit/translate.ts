/** Which translation an instruction has: by opcode, and by the features of the processor. */
import { bitTranslation } from './bits.ts';
import type { Insn } from './decode.ts';
import { integerTranslation } from './integer.ts';
import { legacyFeature } from './rows.ts';
import { sseTranslation } from './sse.ts';
import { leavesRegion, systemTranslation } from './system.ts';
import type { Translation } from './translation.ts';
import { vexTranslation } from './vex.ts';
import { x87Translation } from './x87.ts';

/** The translation for a processor with `has` in SY_FEATURES; undefined when there is none, or it has no such instruction. */
export function translationOf(insn: Insn, has: number): Translation | undefined {
  if (insn.vex) return vexTranslation(insn, has);
  const system = systemTranslation(insn);
  if (system) return system;
  const feature = legacyFeature(insn);
  const general = integerTranslation(insn) ?? x87Translation(insn);
  if (!feature) return general ?? sseTranslation(insn);
  if (has & feature) {
    const own = bitTranslation(insn) ?? sseTranslation(insn);
    return (
      own &&
      ((e, i) => {
        e.features |= feature;
        own(e, i);
      })
    );
  }
  // TZCNT and LZCNT are BSF and BSR there.
  return (
    general &&
    ((e, i) => {
      e.absent |= feature;
      general(e, i);
    })
  );
}

export function translatable(insn: Insn, has: number): boolean {
  const { op } = insn;
  const branch = (!insn.opsize || insn.real) && !insn.lock;
  if ((op >= 0x70 && op <= 0x7f) || (op >= 0x180 && op <= 0x18f) || op === 0xe8 || op === 0xe9 || op === 0xeb || op === 0xc2 || op === 0xc3)
    return branch;
  if (op >= 0xe0 && op <= 0xe3) return branch;
  if (op === 0xff && ((insn.reg & 7) === 2 || (insn.reg & 7) === 4)) return branch;
  return leavesRegion(insn) || translationOf(insn, has) !== undefined;
}
