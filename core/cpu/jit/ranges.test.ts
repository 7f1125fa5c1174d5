import { describe, expect, it } from 'vitest';
import { Ranges } from './ranges.ts';

describe('ranges', () => {
  it('gives out what is free, and all of it again when it came back in any order', () => {
    const ranges = new Ranges(10, 9);
    const [a, b, c] = [ranges.take(3), ranges.take(3), ranges.take(3)];
    expect([a, b, c]).toEqual([10, 13, 16]);
    expect(ranges.take(1)).toBeUndefined();
    ranges.give(b!, 3);
    ranges.give(c!, 3);
    expect(ranges.take(6)).toBe(13);
    ranges.give(13, 6);
    ranges.give(a!, 3);
    expect(ranges.take(9)).toBe(10);
  });

  it('does not give a gap to what is larger', () => {
    const ranges = new Ranges(0, 8);
    const first = ranges.take(2)!;
    ranges.take(2);
    ranges.give(first, 2);
    expect(ranges.take(3)).toBe(4);
    expect(ranges.take(2)).toBe(0);
    expect(ranges.take(0)).toBe(0);
  });

  it('never gives a place to two', () => {
    const ranges = new Ranges(100, 500);
    const owned = new Map<number, number>();
    const used = new Set<number>();
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 3000; round++) {
      if (random(2)) {
        const size = 1 + random(20);
        const start = ranges.take(size);
        if (start === undefined) continue;
        owned.set(start, size);
        for (let i = start; i < start + size; i++) {
          expect(used.has(i) || i < 100 || i >= 600).toBe(false);
          used.add(i);
        }
      } else if (owned.size) {
        const [start, size] = [...owned][random(owned.size)]!;
        owned.delete(start);
        for (let i = start; i < start + size; i++) used.delete(i);
        ranges.give(start, size);
      }
    }
    for (const [start, size] of owned) ranges.give(start, size);
    expect(ranges.take(500)).toBe(100);
  });
});
