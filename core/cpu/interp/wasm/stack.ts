/**
 * Stack frames of far transfers, interrupts and system pushes. A frame is a stack that may not be the current one yet: it is reserved
 * (checked and probed) first, filled after that, and becomes RSP by frameCommit(), so nothing changes before the last possible fault.
 * Sizes of pushes and pops are 2, 4 or 8 bytes.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { read16, read32, read64, tlbTable, write16, write32, write64 } from './mem';
import { isCanonical, probeWrite } from './slowaccess';
import { ATTR_DB, ATTR_DC, ATTR_P, code64, descAttr, descBase, descLimit, segAttr, segBase, segLimit } from './seg';
import { gpr64, setGpr64 } from './state';
import { S_STACK32, SEG_SS, VEC_SS } from './stateoffsets';
import { TLB_SUP, TLB_USER } from './tlb';

const ESP = 4;

let base: u64 = 0;
let limit: u32 = 0;
let attr: u32 = 0;
/** Bits of the stack pointer that move: 16, 32 or, on the stack of 64-bit mode, all. */
let mask: u64 = 0;
let flat64: bool = false;
let table: usize = 0;
let errorCode: u32 = 0;
/** The whole stack pointer. */
export let frameSp: u64 = 0;

/** The frame is the current stack. */
export function frameCurrent(): void {
  flat64 = code64();
  attr = segAttr(SEG_SS);
  if (flat64) {
    base = 0;
    mask = ~(<u64>0);
    frameSp = gpr64(ESP);
  } else {
    base = segBase(SEG_SS);
    limit = segLimit(SEG_SS);
    mask = attr & ATTR_DB ? 0xffffffff : 0xffff;
    frameSp = gpr64(ESP) & 0xffffffff;
  }
  table = tlbTable();
  errorCode = 0;
}

/** The frame is a stack segment given by descriptor halves, used at privilege `level`. #SS carries `error`. */
export function frameNew(lo: u32, hi: u32, sp: u32, level: u32, error: u32): void {
  flat64 = false;
  base = descBase(lo, hi);
  limit = descLimit(lo, hi);
  attr = descAttr(hi);
  mask = attr & ATTR_DB ? 0xffffffff : 0xffff;
  table = level == 3 ? TLB_USER : TLB_SUP;
  errorCode = error;
  frameSp = sp;
}

/** The frame is a stack of 64-bit mode at privilege `level`. */
export function frameNew64(sp: u64, level: u32): void {
  flat64 = true;
  base = 0;
  mask = ~(<u64>0);
  table = level == 3 ? TLB_USER : TLB_SUP;
  errorCode = 0;
  frameSp = sp;
}

function linear(off: u64, size: u32): u64 {
  const last = off + size - 1;
  if (flat64) {
    if (!isCanonical(off) || !isCanonical(last)) raiseFaultErr(VEC_SS, errorCode);
    return off;
  }
  if (!(attr & ATTR_P)) raiseFaultErr(VEC_SS, errorCode);
  if (attr & ATTR_DC) {
    if (off <= limit || last > mask) raiseFaultErr(VEC_SS, errorCode);
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

/** Push into reserved room. */
export function framePush(value: u64, size: u32): void {
  const sp = (frameSp - size) & mask;
  const lin = flat64 ? sp : (base + sp) & 0xffffffff;
  if (size == 2) write16(table, lin, <u32>value);
  else if (size == 4) write32(table, lin, <u32>value);
  else write64(table, lin, value);
  frameSp = (frameSp & ~mask) | sp;
}

/** Reads `size` bytes at `offset` above the stack pointer. Faults as a pop would. */
export function frameRead(offset: u32, size: u32): u64 {
  const lin = linear((frameSp + offset) & mask, size);
  if (size == 2) return read16(table, lin);
  return size == 4 ? <u64>read32(table, lin) : read64(table, lin);
}

/** Moves the stack pointer up. */
export function frameDrop(bytes: u32): void {
  frameSp = (frameSp & ~mask) | ((frameSp + bytes) & mask);
}

/** RSP becomes the frame's. */
export function frameCommit(): void {
  setGpr64(ESP, frameSp);
}

/** RSP after a return to stack segment SS as it now is: a 16-bit stack leaves the upper half alone. */
export function setStackPointer(sp: u64): void {
  if (code64()) setGpr64(ESP, sp);
  else if (load<u32>(CPU_STATE_BASE + S_STACK32)) setGpr64(ESP, sp & 0xffffffff);
  else setGpr64(ESP, (gpr64(ESP) & 0xffff0000) | (sp & 0xffff));
}

/** Simple push on the current stack; `room` bytes are taken, `size` of them written. */
export function push(value: u64, size: u32, room: u32): void {
  frameCurrent();
  const sp = (frameSp - room) & mask;
  const lin = linear(sp, room);
  if (size == 2) write16(table, lin, <u32>value);
  else if (size == 4) write32(table, lin, <u32>value);
  else write64(table, lin, value);
  setGpr64(ESP, (frameSp & ~mask) | sp);
}
