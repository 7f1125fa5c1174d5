/** VGATHERxPx, VPGATHERxx (0F 38 90..93), VMASKMOVPx (2C..2F), VPMASKMOVx (8C, 8E): memory accesses under a mask (SDM volume 2). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { recOff, recSeg } from '../ea';
import { memProbeW, memRead32, memRead64, memWrite32, memWrite64 } from '../memsegment';
import { REC_ADDRESS64, REC_BASE, REC_DISP, REC_INDEX, REC_REG, REC_SCALE, REC_SIZES, REC_VVVV } from '../record';
import { S_GPR } from '../stateoffsets';
import { VOUT } from './floatlanes';
import { regXmm, undefinedOp, xmmPtr } from './operand';
import { needMem, setFromOut, vexBytes, vexW, vvvvXmm } from './vex';
import { badGather } from './vexforms';

const ADDRESS_MASK: u32 = 0x30;

/**
 * Each element whose mask has its top bit set is loaded and its mask cleared; a fault leaves what was loaded so far, so that the instruction
 * goes on from there when it is executed again.
 */
export function gather(rec: usize, op: u32): void {
  const address = <u32>load<u8>(rec, REC_SIZES) & ADDRESS_MASK;
  const d: u32 = load<u8>(rec, REC_REG);
  const m: u32 = load<u8>(rec, REC_VVVV);
  const x: u32 = load<u8>(rec, REC_INDEX) >> 3;
  if (badGather(rec)) undefinedOp();
  const elementBytes: usize = vexW(rec) ? 8 : 4;
  const indexBytes: usize = op & 1 ? 8 : 4;
  const bytes = vexBytes(rec);
  const count = bytes / (elementBytes > indexBytes ? elementBytes : indexBytes);
  const dest = xmmPtr(d);
  const mask = xmmPtr(m);
  const index = xmmPtr(x);
  const seg = recSeg(rec);
  const base = load<u64>(CPU_STATE_BASE + S_GPR + <usize>load<u8>(rec, REC_BASE)) + load<u64>(rec, REC_DISP);
  const scale = <u64>load<u8>(rec, REC_SCALE);
  for (let i: usize = 0; i < count; i++) {
    const at = mask + i * elementBytes;
    if (elementBytes == 8) store<i64>(at, load<i64>(at) >> 63);
    else store<i32>(at, load<i32>(at) >> 31);
  }
  for (let i: usize = 0; i < count; i++) {
    const at = mask + i * elementBytes;
    if (!load<u32>(at)) continue;
    const n: i64 = indexBytes == 8 ? load<i64>(index + (i << 3)) : <i64>load<i32>(index + (i << 2));
    let off = base + (<u64>n << scale);
    if (address != REC_ADDRESS64) off &= 0xffffffff;
    if (elementBytes == 8) {
      store<u64>(dest + (i << 3), memRead64(seg, off));
      store<u64>(at, 0);
    } else {
      store<u32>(dest + (i << 2), memRead32(seg, off));
      store<u32>(at, 0);
    }
  }
  const used = count * elementBytes;
  memory.fill(dest + used, 0, 32 - used);
  memory.fill(mask, 0, 32);
}

/** Loads or stores the elements whose mask (VEX.vvvv) has its top bit set; the others are not accessed and load as zero. */
export function maskMove(rec: usize, elementBytes: usize, toMemory: bool): void {
  needMem(rec);
  const bytes = vexBytes(rec);
  const mask = vvvvXmm(rec);
  const seg = recSeg(rec);
  const off = recOff(rec);
  const r = regXmm(rec);
  if (toMemory) {
    for (let i: usize = 0; i < bytes; i += elementBytes) if (load<u8>(mask + i + elementBytes - 1) & 0x80) memProbeW(seg, off + i, <u32>elementBytes);
  } else memory.fill(VOUT, 0, 32);
  for (let i: usize = 0; i < bytes; i += elementBytes) {
    if (!(load<u8>(mask + i + elementBytes - 1) & 0x80)) continue;
    if (elementBytes == 8) {
      if (toMemory) memWrite64(seg, off + i, load<u64>(r + i));
      else store<u64>(VOUT + i, memRead64(seg, off + i));
    } else if (toMemory) memWrite32(seg, off + i, load<u32>(r + i));
    else store<u32>(VOUT + i, memRead32(seg, off + i));
  }
  if (!toMemory) setFromOut(rec, bytes);
}
