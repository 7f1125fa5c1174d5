/**
 * Where the dispatcher of a region finds the entries that returns, indirect calls and jumps go to: a perfect hash from offset to number, in memory
 * that the region has beside its records, after what it notes of the targets that it does not have.
 *
 *   +0   u32  how often a target was not there
 *   +64  i32  the last targets that were not there, as offsets from byte 0 of the page
 *   +128      table, two i32 for each slot: offset, number
 */

export const MISS_COUNT = 0;
export const MISS_TARGETS = 64;
export const MISS_TARGET_COUNT = 16;
export const TABLE = 128;

/** Bytes of a slot as a power of two. */
export const SLOT_SHIFT = 3;
/** No entry: should this offset be looked for, it is found, with number 0, which is none either. */
const EMPTY = 0x7fffffff;
const MAX_BITS = 12;

export interface DispatchTable {
  /** Slot of an offset: (offset * multiplier) >>> shift. */
  multiplier: number;
  shift: number;
  slots: Int32Array;
}

/** Of these offsets with their numbers, from 1 on. */
export function dispatchTable(entries: readonly [offset: number, number: number][]): DispatchTable | undefined {
  for (let bits = Math.max(1, Math.ceil(Math.log2(entries.length * 2))); bits <= MAX_BITS; bits++) {
    const shift = 32 - bits;
    // Odd multipliers spread over the range (Knuth, volume 3, 6.4).
    for (let i = 0, multiplier = 0x9e3779b1; i < 64; i++, multiplier = Math.imul(multiplier, 0x2c9277b5) | 1) {
      const slots = Int32Array.from({ length: 2 << bits }, (_, at) => (at & 1 ? 0 : EMPTY));
      const free = entries.every(([offset, number]) => {
        const at = (Math.imul(offset, multiplier) >>> shift) * 2;
        if (slots[at] !== EMPTY) return false;
        slots[at] = offset;
        slots[at + 1] = number;
        return true;
      });
      if (free) return { multiplier: multiplier | 0, shift, slots };
    }
  }
  return undefined;
}
