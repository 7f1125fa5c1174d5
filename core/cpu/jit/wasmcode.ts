/** Opcodes of WebAssembly used by the recompiler (WebAssembly core specification 2.0, section 5.4) and a growing buffer to write them into. */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
/** Block type of a block without a result. */
export const VOID = 0x40;

export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  rethrow: 0x09,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCallIndirect: 0x13,
  catchAll: 0x19,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  i32Load: 0x28,
  i64Load: 0x29,
  f32Load: 0x2a,
  f64Load: 0x2b,
  i32Load8S: 0x2c,
  i32Load8U: 0x2d,
  i32Load16S: 0x2e,
  i32Load16U: 0x2f,
  i64Load8U: 0x31,
  i64Load16U: 0x33,
  i64Load32S: 0x34,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  f32Store: 0x38,
  f64Store: 0x39,
  i32Store8: 0x3a,
  i32Store16: 0x3b,
  i64Store8: 0x3c,
  i64Store16: 0x3d,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  f32Eq: 0x5b,
  f32Ne: 0x5c,
  f32Lt: 0x5d,
  f32Gt: 0x5e,
  f64Eq: 0x61,
  f64Ne: 0x62,
  f32Le: 0x5f,
  f32Ge: 0x60,
  f64Lt: 0x63,
  f64Gt: 0x64,
  f64Le: 0x65,
  f64Ge: 0x66,
  i32Clz: 0x67,
  i32Ctz: 0x68,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivU: 0x6e,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotl: 0x77,
  i32Rotr: 0x78,
  i64Clz: 0x79,
  i64Ctz: 0x7a,
  i64Popcnt: 0x7b,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i64Rotr: 0x8a,
  f32Sqrt: 0x91,
  f32Add: 0x92,
  f32Sub: 0x93,
  f32Mul: 0x94,
  f32Div: 0x95,
  f32Abs: 0x8b,
  f64Abs: 0x99,
  f32Ceil: 0x8d,
  f32Floor: 0x8e,
  f32Trunc: 0x8f,
  f32Nearest: 0x90,
  f64Ceil: 0x9b,
  f64Floor: 0x9c,
  f64Trunc: 0x9d,
  f64Nearest: 0x9e,
  f64Sqrt: 0x9f,
  f64Add: 0xa0,
  f64Sub: 0xa1,
  f64Mul: 0xa2,
  f64Div: 0xa3,
  i32WrapI64: 0xa7,
  i32TruncF64S: 0xaa,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i64TruncF64S: 0xb0,
  f32ConvertI32S: 0xb2,
  f32ConvertI64S: 0xb4,
  f32DemoteF64: 0xb6,
  f64ConvertI32S: 0xb7,
  f64ConvertI64S: 0xb9,
  f64PromoteF32: 0xbb,
  i32ReinterpretF32: 0xbc,
  i64ReinterpretF64: 0xbd,
  f32ReinterpretI32: 0xbe,
  f64ReinterpretI64: 0xbf,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
  simd: 0xfd,
} as const;

/** Prefix of bulk memory instructions. */
const BULK = 0xfc;

