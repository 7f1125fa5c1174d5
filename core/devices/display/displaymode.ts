/**
 * From registers to what the monitor shows: kind of picture, size, and where in video memory it comes from. Every value is in bounds
 * whatever the guest programmed: sizes at most MAX_WIDTH x MAX_HEIGHT, addresses are wrapped by the renderers.
 */
import { AR_MODE, AR_PANNING, ATTR_256_COLORS, ATTR_PAN_STOPS, PALETTE_ADDRESS_SOURCE } from './attribute.ts';
import {
  CR_DISPLAY_END,
  CR_MAX_SCAN_LINE,
  CR_MODE_CONTROL,
  CR_OFFSET,
  CR_PRESET_ROW_SCAN,
  CR_START_HIGH,
  CR_START_LOW,
  displayEnd,
  lineCompare,
  MODE_BYTE,
  MODE_HALVE_LINES,
  MODE_NO_ROW_SCAN_A13,
  MODE_NO_ROW_SCAN_A14,
  MODE_RETRACE_ENABLE,
  SCAN_DOUBLE,
} from './crtc.ts';
import { type DisplayRegisters, SINGLE_ATTRIBUTE_INDEX } from './displayregs.ts';
import { GMISC_GRAPHICS, GMODE_SHIFT_256, GMODE_SHIFT_CGA, GR_MISC, GR_MODE } from './graphics.ts';
import { CLOCKING_8DOT, CLOCKING_HALF, CLOCKING_SCREEN_OFF, SEQ_CLOCKING } from './sequencer.ts';
import {
  storedBits,
  VBE_BPP,
  VBE_ENABLE,
  VBE_ENABLED,
  VBE_MAX_HEIGHT,
  VBE_MAX_WIDTH,
  VBE_VIRT_WIDTH,
  VBE_X_OFFSET,
  VBE_XRES,
  VBE_Y_OFFSET,
  VBE_YRES,
} from './vbe.ts';

export interface BlankMode {
  kind: 'blank';
  width: number;
  height: number;
}

export interface TextMode {
  kind: 'text';
  width: number;
  height: number;
  columns: number;
  /** Scan lines of a character row, 1..32. */
  cellHeight: number;
  /** Dots of a character, 8 or 9, before doubling. */
  cellWidth: number;
  /** Each dot is shown twice (40 columns). */
  doubleDots: boolean;
  /** Each scan line of the font is shown twice. */
  doubleLines: boolean;
  /** Word of video memory (one cell each) at the top left, and from row to row. */
  start: number;
  pitch: number;
  presetRow: number;
  panning: number;
  /** First scan line of the part that starts at word 0. */
  split: number;
  panStops: boolean;
}

export interface GraphicsMode {
  kind: 'graphics';
  /** planar: 16 colours from four planes; cga: plane pairs give two bits a pixel; packed: a byte a pixel through the palette. */
  format: 'planar' | 'cga' | 'packed';
  width: number;
  height: number;
  /** Each pixel is shown as two dots. */
  doubleDots: boolean;
  doubleLines: boolean;
  /** Scan lines (after doubling) that show the same line of memory; their number may replace address bits. */
  rowLines: number;
  /** Word of video memory (four bytes) at the top left, and from line to line. */
  start: number;
  pitch: number;
  /** Word address bits that bits 0 and 1 of the row scan counter replace (CGA and Hercules memory), or 0. */
  rowScanBit0: number;
  rowScanBit1: number;
  presetRow: number;
  /** Pixels to leave out on the left. */
  panning: number;
  split: number;
  panStops: boolean;
}

export interface LinearMode {
  kind: 'linear';
  width: number;
  height: number;
  bpp: number;
  /** Byte of video memory at the top left, and from line to line. */
  start: number;
  pitch: number;
  /** 4 bits a pixel: pixels to skip in the first byte. */
  panning: number;
}

export type ScreenMode = BlankMode | TextMode | GraphicsMode | LinearMode;

export function decodeMode(regs: DisplayRegisters): ScreenMode {
  const vbeOn = (regs.vbe[VBE_ENABLE]! & VBE_ENABLED) !== 0;
  const lit =
    regs.vramBytes > 0 &&
    (regs.single[SINGLE_ATTRIBUTE_INDEX]! & PALETTE_ADDRESS_SOURCE) !== 0 &&
    (regs.sequencer[SEQ_CLOCKING]! & CLOCKING_SCREEN_OFF) === 0 &&
    (vbeOn || (regs.crtc[CR_MODE_CONTROL]! & MODE_RETRACE_ENABLE) !== 0);
  const mode = vbeOn ? linearMode(regs) : (regs.graphics[GR_MISC]! & GMISC_GRAPHICS) !== 0 ? graphicsMode(regs) : textMode(regs);
  return lit ? mode : { kind: 'blank', width: mode.width, height: mode.height };
}

