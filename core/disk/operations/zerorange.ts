import type { BlockBackend } from '../../backend/block.ts';
import { zerosFrom } from '../extent.ts';
import { isZero } from '../zeros.ts';

const PIECE = 1 << 20;
const ZEROS = new Uint8Array(PIECE);

interface Zeroing {
  writeZeroes(offset: number, length: number, unmap: boolean): Promise<void>;
}

/** Makes the range read as zeros, with as little written as the disk allows. */
export async function zeroRange(disk: BlockBackend, offset: number, length: number): Promise<void> {
  if ((await zerosFrom(disk, offset, offset + length)) === length) return;
  const able = disk as BlockBackend & Partial<Zeroing>;
  if (able.writeZeroes) return able.writeZeroes(offset, length, true);
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const zeros = await zerosFrom(disk, at, end);
    const piece = Math.min(PIECE, end - at);
    if (!zeros) {
      const bytes = new Uint8Array(piece);
      await disk.read(at, bytes);
      if (!isZero(bytes)) await disk.write(at, ZEROS.subarray(0, piece));
    }
    at += zeros || piece;
  }
}
