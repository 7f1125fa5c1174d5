import type { Rect } from '../backend/display.ts';

/** A part of the picture that moved vertically: the pixels now in `target` were `dy` lines lower (dy > 0: content went up). */
export interface Scroll {
  target: Rect;
  dy: number;
}

/** Below this many lines a scroll saves nothing. */
const MIN_HEIGHT = 48;

/**
 * Finds vertical scrolling by comparing line hashes of the changed area with those of the picture before. Text consoles and terminals scroll
 * this way; a CopyRect then replaces re-sending the screen.
 */
export class ScrollDetector {
  private previous = new Uint32Array(0);
  private width = 0;
  private height = 0;

  /** Call after each refresh with everything that changed. Returns the scroll, if there was one, and remembers the new picture. */
  update(pixels: Uint32Array, width: number, height: number, damage: readonly Rect[]): Scroll | undefined {
    if (this.width !== width || this.height !== height) {
      this.width = width;
      this.height = height;
      this.previous = pixels.slice();
      return undefined;
    }
    const box = bounds(damage);
    const scroll = box && box.height >= MIN_HEIGHT ? this.detect(pixels, box) : undefined;
    for (const rect of damage)
      for (let y = rect.y; y < rect.y + rect.height; y++) {
        const at = y * width + rect.x;
        this.previous.set(pixels.subarray(at, at + rect.width), at);
      }
    return scroll;
  }

  private detect(pixels: Uint32Array, box: Rect): Scroll | undefined {
    const before = hashLines(this.previous, this.width, box);
    const now = hashLines(pixels, this.width, box);
    const places = new Map<number, number>();
    // Lines that occur more than once (blank ones) say nothing about the distance.
    for (let y = 0; y < box.height; y++) places.set(before[y]!, places.has(before[y]!) ? -1 : y);
    const votes = new Map<number, number>();
    for (let y = 0; y < box.height; y++) {
      const from = places.get(now[y]!);
      if (from === undefined || from < 0 || from === y) continue;
      votes.set(from - y, (votes.get(from - y) ?? 0) + 1);
    }
    let dy = 0;
    let best = 0;
    for (const [distance, count] of votes) if (count > best) [dy, best] = [distance, count];
    if (best < 8) return undefined;
    // The longest run of lines for which the move is exact.
    let runStart = -1;
    let top = 0;
    let length = 0;
    for (let y = 0; y <= box.height; y++) {
      const from = y + dy;
      const same = y < box.height && from >= 0 && from < box.height && before[from] === now[y];
      if (same && runStart < 0) runStart = y;
      if (!same && runStart >= 0) {
        if (y - runStart > length) [top, length] = [runStart, y - runStart];
        runStart = -1;
      }
    }
    if (length < MIN_HEIGHT / 2) return undefined;
    const target = { x: box.x, y: box.y + top, width: box.width, height: length };
    return this.exact(pixels, target, dy) ? { target, dy } : undefined;
  }

  /** Hashes can collide; pixels can't. */
  private exact(pixels: Uint32Array, target: Rect, dy: number): boolean {
    for (let y = target.y; y < target.y + target.height; y++) {
      const now = y * this.width + target.x;
      const then = (y + dy) * this.width + target.x;
      for (let x = 0; x < target.width; x++) if (pixels[now + x] !== this.previous[then + x]) return false;
    }
    return true;
  }
}

function bounds(rects: readonly Rect[]): Rect | undefined {
  if (!rects.length) return undefined;
  let left = Number.POSITIVE_INFINITY;
  let top = Number.POSITIVE_INFINITY;
  let right = 0;
  let bottom = 0;
  for (const rect of rects) {
    left = Math.min(left, rect.x);
    top = Math.min(top, rect.y);
    right = Math.max(right, rect.x + rect.width);
    bottom = Math.max(bottom, rect.y + rect.height);
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function hashLines(pixels: Uint32Array, stride: number, box: Rect): Int32Array {
  const hashes = new Int32Array(box.height);
  for (let y = 0; y < box.height; y++) {
    let hash = 0x811c9dc5 | 0;
    const start = (box.y + y) * stride + box.x;
    for (let at = start; at < start + box.width; at++) hash = Math.imul(hash ^ pixels[at]!, 0x01000193) ^ (hash >>> 15);
    hashes[y] = hash;
  }
  return hashes;
}
