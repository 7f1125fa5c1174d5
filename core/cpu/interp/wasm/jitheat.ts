/** Which places are hot enough to be compiled: where pieces of slices end, and where control leaves compiled code for code that is not. */
import { CPU_STATE_BASE, JIT_USED_BASE, JIT_USED_SIZE } from '../../../memory/layout';
import { recordAt, slotIfAny } from './codecache';
import { HANDLER_JIT } from './generated/tables';
import { jitHot } from './imports';
import { setPlace } from './jit';
import { SJ_EPOCH, SJ_PIECE, SJ_THRESHOLD, SY_TLB_CUR, USED_GRAIN_SHIFT } from './jitoffsets';
import { codeHost } from './mem';
import { REC_HANDLER } from './record';
import { MODE_64, Run } from './runstate';
import { HD_ACTIVE, SEG_BASE, SEG_CS, SEG_STRIDE, S_RIP, S_SEG } from './stateoffsets';
import { TLB_USER } from './tlb';

const S: usize = CPU_STATE_BASE;

/** Counters, direct-mapped: byte of the shared memory, count. */
const COUNTERS: usize = memory.data(8192 * 8);
const COUNTER_MASK: u32 = 8191;
/** What a sample counts for; an exit counts for one. */
export const SAMPLE: u32 = 128;
export const EXIT: u32 = 1;
/** Counts until a place that stays hot is reported again: its page may have changed. */
const AGAIN: u32 = 512;

/** The code at S_RIP, which is decoded or not, got `weight` hotter. Nothing here may fault: only what is known already counts. */
export function heat(weight: u32): void {
  // While the host debugs, everything is interpreted.
  if (Run.mode < MODE_64 || load<u32>(S, HD_ACTIVE) || !load<u32>(S, SJ_PIECE)) return;
  const base = Run.mode == MODE_64 ? 0 : load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE);
  const lin = base + load<u64>(S, S_RIP);
  const host = codeHost(lin);
  if (!host) return;
  if (weight == SAMPLE) {
    const grain = host >> USED_GRAIN_SHIFT;
    store<u16>(JIT_USED_BASE + (<usize>((grain ^ (grain >> 15)) & (JIT_USED_SIZE / 2 - 1)) << 1), <u16>load<u32>(S, SJ_EPOCH));
  }
  const at = COUNTERS + (<usize>((host ^ (host >> 11)) & COUNTER_MASK) << 3);
  if (load<u32>(at) != host) {
    store<u32>(at, host);
    store<u32>(at, 0, 4);
  }
  const before = load<u32>(at, 4);
  const count = before + weight;
  store<u32>(at, count, 4);
  const limit = load<u32>(S, SJ_THRESHOLD);
  if (before < limit ? count < limit : before / AGAIN == count / AGAIN) return;
  const slot = slotIfAny(host, Run.mode);
  const rec: usize = slot < 0 ? 0 : recordAt(<u32>slot, host & 0xfff);
  if (!rec || load<u16>(rec, REC_HANDLER) == HANDLER_JIT) return;
  setPlace(lin);
  jitHot(host, Run.mode, load<u32>(S, SY_TLB_CUR) == TLB_USER ? 1 : 0);
}
