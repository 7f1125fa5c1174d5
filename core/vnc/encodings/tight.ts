import type { Rect } from '../../backend/display.ts';
import { ByteWriter } from '../bytewriter.ts';
import { ENCODING_TIGHT } from '../protocol.ts';
import { cut, type EncodeContext, type EncodedRect, type Encoder, splitRect } from './encoder.ts';
import { encodeJpeg } from './jpeg.ts';
import { Palette } from './palette.ts';

/** Compression-control byte (rfbproto, Tight encoding). */
const FILL = 0x80;
const JPEG = 0x90;
const EXPLICIT_FILTER = 0x40;
const FILTER_PALETTE = 1;
/** Data shorter than this travels uncompressed and without a length. */
const MIN_TO_COMPRESS = 12;
const MAX_WIDTH = 2048;
/** Zlib streams by kind of data, so that each keeps a fitting dictionary. */
const STREAM_FULL = 0;
const STREAM_MONO = 1;
const STREAM_INDEXED = 2;
/** Photographic areas below this size are not worth a JPEG header. */
const MIN_JPEG_PIXELS = 4096;
/** JPEG quality (1..100) for the client's levels 0..9. */
const jpegQualities = [15, 29, 41, 42, 62, 77, 79, 86, 92, 100];

/** Tight encoding: fill, palette and full-colour rectangles through zlib, JPEG for photographic ones. Spec: rfbproto, "Tight Encoding". */
export class TightEncoder implements Encoder {
  readonly encoding = ENCODING_TIGHT;

  split(rect: Rect): Rect[] {
    const width = Math.min(rect.width, MAX_WIDTH);
    return splitRect(rect, width, Math.max(16, Math.floor(65_536 / width)));
  }

  async encode(rect: Rect, context: EncodeContext): Promise<EncodedRect[]> {
    const { picture, translator, jpegQuality } = context;
    const pixels = cut(picture, rect);
    const out = new ByteWriter(1024);
    const palette = Palette.of(pixels, 256);
    const pixel = new Uint8Array(4);
    const put = (rgb: number) => out.bytes(pixel.subarray(0, translator.putTight(pixel, 0, rgb)));
    if (palette?.size === 1) {
      out.u8(FILL);
      put(pixels[0]!);
    } else if (palette && (palette.size <= 96 || pixels.length >= palette.size * 8)) {
      const mono = palette.size === 2;
      const stream = mono ? STREAM_MONO : STREAM_INDEXED;
      out
        .u8(EXPLICIT_FILTER | (stream << 4))
        .u8(FILTER_PALETTE)
        .u8(palette.size - 1);
      for (const colour of palette.colours) put(colour);
      await compress(out, palette.pack(pixels, rect.width, mono ? 1 : 8), stream, context);
    } else if (jpegQuality !== undefined && translator.bytesPerPixel > 1 && pixels.length >= MIN_JPEG_PIXELS) {
      const jpeg = encodeJpeg(pixels, rect.width, rect.height, jpegQualities[jpegQuality]!);
      out.u8(JPEG);
      compactLength(out, jpeg.length);
      out.bytes(jpeg);
    } else {
      const data = new Uint8Array(pixels.length * translator.tightBytes);
      let at = 0;
      for (const rgb of pixels) at = translator.putTight(data, at, rgb);
      out.u8(STREAM_FULL << 4);
      await compress(out, data, STREAM_FULL, context);
    }
    return [{ rect, encoding: this.encoding, data: out.finish() }];
  }

  close(): void {}
}

async function compress(out: ByteWriter, data: Uint8Array, stream: number, context: EncodeContext): Promise<void> {
  if (data.length < MIN_TO_COMPRESS) {
    out.bytes(data);
    return;
  }
  const packed = await context.deflater(stream).deflate(data);
  compactLength(out, packed.length);
  out.bytes(packed);
}

/** 7 bits a byte, low first, at most three bytes. */
function compactLength(out: ByteWriter, length: number): void {
  if (length < 0x80) out.u8(length);
  else if (length < 0x4000) out.u8((length & 0x7f) | 0x80).u8(length >> 7);
  else
    out
      .u8((length & 0x7f) | 0x80)
      .u8(((length >> 7) & 0x7f) | 0x80)
      .u8(length >> 14);
}