function linearMode(regs: DisplayRegisters): LinearMode {
  const { vbe } = regs;
  const bpp = vbe[VBE_BPP]!;
  const bits = bpp === 4 ? 1 : storedBits(bpp);
  const pitch = (vbe[VBE_VIRT_WIDTH]! * bits) >>> 3;
  return {
    kind: 'linear',
    width: clamp(vbe[VBE_XRES]!, 1, VBE_MAX_WIDTH),
    height: clamp(vbe[VBE_YRES]!, 1, VBE_MAX_HEIGHT),
    bpp,
    start: vbe[VBE_Y_OFFSET]! * pitch + ((vbe[VBE_X_OFFSET]! * bits) >>> 3),
    pitch,
    panning: bpp === 4 ? vbe[VBE_X_OFFSET]! & 7 : 0,
  };
}

/** Values that text and graphics take from the same registers. */
function common(regs: DisplayRegisters) {
  const { crtc, attribute } = regs;
  const control = crtc[CR_MODE_CONTROL]!;
  const lines = (displayEnd(crtc) + 1) * (control & MODE_HALVE_LINES ? 2 : 1);
  return {
    characters: crtc[CR_DISPLAY_END]! + 1,
    lines: clamp(lines, 1, VBE_MAX_HEIGHT),
    start: (crtc[CR_START_HIGH]! << 8) | crtc[CR_START_LOW]!,
    skipBytes: (crtc[CR_PRESET_ROW_SCAN]! >> 5) & 3,
    presetRow: crtc[CR_PRESET_ROW_SCAN]! & 0x1f,
    pitch: crtc[CR_OFFSET]! * 2,
    wordMode: (control & MODE_BYTE) === 0,
    split: (lineCompare(crtc) + 1) * (control & MODE_HALVE_LINES ? 2 : 1),
    panning: attribute[AR_PANNING]!,
    panStops: (attribute[AR_MODE]! & ATTR_PAN_STOPS) !== 0,
  };
}

function textMode(regs: DisplayRegisters): TextMode {
  const base = common(regs);
  const clocking = regs.sequencer[SEQ_CLOCKING]!;
  const cellWidth = clocking & CLOCKING_8DOT ? 8 : 9;
  const doubleDots = (clocking & CLOCKING_HALF) !== 0;
  const doubleLines = (regs.crtc[CR_MAX_SCAN_LINE]! & SCAN_DOUBLE) !== 0;
  const dots = cellWidth * (doubleDots ? 2 : 1);
  const columns = Math.min(base.characters, Math.floor(VBE_MAX_WIDTH / dots));
  // 9 dots: panning 8 means none, 0..7 mean one to eight dots.
  const panning = cellWidth === 9 ? (base.panning >= 8 ? 0 : base.panning + 1) : base.panning & 7;
  return {
    kind: 'text',
    width: columns * dots,
    height: base.lines,
    columns,
    cellHeight: (regs.crtc[CR_MAX_SCAN_LINE]! & 0x1f) + 1,
    cellWidth,
    doubleDots,
    doubleLines,
    start: base.start + base.skipBytes,
    pitch: base.pitch,
    presetRow: base.presetRow,
    panning,
    split: base.split,
    panStops: base.panStops,
  };
}

function graphicsMode(regs: DisplayRegisters): GraphicsMode {
  const base = common(regs);
  const { crtc, attribute, graphics, sequencer } = regs;
  const packed = (graphics[GR_MODE]! & GMODE_SHIFT_256) !== 0 || (attribute[AR_MODE]! & ATTR_256_COLORS) !== 0;
  const half = (sequencer[SEQ_CLOCKING]! & CLOCKING_HALF) !== 0;
  const control = crtc[CR_MODE_CONTROL]!;
  const addressShift = base.wordMode ? 12 : 13;
  return {
    kind: 'graphics',
    format: packed ? 'packed' : graphics[GR_MODE]! & GMODE_SHIFT_CGA ? 'cga' : 'planar',
    // A character clock is 8 dots; a packed pixel takes two of them.
    width: clamp(base.characters * 8 * (half && !packed ? 2 : 1), 1, VBE_MAX_WIDTH),
    height: base.lines,
    doubleDots: packed || half,
    doubleLines: (crtc[CR_MAX_SCAN_LINE]! & SCAN_DOUBLE) !== 0,
    rowLines: (crtc[CR_MAX_SCAN_LINE]! & 0x1f) + 1,
    start: base.start + base.skipBytes,
    pitch: base.pitch,
    rowScanBit0: control & MODE_NO_ROW_SCAN_A13 ? 0 : 1 << addressShift,
    rowScanBit1: control & MODE_NO_ROW_SCAN_A14 ? 0 : 2 << addressShift,
    presetRow: base.presetRow,
    panning: packed ? (base.panning & 7) >> 1 : base.panning & 7,
    split: base.split,
    panStops: base.panStops,
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
