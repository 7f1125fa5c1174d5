/** Pixel formats of a VirtIO display: four bytes each, named in the order of bytes in memory. Virtual I/O Device (VIRTIO) version 1.2, section 5.7.6.8. */

/** Number of the format, by which byte of a little-endian word red, green, blue and alpha are; alpha -1 for none. */
const PLACES: { [format: number]: readonly [red: number, green: number, blue: number, alpha: number] } = {
  1: [2, 1, 0, 3],
  2: [2, 1, 0, -1],
  3: [1, 2, 3, 0],
  4: [1, 2, 3, -1],
  67: [0, 1, 2, 3],
  68: [3, 2, 1, -1],
  121: [3, 2, 1, 0],
  134: [0, 1, 2, -1],
};

/** The format that has alpha where another has a byte that means nothing. */
const WITH_ALPHA: { [format: number]: number } = { 2: 1, 4: 3, 68: 121, 134: 67 };

export const PIXEL_BYTES = 4;

export function withAlpha(format: number): number {
  return WITH_ALPHA[format] ?? format;
}

export function knownFormat(format: number): boolean {
  return Object.hasOwn(PLACES, format);
}

/** Fills `line` with 0xAARRGGBB from `words` on at `first`; alpha is 255 where the format has none. `line` ends where the memory does. */
export function readPixels(format: number, words: Uint32Array, first: number, line: Uint32Array): void {
  const count = Math.min(line.length, Math.max(0, words.length - first));
  const [red, green, blue, alpha] = (PLACES[format] ?? PLACES[2]!).map((byte) => byte * 8) as [number, number, number, number];
  const opaque = alpha < 0 ? 0xff000000 : 0;
  // The order of nearly every guest.
  if (blue === 0 && red === 16 && green === 8) for (let x = 0; x < count; x++) line[x] = words[first + x]! | opaque;
  else
    for (let x = 0; x < count; x++) {
      const pixel = words[first + x]!;
      line[x] =
        (alpha < 0 ? opaque : ((pixel >>> alpha) & 0xff) << 24) |
        (((pixel >>> red) & 0xff) << 16) |
        (((pixel >>> green) & 0xff) << 8) |
        ((pixel >>> blue) & 0xff);
    }
}
