import type { Rect } from '../../backend/display.ts';
import { ByteWriter } from '../bytewriter.ts';
import type { PixelTranslator } from '../pixelformat.ts';
import type { Deflater } from '../platformparts.ts';
import { ENCODING_ZRLE } from '../protocol.ts';
import { cut, type EncodeContext, type EncodedRect, type Encoder, splitRect } from './encoder.ts';
import { Palette } from './palette.ts';

/** Side of a tile, RFC 6143 section 7.7.6. */
const TILE = 64;

/** RFC 6143 section 7.7.6: tiles of 64 x 64 in the smallest of six forms, the whole rectangle through one zlib stream. */
export class ZrleEncoder implements Encoder {
  readonly encoding = ENCODING_ZRLE;
  private readonly deflater: Deflater;

  constructor(deflater: Deflater) {
    this.deflater = deflater;
  }

  split(rect: Rect): Rect[] {
    return splitRect(rect, rect.width, Math.max(TILE, Math.floor(262_144 / rect.width / TILE) * TILE));
  }

  async encode(rect: Rect, { picture, translator }: EncodeContext): Promise<EncodedRect[]> {
    const tiles = new ByteWriter(rect.width * rect.height);
    for (const part of splitRect(rect, TILE, TILE)) encodeTile(tiles, cut(picture, part), part.width, translator);
    const packed = await this.deflater.deflate(tiles.finish());
    const out = new ByteWriter(packed.length + 4);
    return [{ rect, encoding: this.encoding, data: out.u32(packed.length).bytes(packed).finish() }];
  }

  close(): void {
    this.deflater.close();
  }
}

interface Runs {
  count: number;
  /** Bytes of all run lengths. */
  lengthBytes: number;
  /** Runs of one pixel, which palette RLE writes without a length. */
  singles: number;
}

function encodeTile(out: ByteWriter, rgb: Uint32Array, width: number, translator: PixelTranslator): void {
  const pixels = rgb.map((pixel) => translator.value(pixel));
  const palette = Palette.of(pixels, 127);
  const compact = translator.compactBytes;
  if (palette?.size === 1) {
    out.u8(1);
    colour(out, translator, pixels[0]!);
    return;
  }
  const runs = measureRuns(pixels);
  const rawBytes = pixels.length * compact;
  const plainRleBytes = runs.count * compact + runs.lengthBytes;
  let best: 'raw' | 'packed' | 'rle' | 'paletteRle' = 'raw';
  let bestBytes = rawBytes;
  const consider = (form: typeof best, bytes: number) => {
    if (bytes < bestBytes) [best, bestBytes] = [form, bytes];
  };
  consider('rle', plainRleBytes);
  if (palette) {
    const table = palette.size * compact;
    if (palette.size <= 16) consider('packed', table + Math.ceil((width * packedBits(palette.size)) / 8) * (pixels.length / width));
    consider('paletteRle', table + runs.count + runs.lengthBytes - runs.singles);
  }
  switch (best as string) {
    case 'packed':
      out.u8(palette!.size);
      for (const entry of palette!.colours) colour(out, translator, entry);
      out.bytes(palette!.pack(pixels, width, packedBits(palette!.size)));
      break;
    case 'rle':
      out.u8(128);
      eachRun(pixels, (pixel, length) => {
        colour(out, translator, pixel);
        runLength(out, length);
      });
      break;
    case 'paletteRle':
      out.u8(128 + palette!.size);
      for (const entry of palette!.colours) colour(out, translator, entry);
      eachRun(pixels, (pixel, length) => {
        const index = palette!.indexOf(pixel);
        if (length === 1) out.u8(index);
        else {
          out.u8(index | 128);
          runLength(out, length);
        }
      });
      break;
    default:
      out.u8(0);
      for (const pixel of pixels) colour(out, translator, pixel);
  }
}

function packedBits(size: number): 1 | 2 | 4 {
  return size <= 2 ? 1 : size <= 4 ? 2 : 4;
}

function colour(out: ByteWriter, translator: PixelTranslator, value: number): void {
  const bytes = new Uint8Array(translator.compactBytes);
  translator.putCompact(bytes, 0, value);
  out.bytes(bytes);
}

/** Length minus one as a sum of bytes, 255 meaning "and more". */
function runLength(out: ByteWriter, length: number): void {
  let rest = length - 1;
  for (; rest >= 255; rest -= 255) out.u8(255);
  out.u8(rest);
}

function eachRun(pixels: Uint32Array, visit: (pixel: number, length: number) => void): void {
  for (let at = 0; at < pixels.length; ) {
    let end = at + 1;
    while (end < pixels.length && pixels[end] === pixels[at]) end++;
    visit(pixels[at]!, end - at);
    at = end;
  }
}

function measureRuns(pixels: Uint32Array): Runs {
  const runs = { count: 0, lengthBytes: 0, singles: 0 };
  eachRun(pixels, (_, length) => {
    runs.count++;
    runs.lengthBytes += Math.floor((length - 1) / 255) + 1;
    if (length === 1) runs.singles++;
  });
  return runs;
}
