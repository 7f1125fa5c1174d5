import type { Rect } from '../../backend/display.ts';
import { ENCODING_RAW } from '../protocol.ts';
import { type EncodeContext, type EncodedRect, type Encoder, splitRect } from './encoder.ts';

/** RFC 6143 section 7.7.1. */
export class RawEncoder implements Encoder {
  readonly encoding = ENCODING_RAW;

  split(rect: Rect): Rect[] {
    return splitRect(rect, rect.width, Math.max(1, Math.floor(262_144 / rect.width)));
  }

  async encode(rect: Rect, { picture, translator }: EncodeContext): Promise<EncodedRect[]> {
    const data = new Uint8Array(rect.width * rect.height * translator.bytesPerPixel);
    let at = 0;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      const row = y * picture.width;
      for (let x = rect.x; x < rect.x + rect.width; x++) at = translator.put(data, at, translator.value(picture.pixels[row + x]!));
    }
    return [{ rect, encoding: this.encoding, data }];
  }

  close(): void {}
}
