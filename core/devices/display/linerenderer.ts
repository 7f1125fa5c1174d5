/** Graphics modes one scan line at a time: `locate` says which memory a line shows, `render` turns that memory into pixels. */
import type { GraphicsMode, LinearMode } from './displaymode.ts';

/** Bit i of a byte as the lowest bit of byte 3 - (i & 3): four pixels of one plane in one word, leftmost in byte 0. */
const SPREAD = Uint32Array.from({ length: 16 }, (_, nibble) =>
  [0, 1, 2, 3].reduce((word, pixel) => word | (((nibble >> (3 - pixel)) & 1) << (pixel * 8)), 0),
);

export interface LineSource {
  /** First byte of video memory; may lie past its end. */
  byte: number;
  /** Bytes that the line needs. */
  length: number;
  panning: number;
}

export class LineRenderer {
  private readonly vram: Uint8Array;
  private readonly halves: Uint16Array;
  private readonly words: Uint32Array;

  constructor(vram: Uint8Array) {
    this.vram = vram;
    this.halves = new Uint16Array(vram.buffer, vram.byteOffset, vram.length >>> 1);
    this.words = new Uint32Array(vram.buffer, vram.byteOffset, vram.length >>> 2);
  }

  locate(mode: GraphicsMode | LinearMode, y: number): LineSource {
    if (mode.kind === 'linear') {
      // Four planes: `start` and `pitch` count bytes of one plane, which are words of memory.
      if (mode.bpp === 4) return { byte: (mode.start + y * mode.pitch) * 4, length: (mode.width / 8 + 2) * 4, panning: mode.panning };
      return { byte: mode.start + y * mode.pitch, length: Math.ceil((mode.width * (mode.bpp === 15 ? 16 : mode.bpp)) / 8), panning: 0 };
    }
    const below = y >= mode.split;
    let line = below ? y - mode.split : y;
    if (mode.doubleLines) line >>= 1;
    if (!below) line += Math.min(mode.presetRow, mode.rowLines - 1);
    const row = Math.floor(line / mode.rowLines);
    const rowScan = line - row * mode.rowLines;
    let word = (below ? 0 : mode.start) + row * mode.pitch;
    if (mode.rowScanBit0) word = (word & ~mode.rowScanBit0) | (rowScan & 1 ? mode.rowScanBit0 : 0);
    if (mode.rowScanBit1) word = (word & ~mode.rowScanBit1) | (rowScan & 2 ? mode.rowScanBit1 : 0);
    const pixels = mode.doubleDots ? mode.width / 2 : mode.width;
    const words = Math.ceil(pixels / (mode.format === 'packed' ? 4 : 8)) + 1;
    return { byte: word * 4, length: words * 4, panning: below && mode.panStops ? 0 : mode.panning };
  }

  /** Fills `line` (one entry a dot). `packed` has 256 colours, `planar` 16. */
  render(mode: GraphicsMode | LinearMode, source: LineSource, packed: Uint32Array, planar: Uint32Array, line: Uint32Array): void {
    if (mode.kind === 'graphics') {
      if (mode.format === 'packed') this.packedLine(mode, source, packed, line);
      else this.planeLine(mode.format === 'cga', mode.doubleDots, source, planar, line);
    } else if (mode.bpp === 4) this.planeLine(false, false, source, planar, line);
    else this.linearLine(mode.bpp, source, packed, line);
  }

  private packedLine(mode: GraphicsMode, source: LineSource, colors: Uint32Array, line: Uint32Array): void {
    const { vram } = this;
    const size = vram.length;
    for (let x = 0; x < mode.width; x++) line[x] = colors[vram[(source.byte + source.panning + (x >> 1)) % size]!]!;
  }

  private planeLine(cga: boolean, double: boolean, source: LineSource, colors: Uint32Array, line: Uint32Array): void {
    const { words } = this;
    const count = words.length;
    const width = line.length;
    let x = -source.panning * (double ? 2 : 1);
    for (let at = source.byte >>> 2; x < width; at++) {
      const planes = words[at % count]!;
      for (let half = 0; half < 2; half++) {
        let pixels: number;
        if (cga) {
          const low = (planes >>> (half * 8)) & 0xff;
          const high = (planes >>> (half * 8 + 16)) & 0xff;
          pixels = 0;
          for (let pixel = 0; pixel < 4; pixel++)
            pixels |= (((low >> (6 - pixel * 2)) & 3) | (((high >> (6 - pixel * 2)) & 3) << 2)) << (pixel * 8);
        } else {
          const shift = half === 0 ? 4 : 0;
          pixels =
            SPREAD[(planes >>> shift) & 15]! |
            (SPREAD[(planes >>> (8 + shift)) & 15]! << 1) |
            (SPREAD[(planes >>> (16 + shift)) & 15]! << 2) |
            (SPREAD[(planes >>> (24 + shift)) & 15]! << 3);
        }
        for (let pixel = 0; pixel < 4; pixel++) {
          const color = colors[(pixels >>> (pixel * 8)) & 15]!;
          if (x >= 0 && x < width) line[x] = color;
          x++;
          if (!double) continue;
          if (x >= 0 && x < width) line[x] = color;
          x++;
        }
      }
    }
  }

  private linearLine(bpp: number, source: LineSource, colors: Uint32Array, line: Uint32Array): void {
    const { vram, halves, words } = this;
    const width = line.length;
    if (source.byte + source.length > vram.length) {
      line.fill(0);
      return;
    }
    switch (bpp) {
      case 8:
        for (let x = 0; x < width; x++) line[x] = colors[vram[source.byte + x]!]!;
        break;
      case 15: {
        const first = source.byte >>> 1;
        for (let x = 0; x < width; x++) {
          const pixel = halves[first + x]!;
          line[x] = (wide5(pixel >> 10) << 16) | (wide5(pixel >> 5) << 8) | wide5(pixel);
        }
        break;
      }
      case 16: {
        const first = source.byte >>> 1;
        for (let x = 0; x < width; x++) {
          const pixel = halves[first + x]!;
          const green = (pixel >> 5) & 0x3f;
          line[x] = (wide5(pixel >> 11) << 16) | (((green << 2) | (green >> 4)) << 8) | wide5(pixel);
        }
        break;
      }
      case 24:
        for (let x = 0, at = source.byte; x < width; x++, at += 3) line[x] = vram[at]! | (vram[at + 1]! << 8) | (vram[at + 2]! << 16);
        break;
      default: {
        const first = source.byte >>> 2;
        for (let x = 0; x < width; x++) line[x] = words[first + x]! & 0xffffff;
      }
    }
  }
}

function wide5(value: number): number {
  const five = value & 0x1f;
  return (five << 3) | (five >> 2);
}
