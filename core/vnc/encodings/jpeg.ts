import { ByteWriter } from '../bytewriter.ts';

/**
 * Baseline JPEG encoder, ITU-T T.81: YCbCr 4:2:0, the example quantisation and Huffman tables of Annex K. Made for the photographic parts of a
 * framebuffer update.
 */

/** Order in which coefficients are coded, T.81 figure A.6. */
const zigzag = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57,
  50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
/** T.81 tables K.1 and K.2, row by row. */
const luminanceQuantisers = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62, 18, 22,
  37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const chrominanceQuantisers = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

interface HuffmanSpec {
  /** How many codes of each length 1..16. */
  bits: number[];
  values: number[];
}
/** T.81 tables K.3 to K.6. */
const dcLuminance: HuffmanSpec = { bits: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] };
const dcChrominance: HuffmanSpec = {
  bits: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
  values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const hex = (text: string) => text.match(/../g)!.map((pair) => Number.parseInt(pair, 16));
const acLuminance: HuffmanSpec = {
  bits: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
  values: hex(
    '01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa',
  ),
};
const acChrominance: HuffmanSpec = {
  bits: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
  values: hex(
    '000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa',
  ),
};

interface HuffmanTable {
  code: Uint16Array;
  size: Uint8Array;
}

/** T.81 annex C: codes of one length count up from the previous length's. */
function huffmanTable({ bits, values }: HuffmanSpec): HuffmanTable {
  const table = { code: new Uint16Array(256), size: new Uint8Array(256) };
  let code = 0;
  let at = 0;
  for (let length = 1; length <= 16; length++) {
    for (let i = 0; i < bits[length - 1]!; i++) {
      table.code[values[at]!] = code++;
      table.size[values[at++]!] = length;
    }
    code <<= 1;
  }
  return table;
}

const tables = {
  dc: [huffmanTable(dcLuminance), huffmanTable(dcChrominance)] as const,
  ac: [huffmanTable(acLuminance), huffmanTable(acChrominance)] as const,
};

/** cos((2x+1) u pi / 16) * c(u) / 2, row u, column x: T.81 A.3.3. */
const basis = new Float32Array(64);
for (let u = 0; u < 8; u++)
  for (let x = 0; x < 8; x++) basis[u * 8 + x] = (Math.cos(((2 * x + 1) * u * Math.PI) / 16) * (u === 0 ? Math.SQRT1_2 : 1)) / 2;

class BitWriter {
  readonly out: ByteWriter;
  private hold = 0;
  private count = 0;

  constructor(out: ByteWriter) {
    this.out = out;
  }

  put(value: number, size: number): void {
    for (let bit = size - 1; bit >= 0; bit--) {
      this.hold = (this.hold << 1) | ((value >> bit) & 1);
      if (++this.count === 8) {
        this.out.u8(this.hold);
        // A data byte FF is followed by a stuffed zero, T.81 B.1.1.5.
        if (this.hold === 0xff) this.out.u8(0);
        this.hold = 0;
        this.count = 0;
      }
    }
  }

  finish(): void {
    if (this.count) this.put(0x7f, 8 - this.count);
  }
}

function scaledQuantisers(base: readonly number[], quality: number): Uint8Array {
  const q = Math.max(1, Math.min(100, quality));
  const scale = q < 50 ? 5000 / q : 200 - q * 2;
  return Uint8Array.from(base, (value) => Math.max(1, Math.min(255, Math.floor((value * scale + 50) / 100))));
}

/** `pixels` is u32 0x00RRGGBB, `width * height` entries; `quality` 1..100 on the usual scale. */
export function encodeJpeg(pixels: Uint32Array, width: number, height: number, quality: number): Uint8Array {
  const out = new ByteWriter(pixels.length);
  const quantisers = [scaledQuantisers(luminanceQuantisers, quality), scaledQuantisers(chrominanceQuantisers, quality)] as const;
  writeHeaders(out, width, height, quantisers);
  const bits = new BitWriter(out);
  const previous = [0, 0, 0];
  const luma = new Float32Array(256);
  const cb = new Float32Array(64);
  const cr = new Float32Array(64);
  const block = new Float32Array(64);
  for (let y = 0; y < height; y += 16)
    for (let x = 0; x < width; x += 16) {
      loadMacroblock(pixels, width, height, x, y, luma, cb, cr);
      for (let part = 0; part < 4; part++) {
        const offset = (part >> 1) * 128 + (part & 1) * 8;
        for (let row = 0; row < 8; row++)
          for (let column = 0; column < 8; column++) block[row * 8 + column] = luma[offset + row * 16 + column]!;
        previous[0] = writeBlock(bits, block, quantisers[0], 0, previous[0]!);
      }
      previous[1] = writeBlock(bits, cb, quantisers[1], 1, previous[1]!);
      previous[2] = writeBlock(bits, cr, quantisers[1], 1, previous[2]!);
    }
  bits.finish();
  out.u16(0xffd9);
  return out.finish();
}

function writeHeaders(out: ByteWriter, width: number, height: number, quantisers: readonly [Uint8Array, Uint8Array]): void {
  out.u16(0xffd8);
  // JFIF APP0: version 1.01, no density unit.
  out
    .u16(0xffe0)
    .u16(16)
    .bytes(Uint8Array.of(0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0));
  quantisers.forEach((table, id) => {
    out.u16(0xffdb).u16(67).u8(id);
    for (const index of zigzag) out.u8(table[index]!);
  });
  // Baseline frame: Y sampled 2x2, Cb and Cr 1x1.
  out.u16(0xffc0).u16(17).u8(8).u16(height).u16(width).u8(3);
  out.bytes(Uint8Array.of(1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1));
  const specs: [number, HuffmanSpec][] = [
    [0x00, dcLuminance],
    [0x10, acLuminance],
    [0x01, dcChrominance],
    [0x11, acChrominance],
  ];
  for (const [id, spec] of specs)
    out
      .u16(0xffc4)
      .u16(19 + spec.values.length)
      .u8(id)
      .bytes(Uint8Array.from(spec.bits))
      .bytes(Uint8Array.from(spec.values));
  out
    .u16(0xffda)
    .u16(12)
    .bytes(Uint8Array.of(3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0));
}

/** Reads 16x16 pixels (edges repeated) into level-shifted Y and 2x2-averaged Cb, Cr. */
function loadMacroblock(
  pixels: Uint32Array,
  width: number,
  height: number,
  left: number,
  top: number,
  luma: Float32Array,
  cb: Float32Array,
  cr: Float32Array,
): void {
  cb.fill(0);
  cr.fill(0);
  for (let row = 0; row < 16; row++) {
    const y = Math.min(height - 1, top + row);
    for (let column = 0; column < 16; column++) {
      const pixel = pixels[y * width + Math.min(width - 1, left + column)]!;
      const r = (pixel >>> 16) & 0xff;
      const g = (pixel >>> 8) & 0xff;
      const b = pixel & 0xff;
      luma[row * 16 + column] = 0.299 * r + 0.587 * g + 0.114 * b - 128;
      const at = (row >> 1) * 8 + (column >> 1);
      cb[at]! += (-0.168736 * r - 0.331264 * g + 0.5 * b) / 4;
      cr[at]! += (0.5 * r - 0.418688 * g - 0.081312 * b) / 4;
    }
  }
}

const rows = new Float32Array(64);
const coefficients = new Int32Array(64);

/** Transforms, quantises and codes one block; returns its DC value for the next one's difference. */
function writeBlock(bits: BitWriter, block: Float32Array, quantisers: Uint8Array, table: 0 | 1, previousDc: number): number {
  for (let y = 0; y < 8; y++)
    for (let u = 0; u < 8; u++) {
      let sum = 0;
      for (let x = 0; x < 8; x++) sum += block[y * 8 + x]! * basis[u * 8 + x]!;
      rows[y * 8 + u] = sum;
    }
  for (let v = 0; v < 8; v++)
    for (let u = 0; u < 8; u++) {
      let sum = 0;
      for (let y = 0; y < 8; y++) sum += rows[y * 8 + u]! * basis[v * 8 + y]!;
      coefficients[v * 8 + u] = Math.round(sum / quantisers[v * 8 + u]!);
    }
  const dc = tables.dc[table];
  const ac = tables.ac[table];
  const difference = coefficients[0]! - previousDc;
  const category = 32 - Math.clz32(Math.abs(difference));
  bits.put(dc.code[category]!, dc.size[category]!);
  bits.put(difference < 0 ? difference + (1 << category) - 1 : difference, category);
  let zeros = 0;
  for (let i = 1; i < 64; i++) {
    const value = coefficients[zigzag[i]!]!;
    if (value === 0) {
      zeros++;
      continue;
    }
    for (; zeros > 15; zeros -= 16) bits.put(ac.code[0xf0]!, ac.size[0xf0]!);
    const size = 32 - Math.clz32(Math.abs(value));
    const symbol = (zeros << 4) | size;
    bits.put(ac.code[symbol]!, ac.size[symbol]!);
    bits.put(value < 0 ? value + (1 << size) - 1 : value, size);
    zeros = 0;
  }
  if (zeros) bits.put(ac.code[0]!, ac.size[0]!);
  return coefficients[0]!;
}
