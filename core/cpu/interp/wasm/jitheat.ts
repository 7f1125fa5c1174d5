/**
 * Which places are hot enough to be compiled: where pieces of slices end, where control leaves compiled code for code that is not, and, counting less,
 * where it comes from another page, by a return or an indirect branch. Without these the parts of a long way through many functions, as that of a system
 * call, would be found one after the other, each only when the one before it is compiled and installed.
 */
import { CPU_STATE_BASE, JIT_USED_BASE, JIT_USED_SIZE, TLB_BASE } from '../../../memory/layout';
import { recordAt, slotIfAny } from './codecache';
import { HANDLER_JIT } from './generated/tables';
import { jitHot } from './imports';
import { setPlace } from './jit';
import { SJ_EPOCH, SJ_PIECE, SJ_THRESHOLD, SY_TLB_CUR, USED_GRAIN_SHIFT } from './jitoffsets';
import { codeHost } from './memcode';
import { REC_HANDLER, REC_LENGTH } from './record';
import { MODE_32, MODE_64, Run } from './runstate';
import { HD_ACTIVE, SEG_BASE, SEG_CS, SEG_STRIDE, S_RIP, S_SEG } from './stateoffsets';
import { TLB_USER } from './tlb';

const S: usize = CPU_STATE_BASE;

/** Counters, direct-mapped: byte of the shared memory, count; behind what tlb.ts has of the TLB's room. */
const COUNTERS: usize = TLB_BASE + 0x80000;
const COUNTER_MASK: u32 = 65535;
/** What a sample counts for, an exit from compiled code, and any other arrival. */
export const SAMPLE: u32 = 512;
export const EXIT: u32 = 4;
const ARRIVAL: u32 = 1;
/** Counts until a place that stays hot is reported again: its page may have changed. */
const AGAIN: u32 = 2048;

/** The code at byte `host` got `weight` hotter. True when it is to be reported now. */
// @ts-ignore: decorator
@inline
function heated(host: u32, weight: u32): bool {
  const at = COUNTERS + (<usize>((host ^ (host >> 11)) & COUNTER_MASK) << 3);
  if (load<u32>(at) != host) {
    store<u32>(at, host);
    store<u32>(at, 0, 4);
  }
  const before = load<u32>(at, 4);
  const count = before + weight;
  store<u32>(at, count, 4);
  const limit = load<u32>(S, SJ_THRESHOLD);
  return before < limit ? count >= limit : before / AGAIN != count / AGAIN;
}

/** The code at S_RIP, which is decoded or not, got `weight` hotter. Nothing here may fault: only what is known already counts. */
export function heat(weight: u32): void {
  const base = Run.mode == MODE_64 ? 0 : load<u64>(S, S_SEG + SEG_CS * SEG_STRIDE + SEG_BASE);
  const lin = base + load<u64>(S, S_RIP);
  const host = codeHost(lin);
  if (!host || Run.mode == MODE_32) return;
  if (weight == SAMPLE) {
    const grain = host >> USED_GRAIN_SHIFT;
    store<u16>(JIT_USED_BASE + (<usize>((grain ^ (grain >> 15)) & (JIT_USED_SIZE / 2 - 1)) << 1), <u16>load<u32>(S, SJ_EPOCH));
  }
  if (heated(host, weight)) report(host, lin);
}

/** Control came to the code at byte `host` and linear address `lin`, which is interpreted. */
export function arrived(host: u32, lin: u64): void {
  if (heated(host, ARRIVAL)) report(host, lin);
}

/** Has it compiled, when that can be. */
function report(host: u32, lin: u64): void {
  // While the host debugs, everything is interpreted. Nothing is installed while a region waits for one instruction.
  if (Run.mode == MODE_32 || Run.inside || load<u32>(S, HD_ACTIVE) || !load<u32>(S, SJ_PIECE)) return;
  const slot = slotIfAny(host, Run.mode);
  const rec: usize = slot < 0 ? 0 : recordAt(<u32>slot, host & 0xfff);
  if (!rec || load<u16>(rec, REC_HANDLER) == HANDLER_JIT) return;
  if (!load<u8>(rec, REC_LENGTH) && !codeHost((lin | 0xfff) + 1)) {
    // An instruction in two pages, of which the second is not known yet: nothing could be made of it.
    store<u32>(COUNTERS + (<usize>((host ^ (host >> 11)) & COUNTER_MASK) << 3), 0, 4);
    return;
  }
  setPlace(lin);
  jitHot(host, Run.mode, load<u32>(S, SY_TLB_CUR) == TLB_USER ? 1 : 0);
}
