/** VEX-encoded instructions (SDM volume 2, 2.3): AVX, AVX2, FMA, F16C, BMI. What has no translation of its own is executed by the interpreter. */
import type { Insn } from './decode.ts';
import type { Translation } from './sseoperand.ts';
import { vexRow } from './vexrows.ts';

const interpret: Translation = (e) => {
  e.interpret();
  e.floatRefresh();
};

/** The translation of a VEX-encoded instruction; undefined when it faults. */
export function vexTranslation(insn: Insn): Translation | undefined {
  return vexRow(insn) && interpret;
}
