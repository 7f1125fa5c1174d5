/** Draws text modes: only cells that differ from what is on the picture. Spec: IBM PS/2 Video Subsystem Technical Reference, "Alphanumeric Modes". */
import type { Rect } from '../../backend/display.ts';
import { AR_MODE, ATTR_BLINK, ATTR_LINE_GRAPHICS } from './attribute.ts';
import { CR_CURSOR_END, CR_CURSOR_HIGH, CR_CURSOR_LOW, CR_CURSOR_START, CR_UNDERLINE, CURSOR_OFF } from './crtc.ts';
import type { TextMode } from './displaymode.ts';
import type { DisplayRegisters } from './displayregs.ts';
import { SEQ_FONT_SELECT } from './sequencer.ts';

/** The cursor is on for 8 and off for 8 pictures, blinking characters 16 and 16, at 60 pictures a second. */
const CURSOR_PHASE_MS = (8 * 1000) / 60;
const BLINK_PHASE_MS = (16 * 1000) / 60;

const FONT_PLANE = 2;
const GLYPH_BYTES = 32;
const FONT_BYTES = 256 * GLYPH_BYTES;
const FONT_CHANGED = -1;

/** A character row, or what is to be seen of it, on the picture. */
interface Band {
  y: number;
  lines: number;
  firstLine: number;
  word: number;
  panning: number;
}

export class TextRenderer {
  private readonly vram: Uint8Array;
  private readonly fonts = [new Uint8Array(FONT_BYTES), new Uint8Array(FONT_BYTES)];
  private cells = new Int32Array(0);
  private bands: Band[] = [];
  private mode: TextMode | undefined;
  private phases = -1;

  constructor(vram: Uint8Array) {
    this.vram = vram;
  }

  /** The next `draw` draws every cell. */
  start(mode: TextMode): void {
    this.mode = mode;
    this.bands = layOut(mode);
    this.cells = new Int32Array(this.bands.length * (mode.columns + 1)).fill(FONT_CHANGED);
    this.phases = -1;
  }

  /** True when the time alone changes the picture. */
  phaseChanged(now: number): boolean {
    return phasesAt(now) !== this.phases;
  }

  draw(regs: DisplayRegisters, colors: Uint32Array, pixels: Uint32Array, now: number): Rect[] {
    const mode = this.mode!;
    const { vram, bands, cells } = this;
    const words = vram.length >>> 2;
    if (this.readFonts(regs)) cells.fill(FONT_CHANGED);
    this.phases = phasesAt(now);
    const cursorOn = (this.phases & 1) === 0;
    const blinkOn = (this.phases & 2) === 0;
    const blinks = (regs.attribute[AR_MODE]! & ATTR_BLINK) !== 0;
    const lineGraphics = (regs.attribute[AR_MODE]! & ATTR_LINE_GRAPHICS) !== 0;
    const { crtc } = regs;
    const cursorStart = crtc[CR_CURSOR_START]! & 0x1f;
    const cursorEnd = crtc[CR_CURSOR_END]! & 0x1f;
    const cursorShown = cursorOn && (crtc[CR_CURSOR_START]! & CURSOR_OFF) === 0 && cursorStart <= cursorEnd;
    const cursorWord = (crtc[CR_CURSOR_HIGH]! << 8) | crtc[CR_CURSOR_LOW]!;
    const cursorKey = cursorShown ? (1 << 18) | (cursorStart << 19) | (cursorEnd << 24) : 0;
    const underline = crtc[CR_UNDERLINE]! & 0x1f;
    const scale = mode.doubleDots ? 2 : 1;
    const dots = mode.cellWidth * scale;
    const rects: Rect[] = [];

    for (let row = 0; row < bands.length; row++) {
      const band = bands[row]!;
      const drawn = band.panning > 0 ? mode.columns + 1 : mode.columns;
      let left = -1;
      let right = -1;
      for (let column = 0; column < drawn; column++) {
        const word = (band.word + column) % words;
        const code = vram[word * 4]!;
        const attribute = vram[word * 4 + 1]!;
        const hidden = blinks && (attribute & 0x80) !== 0 && !blinkOn;
        let key = code | (attribute << 8) | (hidden ? 1 << 16 : 0);
        const isCursor = cursorKey !== 0 && band.word + column === cursorWord;
        if (isCursor) key |= cursorKey;
        const index = row * (mode.columns + 1) + column;
        if (cells[index] === key) continue;
        cells[index] = key;
        const background = colors[blinks ? (attribute >> 4) & 7 : attribute >> 4]!;
        const foreground = hidden ? background : colors[attribute & 0xf]!;
        // With both maps equal, as usual, bit 3 is only intensity.
        const font = this.fonts[attribute & 8 ? 0 : 1]!;
        const underlined = (attribute & 0x77) === 0x01 ? underline : -1;
        const copyNinth = lineGraphics && code >= 0xc0 && code <= 0xdf;
        const x = column * dots - band.panning * scale;
        for (let line = 0; line < band.lines; line++) {
          const glyphLine = mode.doubleLines ? (band.firstLine + line) >> 1 : band.firstLine + line;
          let bits = font[code * GLYPH_BYTES + (glyphLine & 31)]! << 1;
          if (copyNinth) bits |= (bits >> 1) & 1;
          if (glyphLine === underlined) bits = 0x1ff;
          if (isCursor && glyphLine >= cursorStart && glyphLine <= cursorEnd) bits = 0x1ff;
          const target = (band.y + line) * mode.width;
          for (let dot = 0; dot < dots; dot++) {
            const at = x + dot;
            if (at < 0 || at >= mode.width) continue;
            pixels[target + at] = (bits >> (8 - (scale === 2 ? dot >> 1 : dot))) & 1 ? foreground : background;
          }
        }
        const from = Math.max(0, x);
        const to = Math.min(mode.width, x + dots);
        if (to <= from) continue;
        if (left < 0) left = from;
        else if (from > right + dots) {
          rects.push({ x: left, y: band.y, width: right - left, height: band.lines });
          left = from;
        }
        right = to;
      }
      if (left >= 0) rects.push({ x: left, y: band.y, width: right - left, height: band.lines });
    }
    return rects;
  }

