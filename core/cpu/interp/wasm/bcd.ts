/** Decimal adjust instructions (SDM volume 2, AAA AAD AAM AAS DAA DAS), SALC and XLAT's neighbours that work on AL and AH only. */
import { raiseFault } from './fault';
import { F_AF, F_CF, F_PF, F_SF, F_ZF, arithFlags, getAF, getCF, setArith } from './flags';
import { gpr16, setGpr16 } from './state';
import { VEC_DE } from './stateoffsets';

/** SF, ZF and PF of a byte. */
function szp(v: u32): u32 {
  return (v & 0x80 ? F_SF : 0) | ((v & 0xff) == 0 ? F_ZF : 0) | (popcnt<u32>(v & 0xff) & 1 ? 0 : F_PF);
}

function setAl(v: u32): void {
  setGpr16(0, (gpr16(0) & 0xff00) | (v & 0xff));
}

export function daa(): void {
  const old = gpr16(0) & 0xff;
  let al = old;
  let flags: u32 = 0;
  if ((old & 15) > 9 || getAF()) {
    al += 6;
    flags |= F_AF;
  }
  if (old > 0x99 || getCF()) {
    al += 0x60;
    flags |= F_CF;
  }
  setAl(al);
  setArith(flags | szp(al));
}

export function das(): void {
  const old = gpr16(0) & 0xff;
  const cf = getCF();
  let al = old;
  let flags: u32 = 0;
  if ((old & 15) > 9 || getAF()) {
    al -= 6;
    flags |= F_AF | (cf | <u32>(old < 6));
  }
  if (old > 0x99 || cf) {
    al -= 0x60;
    flags |= F_CF;
  }
  setAl(al);
  setArith(flags | szp(al));
}

export function aaa(): void {
  let ax = gpr16(0);
  let flags: u32 = 0;
  if ((ax & 15) > 9 || getAF()) {
    ax += 0x106;
    flags = F_AF | F_CF;
  }
  setGpr16(0, ax & 0xff0f);
  setArith(flags | szp(ax & 15));
}

export function aas(): void {
  let ax = gpr16(0);
  let flags: u32 = 0;
  if ((ax & 15) > 9 || getAF()) {
    ax -= 0x106;
    flags = F_AF | F_CF;
  }
  setGpr16(0, ax & 0xff0f);
  setArith(flags | szp(ax & 15));
}

export function aam(base: u32): void {
  base &= 0xff;
  if (base == 0) raiseFault(VEC_DE);
  const al = gpr16(0) & 0xff;
  setGpr16(0, (al / base << 8) | al % base);
  setArith(szp(al % base));
}

export function aad(base: u32): void {
  const ax = gpr16(0);
  const al = ((ax & 0xff) + (ax >>> 8) * (base & 0xff)) & 0xff;
  setGpr16(0, al);
  setArith(szp(al));
}

/** Undocumented SALC (D6): AL = CF ? FF : 0. */
export function salc(): void {
  setAl(getCF() ? 0xff : 0);
}

export function lahf(): void {
  setGpr16(0, (gpr16(0) & 0xff) | ((arithFlags() & 0xd5) | 2) << 8);
}

export function sahf(): void {
  setArith((arithFlags() & 0x800) | (gpr16(0) >>> 8 & 0xd5));
}
