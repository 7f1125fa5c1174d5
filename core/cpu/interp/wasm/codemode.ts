/** The code mode that records are decoded for, from the state of the processor. */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { SJ_UNLINKED } from './jitoffsets';
import { SF_FLAT_R, SF_FLAT_W } from './memsegment';
import { MODE_64, MODE_FLAT, Run } from './runstate';
import {
  SEG_BASE, SEG_CS, SEG_DS, SEG_ES, SEG_FLAGS, SEG_LIMIT, SEG_SS, SEG_STRIDE, S_CODE_MODE, S_SEG, S_STACK32,
} from './stateoffsets';
import { SY_TLB_CUR } from './sysstate';
import { tlbLeaveLong } from './tlb';

const S: usize = CPU_STATE_BASE;

/** Run.mode for the state as it is. Only system instructions and far transfers change it: the run loop and jitSystem() look after those. */
// @ts-ignore: decorator
@inline
export function currentMode(): u32 {
  const code = load<u32>(S, S_CODE_MODE);
  if (code == MODE_64) return code;
  tlbLeaveLong(load<u32>(S, SY_TLB_CUR));
  const base = load<u32>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE);
  const limit = load<u32>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_LIMIT);
  if (base != Run.codeBase || limit != Run.codeLimit) {
    // Links between regions take instruction pointers for linear addresses.
    Run.codeBase = base;
    Run.codeLimit = limit;
    store<u32>(S, base != 0 || limit != 0xffff_ffff ? 1 : 0, SJ_UNLINKED);
  }
  const flags =
    load<u32>(S, S_SEG + SEG_DS * SEG_STRIDE + SEG_FLAGS) &
    load<u32>(S, S_SEG + SEG_ES * SEG_STRIDE + SEG_FLAGS) &
    load<u32>(S, S_SEG + SEG_SS * SEG_STRIDE + SEG_FLAGS);
  const flat = code != 0 && load<u32>(S, S_STACK32) != 0 && (flags & (SF_FLAT_R | SF_FLAT_W)) == (SF_FLAT_R | SF_FLAT_W);
  return code | (flat ? MODE_FLAT : 0);
}
