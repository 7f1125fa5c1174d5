/** FNSTENV, FLDENV, FNSAVE, FRSTOR: the four memory formats of the x87 environment (SDM volume 1, 8.1.10, figures 8-9 to 8-12). */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { FL_VM } from '../sysstate';
import { memProbeR, memProbeW, memRead16, memRead32, memRead64, memWrite16, memWrite32, memWrite64 } from '../memsegment';
import { S_CR0, S_EFLAGS, S_FPU_FCS, S_FPU_FDP, S_FPU_FDS, S_FPU_FIP, S_FPU_FOP } from '../stateoffsets';
import { fpuInit, fullTags, getCw, getSw, loadCw, loadTags, phys, setSw, ST_BASE, updateSummary } from './x87stack';

/** Protected-mode format: selector and offset; otherwise linear addresses (real and virtual-8086 mode). */
function protectedFormat(): bool {
  return (load<u32>(CPU_STATE_BASE + S_CR0) & 1) != 0 && (load<u32>(CPU_STATE_BASE + S_EFLAGS) & FL_VM) == 0;
}

function storeEnv(seg: i32, off: u64, wide: bool): void {
  const prot = protectedFormat();
  const fip = load<u32>(CPU_STATE_BASE + S_FPU_FIP);
  const fdp = load<u32>(CPU_STATE_BASE + S_FPU_FDP);
  const fcs: u32 = <u32>load<u16>(CPU_STATE_BASE + S_FPU_FCS);
  const fds: u32 = <u32>load<u16>(CPU_STATE_BASE + S_FPU_FDS);
  const fop: u32 = <u32>load<u16>(CPU_STATE_BASE + S_FPU_FOP) & 0x7ff;
  if (wide) {
    memWrite32(seg, off, 0xffff0000 | getCw());
    memWrite32(seg, off + 4, 0xffff0000 | getSw());
    memWrite32(seg, off + 8, 0xffff0000 | fullTags());
    if (prot) {
      memWrite32(seg, off + 12, fip);
      memWrite32(seg, off + 16, fcs | (fop << 16));
      memWrite32(seg, off + 20, fdp);
      memWrite32(seg, off + 24, 0xffff0000 | fds);
    } else {
      const ip = fip + (fcs << 4);
      const dp = fdp + (fds << 4);
      memWrite32(seg, off + 12, 0xffff0000 | (ip & 0xffff));
      memWrite32(seg, off + 16, ((ip >> 16) << 12) | fop);
      memWrite32(seg, off + 20, 0xffff0000 | (dp & 0xffff));
      memWrite32(seg, off + 24, (dp >> 16) << 12);
    }
    return;
  }
  memWrite16(seg, off, getCw());
  memWrite16(seg, off + 2, getSw());
  memWrite16(seg, off + 4, fullTags());
  if (prot) {
    memWrite16(seg, off + 6, fip & 0xffff);
    memWrite16(seg, off + 8, fcs);
    memWrite16(seg, off + 10, fdp & 0xffff);
    memWrite16(seg, off + 12, fds);
  } else {
    const ip = fip + (fcs << 4);
    const dp = fdp + (fds << 4);
    memWrite16(seg, off + 6, ip & 0xffff);
    memWrite16(seg, off + 8, (((ip >> 16) & 15) << 12) | fop);
    memWrite16(seg, off + 10, dp & 0xffff);
    memWrite16(seg, off + 12, ((dp >> 16) & 15) << 12);
  }
}

function loadEnv(seg: i32, off: u64, wide: bool): void {
  const prot = protectedFormat();
  let cw: u32, sw: u32, tw: u32, fip: u32, fdp: u32;
  let fcs: u32 = 0;
  let fds: u32 = 0;
  let fop: u32 = 0;
  if (wide) {
    cw = memRead32(seg, off);
    sw = memRead32(seg, off + 4);
    tw = memRead32(seg, off + 8);
    const a = memRead32(seg, off + 12);
    const b = memRead32(seg, off + 16);
    const c = memRead32(seg, off + 20);
    const d = memRead32(seg, off + 24);
    if (prot) {
      fip = a;
      fcs = b & 0xffff;
      fop = b >> 16;
      fdp = c;
      fds = d & 0xffff;
    } else {
      fip = (a & 0xffff) | ((b >> 12) << 16);
      fop = b;
      fdp = (c & 0xffff) | ((d >> 12) << 16);
    }
  } else {
    cw = memRead16(seg, off);
    sw = memRead16(seg, off + 2);
    tw = memRead16(seg, off + 4);
    const a = memRead16(seg, off + 6);
    const b = memRead16(seg, off + 8);
    const c = memRead16(seg, off + 10);
    const d = memRead16(seg, off + 12);
    if (prot) {
      fip = a;
      fcs = b;
      fdp = c;
      fds = d;
    } else {
      fip = a | ((b >> 12) << 16);
      fop = b;
      fdp = c | ((d >> 12) << 16);
    }
  }
  loadCw(cw);
  setSw(sw);
  loadTags(tw & 0xffff);
  store<u64>(CPU_STATE_BASE + S_FPU_FIP, <u64>fip);
  store<u64>(CPU_STATE_BASE + S_FPU_FDP, <u64>fdp);
  store<u16>(CPU_STATE_BASE + S_FPU_FCS, fcs);
  store<u16>(CPU_STATE_BASE + S_FPU_FDS, fds);
  store<u16>(CPU_STATE_BASE + S_FPU_FOP, fop & 0x7ff);
  updateSummary();
}

/** `wide`: 32-bit operand size (28-byte environment), else 14 bytes. All exceptions are masked afterwards. */
export function fnstenv(seg: i32, off: u64, wide: bool): void {
  memProbeW(seg, off, wide ? 28 : 14);
  storeEnv(seg, off, wide);
  loadCw(getCw() | 0x3f);
  updateSummary();
}
export function fldenv(seg: i32, off: u64, wide: bool): void {
  loadEnv(seg, off, wide);
}
export function fnsave(seg: i32, off: u64, wide: bool): void {
  const env: u32 = wide ? 28 : 14;
  memProbeW(seg, off, env + 80);
  storeEnv(seg, off, wide);
  off += env;
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    memWrite64(seg, off, load<u64>(at));
    memWrite16(seg, off + 8, <u32>load<u16>(at, 8));
    off += 10;
  }
  fpuInit();
}
export function frstor(seg: i32, off: u64, wide: bool): void {
  const env: u32 = wide ? 28 : 14;
  memProbeR(seg, off, env + 80);
  loadEnv(seg, off, wide);
  off += env;
  for (let i: u32 = 0; i < 8; i++) {
    const at = ST_BASE + (<usize>phys(i) << 4);
    store<u64>(at, memRead64(seg, off));
    store<u16>(at, memRead16(seg, off + 8), 8);
    off += 10;
  }
}