/** Sub-opcodes after the 0xfd prefix. */
export const SIMD = {
  load: 0,
  store: 11,
  const: 12,
  shuffle: 13,
  swizzle: 14,
  i8x16Splat: 15,
  i16x8Splat: 16,
  i32x4Splat: 17,
  i64x2Splat: 18,
  f32x4Splat: 19,
  f64x2Splat: 20,
  i8x16ExtractLaneU: 22,
  i8x16ReplaceLane: 23,
  i16x8ExtractLaneU: 25,
  i16x8ReplaceLane: 26,
  i32x4ExtractLane: 27,
  i32x4ReplaceLane: 28,
  i64x2ExtractLane: 29,
  i64x2ReplaceLane: 30,
  f32x4ExtractLane: 31,
  f32x4ReplaceLane: 32,
  f64x2ExtractLane: 33,
  f64x2ReplaceLane: 34,
  i8x16Eq: 35,
  i8x16GtS: 39,
  i16x8Eq: 45,
  i16x8GtS: 49,
  i32x4Eq: 55,
  i32x4Ne: 56,
  i32x4LtU: 58,
  i32x4GtS: 59,
  i32x4LeU: 62,
  f32x4Eq: 65,
  f32x4Ne: 66,
  f32x4Lt: 67,
  f32x4Gt: 68,
  f32x4Le: 69,
  f32x4Ge: 70,
  f64x2Eq: 71,
  f64x2Ne: 72,
  f64x2Lt: 73,
  f64x2Gt: 74,
  f64x2Le: 75,
  f64x2Ge: 76,
  not: 77,
  and: 78,
  andnot: 79,
  or: 80,
  xor: 81,
  bitselect: 82,
  anyTrue: 83,
  load32Zero: 92,
  load64Zero: 93,
  f32x4DemoteF64x2Zero: 94,
  f64x2PromoteLowF32x4: 95,
  f32x4Ceil: 103,
  f32x4Floor: 104,
  f32x4Trunc: 105,
  f32x4Nearest: 106,
  i8x16Abs: 96,
  i8x16Neg: 97,
  i8x16Bitmask: 100,
  i8x16NarrowI16x8S: 101,
  i8x16NarrowI16x8U: 102,
  i8x16Shl: 107,
  i8x16ShrS: 108,
  i8x16ShrU: 109,
  i8x16Add: 110,
  i8x16AddSatS: 111,
  i8x16AddSatU: 112,
  i8x16Sub: 113,
  i8x16SubSatS: 114,
  i8x16SubSatU: 115,
  f64x2Ceil: 116,
  f64x2Floor: 117,
  i8x16MinS: 118,
  i8x16MinU: 119,
  i8x16MaxS: 120,
  i8x16MaxU: 121,
  f64x2Trunc: 122,
  i8x16AvgrU: 123,
  i16x8ExtaddPairwiseI8x16U: 125,
  i32x4ExtaddPairwiseI16x8U: 127,
  i16x8Abs: 128,
  i16x8Neg: 129,
  i16x8Q15MulrSatS: 130,
  i16x8Bitmask: 132,
  i16x8NarrowI32x4S: 133,
  i16x8NarrowI32x4U: 134,
  i16x8ExtendLowI8x16S: 135,
  i16x8ExtendHighI8x16S: 136,
  i16x8ExtendLowI8x16U: 137,
  i16x8ExtendHighI8x16U: 138,
  i16x8Shl: 139,
  i16x8ShrS: 140,
  i16x8ShrU: 141,
  i16x8Add: 142,
  i16x8AddSatS: 143,
  i16x8AddSatU: 144,
  i16x8Sub: 145,
  i16x8SubSatS: 146,
  i16x8SubSatU: 147,
  f64x2Nearest: 148,
  i16x8Mul: 149,
  i16x8MinS: 150,
  i16x8MinU: 151,
  i16x8MaxS: 152,
  i16x8MaxU: 153,
  i16x8AvgrU: 155,
  i32x4Abs: 160,
  i32x4Neg: 161,
  i32x4AllTrue: 163,
  i32x4Bitmask: 164,
  i32x4ExtendLowI16x8S: 167,
  i32x4ExtendHighI16x8S: 168,
  i32x4ExtendLowI16x8U: 169,
  i32x4ExtendHighI16x8U: 170,
  i32x4Shl: 171,
  i32x4ShrS: 172,
  i32x4ShrU: 173,
  i32x4Add: 174,
  i32x4Sub: 177,
  i32x4Mul: 181,
  i32x4MinS: 182,
  i32x4MinU: 183,
  i32x4MaxS: 184,
  i32x4MaxU: 185,
  i32x4DotI16x8S: 186,
  i32x4ExtmulLowI16x8S: 188,
  i32x4ExtmulHighI16x8S: 189,
  i32x4ExtmulLowI16x8U: 190,
  i32x4ExtmulHighI16x8U: 191,
  i64x2AllTrue: 195,
  i64x2Bitmask: 196,
  i64x2ExtendLowI32x4S: 199,
  i64x2ExtendLowI32x4U: 201,
  i64x2Shl: 203,
  i64x2ShrS: 204,
  i64x2ShrU: 205,
  i64x2Add: 206,
  i64x2Sub: 209,
  i64x2Eq: 214,
  i64x2GtS: 217,
  i64x2ExtmulLowI32x4S: 220,
  i64x2ExtmulLowI32x4U: 222,
  f32x4Abs: 224,
  f32x4Sqrt: 227,
  f32x4Add: 228,
  f32x4Sub: 229,
  f32x4Mul: 230,
  f32x4Div: 231,
  f32x4Pmin: 234,
  f32x4Pmax: 235,
  f64x2Abs: 236,
  f64x2Sqrt: 239,
  f64x2Add: 240,
  f64x2Sub: 241,
  f64x2Mul: 242,
  f64x2Div: 243,
  f64x2Pmin: 246,
  f64x2Pmax: 247,
  i32x4TruncSatF32x4S: 248,
  f32x4ConvertI32x4S: 250,
  i32x4TruncSatF64x2SZero: 252,
  f64x2ConvertLowI32x4S: 254,
} as const;

/**
 * Buffers of code that is no longer needed. A region goes through several before its module is whole, and V8 lets go of dead ones so late that tens of megabytes lay
 * about while many regions were compiled.
 */
const spare: Uint8Array<ArrayBuffer>[] = [];
const MAX_SPARE = 3;
/** Larger ones are let go: the largest modules are rare. */
const MAX_SPARE_BYTES = 1 << 20;
const NOTHING = new Uint8Array(0);

/** Bytes of a function body or section, written front to back. */
export class WasmCode {
  private bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  /** Offsets of branch instructions and whether they are likely (WebAssembly branch hinting proposal). */
  readonly hints: [offset: number, likely: number][] = [];

  /** `size`: bytes that there is room for at first. */
  constructor(size = 256) {
    this.bytes = new Uint8Array(size);
  }

  /** Code that is to be copied elsewhere soon, and then released. */
  static scratch(size: number): WasmCode {
    const code = new WasmCode(0);
    code.bytes = spare.pop() ?? NOTHING;
    if (code.bytes.length < size) code.bytes = new Uint8Array(size);
    return code;
  }

