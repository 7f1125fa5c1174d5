/** Frames that go from one thread to another together: {u32 length, little endian; the frame; nothing up to a multiple of 4}. */

const HEADER_BYTES = 4;
const FIRST_BYTES = 64 * 1024;

export class FrameBatch {
  private bytes = new Uint8Array(FIRST_BYTES);
  private used = 0;

  add(frame: Uint8Array): void {
    const next = this.used + HEADER_BYTES + ((frame.length + 3) & ~3);
    if (next > this.bytes.length) {
      const larger = new Uint8Array(Math.max(next, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.used));
      this.bytes = larger;
    }
    const { bytes, used } = this;
    bytes[used] = frame.length & 0xff;
    bytes[used + 1] = (frame.length >>> 8) & 0xff;
    bytes[used + 2] = frame.length >>> 16;
    bytes[used + 3] = 0;
    bytes.set(frame, used + HEADER_BYTES);
    this.used = next;
  }

  /** Everything added since the last time, in memory of its own; undefined when that is nothing. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    if (this.used === 0) return undefined;
    const done = this.bytes.slice(0, this.used);
    this.used = 0;
    return done;
  }
}

/** The frame at `offset` of a batch, in place, and where the next one is. */
export function frameAt(batch: Uint8Array, offset: number): { frame: Uint8Array; next: number } {
  const length = batch[offset]! | (batch[offset + 1]! << 8) | (batch[offset + 2]! << 16);
  const start = offset + HEADER_BYTES;
  return { frame: batch.subarray(start, start + length), next: start + ((length + 3) & ~3) };
}
