/** Looking at a disk costs at most this many reads and bytes, whatever it says of itself. */
const MOST_READS = 4096;
const MOST_BYTES = 32 << 20;

/** What is told about a disk can't be had within reason: the look at it ends there. */
export class TooMuch extends Error {}

interface Budget {
  reads: number;
  bytes: number;
}

/** Fills all of `target` from `offset` on; never asked for what lies outside of the disk. */
export type ReadDisk = (offset: number, target: Uint8Array) => Promise<unknown>;

/** A disk, or a part of one, that is looked at and not trusted. */
export class DiskBytes {
  readonly length: number;
  readonly #read: ReadDisk;
  readonly #start: number;
  readonly #budget: Budget;

  constructor(read: ReadDisk, length: number, start = 0, budget: Budget = { reads: MOST_READS, bytes: MOST_BYTES }) {
    this.#read = read;
    this.length = length;
    this.#start = start;
    this.#budget = budget;
  }

  /** A part of it; what would reach beyond its end is cut off. The parts of a disk share what may be read. */
  part(offset: number, length: number): DiskBytes {
    const from = Math.min(offset, this.length);
    return new DiskBytes(this.#read, Math.min(length, this.length - from), this.#start + from, this.#budget);
  }

  /** `length` bytes at `offset`, fewer at the end, none beyond it. Rejects with TooMuch when enough was read, and with what the disk rejects with. */
  async at(offset: number, length: number): Promise<DataView> {
    const bytes = new Uint8Array(Number.isSafeInteger(offset) && offset >= 0 ? Math.max(0, Math.min(length, this.length - offset)) : 0);
    if (bytes.length) {
      this.#budget.reads--;
      this.#budget.bytes -= bytes.length;
      if (this.#budget.reads < 0 || this.#budget.bytes < 0) throw new TooMuch();
      await this.#read(this.#start + offset, bytes);
    }
    return new DataView(bytes.buffer);
  }
}
