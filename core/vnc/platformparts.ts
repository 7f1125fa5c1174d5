import type { Disposable } from '../util/disposable.ts';

/** A zlib stream that lives as long as its connection (RFC 1950); every call ends with a sync flush. */
export interface Deflater {
  /** `input` may be kept until the promise settles. Calls must not overlap. */
  deflate(input: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

/** What the RFB server takes from its host: compression, the DES of VNC authentication, randomness, time. */
export interface RfbPlatform {
  /** `level` 1 (fast) to 9 (small). */
  createDeflater(level: number): Deflater;
  /** Single DES, ECB, of each 8-byte block of `data` with an 8-byte key. */
  desEncrypt(key: Uint8Array, data: Uint8Array): Uint8Array;
  randomBytes(count: number): Uint8Array;
  /** Milliseconds, monotonic. */
  now(): number;
  after(ms: number, callback: () => void): Disposable;
}
