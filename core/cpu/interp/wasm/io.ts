/** Permission of port accesses: IOPL and the I/O bitmap of the 32- or 64-bit TSS (SDM volume 1 section 19.5). */
import { watchPort } from './debug';
import { raiseFaultErr } from './fault';
import { linReadSys16 } from './memsystem';
import { cpl, iopl, linearMask, protectedMode, segAttr, segBase, segLimit, v86Mode } from './seg';
import { SEG_TR, VEC_GP } from './stateoffsets';

/** TSS offset of the I/O map base. */
const IO_MAP_BASE: u32 = 102;

/** #GP(0) unless the current task may access `size` bytes at `port`. Also notes I/O breakpoints. */
export function checkIoPermission(port: u32, size: u32): void {
  if (protectedMode() && (cpl() > iopl() || v86Mode()) && !mapAllows(port, size)) raiseFaultErr(VEC_GP, 0);
  watchPort(port, size);
}

function mapAllows(port: u32, size: u32): bool {
  const limit = segLimit(SEG_TR);
  // Only a 32-bit (or, in long mode, 64-bit) TSS has a map.
  if ((segAttr(SEG_TR) & 0x9d) != 0x89 || limit < IO_MAP_BASE + 1) return false;
  const base = segBase(SEG_TR);
  const at = linReadSys16((base + IO_MAP_BASE) & linearMask()) + (port >> 3);
  // Two bytes are always read, so the map needs a closing byte of ones.
  if (at + 1 > limit) return false;
  const bits = linReadSys16((base + at) & linearMask()) >> (port & 7);
  return (bits & ((1 << size) - 1)) == 0;
}
