/** Refcounts of 1 to 64 bits inside a refcount block (QEMU's docs/interop/qcow2.txt, "Host cluster management"). */
import { getU64, setU64 } from '../bigendian.ts';

/** Counts above this are not told apart: no image has so many references to one cluster. */
export const MAX_EXACT_REFCOUNT = 2 ** 53;

export const refcountLimit = (order: number): number => (order === 6 ? MAX_EXACT_REFCOUNT : 2 ** (2 ** order) - 1);

/** Bit `index * width` and up; in widths below a byte the lowest bits come first. */
export function readRefcount(block: DataView, order: number, index: number): number {
  switch (order) {
    case 3:
      return block.getUint8(index);
    case 4:
      return block.getUint16(index * 2);
    case 5:
      return block.getUint32(index * 4);
    case 6:
      return getU64(block, index * 8);
    default: {
      const width = 1 << order;
      const bit = index * width;
      return (block.getUint8(bit >> 3) >> (bit & 7)) & ((1 << width) - 1);
    }
  }
}

export function writeRefcount(block: DataView, order: number, index: number, value: number): void {
  switch (order) {
    case 3:
      block.setUint8(index, value);
      break;
    case 4:
      block.setUint16(index * 2, value);
      break;
    case 5:
      block.setUint32(index * 4, value);
      break;
    case 6:
      setU64(block, index * 8, value);
      break;
    default: {
      const width = 1 << order;
      const bit = index * width;
      const mask = ((1 << width) - 1) << (bit & 7);
      block.setUint8(bit >> 3, (block.getUint8(bit >> 3) & ~mask) | (value << (bit & 7)));
    }
  }
}
