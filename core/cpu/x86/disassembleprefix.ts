import type { Syntax } from './syntax.ts';

/** Bytes in order; past the end it reads zeros and remembers that. */
export class Reader {
  at = 0;
  overrun = false;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  peek(ahead = 0): number {
    return this.bytes[this.at + ahead] ?? 0;
  }

  u8(): number {
    if (this.at >= this.bytes.length || this.at >= 15) this.overrun = true;
    return this.bytes[this.at++] ?? 0;
  }

  /** Little-endian, unsigned. */
  unsigned(size: number): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(this.u8()) << BigInt(i * 8);
    return value;
  }

  signed(size: number): bigint {
    return BigInt.asIntN(size * 8, this.unsigned(size));
  }
}

export interface Vex {
  map: 1 | 2 | 3;
  pp: number;
  wide: boolean;
  long: boolean;
  vvvv: number;
}

export interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  /** F2, F3 or 0. */
  repeat: number;
  /** The last of them in the bytes, also after it became part of the opcode. */
  lastRepeat: number;
  /** Segment override: number of the register in the encoding, -1 for none. */
  segment: number;
  /** REX byte, 0 for none; of VEX its bits. */
  rex: number;
  vex: Vex | undefined;
  /** First opcode byte. */
  opcode: number;
  /** Prefixes in the order they came. */
  order: number[];
}

const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

export function decodePrefixes(reader: Reader, bits: 16 | 32 | 64): Prefixes | undefined {
  const out: Prefixes = {
    operandSize: false,
    addressSize: false,
    lock: false,
    repeat: 0,
    lastRepeat: 0,
    segment: -1,
    rex: 0,
    vex: undefined,
    opcode: 0,
    order: [],
  };
  for (let count = 0; count < 15; count++) {
    const byte = reader.u8();
    const segment = SEGMENT_PREFIXES.indexOf(byte);
    if (byte === 0x66) out.operandSize = true;
    else if (byte === 0x67) out.addressSize = true;
    else if (byte === 0xf0) out.lock = true;
    else if (byte === 0xf2 || byte === 0xf3) out.repeat = out.lastRepeat = byte;
    else if (segment >= 0) out.segment = segment;
    else {
      let opcode = byte;
      if (bits === 64 && (byte & 0xf0) === 0x40) {
        out.rex = byte;
        opcode = reader.u8();
        // A REX that no opcode follows at once means nothing; no compiler makes one.
        if ((opcode & 0xf0) === 0x40) return undefined;
      }
      out.opcode = opcode;
      if ((opcode === 0xc4 || opcode === 0xc5) && (bits === 64 || reader.peek() >= 0xc0)) return decodeVex(reader, out, bits);
      return out;
    }
    out.order.push(byte);
  }
  return undefined;
}

/** SDM volume 2 section 2.3.5. */
function decodeVex(reader: Reader, out: Prefixes, bits: 16 | 32 | 64): Prefixes | undefined {
  const first = reader.u8();
  if (out.opcode === 0xc5) {
    out.rex = first & 0x80 ? 0 : 4;
    out.vex = { map: 1, pp: first & 3, wide: false, long: (first & 4) !== 0, vvvv: (~first >> 3) & 15 };
  } else {
    const second = reader.u8();
    const map = first & 31;
    if (map < 1 || map > 3) return undefined;
    out.rex = ((~first >> 5) & 7) | (second & 0x80 ? 8 : 0);
    out.vex = { map: map as 1 | 2 | 3, pp: second & 3, wide: (second & 0x80) !== 0, long: (second & 4) !== 0, vvvv: (~second >> 3) & 15 };
  }
  if (bits !== 64) {
    out.rex &= 8;
    out.vex.vvvv &= 7;
  }
  return out;
}

/** An instruction on its way to text. */
export interface Decoded {
  reader: Reader;
  prefixes: Prefixes;
  bits: 16 | 32 | 64;
  address: bigint;
  map: 0 | 1 | 2 | 3;
  opcode: number;
  rows: readonly Syntax[];
  /** The mandatory prefix that is there. */
  mandatory: Syntax['prefix'];
  modrmByte: number | undefined;
  syntax: Syntax;
  target?: bigint;
  /** Displacement of a RIP-relative operand. */
  relative?: bigint;
  /** The operand in modrm.rm once it was read: text without size, or the register number. */
  rm?: { memory: string } | { register: number };
  /** Which prefixes an operand used; the others are shown. */
  used?: { operandSize?: boolean; addressSize?: boolean; segment?: boolean; wide?: boolean };
}
