/** The characters of a text mode, for people and programs that read screens. */
import { VRAM_BASE } from '../../memory/layout.ts';
import { CP437 } from './cp437.ts';
import { CR_CURSOR_END, CR_CURSOR_HIGH, CR_CURSOR_LOW, CR_CURSOR_START, CURSOR_OFF } from './crtc.ts';
import { decodeMode } from './displaymode.ts';
import { RegisterReader } from './displayregs.ts';
import { GpuScreen } from './gpuscreen.ts';

export interface TextScreen {
  /** Top to bottom, without trailing blanks. */
  rows: string[];
  /** Null while the guest hides it. */
  cursor: { x: number; y: number } | null;
  /** Size of a character in pixels of the picture. */
  cell: { width: number; height: number };
  columns: number;
  /** Size of the picture, and how many lines of the first row have scrolled out at the top. */
  picture: { width: number; height: number; top: number };
}

/** Undefined while the screen is dark or shows graphics. */
export function readTextScreen(memory: WebAssembly.Memory): TextScreen | undefined {
  if (new GpuScreen(memory).look()) return undefined;
  const regs = new RegisterReader(memory);
  regs.refresh();
  const mode = decodeMode(regs);
  if (mode.kind !== 'text') return undefined;
  const { crtc } = regs;
  const vram = new Uint8Array(memory.buffer, VRAM_BASE, regs.vramBytes);
  const words = vram.length >>> 2;
  const rowLines = mode.cellHeight * (mode.doubleLines ? 2 : 1);
  const count = Math.ceil((Math.min(mode.height, mode.split) + mode.presetRow) / rowLines);
  const splitRows = mode.split < mode.height ? Math.ceil((mode.height - mode.split) / rowLines) : 0;
  const rows: string[] = [];
  for (let row = 0; row < count + splitRows; row++) {
    const first = row < count ? mode.start + row * mode.pitch : (row - count) * mode.pitch;
    let text = '';
    for (let column = 0; column < mode.columns; column++) text += CP437[vram[((first + column) % words) * 4]!]!;
    rows.push(text.trimEnd());
  }
  const place = {
    cell: { width: mode.cellWidth * (mode.doubleDots ? 2 : 1), height: rowLines },
    columns: mode.columns,
    picture: { width: mode.width, height: mode.height, top: mode.presetRow },
  };
  const position = ((crtc[CR_CURSOR_HIGH]! << 8) | crtc[CR_CURSOR_LOW]!) - mode.start;
  const shown = (crtc[CR_CURSOR_START]! & CURSOR_OFF) === 0 && (crtc[CR_CURSOR_START]! & 0x1f) <= (crtc[CR_CURSOR_END]! & 0x1f);
  const x = mode.pitch > 0 ? position % mode.pitch : position;
  const y = mode.pitch > 0 ? Math.floor(position / mode.pitch) : 0;
  if (!shown || position < 0 || x >= mode.columns || y >= count) return { rows, cursor: null, ...place };
  return { rows, cursor: { x, y }, ...place };
}