  /** Copies both fonts out of plane 2; true when one changed. */
  private readFonts(regs: DisplayRegisters): boolean {
    const select = regs.sequencer[SEQ_FONT_SELECT]!;
    const mapA = ((select >> 2) & 3) | ((select >> 3) & 4);
    const mapB = (select & 3) | ((select >> 2) & 4);
    const changedA = this.readFont(this.fonts[0]!, mapA);
    return this.readFont(this.fonts[1]!, mapB) || changedA;
  }

  /** Maps 0..3 lie 16 KiB apart, maps 4..7 in the 8 KiB gaps between them. */
  private readFont(font: Uint8Array, map: number): boolean {
    const { vram } = this;
    const base = (map & 3) * 0x4000 + (map >> 2) * 0x2000;
    const words = vram.length >>> 2;
    let changed = false;
    for (let i = 0; i < FONT_BYTES; i++) {
      const value = vram[((base + i) % words) * 4 + FONT_PLANE]!;
      if (font[i] === value) continue;
      font[i] = value;
      changed = true;
    }
    return changed;
  }
}

function phasesAt(now: number): number {
  return (Math.floor(now / CURSOR_PHASE_MS) & 1) | ((Math.floor(now / BLINK_PHASE_MS) & 1) << 1);
}

/** Cuts the picture into character rows: from the start address down, and from word 0 below the line compare. */
function layOut(mode: TextMode): Band[] {
  const bands: Band[] = [];
  const rowLines = mode.cellHeight * (mode.doubleLines ? 2 : 1);
  let y = 0;
  let word = mode.start;
  let firstLine = Math.min(mode.presetRow * (mode.doubleLines ? 2 : 1), rowLines - 1);
  let panning = mode.panning;
  while (y < mode.height) {
    if (y === mode.split) {
      word = 0;
      firstLine = 0;
      if (mode.panStops) panning = 0;
    }
    const limit = y < mode.split ? Math.min(mode.split, mode.height) : mode.height;
    const lines = Math.min(rowLines - firstLine, limit - y);
    bands.push({ y, lines, firstLine, word, panning });
    y += lines;
    word += mode.pitch;
    firstLine = 0;
  }
  return bands;
}
