/**
 * Decoder of the recompiler (SDM volume 2, chapter 2): the same bytes that the interpreter decodes (interp/wasm/decode.ts), for flat 32-bit, for
 * 64-bit, and for 16-bit code. It knows lengths and operands of what the recompiler translates or hands to the interpreter one at a time; anything
 * else ends a region. `decode.test.ts` checks it against the instruction table.
 */

export type CodeMode = 16 | 32 | 64;

/** Added to the opcode of a VEX-encoded instruction. */
export const VEX_OP = 0x400;

/** Byte widths. */
export type Width = 1 | 2 | 4 | 8;

export interface Insn {
  /** Offset from byte 0 of the region's first page. */
  at: number;
  /** Offset of the byte after it. */
  next: number;
  /** Opcode; plus 0x100 for the 0F map, 0x200 for 0F38, 0x300 for 0F3A; plus VEX_OP when it is VEX-encoded. */
  op: number;
  /** Operand size by prefixes and mode: 2, 4 or 8 (the byte forms are told by the opcode). */
  osize: Width;
  /** Address size: 8 in 64-bit code, 4 in 32-bit code (what another one would apply to is not decoded), 2 or 4 in 16-bit code. */
  asize: Width;
  /** 16-bit code. */
  real: boolean;
  /** 0x66, 0xf2, 0xf3 or 0: the mandatory-prefix view, F2/F3 before 66. */
  prefix: number;
  opsize: boolean;
  lock: boolean;
  /** REX prefix; of VEX its W, R, X and B in the same places. */
  rex: number;
  vex: boolean;
  /** VEX.L: 256 bits. */
  wide: boolean;
  /** VEX.W. */
  w: boolean;
  /** Register of VEX.vvvv; without VEX the one of modrm.reg, which is the first source then. */
  vvvv: number;
  hasModrm: boolean;
  /** The byte itself. */
  modrm: number;
  mod: number;
  /** modrm.reg with REX.R. */
  reg: number;
  /** modrm.rm with REX.B of a register operand, or the register in the opcode. */
  rm: number;
  memory: boolean;
  /** Register numbers; -1 = none. */
  base: number;
  index: number;
  /** Shift count 0..3. */
  scale: number;
  disp: number;
  ripRelative: boolean;
  /** 4 = FS, 5 = GS, -1 = flat; in 16-bit code always one of the six. */
  segment: number;
  /** Number of the segment register by prefix, -1 = the default one. */
  override: number;
  /** Sign-extended to 32 bits. */
  imm: number;
  /** MOV r64, imm64. */
  imm64: bigint;
  /** A second immediate: none so far has one. */
}

/** Immediate bytes of one-byte opcodes: 0 none, 1 byte, 4 word or doubleword by operand size, 2 word, -1 not decoded. */
const IMMEDIATE = new Int8Array(256);
/** 1 = has modrm. */
const MODRM = new Uint8Array(256);
for (let op = 0; op < 0x40; op += 8) {
  for (let i = 0; i < 4; i++) MODRM[op + i] = 1;
  IMMEDIATE[op + 4] = 1;
  IMMEDIATE[op + 5] = 4;
}
for (const op of [0x62, 0x63, 0x69, 0x6b, 0x8d, 0x8f, 0xc0, 0xc1, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff]) MODRM[op] = 1;
for (let op = 0x80; op <= 0x8b; op++) MODRM[op] = 1;
for (let op = 0xd0; op <= 0xd3; op++) MODRM[op] = 1;
for (let op = 0xd8; op <= 0xdf; op++) MODRM[op] = 1;
for (let op = 0x70; op <= 0x7f; op++) IMMEDIATE[op] = 1;
for (const op of [0x6a, 0x6b, 0x80, 0x82, 0x83, 0xa8, 0xc0, 0xc1, 0xc6, 0xeb, 0xe0, 0xe1, 0xe2, 0xe3]) IMMEDIATE[op] = 1;
for (const op of [0x68, 0x69, 0x81, 0xa9, 0xc7, 0xe8, 0xe9]) IMMEDIATE[op] = 4;
for (let op = 0xb0; op <= 0xb7; op++) IMMEDIATE[op] = 1;
for (let op = 0xb8; op <= 0xbf; op++) IMMEDIATE[op] = 4;
IMMEDIATE[0xc2] = 2;
for (const op of [0x8c, 0x8e]) MODRM[op] = 1;
for (const op of [0xcd, 0xe4, 0xe5, 0xe6, 0xe7]) IMMEDIATE[op] = 1;
/** Opcodes that are not decoded here: far transfers, string I/O, prefixes handled elsewhere, 16-bit relics. */
const REFUSED = new Set([
  0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x63, 0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0x9a, 0xc4, 0xc5, 0xc8, 0xca, 0xcb, 0xcc, 0xce, 0xd4, 0xd5,
  0xd6, 0xea, 0xf1, 0xf4,
]);
/** Not decoded in 64-bit mode: PUSH and POP of ES, CS, SS and DS, which it does not have, and MOV with a whole address in the instruction. */
const REFUSED_64 = new Set([0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0xa0, 0xa1, 0xa2, 0xa3]);

