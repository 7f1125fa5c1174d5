import type { Rect } from '../backend/display.ts';

/** Pixels along the side of a tile. */
const TILE = 16;

/** What a client has not been sent yet, as tiles of 16 x 16 pixels: memory is bounded however fast the picture changes. */
export class DirtyGrid {
  private columns = 0;
  private rows = 0;
  private width = 0;
  private height = 0;
  private tiles = new Uint8Array(0);
  private count = 0;

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.columns = Math.ceil(width / TILE);
    this.rows = Math.ceil(height / TILE);
    this.tiles = new Uint8Array(this.columns * this.rows);
    this.count = 0;
  }

  get empty(): boolean {
    return this.count === 0;
  }

  add(rect: Rect): void {
    const left = Math.max(0, Math.floor(rect.x / TILE));
    const top = Math.max(0, Math.floor(rect.y / TILE));
    const right = Math.min(this.columns, Math.ceil((rect.x + rect.width) / TILE));
    const bottom = Math.min(this.rows, Math.ceil((rect.y + rect.height) / TILE));
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) {
        const index = y * this.columns + x;
        if (!this.tiles[index]) {
          this.tiles[index] = 1;
          this.count++;
        }
      }
  }

  addAll(): void {
    this.tiles.fill(1);
    this.count = this.tiles.length;
  }

  /** Whether `take` would give anything. */
  touches(within: Rect): boolean {
    if (this.count === 0) return false;
    const left = Math.max(0, Math.floor(within.x / TILE));
    const right = Math.min(this.columns, Math.ceil((within.x + within.width) / TILE));
    const bottom = Math.min(this.rows, Math.ceil((within.y + within.height) / TILE));
    for (let y = Math.max(0, Math.floor(within.y / TILE)); y < bottom; y++)
      for (let x = left; x < right; x++) if (this.tiles[y * this.columns + x]) return true;
    return false;
  }

  /** Removes and returns the dirty area that touches `within`, as few disjoint rectangles: runs of tiles, grown downwards. */
  take(within: Rect): Rect[] {
    const rects: Rect[] = [];
    const left = Math.max(0, Math.floor(within.x / TILE));
    const top = Math.max(0, Math.floor(within.y / TILE));
    const right = Math.min(this.columns, Math.ceil((within.x + within.width) / TILE));
    const bottom = Math.min(this.rows, Math.ceil((within.y + within.height) / TILE));
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) {
        if (!this.tiles[y * this.columns + x]) continue;
        let endX = x;
        while (endX < right && this.tiles[y * this.columns + endX]) endX++;
        let endY = y + 1;
        while (endY < bottom && this.full(x, endX, endY)) endY++;
        for (let ty = y; ty < endY; ty++) this.tiles.fill(0, ty * this.columns + x, ty * this.columns + endX);
        this.count -= (endX - x) * (endY - y);
        rects.push({
          x: x * TILE,
          y: y * TILE,
          width: Math.min(endX * TILE, this.width) - x * TILE,
          height: Math.min(endY * TILE, this.height) - y * TILE,
        });
      }
    return rects;
  }

  private full(left: number, right: number, row: number): boolean {
    for (let x = left; x < right; x++) if (!this.tiles[row * this.columns + x]) return false;
    return true;
  }
}
