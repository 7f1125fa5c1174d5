/** How much may be under way: slow start, congestion avoidance and fast recovery of RFC 5681 and RFC 6582. */
import { after } from './reorder.ts';

/** The cable has no other users, so more than RFC 6928's ten may go at once. */
const FIRST_SEGMENTS = 32;
const MOST_BYTES = 4 * 1024 * 1024;
const DUPLICATES = 3;

export class CongestionWindow {
  bytes: number;
  private mss: number;
  private threshold = MOST_BYTES;
  private duplicates = 0;
  /** In fast recovery until this was acknowledged. */
  private recover: number | undefined;
  /** What was under way at the last loss: duplicates for it begin no second recovery. */
  private lossAt: number | undefined;

  constructor(mss: number) {
    this.mss = mss;
    this.bytes = FIRST_SEGMENTS * mss;
  }

  reset(mss: number): void {
    this.mss = mss;
    this.bytes = FIRST_SEGMENTS * mss;
  }

  /** `count` bytes more were acknowledged, up to `ack`. True where the next segment is missing, too. */
  acked(ack: number, count: number): boolean {
    this.duplicates = 0;
    if (this.lossAt !== undefined && after(ack, this.lossAt) >= 0) this.lossAt = undefined;
    if (this.recover !== undefined) {
      if (after(ack, this.recover) < 0) {
        this.bytes = Math.max(this.mss, this.bytes - count + this.mss);
        return true;
      }
      this.recover = undefined;
      this.bytes = this.threshold;
      return false;
    }
    const growth = this.bytes < this.threshold ? count : Math.ceil((this.mss * count) / this.bytes);
    this.bytes = Math.min(MOST_BYTES, this.bytes + growth);
    return false;
  }

  /** The same acknowledgement again. True where the first segment is to be sent again. */
  duplicate(sndMax: number, inFlight: number): boolean {
    this.duplicates++;
    if (this.recover !== undefined) {
      this.bytes = Math.min(MOST_BYTES, this.bytes + this.mss);
      return false;
    }
    if (this.duplicates !== DUPLICATES || this.lossAt !== undefined) return false;
    this.threshold = Math.max(inFlight / 2, 2 * this.mss);
    this.bytes = this.threshold + DUPLICATES * this.mss;
    this.recover = sndMax;
    this.lossAt = sndMax;
    return true;
  }

  timedOut(inFlight: number, sndMax: number): void {
    this.threshold = Math.max(inFlight / 2, 2 * this.mss);
    this.bytes = this.mss;
    this.recover = undefined;
    this.lossAt = sndMax;
    this.duplicates = 0;
  }
}