/** Decoded in 16-bit code though others refuse them, with the bytes of their immediates (IMMEDIATE); 5: an offset by operand size and a selector, 3: ENTER's. */
const REAL_ONLY = new Map<number, number>([
  [0x27, 0],
  [0x2f, 0],
  [0x37, 0],
  [0x3f, 0],
  [0x60, 0],
  [0x61, 0],
  [0x6c, 0],
  [0x6d, 0],
  [0x6e, 0],
  [0x6f, 0],
  [0x9a, 5],
  [0xc4, 0],
  [0xc5, 0],
  [0xc8, 3],
  [0xca, 2],
  [0xcb, 0],
  [0xd4, 1],
  [0xd5, 1],
  [0xea, 5],
]);
/** The same of the 0F map: LFS, LGS. */
const REAL_ONLY_0F = new Set([0xb4, 0xb5]);
const SEG_SS = 2;
const SEG_DS = 3;
/** Registers of the 16-bit address forms by modrm.rm (SDM volume 2, table 2-1): BX, BP, SI, DI; -1 = none. */
const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX_16 = [6, 7, 6, 7, -1, -1, -1, -1];

/** System instructions of the 0F map without modrm. */
const SYSTEM_PLAIN = new Set([0x05, 0x06, 0x07, 0x30, 0x31, 0x32, 0x34, 0x35, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9]);
/** 0F-map opcodes that are decoded: with modrm unless listed in NO_MODRM; immediates in IMMEDIATE_0F. */
const ACCEPTED_0F = new Set<number>([
  0x00, 0x01, 0x05, 0x06, 0x07, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x34, 0x35, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0x0d, 0x18, 0xa3, 0xa4,
  0xa5, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xb8, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1,
]);
for (let op = 0x10; op <= 0x17; op++) ACCEPTED_0F.add(op);
for (let op = 0x19; op <= 0x1f; op++) ACCEPTED_0F.add(op);
for (let op = 0x28; op <= 0x2f; op++) ACCEPTED_0F.add(op);
for (let op = 0x40; op <= 0x77; op++) ACCEPTED_0F.add(op);
for (let op = 0x7c; op <= 0x9f; op++) ACCEPTED_0F.add(op);
ACCEPTED_0F.add(0xae);
for (let op = 0xc2; op <= 0xcf; op++) ACCEPTED_0F.add(op);
for (let op = 0xd0; op <= 0xfe; op++) ACCEPTED_0F.add(op);
const IMMEDIATE_0F = new Map<number, number>([
  [0x70, 1],
  [0x71, 1],
  [0x72, 1],
  [0x73, 1],
  [0xa4, 1],
  [0xac, 1],
  [0xba, 1],
  [0xc2, 1],
  [0xc4, 1],
  [0xc5, 1],
  [0xc6, 1],
]);
for (let op = 0x80; op <= 0x8f; op++) IMMEDIATE_0F.set(op, 4);

