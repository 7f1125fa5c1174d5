import type { GuestMemory } from '../memory/guestmemory.ts';

export interface MemoryRange {
  /** Guest-physical byte address. */
  gpa: number;
  length: number;
}

/** Pieces of guest memory that a descriptor table names, as one run of bytes. */
export class ScatterList {
  /** Bytes of all ranges. */
  readonly bytes: number;
  private readonly memory: GuestMemory;
  readonly ranges: readonly MemoryRange[];

  constructor(memory: GuestMemory, ranges: readonly MemoryRange[]) {
    this.memory = memory;
    this.ranges = ranges;
    this.bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  }

  /** Fills `target` with the guest's bytes from `offset`; what lies behind the end is left alone. Returns how many bytes there were. */
  take(offset: number, target: Uint8Array): number {
    return this.walk(offset, target, (gpa, piece) => this.memory.read(gpa, piece));
  }

  /** Puts `source` into guest memory from `offset` on; what does not fit is dropped. Returns how many bytes did. */
  put(offset: number, source: Uint8Array): number {
    return this.walk(offset, source, (gpa, piece) => this.memory.write(gpa, piece));
  }

  /** Lets `move` exchange all bytes with the shared memory where they lie (GuestMemory.runs). False when that can't be, or `move` says so. */
  direct(toMemory: boolean, move: MoveRuns): boolean {
    return moveRuns(this.memory, this.ranges, toMemory, move);
  }

  /** The part from `offset` to the end, or of at most `length` bytes. */
  slice(offset: number, length = Number.POSITIVE_INFINITY): ScatterList {
    const ranges: MemoryRange[] = [];
    let skip = offset;
    let left = length;
    for (const { gpa, length: whole } of this.ranges) {
      if (left <= 0) break;
      if (skip >= whole) {
        skip -= whole;
        continue;
      }
      const size = Math.min(whole - skip, left);
      ranges.push({ gpa: gpa + skip, length: size });
      left -= size;
      skip = 0;
    }
    return new ScatterList(this.memory, ranges);
  }

  private walk(offset: number, data: Uint8Array, move: (gpa: number, piece: Uint8Array) => void): number {
    let skip = offset;
    let done = 0;
    for (const { gpa, length } of this.ranges) {
      if (done >= data.length) break;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const size = Math.min(length - skip, data.length - done);
      move(gpa + skip, data.subarray(done, done + size));
      done += size;
      skip = 0;
    }
    return done;
  }
}

/** Moves data from or to runs {offset, length, …} of the shared memory. False: it did not; what was to be filled may hold anything. */
export type MoveRuns = (runs: readonly number[]) => boolean;

function moveRuns(memory: GuestMemory, ranges: readonly MemoryRange[], toMemory: boolean, move: MoveRuns): boolean {
  const runs: number[] = [];
  for (const { gpa, length } of ranges) if (!memory.runs(gpa, length, toMemory, runs)) return false;
  const moved = move(runs);
  if (toMemory) memory.filled(runs);
  return moved;
}

/** Goes through a list once, from its beginning. */
export class ScatterCursor {
  private readonly memory: GuestMemory;
  private readonly ranges: readonly MemoryRange[];
  private index = 0;
  private position = 0;

  constructor(memory: GuestMemory, { ranges }: ScatterList) {
    this.memory = memory;
    this.ranges = ranges;
  }

  /** Puts bytes where the last ones ended; returns how many found room. */
  put(source: Uint8Array): number {
    return this.walk(source, (gpa, piece) => this.memory.write(gpa, piece));
  }

  take(target: Uint8Array): number {
    return this.walk(target, (gpa, piece) => this.memory.read(gpa, piece));
  }

  private walk(data: Uint8Array, move: (gpa: number, piece: Uint8Array) => void): number {
    let done = 0;
    while (done < data.length && this.index < this.ranges.length) {
      const { gpa, length } = this.ranges[this.index]!;
      const size = Math.min(data.length - done, length - this.position);
      move(gpa + this.position, data.subarray(done, done + size));
      done += size;
      this.position += size;
      if (this.position < length) continue;
      this.index++;
      this.position = 0;
    }
    return done;
  }
}
