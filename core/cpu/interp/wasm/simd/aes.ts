/**
 * AES-NI on one 128-bit block (SDM volume 1, 12.13; FIPS 197). A round is four table look-ups a column; the tables follow from the field
 * GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 and are made at the first use.
 */
import { SCRATCH } from './operand';

const SBOX: usize = memory.data(256);
const INVERSE: usize = memory.data(256);
/** MixColumns of a substituted byte in row 0 (bytes 2 1 1 3), and the inverse of both (bytes 14 9 13 11). */
const ENCRYPT: usize = memory.data(1024);
const DECRYPT: usize = memory.data(1024);
let ready: bool = false;

/** Work space for one block. */
const BLOCK: usize = SCRATCH + 64;

function double(x: u32): u32 {
  return ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;
}

function multiply(a: u32, b: u32): u32 {
  let r: u32 = 0;
  for (; b; b >>= 1) {
    if (b & 1) r ^= a;
    a = double(a);
  }
  return r;
}

function makeTables(): void {
  ready = true;
  // 3 generates the multiplicative group: p runs through all elements and q through their inverses.
  let p: u32 = 1;
  let q: u32 = 1;
  do {
    p = p ^ double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if (q & 0x80) q ^= 9;
    const x = q | (q << 8);
    const s = (q ^ (x >> 7) ^ (x >> 6) ^ (x >> 5) ^ (x >> 4) ^ 0x63) & 0xff;
    store<u8>(SBOX + p, <u8>s);
  } while (p != 1);
  store<u8>(SBOX, 0x63);
  for (let i: usize = 0; i < 256; i++) store<u8>(INVERSE + <usize>load<u8>(SBOX + i), <u8>i);
  for (let i: usize = 0; i < 256; i++) {
    const s: u32 = load<u8>(SBOX + i);
    store<u32>(ENCRYPT + (i << 2), double(s) | (s << 8) | (s << 16) | ((double(s) ^ s) << 24));
    const v: u32 = load<u8>(INVERSE + i);
    store<u32>(DECRYPT + (i << 2), multiply(v, 14) | (multiply(v, 9) << 8) | (multiply(v, 13) << 16) | (multiply(v, 11) << 24));
  }
}

// @ts-ignore: decorator
@inline
function byteAt(index: usize): usize {
  return <usize>load<u8>(BLOCK + (index & 15));
}

/** One column from its four bytes, which lie `step` apart in the block. */
// @ts-ignore: decorator
@inline
function mixed(table: usize, at: usize, step: usize): u32 {
  return (
    load<u32>(table + (byteAt(at) << 2)) ^
    rotl<u32>(load<u32>(table + (byteAt(at + step) << 2)), 8) ^
    rotl<u32>(load<u32>(table + (byteAt(at + 2 * step) << 2)), 16) ^
    rotl<u32>(load<u32>(table + (byteAt(at + 3 * step) << 2)), 24)
  );
}
// @ts-ignore: decorator
@inline
function plain(box: usize, at: usize, step: usize): u32 {
  return (
    <u32>load<u8>(box + byteAt(at)) |
    ((<u32>load<u8>(box + byteAt(at + step))) << 8) |
    ((<u32>load<u8>(box + byteAt(at + 2 * step))) << 16) |
    ((<u32>load<u8>(box + byteAt(at + 3 * step))) << 24)
  );
}

// @ts-ignore: decorator
@inline
function four(a: u32, b: u32, c: u32, d: u32): v128 {
  let v = i32x4.splat(a);
  v = i32x4.replace_lane(v, 1, b);
  v = i32x4.replace_lane(v, 2, c);
  return i32x4.replace_lane(v, 3, d);
}

/** DC AESENC, DD AESENCLAST, DE AESDEC, DF AESDECLAST. ShiftRows takes row r from 5 bytes on, its inverse from 13 (4 * column + row). */
export function aesRound(op: u32, state: v128, key: v128): v128 {
  if (!ready) makeTables();
  v128.store(BLOCK, state);
  let r: v128;
  if (op == 0xdc) r = four(mixed(ENCRYPT, 0, 5), mixed(ENCRYPT, 4, 5), mixed(ENCRYPT, 8, 5), mixed(ENCRYPT, 12, 5));
  else if (op == 0xdd) r = four(plain(SBOX, 0, 5), plain(SBOX, 4, 5), plain(SBOX, 8, 5), plain(SBOX, 12, 5));
  else if (op == 0xde) r = four(mixed(DECRYPT, 0, 13), mixed(DECRYPT, 4, 13), mixed(DECRYPT, 8, 13), mixed(DECRYPT, 12, 13));
  else r = four(plain(INVERSE, 0, 13), plain(INVERSE, 4, 13), plain(INVERSE, 8, 13), plain(INVERSE, 12, 13));
  return v128.xor(r, key);
}

/** AESIMC: InvMixColumns alone; the table undoes the S-box, so that is applied first. */
export function aesInverseMix(state: v128): v128 {
  if (!ready) makeTables();
  v128.store(BLOCK, state);
  for (let i: usize = 0; i < 16; i++) store<u8>(BLOCK + i, load<u8>(SBOX + byteAt(i)));
  return four(mixed(DECRYPT, 0, 1), mixed(DECRYPT, 4, 1), mixed(DECRYPT, 8, 1), mixed(DECRYPT, 12, 1));
}

function substituteWord(x: u32): u32 {
  return (
    <u32>load<u8>(SBOX + (x & 0xff)) |
    ((<u32>load<u8>(SBOX + ((x >> 8) & 0xff))) << 8) |
    ((<u32>load<u8>(SBOX + ((x >> 16) & 0xff))) << 16) |
    ((<u32>load<u8>(SBOX + (x >> 24))) << 24)
  );
}

/** AESKEYGENASSIST. */
export function aesKeyAssist(v: v128, constant: u32): v128 {
  if (!ready) makeTables();
  const x1 = substituteWord(i32x4.extract_lane(v, 1));
  const x3 = substituteWord(i32x4.extract_lane(v, 3));
  return four(x1, rotr<u32>(x1, 8) ^ constant, x3, rotr<u32>(x3, 8) ^ constant);
}
