/**
 * Stack frames of far transfers, interrupts and system pushes. A frame is a stack that may not be the current one yet: it is reserved
 * (checked and probed) first, filled after that, and becomes ESP by frameCommit(), so nothing changes before the last possible fault.
 */
import { raiseFaultErr } from './fault';
import { probeWrite, read16, read32, tlbTable, write16, write32 } from './mem';
import { ATTR_DB, ATTR_DC, ATTR_P, descAttr, descBase, descLimit, segAddress, segAttr, segBase, segLimit } from './seg';
import { gpr32, setGpr64 } from './state';
import { SEG_SS, VEC_SS } from './stateoffsets';
import { TLB_SUP, TLB_USER } from './tlb';

const ESP = 4;

let base: u64 = 0;
let limit: u32 = 0;
let attr: u32 = 0;
let mask: u32 = 0;
let table: usize = 0;
let errorCode: u32 = 0;
/** The stack pointer, all 32 bits; only those under the mask move. */
export let frameSp: u32 = 0;

/** The frame is the current stack. */
export function frameCurrent(): void {
  base = segBase(SEG_SS);
  limit = segLimit(SEG_SS);
  attr = segAttr(SEG_SS);
  mask = attr & ATTR_DB ? 0xffffffff : 0xffff;
  table = tlbTable();
  errorCode = 0;
  frameSp = gpr32(ESP);
}

/** The frame is a stack segment given by descriptor halves, used at privilege `level`. #SS carries `error`. */
export function frameNew(lo: u32, hi: u32, sp: u32, level: u32, error: u32): void {
  base = descBase(lo, hi);
  limit = descLimit(lo, hi);
  attr = descAttr(hi);
  mask = attr & ATTR_DB ? 0xffffffff : 0xffff;
  table = level == 3 ? TLB_USER : TLB_SUP;
  errorCode = error;
  frameSp = sp;
}

function linear(off: u32, size: u32): u64 {
  const last = <u64>off + size - 1;
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, errorCode);
  if (attr & ATTR_DC) {
    if (off <= limit || last > <u64>mask) raiseFaultErr(VEC_SS, errorCode);
  } else if (last > limit && limit != 0xffffffff) raiseFaultErr(VEC_SS, errorCode);
  return (base + off) & 0xffffffff;
}

/** Checks that `count` pushes of `size` bytes will succeed. */
export function frameReserve(count: u32, size: u32): void {
  let sp = frameSp;
  for (let i: u32 = 0; i < count; i++) {
    sp -= size;
    probeWrite(table, linear(sp & mask, size), size);
  }
}

/** Push into reserved room; `size` 2 or 4. */
export function framePush(value: u32, size: u32): void {
  const sp = (frameSp - size) & mask;
  const lin = (base + sp) & 0xffffffff;
  if (size == 2) write16(table, lin, value);
  else write32(table, lin, value);
  frameSp = (frameSp & ~mask) | sp;
}

/** Reads `size` bytes (2 or 4) at `offset` above the stack pointer. Faults as a pop would. */
export function frameRead(offset: u32, size: u32): u32 {
  const lin = linear((frameSp + offset) & mask, size);
  return size == 2 ? read16(table, lin) : read32(table, lin);
}

/** Moves the stack pointer up. */
export function frameDrop(bytes: u32): void {
  frameSp = (frameSp & ~mask) | ((frameSp + bytes) & mask);
}

/** ESP becomes the frame's. */
export function frameCommit(): void {
  setGpr64(ESP, <u64>frameSp);
}

/** ESP after a return to stack segment SS as it now is: a 16-bit stack leaves the upper half alone. */
export function setStackPointer(sp: u32): void {
  const full = (load<u32>(segAddress(SEG_SS), 12) & ATTR_DB) != 0;
  setGpr64(ESP, <u64>(full ? sp : (gpr32(ESP) & 0xffff0000) | (sp & 0xffff)));
}

/** Simple push on the current stack; `room` bytes are taken, `size` (2 or 4) of them written. */
export function push(value: u32, size: u32, room: u32): void {
  frameCurrent();
  const sp = (frameSp - room) & mask;
  const lin = linear(sp, room);
  if (size == 2) write16(table, lin, value);
  else write32(table, lin, value);
  setGpr64(ESP, <u64>((frameSp & ~mask) | sp));
}
