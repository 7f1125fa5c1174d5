import { describe, expect, it } from 'vitest';
import { PAGE_COPIES, PageCopies } from './pagecopies.ts';

const PAGE = 4096;
/** Two pages, and what is known of the second one. */
const memory = () => Uint8Array.from({ length: 2 * PAGE + PAGE / 4 }, (_, i) => (i >> 12) + 1 + (i & 1));

describe('copies of pages for the compiler', () => {
  it('are what the memory had, whatever it has later', () => {
    const source = memory();
    const copies = new PageCopies(source);
    const page = copies.take(-1, PAGE, 2 * PAGE);
    const plain = copies.take(0, 0, 0);
    source.fill(0);
    expect(page).toMatchObject({ delta: -1, host: PAGE });
    expect([...page.bytes]).toEqual([...memory().subarray(PAGE, 2 * PAGE)]);
    expect([...page.reached!]).toEqual([...memory().subarray(2 * PAGE)]);
    expect([...plain.bytes]).toEqual([...memory().subarray(0, PAGE)]);
    expect(plain.reached).toBeUndefined();
  });

  it('lie in one memory, which other threads share, and take the place of those that were given back', () => {
    const copies = new PageCopies(memory());
    const first = copies.take(0, 0, 0);
    const second = copies.take(1, PAGE, 0);
    expect(first.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(second.bytes.buffer).toBe(first.bytes.buffer);
    copies.give([first]);
    const third = copies.take(1, PAGE, 0);
    expect(third.bytes.byteOffset).toBe(first.bytes.byteOffset);
    expect(copies.taken).toBe(2);
    expect([...second.bytes]).toEqual([...memory().subarray(PAGE, 2 * PAGE)]);
  });

  it('have arrays of their own when there are too many, which are never given to another one', () => {
    const copies = new PageCopies(memory());
    const all = Array.from({ length: PAGE_COPIES }, () => copies.take(0, 0, 0));
    const more = copies.take(1, PAGE, 2 * PAGE);
    expect(copies.taken).toBe(PAGE_COPIES);
    expect(more.bytes.buffer).not.toBe(all[0]!.bytes.buffer);
    expect([...more.reached!]).toEqual([...memory().subarray(2 * PAGE)]);
    copies.give([...all, more]);
    expect(copies.taken).toBe(0);
    const places = new Set(Array.from({ length: PAGE_COPIES }, () => copies.take(0, 0, 0).bytes.byteOffset));
    expect(places.size).toBe(PAGE_COPIES);
  });
});
