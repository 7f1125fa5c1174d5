/**
 * System instructions inside compiled regions (core/cpu/jit/system.ts): executed by the interpreter, after which the region goes on, or control
 * finds its next region, unless the run loop has something to look at that it only looks at between instructions.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { attention, begin, finish } from './branch';
import { begin64, nextRip, setPageRip } from './branch64';
import { currentMode } from './codemode';
import { iret } from './far';
import { syscall, sysenter, sysexit, sysret } from './fastcall';
import { F_IF, F_RF, F_TF, rawEflags, setRawEflags } from './flags';
import { linkedRegion } from './jitlinks';
import { runRecord } from './jitrecord';
import { SJ_LEFT, SJ_UNLINKED } from './jitoffsets';
import { OP_0F, REC_LENGTH, REC_OPCODE, REC_SIZES } from './record';
import { MODE_16, MODE_64, Run } from './runstate';
import { S_EXIT, S_HALTED, S_INTR, S_INT_SHADOW, S_NMI_BLOCKED, S_NMI_PENDING, S_RIP, S_STACK32 } from './stateoffsets';
import { SY_DEBUG_ACTIVE, SY_TLB_CUR, SY_TLB_GEN } from './sysstate';
import { setIretLength } from './task';
import { PAGE_MASK, TLB_USER, TLB_X, tlbSlot } from './tlb';

const S: usize = CPU_STATE_BASE;
/** S_EXIT: look at things at the next opportunity. */
const EXIT_LOOK: u32 = 2;

/** The run loop must have its turn before the next instruction: an interrupt is due or held back, a trap, another code mode. */
function loopDue(mode: u32, flags: u32): bool {
  return (
    (load<u32>(S, S_INT_SHADOW) | load<u32>(S, S_HALTED) | load<u32>(S, SY_DEBUG_ACTIVE) | (rawEflags() & flags)) != 0 ||
    (load<u32>(S, S_INTR) != 0 && (rawEflags() & F_IF) != 0) ||
    (load<u32>(S, S_NMI_PENDING) != 0 && !load<u32>(S, S_NMI_BLOCKED)) ||
    currentMode() != mode
  );
}

/** Executes the one record at `rec` (made by jitDecode), of the page at `page`. 0: the region may go on behind it; otherwise it must be left for S_RIP. */
export function jitSystem(rec: usize, left: i32, page: u64): i32 {
  const mode = Run.mode;
  const dropped = Run.regionsDropped;
  const generation = load<u32>(S, SY_TLB_GEN);
  const table = load<u32>(S, SY_TLB_CUR);
  const stack = load<u32>(S, S_STACK32);
  const next = runRecord(rec, left, page);
  if (loopDue(mode, F_TF | F_RF)) {
    store<u32>(S, load<u32>(S, S_EXIT) | EXIT_LOOK, S_EXIT);
    return 1;
  }
  return (
    <i32>(load<u64>(S, S_RIP) != next) |
    <i32>(attention() | (dropped ^ Run.regionsDropped) | (generation ^ load<u32>(S, SY_TLB_GEN)) | (table ^ load<u32>(S, SY_TLB_CUR)) | (stack ^ load<u32>(S, S_STACK32)))
  );
}

/**
 * The same for an instruction behind which the region ends. Gives the function of the region that goes on at S_RIP, of whatever privilege; -1 when
 * the run loop must look for it.
 */
export function jitLeave(rec: usize, left: i32, page: u64): i32 {
  const mode = Run.mode;
  if (!(mode == MODE_64 ? leave64(rec, left, page) : mode != MODE_16 && leave32(rec, left, page))) runRecord(rec, left, page);
  if (loopDue(mode, F_TF)) {
    store<u32>(S, load<u32>(S, S_EXIT) | EXIT_LOOK, S_EXIT);
    return -1;
  }
  if (Run.countdown <= 0 || attention()) return -1;
  const next = regionAt(mode);
  // No breakpoint is enabled, and a region never begins with an instruction that could tell that RF is gone (resumeflag.ts).
  if (next >= 0) setRawEflags(rawEflags() & ~F_RF);
  return next;
}

/** runRecord() for the frequent ones, without the interpreter's way to them. False: it is another. */
function leave64(rec: usize, left: i32, page: u64): bool {
  const opcode = <u32>load<u16>(rec, REC_OPCODE);
  if (opcode != 0xcf && opcode != (OP_0F | 0x05) && opcode != (OP_0F | 0x07)) return false;
  Run.region = false;
  Run.countdown = left;
  Run.start = rec;
  setPageRip(page);
  begin64(rec);
  const size = <i32>(load<u8>(rec, REC_SIZES) & 3);
  if (opcode == (OP_0F | 0x05)) syscall(nextRip(rec));
  else if (opcode == (OP_0F | 0x07)) sysret(size == 3);
  else {
    setIretLength(load<u8>(rec, REC_LENGTH));
    iret(size);
  }
  finish();
  Run.region = true;
  store<i32>(S, Run.countdown, SJ_LEFT);
  return true;
}

/** The same in 32-bit code. */
function leave32(rec: usize, left: i32, page: u64): bool {
  const opcode = <u32>load<u16>(rec, REC_OPCODE);
  if (opcode != 0xcf && opcode != (OP_0F | 0x34) && opcode != (OP_0F | 0x35)) return false;
  Run.region = false;
  Run.countdown = left;
  Run.start = rec;
  Run.pageEip = <u32>page;
  begin(rec);
  if (opcode == (OP_0F | 0x34)) sysenter();
  else if (opcode == (OP_0F | 0x35)) sysexit(false);
  else {
    setIretLength(load<u8>(rec, REC_LENGTH));
    iret(<i32>(load<u8>(rec, REC_SIZES) & 3));
  }
  finish();
  Run.region = true;
  store<i32>(S, Run.countdown, SJ_LEFT);
  return true;
}

/** Function of the region at S_RIP that links know, -1 when there is none. */
function regionAt(mode: u32): i32 {
  const long: u32 = mode == MODE_64 ? 1 : 0;
  if (mode == MODE_16 || (!long && load<u32>(S, SJ_UNLINKED))) return -1;
  const table = load<u32>(S, SY_TLB_CUR);
  const lin = load<u64>(S, S_RIP);
  const e = tlbSlot(table + TLB_X, lin);
  if (load<u64>(e) != (lin & PAGE_MASK)) return -1;
  return linkedRegion(<u32>lin + load<u32>(e, 8), long, table == TLB_USER ? 1 : 0);
}
