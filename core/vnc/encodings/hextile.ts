import type { Rect } from '../../backend/display.ts';
import { ByteWriter } from '../bytewriter.ts';
import type { PixelTranslator } from '../pixelformat.ts';
import { ENCODING_HEXTILE } from '../protocol.ts';
import { type EncodeContext, type EncodedRect, type Encoder, splitRect } from './encoder.ts';

/** Subencoding mask, RFC 6143 section 7.7.4. */
const RAW = 1;
const BACKGROUND = 2;
const FOREGROUND = 4;
const ANY_SUBRECTS = 8;
const SUBRECTS_COLOURED = 16;

/** RFC 6143 section 7.7.4: tiles of 16 x 16, each raw, solid, or subrectangles on a background. */
export class HextileEncoder implements Encoder {
  readonly encoding = ENCODING_HEXTILE;

  split(rect: Rect): Rect[] {
    return [rect];
  }

  async encode(rect: Rect, { picture, translator }: EncodeContext): Promise<EncodedRect[]> {
    const out = new ByteWriter(rect.width * rect.height);
    let background = -1;
    let foreground = -1;
    const tile = new Uint32Array(256);
    for (const part of splitRect(rect, 16, 16)) {
      const size = part.width * part.height;
      for (let y = 0; y < part.height; y++)
        for (let x = 0; x < part.width; x++)
          tile[y * part.width + x] = translator.value(picture.pixels[(part.y + y) * picture.width + part.x + x]!);
      const colours = countColours(tile, size);
      const nextBackground = colours.most;
      let mask = nextBackground === background ? 0 : BACKGROUND;
      if (colours.count === 1) {
        out.u8(mask);
        if (mask & BACKGROUND) pixel(out, translator, nextBackground);
        background = nextBackground;
        continue;
      }
      const subrects = findSubrects(tile, part.width, part.height, nextBackground);
      const coloured = colours.count > 2;
      const subrectBytes = coloured ? 2 + translator.bytesPerPixel : 2;
      if (subrects.length > 255 || subrects.length * subrectBytes >= size * translator.bytesPerPixel) {
        out.u8(RAW);
        for (let i = 0; i < size; i++) pixel(out, translator, tile[i]!);
        // After a raw tile background and foreground are undefined.
        background = -1;
        foreground = -1;
        continue;
      }
      mask |= ANY_SUBRECTS;
      if (coloured) mask |= SUBRECTS_COLOURED;
      else if (colours.other !== foreground) mask |= FOREGROUND;
      out.u8(mask);
      if (mask & BACKGROUND) pixel(out, translator, nextBackground);
      if (mask & FOREGROUND) pixel(out, translator, colours.other);
      background = nextBackground;
      foreground = coloured ? -1 : colours.other;
      out.u8(subrects.length);
      for (const sub of subrects) {
        if (coloured) pixel(out, translator, sub.colour);
        out.u8((sub.x << 4) | sub.y).u8(((sub.width - 1) << 4) | (sub.height - 1));
      }
    }
    return [{ rect, encoding: this.encoding, data: out.finish() }];
  }

  close(): void {}
}

function pixel(out: ByteWriter, translator: PixelTranslator, value: number): void {
  const bytes = new Uint8Array(translator.bytesPerPixel);
  translator.put(bytes, 0, value);
  out.bytes(bytes);
}

/** How many colours a tile has (3 stands for "more than two"), the most frequent one, and the other of two. */
function countColours(tile: Uint32Array, size: number): { count: number; most: number; other: number } {
  const counts = new Map<number, number>();
  for (let i = 0; i < size; i++) counts.set(tile[i]!, (counts.get(tile[i]!) ?? 0) + 1);
  let most = tile[0]!;
  for (const [colour, count] of counts) if (count > counts.get(most)!) most = colour;
  let other = most;
  for (const colour of counts.keys()) if (colour !== most) other = colour;
  return { count: Math.min(3, counts.size), most, other };
}

function findSubrects(tile: Uint32Array, width: number, height: number, background: number) {
  const done = new Uint8Array(width * height);
  const subrects: { x: number; y: number; width: number; height: number; colour: number }[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const colour = tile[y * width + x]!;
      if (done[y * width + x] || colour === background) continue;
      let right = x + 1;
      while (right < width && tile[y * width + right] === colour && !done[y * width + right]) right++;
      let bottom = y + 1;
      grow: while (bottom < height) {
        for (let i = x; i < right; i++) if (tile[bottom * width + i] !== colour || done[bottom * width + i]) break grow;
        bottom++;
      }
      for (let j = y; j < bottom; j++) done.fill(1, j * width + x, j * width + right);
      subrects.push({ x, y, width: right - x, height: bottom - y, colour });
    }
  return subrects;
}
