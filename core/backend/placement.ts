/** Where a run of a disk's bytes lies in a file of the host, for whoever reads and writes there without asking the image each time. */
export interface Placement {
  /** First byte of the disk, and how many from there. */
  offset: number;
  length: number;
  /** Number of the file, which is open in this process and goes through the system's cache. */
  descriptor: number;
  /** Byte of the file where `offset` lies. */
  host: number;
  writable: boolean;
}

/** Placements that may move one by one lie within one region, so that it is enough to take back those of a region. */
export const REGION_BYTES = 2 << 20;
