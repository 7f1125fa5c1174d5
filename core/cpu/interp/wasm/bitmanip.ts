/**
 * Bit manipulation and other general-register extensions (SDM volume 2): POPCNT, LZCNT, TZCNT, MOVBE, CRC32, ADX, BMI1, BMI2. Sizes in bits are
 * 16, 32 or 64; values are zero-extended to 64.
 */
import { F_CF, F_OF, F_SF, F_ZF, arithFlags, getCF, getOF, setArith, setCF } from './flags';

// @ts-ignore: decorator
@inline
function sizeMask(size: u32): u64 {
  return ~(<u64>0) >> (64 - size);
}

/** ZF and SF of a result, CF as given, the rest clear. */
function flagsOf(r: u64, size: u32, cf: bool): void {
  setArith((r == 0 ? F_ZF : 0) | (<u32>((r >> (size - 1)) & 1) ? F_SF : 0) | (cf ? F_CF : 0));
}

/** Both leave SF, OF, AF and PF undefined: clear here. */
export function leadingZeros(v: u64, size: u32): u64 {
  const r = clz<u64>(v) - (64 - size);
  setArith((v == 0 ? F_CF : 0) | (r == 0 ? F_ZF : 0));
  return r;
}
export function trailingZeros(v: u64, size: u32): u64 {
  const r = v == 0 ? <u64>size : ctz<u64>(v);
  setArith((v == 0 ? F_CF : 0) | (r == 0 ? F_ZF : 0));
  return r;
}

/** Byte order reversed. */
export function swapBytes(v: u64, size: u32): u64 {
  return size == 16 ? ((v >> 8) & 0xff) | ((v & 0xff) << 8) : bswap<u64>(v) >> (64 - size);
}

/** ADCX (through CF) and ADOX (through OF): only that flag changes. */
export function addCarryX(a: u64, b: u64, size: u32): u64 {
  const r = a + b + <u64>getCF();
  setCF(carried(a, b, r, size));
  return r & sizeMask(size);
}
export function addOverflowX(a: u64, b: u64, size: u32): u64 {
  const r = a + b + <u64>getOF();
  setArith((arithFlags() & ~F_OF) | (carried(a, b, r, size) ? F_OF : 0));
  return r & sizeMask(size);
}
// @ts-ignore: decorator
@inline
function carried(a: u64, b: u64, sum: u64, size: u32): u32 {
  return size == 64 ? <u32>(((a & b) | ((a | b) & ~sum)) >> 63) : <u32>(sum >> 32) & 1;
}

/** Tables of CRC-32C (polynomial 1EDC6F41h reflected), made at the first use. */
const CRC: usize = memory.data(1024);
let crcReady: bool = false;
function makeCrc(): void {
  crcReady = true;
  for (let i: u32 = 0; i < 256; i++) {
    let r = i;
    for (let k = 0; k < 8; k++) r = r & 1 ? (r >> 1) ^ 0x82f63b78 : r >> 1;
    store<u32>(CRC + (<usize>i << 2), r);
  }
}
/** CRC32 of the low `bytes` bytes of `v`. */
export function crc32c(crc: u32, v: u64, bytes: u32): u32 {
  if (!crcReady) makeCrc();
  for (let i: u32 = 0; i < bytes; i++) {
    crc = load<u32>(CRC + (<usize>((crc ^ <u32>v) & 0xff) << 2)) ^ (crc >> 8);
    v >>= 8;
  }
  return crc;
}

export function andNot(a: u64, b: u64, size: u32): u64 {
  const r = ~a & b & sizeMask(size);
  flagsOf(r, size, false);
  return r;
}
/** BLSR, BLSMSK, BLSI: modrm.reg 1, 2, 3. */
export function lowestBit(kind: u32, v: u64, size: u32): u64 {
  const m = sizeMask(size);
  if (kind == 1) {
    const r = v & (v - 1);
    flagsOf(r, size, v == 0);
    return r;
  }
  if (kind == 2) {
    const r = (v ^ (v - 1)) & m;
    flagsOf(r, size, v == 0);
    return r;
  }
  const r = v & (0 - v) & m;
  flagsOf(r, size, v != 0);
  return r;
}
/** BEXTR: `control` bits 0..7 the first bit, 8..15 the length. */
export function extractBits(v: u64, control: u64): u64 {
  const start = control & 0xff;
  const length = (control >> 8) & 0xff;
  let r: u64 = start > 63 ? 0 : v >> start;
  if (length < 64) r &= ((<u64>1) << length) - 1;
  setArith(r == 0 ? F_ZF : 0);
  return r;
}
/** BZHI: the bits below `index` (8 bits). */
export function zeroHigh(v: u64, index: u64, size: u32): u64 {
  const n = index & 0xff;
  const beyond = n >= <u64>size;
  const r = beyond ? v : v & (((<u64>1) << n) - 1);
  flagsOf(r, size, beyond);
  return r;
}
export function depositBits(v: u64, mask: u64): u64 {
  let r: u64 = 0;
  for (; mask != 0; mask &= mask - 1) {
    if (v & 1) r |= mask & (0 - mask);
    v >>= 1;
  }
  return r;
}
export function gatherBits(v: u64, mask: u64): u64 {
  let r: u64 = 0;
  for (let bit: u64 = 1; mask != 0; mask &= mask - 1) {
    if (v & mask & (0 - mask)) r |= bit;
    bit <<= 1;
  }
  return r;
}
/** RORX, SARX, SHLX, SHRX touch no flags; `kind` is the mandatory prefix of F7: 1 = SHLX, 2 = SARX, 3 = SHRX. */
export function shiftX(kind: u32, v: u64, count: u64, size: u32): u64 {
  const n = count & <u64>(size - 1);
  if (kind == 1) return (v << n) & sizeMask(size);
  if (kind == 3) return v >> n;
  return size == 64 ? <u64>(<i64>v >> <i64>n) : <u64>(<u32>(<i32>v >> <i32>n));
}
export function rotateX(v: u64, n: u32, size: u32): u64 {
  return size == 64 ? rotr<u64>(v, <u64>n) : <u64>rotr<u32>(<u32>v, n);
}
