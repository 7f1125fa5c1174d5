/** Group 0F AE: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR, XSAVEOPT, fences, CLFLUSH (SDM volume 2, table A-6). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { raiseFaultErr } from '../fault';
import { FEAT_XSAVE } from '../features';
import { memProbeR, memRead32, memWrite32 } from '../memsegment';
import { REC_MODRM, REC_PREFIX } from '../record';
import { S_MXCSR, VEC_GP } from '../stateoffsets';
import { fxrstor, fxsave } from './fxsave';
import { MXCSR_MASK } from './mxcsr';
import { checkSse, isMem, needFeature, undefinedOp, wideOperand } from './operand';
import { xrstor, xsave } from './xsave';

const ANY_MANDATORY: u32 = 7;

export function group15(rec: usize): void {
  const reg = (<u32>load<u8>(rec, REC_MODRM) >> 3) & 7;
  if (load<u8>(rec, REC_PREFIX) & ANY_MANDATORY) undefinedOp();
  if (!isMem(rec)) {
    // LFENCE, MFENCE, SFENCE: memory is always in order here.
    if (reg < 5) undefinedOp();
    return;
  }
  const seg = recSeg(rec);
  const off = recOff(rec);
  switch (reg) {
    case 0:
      fxsave(seg, off, wideOperand(rec));
      return;
    case 1:
      fxrstor(seg, off, wideOperand(rec));
      return;
    case 2: {
      checkSse();
      const v = memRead32(seg, off);
      if (v & ~MXCSR_MASK) raiseFaultErr(VEC_GP, 0);
      store<u32>(CPU_STATE_BASE + S_MXCSR, v);
      return;
    }
    case 3:
      checkSse();
      memWrite32(seg, off, load<u32>(CPU_STATE_BASE + S_MXCSR));
      return;
    case 4:
    case 6:
      needFeature(FEAT_XSAVE);
      xsave(seg, off, wideOperand(rec), reg == 6);
      return;
    case 5:
      needFeature(FEAT_XSAVE);
      xrstor(seg, off, wideOperand(rec));
      return;
    default:
      memProbeR(seg, off, 1);
  }
}
