/** The picture of a VirtIO display with its cursor, read from shared memory. Nothing that is published makes it throw or read outside that memory. */
import type { Rect } from '../../backend/display.ts';
import { DIRTY_DISPLAY, DIRTY_MAP_BASE } from '../../memory/layout.ts';
import { PIXEL_BYTES, readPixels } from './gpuformats.ts';
import { CURSOR_SIDE, GPU_OFF, GPU_SHOWN, GpuReader } from './gpuregs.ts';
import { LineChanges } from './linechanges.ts';

const PAGE_SHIFT = 12;
/** Larger pictures are none. */
export const GPU_MAX_SIDE = 8192;
export const GPU_MAX_PIXELS = 4096 * 4096;

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export class GpuScreen {
  private readonly reader: GpuReader;
  private readonly words: Uint32Array;
  private readonly dirty: Int32Array;
  /** Pages of the picture that were written since it was drawn, from `firstPage` on. */
  private pages = new Uint8Array(0);
  private line = new Uint32Array(0);
  /** What the picture was drawn of, and where the cursor was. */
  private drawn = '';
  private drawnCursor: Box | undefined;
  private drawnSerial = -1;

  constructor(memory: WebAssembly.Memory) {
    this.reader = new GpuReader(memory);
    this.words = new Uint32Array(memory.buffer, 0, memory.buffer.byteLength >>> 2);
    this.dirty = new Int32Array(memory.buffer, DIRTY_MAP_BASE, (memory.buffer.byteLength >>> PAGE_SHIFT) >> 2);
  }

  /** Looks at what is published; true while it is this display's turn and not the VGA's. */
  look(): boolean {
    this.reader.refresh();
    const { state, width, height } = this.reader.fields;
    if (state === GPU_OFF) this.drawn = '';
    return (
      state !== GPU_OFF && width >= 1 && height >= 1 && width <= GPU_MAX_SIDE && height <= GPU_MAX_SIDE && width * height <= GPU_MAX_PIXELS
    );
  }

  get width(): number {
    return this.reader.fields.width;
  }

  get height(): number {
    return this.reader.fields.height;
  }

  /** The guest's driver uses the display, so that it can be told a size. */
  get driven(): boolean {
    return this.reader.fields.driven !== 0;
  }

  /** Brings `pixels`, of this width and height, up to date; `fresh` when they hold something else. Rectangles that changed. */
  draw(pixels: Uint32Array, fresh: boolean): Rect[] {
    const { state, width, height, start, pitch, format, epoch } = this.reader.fields;
    const inside = pitch >= width * PIXEL_BYTES && start + pitch * height <= this.words.length * PIXEL_BYTES;
    const shown = state === GPU_SHOWN && inside && start % PIXEL_BYTES === 0 && pitch % PIXEL_BYTES === 0;
    const of = shown ? `${start} ${pitch} ${format} ${epoch} ${width}` : 'dark';
    const full = fresh || of !== this.drawn;
    this.drawn = of;
    if (this.line.length !== width) this.line = new Uint32Array(width);
    const changes = new LineChanges(pixels, width);
    const { line } = this;
    if (!shown) {
      this.drawnCursor = undefined;
      line.fill(0);
      if (full) for (let y = 0; y < height; y++) changes.put(y, line);
      return changes.rects;
    }
    const any = this.collect(start, pitch * (height - 1) + width * PIXEL_BYTES);
    const before = this.drawnCursor;
    const cursor = this.cursor();
    const moved = !sameBox(before, cursor) || this.reader.fields.cursorSerial !== this.drawnSerial;
    if (!full && !any && !moved) return [];
    this.drawnCursor = cursor;
    this.drawnSerial = this.reader.fields.cursorSerial;
    for (let y = 0; y < height; y++) {
      const at = start + y * pitch;
      const cursorHere = inRows(cursor, y);
      if (!full && !(moved && (cursorHere || inRows(before, y))) && !(any && this.isDirty(start, at, width * PIXEL_BYTES))) {
        changes.keep();
        continue;
      }
      line.fill(0);
      readPixels(format, this.words, at / PIXEL_BYTES, line);
      for (let x = 0; x < width; x++) line[x]! &= 0xffffff;
      if (cursor && cursorHere) this.blend(cursor, y);
      changes.put(y, line);
    }
    return changes.rects;
  }

  private cursor(): Box | undefined {
    const { cursorShown, cursorX: x, cursorY: y, cursorWidth, cursorHeight } = this.reader.fields;
    if (!cursorShown) return undefined;
    return { x, y, width: Math.min(CURSOR_SIDE, cursorWidth), height: Math.min(CURSOR_SIDE, cursorHeight) };
  }

  /** Puts a line of the cursor over the picture's: its colours are multiplied by alpha already. */
  private blend(cursor: Box, y: number): void {
    const { line } = this;
    const row = (y - cursor.y) * cursor.width;
    for (let column = Math.max(0, -cursor.x); column < cursor.width && cursor.x + column < line.length; column++) {
      const over = this.reader.cursor[row + column]!;
      const rest = 255 - (over >>> 24);
      const under = line[cursor.x + column]!;
      let pixel = 0;
      for (let shift = 0; shift < 24; shift += 8)
        pixel |= Math.min(255, ((over >>> shift) & 0xff) + Math.round((((under >>> shift) & 0xff) * rest) / 255)) << shift;
      line[cursor.x + column] = pixel;
    }
  }

  /** Moves the display's dirty bits of that part of memory into `pages`; each is cleared before the memory is read. */
  private collect(start: number, length: number): boolean {
    const first = start >>> PAGE_SHIFT;
    const last = (start + length - 1) >>> PAGE_SHIFT;
    if (this.pages.length !== last - first + 1) this.pages = new Uint8Array(last - first + 1);
    const { pages, dirty } = this;
    pages.fill(0);
    let any = false;
    for (let word = first >> 2; word <= last >> 2 && word < dirty.length; word++) {
      // Of the first and last word some pages belong to other pictures.
      let mask = 0;
      for (let byte = 0; byte < 4; byte++) {
        const page = word * 4 + byte;
        if (page >= first && page <= last) mask |= DIRTY_DISPLAY << (byte * 8);
      }
      if ((dirty[word]! & mask) === 0) continue;
      const bits = Atomics.and(dirty, word, ~mask) & mask;
      for (let byte = 0; byte < 4; byte++) if (bits & (DIRTY_DISPLAY << (byte * 8))) pages[word * 4 + byte - first] = 1;
      any = true;
    }
    return any;
  }

  private isDirty(start: number, at: number, length: number): boolean {
    const first = start >>> PAGE_SHIFT;
    for (let page = at >>> PAGE_SHIFT; page <= (at + length - 1) >>> PAGE_SHIFT; page++) if (this.pages[page - first]) return true;
    return false;
  }
}

function inRows(box: Box | undefined, y: number): boolean {
  return box !== undefined && y >= box.y && y < box.y + box.height;
}

function sameBox(a: Box | undefined, b: Box | undefined): boolean {
  if (!a || !b) return a === b;
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}
