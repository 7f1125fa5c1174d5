export interface Picture {
  width: number;
  height: number;
  /** u32 0x00RRGGBB, row-major. */
  pixels: Uint32Array;
}

/** Shrinks a picture to `maxWidth` pixels by averaging the source pixels under each target pixel. */
export function scalePicture(source: Picture, maxWidth: number): Picture {
  const width = Math.max(1, Math.min(maxWidth, source.width));
  const height = Math.max(1, Math.round((source.height * width) / source.width));
  const pixels = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const top = Math.floor((y * source.height) / height);
    const bottom = Math.max(top + 1, Math.floor(((y + 1) * source.height) / height));
    for (let x = 0; x < width; x++) {
      const left = Math.floor((x * source.width) / width);
      const right = Math.max(left + 1, Math.floor(((x + 1) * source.width) / width));
      let r = 0;
      let g = 0;
      let b = 0;
      for (let sy = top; sy < bottom; sy++)
        for (let sx = left; sx < right; sx++) {
          const p = source.pixels[sy * source.width + sx]!;
          r += (p >>> 16) & 0xff;
          g += (p >>> 8) & 0xff;
          b += p & 0xff;
        }
      const n = (bottom - top) * (right - left);
      pixels[y * width + x] = ((Math.round(r / n) << 16) | (Math.round(g / n) << 8) | Math.round(b / n)) >>> 0;
    }
  }
  return { width, height, pixels };
}
