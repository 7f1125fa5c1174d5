/** A disk whose clusters can be written packed. */
export interface CompressedTarget {
  /** Bytes of a whole cluster. */
  readonly compressedUnit: number;
  /** Writes one whole cluster (the last one of the disk may be cut off), packed when that makes it smaller. */
  writeCompressed(offset: number, source: Uint8Array): Promise<void>;
}