  /** The code and what view() gave of it are not to be used any more. */
  release(): void {
    if (spare.length < MAX_SPARE && this.bytes.length && this.bytes.length <= MAX_SPARE_BYTES) spare.push(this.bytes);
    this.bytes = NOTHING;
    this.length = 0;
  }

  private room(n: number): void {
    if (this.length + n > this.bytes.length) this.grow(n);
  }

  private grow(n: number): void {
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + n));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  byte(value: number): this {
    this.room(1);
    this.bytes[this.length++] = value;
    return this;
  }

  /** Plain instructions without immediates. No list of them is made: this is called for nearly everything that is emitted. */
  op(a: number, b = -1, c = -1, d = -1): this {
    this.room(4);
    this.bytes[this.length++] = a;
    if (b < 0) return this;
    this.bytes[this.length++] = b;
    if (c < 0) return this;
    this.bytes[this.length++] = c;
    if (d >= 0) this.bytes[this.length++] = d;
    return this;
  }

  /** Unsigned LEB128 of a whole number below 2^32. */
  u32(value: number): this {
    this.room(5);
    let v = value >>> 0;
    while (v > 0x7f) {
      this.bytes[this.length++] = (v & 0x7f) | 0x80;
      v >>>= 7;
    }
    this.bytes[this.length++] = v;
    return this;
  }

  /** Signed LEB128 of an i32. */
  s32(value: number): this {
    this.room(5);
    let v = value | 0;
    for (;;) {
      const low = v & 0x7f;
      v >>= 7;
      if ((v === 0 && !(low & 0x40)) || (v === -1 && low & 0x40)) {
        this.bytes[this.length++] = low;
        return this;
      }
      this.bytes[this.length++] = low | 0x80;
    }
  }

  /** Signed LEB128 of an i64 given as a bigint. */
  s64(value: bigint): this {
    this.room(10);
    let v = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(v & 0x7fn);
      v >>= 7n;
      if ((v === 0n && !(low & 0x40)) || (v === -1n && low & 0x40)) {
        this.bytes[this.length++] = low;
        return this;
      }
      this.bytes[this.length++] = low | 0x80;
    }
  }

  raw(bytes: Uint8Array | readonly number[]): this {
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  name(text: string): this {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
    return this;
  }

  /** A section: id, size, contents. */
  section(id: number, contents: WasmCode): this {
    return this.byte(id).u32(contents.length).raw(contents.view());
  }

  // Frequent instructions.

  get(local: number): this {
    return this.byte(OP.localGet).u32(local);
  }
  set(local: number): this {
    return this.byte(OP.localSet).u32(local);
  }
  tee(local: number): this {
    return this.byte(OP.localTee).u32(local);
  }
  i32(value: number): this {
    return this.byte(OP.i32Const).s32(value);
  }
  i64(value: bigint | number): this {
    this.byte(OP.i64Const);
    return typeof value === 'number' ? (value === (value | 0) ? this.s32(value) : this.s64(BigInt(value))) : this.s64(value);
  }
  call(func: number): this {
    return this.byte(OP.call).u32(func);
  }
  br(depth: number): this {
    return this.byte(OP.br).u32(depth);
  }
  brIf(depth: number): this {
    return this.byte(OP.brIf).u32(depth);
  }
  /** A load or store; alignment hints are only hints, so none is given. */
  memory(op: number, offset: number): this {
    return this.byte(op).byte(0).u32(offset);
  }
  /** Target, source and size are on the stack. */
  memoryCopy(): this {
    return this.op(BULK, 10, 0, 0);
  }
  /** Target, byte and size are on the stack. */
  memoryFill(): this {
    return this.op(BULK, 11, 0);
  }
  simd(op: number): this {
    return this.byte(OP.simd).u32(op);
  }
  /** Several vector instructions without immediates. */
  simds(...codes: number[]): this {
    for (const code of codes) this.simd(code);
    return this;
  }
  /** i64 bit pattern in both halves of a vector constant. */
  simd64(value: bigint): this {
    this.simd(SIMD.const);
    const low = Number(BigInt.asUintN(32, value));
    const high = Number(BigInt.asUintN(32, value >> 32n));
    for (const word of [low, high, low, high]) this.op(word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24);
    return this;
  }
  /** A byte shuffle; `lanes` are numbers of bytes of the two vectors. */
  shuffle(lanes: readonly number[]): this {
    return this.simd(SIMD.shuffle).raw(lanes);
  }
  simdMemory(op: number, offset: number): this {
    return this.simd(op).byte(0).u32(offset);
  }
  if(type: number = VOID): this {
    return this.op(OP.if, type);
  }
  /** An `if` that is nearly always, or hardly ever, taken. */
  hintedIf(likely: boolean, type: number = VOID): this {
    this.hints.push([this.length, likely ? 1 : 0]);
    return this.if(type);
  }
  else(): this {
    return this.byte(OP.else);
  }
  end(): this {
    return this.byte(OP.end);
  }

  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
}
