/**
 * Delivery of exceptions and interrupts in long mode (SDM volume 3 section 6.14): 16-byte interrupt and trap gates, the interrupt stack
 * table, and a frame of SS:RSP, RFLAGS, CS:RIP that is always whole and aligned.
 *
 *   gate: 0 offset 15..0, 2 selector, 4 IST (bits 2..0), 5 type and attributes, 6 offset 31..16, 8 offset 63..32
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { getEflags, setEflags } from './flags';
import { innerStack64 } from './innerstack';
import { linReadSys32 } from './memsystem';
import {
  ATTR_DB,
  ATTR_L,
  ATTR_P,
  attrDpl,
  checkCodeTarget,
  cpl,
  descAttr,
  descHi,
  descLo,
  fetchDescriptor,
  isCode,
  isConforming,
  isNull,
  markAccessed,
  segSelector,
  setCode,
  setNullStack,
  updateAlignCheck,
} from './seg';
import { frameCommit, frameNew64, framePush, frameReserve } from './stack';
import { gpr64 } from './state';
import { S_IDTR_BASE, S_IDTR_LIMIT, S_RIP, SEG_CS, SEG_SS, VEC_GP, VEC_NP } from './stateoffsets';
import { FL_AC, FL_IF, FL_NT, FL_RF, FL_TF, FL_VM } from './sysstate';

const ESP = 4;
const GATE_INT64: u32 = 14;
const GATE_TRAP64: u32 = 15;

/** Parameters as in deliver() of interrupt.ts. */
export function deliverLong(vector: u32, returnRip: u64, hasError: bool, error: u32, soft: bool, rf: u32): void {
  const idtError = (vector << 3) | 2;
  if (vector * 16 + 15 > load<u32>(CPU_STATE_BASE + S_IDTR_LIMIT)) raiseFaultErr(VEC_GP, idtError);
  const entry = load<u64>(CPU_STATE_BASE + S_IDTR_BASE) + vector * 16;
  const lo = linReadSys32(entry);
  const hi = linReadSys32(entry + 4);
  const upper = linReadSys32(entry + 8);
  const gate = descAttr(hi);
  const type = gate & 31;
  if (type != GATE_INT64 && type != GATE_TRAP64) raiseFaultErr(VEC_GP, idtError);
  if (soft && attrDpl(gate) < cpl()) raiseFaultErr(VEC_GP, idtError);
  if (!(gate & ATTR_P)) raiseFaultErr(VEC_NP, idtError);
  const selector = lo >> 16;
  const rip = <u64>((lo & 0xffff) | (hi & 0xffff0000)) | (<u64>upper << 32);
  if (isNull(selector)) raiseFaultErr(VEC_GP, 0);
  fetchDescriptor(selector, VEC_GP);
  const code = descAttr(descHi);
  const codeError = selector & 0xfffc;
  const dpl = attrDpl(code);
  if (!isCode(code) || dpl > cpl() || (code & (ATTR_L | ATTR_DB)) != ATTR_L) raiseFaultErr(VEC_GP, codeError);
  if (!(code & ATTR_P)) raiseFaultErr(VEC_NP, codeError);
  checkCodeTarget(descLo, descHi, rip);
  const inner = !isConforming(code) && dpl < cpl();
  const level = inner ? dpl : cpl();
  markAccessed();
  const codeLo = descLo;
  const codeHi = descHi;
  const flags = getEflags();

  const ist = hi & 7;
  if (inner || ist) innerStack64(level, ist, true);
  else frameNew64(gpr64(ESP) & ~(<u64>15), level);
  frameReserve(hasError ? 6 : 5, 8);
  framePush(segSelector(SEG_SS), 8);
  framePush(gpr64(ESP), 8);
  framePush(flags | rf, 8);
  framePush(segSelector(SEG_CS), 8);
  framePush(returnRip, 8);
  if (hasError) framePush(error, 8);

  // Commit.
  setEflags(0, type & 1 ? FL_TF | FL_VM | FL_RF | FL_NT : FL_TF | FL_VM | FL_RF | FL_NT | FL_IF);
  setCode(selector, codeLo, codeHi, level);
  if (inner) setNullStack(level);
  frameCommit();
  if (flags & FL_AC) updateAlignCheck();
  store<u64>(CPU_STATE_BASE + S_RIP, rip);
}
