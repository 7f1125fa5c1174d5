import type { CursorImage } from '../backend/display.ts';
import { ByteWriter } from './bytewriter.ts';
import type { EncodedRect } from './encodings/encoder.ts';
import type { PixelTranslator } from './pixelformat.ts';
import { PSEUDO_CURSOR, PSEUDO_EXTENDED_DESKTOP_SIZE } from './protocol.ts';

/** Cursor pseudo-encoding, RFC 6143 section 7.8.1: pixels, then a bitmask of what is opaque. */
export function cursorRect(cursor: CursorImage, translator: PixelTranslator): EncodedRect {
  const { width, height } = cursor;
  const maskRow = Math.ceil(width / 8);
  const pixels = new Uint8Array(width * height * translator.bytesPerPixel);
  const mask = new Uint8Array(maskRow * height);
  let at = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const rgba = cursor.rgba[y * width + x]!;
      const rgb = ((rgba & 0xff) << 16) | (rgba & 0xff00) | ((rgba >>> 16) & 0xff);
      at = translator.put(pixels, at, translator.value(rgb));
      if (rgba >>> 24 >= 128) mask[y * maskRow + (x >> 3)]! |= 0x80 >> (x & 7);
    }
  return {
    rect: { x: cursor.hotX, y: cursor.hotY, width, height },
    encoding: PSEUDO_CURSOR,
    data: new ByteWriter(pixels.length + mask.length).bytes(pixels).bytes(mask).finish(),
  };
}

/** ExtendedDesktopSize pseudo-encoding (rfbproto): one screen that covers everything. `reason` 0 = the server, 1 = this client's request. */
export function extendedSizeRect(width: number, height: number, reason: number, status: number): EncodedRect {
  const data = new ByteWriter(20).u8(1).u8(0).u8(0).u8(0).u32(0).u16(0).u16(0).u16(width).u16(height).u32(0).finish();
  return { rect: { x: reason, y: status, width, height }, encoding: PSEUDO_EXTENDED_DESKTOP_SIZE, data };
}