/** Those of the VEX-encoded 0F map: shuffles, shifts, comparisons, VPINSRW, VPEXTRW. */
const IMMEDIATE_VEX = new Set([0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6]);

interface Vex {
  map: number;
  /** As REX: 0x48 for W, 4, 2, 1 for R, X, B. */
  rex: number;
  prefix: number;
  wide: boolean;
  w: boolean;
  vvvv: number;
}
/** The bytes after C4 (`three`) or C5 (SDM volume 2, 2.3.5). */
function decodeVex(bytes: Uint8Array, p: number, three: boolean, mode: CodeMode): Vex {
  const first = bytes[p]!;
  const last = three ? bytes[p + 1]! : first;
  const w = three && (last & 0x80) !== 0;
  const long = mode === 64;
  // R, X and B are stored inverted.
  const high = three ? (first >> 5) ^ 7 : ((first >> 5) & 4) ^ 4;
  return {
    map: three ? first & 31 : 1,
    rex: long ? high | (w ? 0x48 : 0) : 0,
    prefix: [0, 0x66, 0xf3, 0xf2][last & 3]!,
    wide: (last & 4) !== 0,
    w,
    vvvv: (((last >> 3) & 15) ^ 15) & (long ? 15 : 7),
  };
}

/** Address-size prefixes mean something without a modrm operand: string instructions, XLAT, LOOP and JCXZ, MASKMOVx. */
const IMPLIED_ADDRESS = new Set([
  0xa4,
  0xa5,
  0xa6,
  0xa7,
  0xaa,
  0xab,
  0xac,
  0xad,
  0xae,
  0xaf,
  0xd7,
  0xe0,
  0xe1,
  0xe2,
  0xe3,
  0x1f7,
  VEX_OP + 0x1f7,
]);

const isNearBranch = ({ op, reg }: Insn): boolean =>
  op === 0xe8 ||
  op === 0xe9 ||
  op === 0xeb ||
  op === 0xc2 ||
  op === 0xc3 ||
  (op >= 0x70 && op <= 0x7f) ||
  (op >= 0x180 && op <= 0x18f) ||
  (op === 0xff && ((reg & 7) === 2 || (reg & 7) === 4));

/**
 * Decodes the instruction at `at` of `bytes` (one or more whole pages of code); undefined when it is none that may be in a region, or
 * reaches beyond the bytes.
 */
