/** The colours of a piece of picture, up to a limit, in order of first appearance. */
export class Palette {
  readonly colours: number[] = [];
  private readonly index = new Map<number, number>();

  /** Undefined when there are more than `limit` colours. */
  static of(pixels: Uint32Array, limit: number): Palette | undefined {
    const palette = new Palette();
    let last = -1;
    for (let i = 0; i < pixels.length; i++) {
      const pixel = pixels[i]!;
      if (pixel === last) continue;
      last = pixel;
      if (palette.index.has(pixel)) continue;
      if (palette.colours.length === limit) return undefined;
      palette.index.set(pixel, palette.colours.length);
      palette.colours.push(pixel);
    }
    return palette;
  }

  get size(): number {
    return this.colours.length;
  }

  indexOf(colour: number): number {
    return this.index.get(colour)!;
  }

  /** Packs indices of `bits` bits, most significant first, each row padded to a byte. */
  pack(pixels: Uint32Array, width: number, bits: 1 | 2 | 4 | 8): Uint8Array {
    const rowBytes = Math.ceil((width * bits) / 8);
    const height = pixels.length / width;
    const out = new Uint8Array(rowBytes * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const bit = x * bits;
        out[y * rowBytes + (bit >> 3)]! |= this.indexOf(pixels[y * width + x]!) << (8 - bits - (bit & 7));
      }
    }
    return out;
  }
}
