import type { Rect } from '../../backend/display.ts';
import type { PixelTranslator } from '../pixelformat.ts';
import type { Deflater } from '../platformparts.ts';

/** The picture that an update is cut from; `pixels` is u32 0x00RRGGBB, row-major. */
export interface Picture {
  width: number;
  height: number;
  pixels: Uint32Array;
}

export interface EncodeContext {
  picture: Picture;
  translator: PixelTranslator;
  /** JPEG quality 0..9, or undefined when the client wants none. */
  jpegQuality: number | undefined;
  /** The connection's zlib stream `index` (Tight has four, ZRLE uses 0 of its own encoder). */
  deflater(index: number): Deflater;
}

/** One rectangle on the wire, header included. */
export interface EncodedRect {
  rect: Rect;
  encoding: number;
  /** Body after the 12-byte rectangle header. */
  data: Uint8Array;
}

/**
 * One encoding of RFC 6143 section 7.7 for one connection. The picture may change while an encoder waits for its deflater, so it
 * reads all pixels it needs before its first `await`.
 */
export interface Encoder {
  readonly encoding: number;
  /** Rectangles to cut `rect` into before `encode`; each is passed on its own. */
  split(rect: Rect): Rect[];
  encode(rect: Rect, context: EncodeContext): Promise<EncodedRect[]>;
  close(): void;
}

/** Cuts a rectangle into pieces of at most `maxWidth` x `maxHeight`. */
export function splitRect(rect: Rect, maxWidth: number, maxHeight: number): Rect[] {
  const pieces: Rect[] = [];
  for (let y = rect.y; y < rect.y + rect.height; y += maxHeight)
    for (let x = rect.x; x < rect.x + rect.width; x += maxWidth)
      pieces.push({ x, y, width: Math.min(maxWidth, rect.x + rect.width - x), height: Math.min(maxHeight, rect.y + rect.height - y) });
  return pieces;
}

/** Copies a rectangle's pixels, row after row. */
export function cut(picture: Picture, rect: Rect): Uint32Array {
  const out = new Uint32Array(rect.width * rect.height);
  for (let y = 0; y < rect.height; y++) {
    const from = (rect.y + y) * picture.width + rect.x;
    out.set(picture.pixels.subarray(from, from + rect.width), y * rect.width);
  }
  return out;
}