export function decodeInsn(bytes: Uint8Array, at: number, mode: CodeMode): Insn | undefined {
  let p = at;
  const end = Math.min(bytes.length, at + 15);
  let opsize = false;
  let addressSize = false;
  let rep = 0;
  let lock = false;
  let rex = 0;
  let segment = -1;
  let override = -1;
  let op = 0;
  for (; ; p++) {
    if (p >= end) return undefined;
    op = bytes[p]!;
    if (op === 0x66) opsize = true;
    else if (op === 0xf2 || op === 0xf3) rep = op;
    else if (op === 0xf0) lock = true;
    else if (op === 0x64 || op === 0x65) segment = override = op - 0x60;
    else if (op === 0x2e || op === 0x36 || op === 0x3e || op === 0x26) {
      // Flat segments; in 64-bit mode they are ignored, and so do not undo FS or GS.
      if (mode !== 64) {
        segment = -1;
        override = (op >>> 3) & 3;
      }
    } else if (op === 0x67) addressSize = true;
    else if (mode === 64 && (op & 0xf0) === 0x40) {
      // REX counts only directly before the opcode.
      rex = op;
      p++;
      if (p >= end) return undefined;
      op = bytes[p]!;
      if (
        op === 0x66 ||
        op === 0x67 ||
        op === 0xf2 ||
        op === 0xf3 ||
        op === 0xf0 ||
        (op & 0xf0) === 0x40 ||
        (op & 0xfc) === 0x64 ||
        (op & 0xe7) === 0x26
      )
        return undefined;
      break;
    } else break;
  }
  p++;
  let modrmPresent: boolean;
  let immediate: number;
  let vex: Vex | undefined;
  if ((op === 0xc4 || op === 0xc5) && p < end && (mode === 64 || bytes[p]! >= 0xc0)) {
    // Real mode has no VEX.
    if (mode === 16) return undefined;
    // 66, F2, F3, LOCK and REX before VEX are undefined.
    if (opsize || rep || lock || rex) return undefined;
    const prefixEnd = op === 0xc5 ? p + 1 : p + 2;
    if (prefixEnd >= end) return undefined;
    vex = decodeVex(bytes, p, op === 0xc4, mode);
    if (vex.map < 1 || vex.map > 3) return undefined;
    const second = bytes[prefixEnd]!;
    p = prefixEnd + 1;
    op = VEX_OP | (vex.map << 8) | second;
    rex = vex.rex;
    rep = vex.prefix;
    modrmPresent = op !== VEX_OP + 0x177;
    immediate = vex.map === 3 ? 1 : vex.map === 1 ? (IMMEDIATE_VEX.has(second) ? 1 : 0) : 0;
  } else if (op === 0x0f) {
    if (p >= end) return undefined;
    const second = bytes[p++]!;
    if (second === 0x38 || second === 0x3a) {
      // Everything in these two maps has a modrm; in 0F 3A an immediate byte too.
      if (p >= end) return undefined;
      op = (second === 0x38 ? 0x200 : 0x300) | bytes[p++]!;
      modrmPresent = true;
      immediate = second === 0x38 ? 0 : 1;
    } else {
      if (!ACCEPTED_0F.has(second) && !(mode === 16 && REAL_ONLY_0F.has(second))) return undefined;
      op = 0x100 | second;
      modrmPresent = !(
        (second >= 0x80 && second <= 0x8f) ||
        (second >= 0xc8 && second <= 0xcf) ||
        second === 0x77 ||
        SYSTEM_PLAIN.has(second)
      );
      immediate = IMMEDIATE_0F.get(second) ?? 0;
    }
  } else {
    const real = mode === 16 ? REAL_ONLY.get(op) : undefined;
    if (REFUSED.has(op) && !(op === 0x63 && mode === 64) && real === undefined) return undefined;
    if (mode === 64 && REFUSED_64.has(op)) return undefined;
    modrmPresent = MODRM[op] === 1 || (real !== undefined && (op === 0xc4 || op === 0xc5));
    immediate = real ?? IMMEDIATE[op]!;
  }
  let osize: Width = rex & 8 ? 8 : opsize !== (mode === 16) ? 2 : 4;
  const asize: Width = mode === 64 ? 8 : mode === 16 && !addressSize ? 2 : 4;
  const insn: Insn = {
    at,
    next: 0,
    op,
    osize,
    asize,
    real: mode === 16,
    prefix: rep || (opsize ? 0x66 : 0),
    opsize,
    lock,
    rex,
    vex: vex !== undefined,
    wide: vex?.wide ?? false,
    w: vex?.w ?? false,
    vvvv: vex?.vvvv ?? 0,
    hasModrm: modrmPresent,
    modrm: 0,
    mod: 3,
    reg: 0,
    rm: op & 7,
    memory: false,
    base: -1,
    index: -1,
    scale: 0,
    disp: 0,
    ripRelative: false,
    segment,
    override,
    imm: 0,
    imm64: 0n,
  };
  if (modrmPresent) {
    if (p >= end) return undefined;
    const modrm = bytes[p++]!;
    insn.modrm = modrm;
    // MOV to and from CR and DR has registers whatever mod says.
    insn.mod = op >= 0x120 && op <= 0x123 ? 3 : modrm >> 6;
    insn.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    if (!vex) insn.vvvv = insn.reg;
    let rm = modrm & 7;
    if (insn.mod === 3) insn.rm = rm | ((rex & 1) << 3);
    else {
      insn.memory = true;
      let sib = false;
      if (asize === 2) {
        insn.base = insn.mod === 0 && rm === 6 ? -1 : BASE_16[rm]!;
        insn.index = INDEX_16[rm]!;
      } else if (rm === 4) {
        if (p >= end) return undefined;
        const byte = bytes[p++]!;
        sib = true;
        const index = ((byte >> 3) & 7) | ((rex & 2) << 2);
        if (index !== 4) {
          insn.index = index;
          insn.scale = byte >> 6;
        }
        rm = byte & 7;
      }
      let dispSize = insn.mod === 1 ? 1 : insn.mod === 2 ? Math.min(asize, 4) : 0;
      if (asize === 2) {
        if (insn.base < 0) dispSize = 2;
      } else if (rm === 5 && insn.mod === 0) {
        dispSize = 4;
        insn.ripRelative = mode === 64 && !sib;
      } else insn.base = rm | ((rex & 1) << 3);
      if (p + dispSize > end) return undefined;
      if (dispSize === 1) insn.disp = (bytes[p]! << 24) >> 24;
      else if (dispSize === 2) insn.disp = ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16;
      else if (dispSize === 4) insn.disp = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
      p += dispSize;
    }
    if ((op === 0xf6 || op === 0xf7) && (insn.reg & 7) < 2) immediate = op === 0xf6 ? 1 : 4;
  } else {
    insn.rm = (op & 7) | ((rex & 1) << 3);
  }
  if (op >= 0xa0 && op <= 0xa3) {
    // MOV with the address in the instruction.
    const size = Math.min(asize, 4);
    if (p + size > end) return undefined;
    insn.memory = true;
    insn.mod = 0;
    insn.disp = bytes[p]! | (bytes[p + 1]! << 8);
    if (size === 4) insn.disp |= (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
    p += size;
  }
  if (mode === 16) {
    // MASKMOVQ and MASKMOVDQU.
    if (op === 0x1f7) return undefined;
    if (insn.memory) insn.segment = override >= 0 ? override : insn.base === 4 || insn.base === 5 ? SEG_SS : SEG_DS;
  } else if (addressSize && (insn.memory || IMPLIED_ADDRESS.has(op))) return undefined;
  if (mode === 64 && isNearBranch(insn)) {
    // Near branches are 64 bits wide whatever the prefixes, with which compilers and linkers pad them; the displacement stays four bytes.
    insn.opsize = false;
    osize = 8;
  }
  insn.osize = osize;
  if (immediate === 1) {
    if (p >= end) return undefined;
    insn.imm = (bytes[p++]! << 24) >> 24;
  } else if (immediate === 2) {
    if (p + 2 > end) return undefined;
    insn.imm = bytes[p]! | (bytes[p + 1]! << 8);
    p += 2;
  } else if (immediate === 3 || immediate === 5) {
    p += immediate === 3 ? 3 : osize + 2;
    if (p > end) return undefined;
  } else if (immediate === 4) {
    if (osize === 2) {
      if (p + 2 > end) return undefined;
      insn.imm = ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16;
      p += 2;
    } else if (rex & 8 && op >= 0xb8 && op <= 0xbf) {
      if (p + 8 > end) return undefined;
      for (let i = 7; i >= 0; i--) insn.imm64 = (insn.imm64 << 8n) | BigInt(bytes[p + i]!);
      p += 8;
    } else {
      if (p + 4 > end) return undefined;
      insn.imm = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
      p += 4;
    }
  }
  // CS can't be written, nor read always.
  if (override === 1 && insn.memory && mode === 32) return undefined;
  insn.next = p;
  return insn;
}
