import { PNG } from 'pngjs';

/** A picture of u32 0x00RRGGBB pixels as a PNG file. */
export function encodePng(picture: { width: number; height: number; pixels: Uint32Array }): Uint8Array {
  const { width, height, pixels } = picture;
  const data = Buffer.allocUnsafe(width * height * 3);
  for (let i = 0, at = 0; i < width * height; i++) {
    const pixel = pixels[i] ?? 0;
    data[at++] = pixel >>> 16;
    data[at++] = pixel >>> 8;
    data[at++] = pixel;
  }
  const png = Object.assign(new PNG({ width, height }), { data });
  return new Uint8Array(
    PNG.sync.write(png, { width, height, inputHasAlpha: false, inputColorType: 2, colorType: 2, deflateLevel: 6 } as never),
  );
}
