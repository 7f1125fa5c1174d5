import type { ByteQueue } from './bytequeue.ts';
import type { ByteWriter } from './bytewriter.ts';

/** PIXEL_FORMAT, RFC 6143 section 7.4. */
export interface PixelFormat {
  bitsPerPixel: 8 | 16 | 32;
  depth: number;
  bigEndian: boolean;
  trueColour: boolean;
  redMax: number;
  greenMax: number;
  blueMax: number;
  redShift: number;
  greenShift: number;
  blueShift: number;
}

/** What our picture has: u32 0x00RRGGBB in little-endian memory. */
export const nativeFormat: PixelFormat = {
  bitsPerPixel: 32,
  depth: 24,
  bigEndian: false,
  trueColour: true,
  redMax: 255,
  greenMax: 255,
  blueMax: 255,
  redShift: 16,
  greenShift: 8,
  blueShift: 0,
};

/** With a colour map, entry i is colour i of RGB 3:3:2. */
const mappedFormat: PixelFormat = {
  bitsPerPixel: 8,
  depth: 8,
  bigEndian: false,
  trueColour: false,
  redMax: 7,
  greenMax: 7,
  blueMax: 3,
  redShift: 5,
  greenShift: 2,
  blueShift: 0,
};

/** Reads the 16 bytes at `offset`; undefined when no such format can exist. */
export function readPixelFormat(queue: ByteQueue, offset: number): PixelFormat | undefined {
  const bitsPerPixel = queue.u8(offset);
  if (bitsPerPixel !== 8 && bitsPerPixel !== 16 && bitsPerPixel !== 32) return undefined;
  const trueColour = queue.u8(offset + 3) !== 0;
  if (!trueColour) return bitsPerPixel === 8 ? mappedFormat : undefined;
  const format: PixelFormat = {
    bitsPerPixel,
    depth: queue.u8(offset + 1),
    bigEndian: queue.u8(offset + 2) !== 0,
    trueColour,
    redMax: queue.u16(offset + 4),
    greenMax: queue.u16(offset + 6),
    blueMax: queue.u16(offset + 8),
    redShift: queue.u8(offset + 10),
    greenShift: queue.u8(offset + 11),
    blueShift: queue.u8(offset + 12),
  };
  const channels: [number, number][] = [
    [format.redMax, format.redShift],
    [format.greenMax, format.greenShift],
    [format.blueMax, format.blueShift],
  ];
  for (const [max, shift] of channels) if (max === 0 || shift > 31 || max * 2 ** shift >= 2 ** bitsPerPixel) return undefined;
  return format;
}

export function writePixelFormat(out: ByteWriter, format: PixelFormat): void {
  out
    .u8(format.bitsPerPixel)
    .u8(format.depth)
    .u8(format.bigEndian ? 1 : 0)
    .u8(format.trueColour ? 1 : 0);
  out.u16(format.redMax).u16(format.greenMax).u16(format.blueMax);
  out.u8(format.redShift).u8(format.greenShift).u8(format.blueShift).u8(0).u8(0).u8(0);
}

/** Turns our pixels into a client's pixel values and bytes. */
export class PixelTranslator {
  readonly format: PixelFormat;
  readonly bytesPerPixel: number;
  /** CPIXEL of ZRLE (RFC 6143 section 7.7.5): 3 when a 32-bit pixel has an unused byte, else bytesPerPixel. */
  readonly compactBytes: number;
  /** TPIXEL of Tight: R, G, B bytes when the pixel is 32-bit, depth 24, 8 bits a channel. */
  readonly tightRgb: boolean;
  private readonly identity: boolean;
  private readonly red: Uint32Array;
  private readonly green: Uint32Array;
  private readonly blue: Uint32Array;
  /** Which byte of a little-endian value CPIXEL leaves out: 0 or 3. */
  private readonly compactSkip: number;

  constructor(format: PixelFormat) {
    this.format = format;
    this.bytesPerPixel = format.bitsPerPixel / 8;
    const channel = (max: number, shift: number) => {
      const table = new Uint32Array(256);
      for (let i = 0; i < 256; i++) table[i] = (Math.round((i * max) / 255) << shift) >>> 0;
      return table;
    };
    this.red = channel(format.redMax, format.redShift);
    this.green = channel(format.greenMax, format.greenShift);
    this.blue = channel(format.blueMax, format.blueShift);
    const used = (this.red[255]! | this.green[255]! | this.blue[255]!) >>> 0;
    const compact = format.bitsPerPixel === 32 && format.depth <= 24 && ((used & 0xff000000) === 0 || (used & 0xff) === 0);
    this.compactBytes = compact ? 3 : this.bytesPerPixel;
    this.compactSkip = (used & 0xff000000) === 0 ? 3 : 0;
    this.tightRgb =
      format.bitsPerPixel === 32 && format.depth === 24 && format.redMax === 255 && format.greenMax === 255 && format.blueMax === 255;
    this.identity = this.tightRgb && format.redShift === 16 && format.greenShift === 8 && format.blueShift === 0;
  }

  /** Our 0x00RRGGBB as the client's pixel value. */
  value(rgb: number): number {
    if (this.identity) return rgb & 0xffffff;
    return (this.red[(rgb >>> 16) & 0xff]! | this.green[(rgb >>> 8) & 0xff]! | this.blue[rgb & 0xff]!) >>> 0;
  }

  /** Stores a pixel value as PIXEL; returns the next position. */
  put(out: Uint8Array, at: number, value: number): number {
    const { bytesPerPixel } = this;
    if (this.format.bigEndian) for (let i = 0; i < bytesPerPixel; i++) out[at + i] = value >>> ((bytesPerPixel - 1 - i) * 8);
    else for (let i = 0; i < bytesPerPixel; i++) out[at + i] = value >>> (i * 8);
    return at + bytesPerPixel;
  }

  /** Stores a pixel value as CPIXEL; returns the next position. */
  putCompact(out: Uint8Array, at: number, value: number): number {
    if (this.compactBytes === this.bytesPerPixel) return this.put(out, at, value);
    const v = this.compactSkip === 0 ? value >>> 8 : value;
    if (this.format.bigEndian) {
      out[at] = v >>> 16;
      out[at + 1] = v >>> 8;
      out[at + 2] = v;
    } else {
      out[at] = v;
      out[at + 1] = v >>> 8;
      out[at + 2] = v >>> 16;
    }
    return at + 3;
  }

  /** Stores our own pixel as TPIXEL of Tight; returns the next position. */
  putTight(out: Uint8Array, at: number, rgb: number): number {
    if (!this.tightRgb) return this.put(out, at, this.value(rgb));
    out[at] = rgb >>> 16;
    out[at + 1] = rgb >>> 8;
    out[at + 2] = rgb;
    return at + 3;
  }

  get tightBytes(): number {
    return this.tightRgb ? 3 : this.bytesPerPixel;
  }
}
