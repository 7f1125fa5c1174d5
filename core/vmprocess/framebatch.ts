/** Frames that go from one thread to another together: records of the wire (core/net/wire.ts), so that they go on to a socket as they are. */
import { putRecord, RECORD_FRAME, RECORD_HEADER_BYTES } from '../net/wire.ts';

const FIRST_BYTES = 64 * 1024;

export class FrameBatch {
  private bytes: Uint8Array<ArrayBuffer> | undefined;
  private used = 0;

  /** Of 14 to MAX_FRAME_BYTES bytes. */
  add(frame: Uint8Array): void {
    const next = this.used + RECORD_HEADER_BYTES + frame.length;
    if (!this.bytes || next > this.bytes.length) {
      const larger = new Uint8Array(Math.max(FIRST_BYTES, next, 2 * this.used));
      if (this.bytes) larger.set(this.bytes.subarray(0, this.used));
      this.bytes = larger;
    }
    this.used = putRecord(this.bytes, this.used, RECORD_FRAME, frame);
  }

  /** Everything added since the last time, in memory that is given away; undefined when that is nothing. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    const { bytes, used } = this;
    if (!bytes || used === 0) return undefined;
    this.used = 0;
    // A little of much memory is copied, much is given away with what holds it.
    if (used < bytes.length / 2) return bytes.slice(0, used);
    this.bytes = undefined;
    return bytes.subarray(0, used);
  }
}

/** The frame at `offset` of a batch, in place, and where the next one is. */
export function frameAt(batch: Uint8Array, offset: number): { frame: Uint8Array; next: number } {
  const start = offset + RECORD_HEADER_BYTES;
  const length = (batch[offset]! | (batch[offset + 1]! << 8) | (batch[offset + 2]! << 16)) - 1;
  return { frame: batch.subarray(start, start + length), next: start + length };
}
