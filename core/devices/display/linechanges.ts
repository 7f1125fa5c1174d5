import type { Rect } from '../../backend/display.ts';

/** Puts drawn lines into a picture and collects what they change, as rectangles of neighbouring lines. Lines come from top to bottom. */
export class LineChanges {
  readonly rects: Rect[] = [];
  private readonly pixels: Uint32Array;
  private readonly width: number;
  private open: Rect | undefined;

  constructor(pixels: Uint32Array, width: number) {
    this.pixels = pixels;
    this.width = width;
  }

  /** Line `y` is known to be what it was. */
  keep(): void {
    this.open = undefined;
  }

  put(y: number, line: Uint32Array): void {
    const { pixels, width } = this;
    const at = y * width;
    let first = 0;
    while (first < width && pixels[at + first] === line[first]) first++;
    if (first === width) {
      this.open = undefined;
      return;
    }
    let last = width - 1;
    while (pixels[at + last] === line[last]) last--;
    for (let x = first; x <= last; x++) pixels[at + x] = line[x]!;
    const { open } = this;
    if (!open) {
      this.open = { x: first, y, width: last - first + 1, height: 1 };
      this.rects.push(this.open);
      return;
    }
    const right = Math.max(open.x + open.width, last + 1);
    open.x = Math.min(open.x, first);
    open.width = right - open.x;
    open.height = y - open.y + 1;
  }
}
