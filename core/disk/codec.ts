/**
 * Compression that disk formats use; the platform gives an implementation. Each function works on whole clusters, so sizes are bounded by the caller.
 * Decompressing rejects when the data is damaged or gives more than `limit` bytes.
 */
export interface Codec {
  /** Raw DEFLATE (RFC 1951), without zlib header. */
  inflateRaw(source: Uint8Array, limit: number): Promise<Uint8Array>;
  deflateRaw(source: Uint8Array): Promise<Uint8Array>;
  /** DEFLATE with zlib header and checksum (RFC 1950). */
  inflate(source: Uint8Array, limit: number): Promise<Uint8Array>;
  deflate(source: Uint8Array): Promise<Uint8Array>;
  /** Zstandard (RFC 8878), one frame. */
  unzstd(source: Uint8Array, limit: number): Promise<Uint8Array>;
  zstd(source: Uint8Array): Promise<Uint8Array>;
}
