/**
 * VEX-encoded instructions (SDM volume 2, 2.3): AVX, AVX2, FMA, F16C, BMI. Registers of 256 bits are pairs of vectors. What has no translation
 * of its own is executed by the interpreter inside the region.
 */
import { FEAT_AVX2 } from '../interp/wasm/features.ts';
import type { Instruction } from '../x86/table.ts';
import { bitVexTranslation } from './bits.ts';
import { type Insn, VEX_OP } from './decode.ts';
import { convertTranslation } from './ssecvt.ts';
import { floatTranslation } from './ssefloat.ts';
import { integerVexTranslation } from './sseint.ts';
import type { Translation } from './sseoperand.ts';
import { fusedVexTranslation } from './vexfma.ts';
import { moveVexTranslation } from './vexmove.ts';
import { permuteVexTranslation } from './vexpermute.ts';
import { rowFeature, vexRow } from './rows.ts';

/** 256-bit forms that came with AVX2, though the 128-bit ones are AVX: integer arithmetic. */
function integerForm(op: number): boolean {
  if (op < 0x200)
    return (
      (op >= 0x160 && op <= 0x16d) ||
      (op >= 0x170 && op <= 0x176) ||
      (op >= 0x1d1 && op !== 0x1d6 && op !== 0x1e6 && op !== 0x1e7 && op !== 0x1f0 && op !== 0x1f7)
    );
  if (op < 0x300)
    return (
      op <= 0x20b ||
      (op >= 0x21c && op <= 0x21e) ||
      (op >= 0x220 && op <= 0x22b) ||
      (op >= 0x230 && op <= 0x235) ||
      (op >= 0x237 && op <= 0x240)
    );
  return op === 0x30e || op === 0x30f || op === 0x342 || op === 0x34c;
}
/** Exist only 256 bits wide: VPERMx across halves, VBROADCASTSD, VxxxxF128, VxxxxI128. */
const ALWAYS_WIDE = new Set([0x216, 0x219, 0x21a, 0x236, 0x25a, 0x300, 0x301, 0x306, 0x318, 0x319, 0x338, 0x339, 0x346]);

/** Bits of the features that the instruction needs; -1 when this form of it does not exist. */
function needs(insn: Insn, op: number, row: Instruction): number {
  if (ALWAYS_WIDE.has(op) && !insn.wide) return -1;
  if ((op === 0x300 || op === 0x301) && !insn.w) return -1;
  if (op === 0x246 && insn.w) return -1;
  if (insn.memory ? row.operands.some((o) => o[0] === 'U') : row.operands.some((o) => o[0] === 'M')) return -1;
  // VBROADCASTF128, VBROADCASTI128.
  if ((op === 0x21a || op === 0x25a) && !insn.memory) return -1;
  let features = rowFeature(row);
  if (insn.wide && integerForm(op)) features |= 1 << FEAT_AVX2;
  if ((op === 0x218 || op === 0x219) && !insn.memory) features |= 1 << FEAT_AVX2;
  return features;
}

const interpret: Translation = (e) => {
  e.interpret();
  e.floatRefresh();
};
/**
 * The same of what touches nothing but vector registers and MXCSR: VRCPx, VRSQRTx, VPHMINPOSUW, AES, F16C, masked stores, VDPPx, VMPSADBW,
 * VPCLMULQDQ. Gathers are none of them: stopped by a fault they have changed registers.
 */
const VECTOR_ONLY = new Set([
  0x152, 0x153, 0x213, 0x22e, 0x22f, 0x241, 0x28e, 0x2db, 0x2dc, 0x2dd, 0x2de, 0x2df, 0x31d, 0x340, 0x341, 0x342, 0x344, 0x3df,
]);
const interpretVector: Translation = (e) => e.interpretVector();

/** The translation of a VEX-encoded instruction on a processor with `has` in SY_FEATURES; undefined when it faults. */
export function vexTranslation(insn: Insn, has: number): Translation | undefined {
  const row = vexRow(insn);
  if (!row) return undefined;
  const op = insn.op & ~VEX_OP;
  const features = needs(insn, op, row);
  if (features < 0 || features & ~has) return undefined;
  const plain: Insn = { ...insn, op };
  const bits = bitVexTranslation(plain);
  if (bits)
    return (e) => {
      e.usesVex = true;
      e.features |= features;
      bits(e, plain);
    };
  const own =
    moveVexTranslation(plain) ??
    permuteVexTranslation(plain) ??
    integerVexTranslation(plain) ??
    floatTranslation(plain) ??
    convertTranslation(plain) ??
    fusedVexTranslation(plain);
  if (!own) return VECTOR_ONLY.has(op) ? interpretVector : interpret;
  return (e) => {
    e.usesAvx = true;
    e.features |= features;
    own(e, plain);
  };
}
