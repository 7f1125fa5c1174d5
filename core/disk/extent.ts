import type { BlockBackend } from '../backend/block.ts';

/** A range of a virtual disk and where its bytes come from. */
export interface Extent {
  offset: number;
  length: number;
  /**
   * 'data': in this image, at `host` of its data file; 'compressed': in this image, packed; 'zero': reads as zeros; 'backing': in the image
   * below.
   */
  kind: 'data' | 'compressed' | 'zero' | 'backing';
  host?: number;
}

/** A disk that knows where its bytes come from. */
export interface MappedDisk extends BlockBackend {
  /** The extent at `offset`, at most `length` bytes of it. */
  extent(offset: number, length: number): Promise<Extent>;
  /** The image below. */
  readonly backing?: BlockBackend | undefined;
}

export const isMapped = (disk: BlockBackend): disk is MappedDisk => typeof (disk as Partial<MappedDisk>).extent === 'function';

/** The extents of the range in order; of a disk that can't tell, one of data. */
export async function* extents(disk: BlockBackend, from: number, to: number): AsyncGenerator<Extent> {
  for (let at = from; at < to; ) {
    const extent: Extent = isMapped(disk) ? await disk.extent(at, to - at) : { offset: at, length: to - at, kind: 'data' };
    yield extent;
    at += extent.length;
  }
}

/** Bytes from `at` on that read as zeros as far as the tables of the disk and of those below it tell. */
export async function zerosFrom(disk: BlockBackend, at: number, end: number): Promise<number> {
  const here = Math.min(end, disk.info.sizeBytes);
  // Behind the end of an image below there are zeros.
  if (at >= here) return end - at;
  if (!isMapped(disk)) return 0;
  let zero = at;
  while (zero < here) {
    const extent = await disk.extent(zero, here - zero);
    let length = 0;
    if (extent.kind === 'zero') length = extent.length;
    else if (extent.kind === 'backing' && disk.backing) length = await zerosFrom(disk.backing, zero, zero + extent.length);
    zero += length;
    if (length < extent.length) return zero - at;
  }
  return end - at;
}
