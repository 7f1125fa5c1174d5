import { HypervueError } from '../util/errors.ts';
import type { AccessSize } from './portbus.ts';

/** A device's window on guest-physical memory; `offset` counts from its base. Sizes are 1, 2 or 4 bytes; the CPU splits wider ones. */
export interface MmioHandler {
  read(offset: number, size: AccessSize): number;
  write(offset: number, value: number, size: AccessSize): void;
}

export interface MmioRange {
  owner: string;
  /** Guest-physical byte address. */
  base: number;
  length: number;
  handler: MmioHandler;
}

/** Guest-physical ranges answered by devices. Unmapped reads give all ones, unmapped writes vanish. */
export class MmioBus {
  private readonly ranges: MmioRange[] = [];
  private last: MmioRange | undefined;

  /** Rejects overlap with 'already-exists'. */
  register(range: MmioRange): void {
    for (const other of this.ranges)
      if (range.base < other.base + other.length && other.base < range.base + range.length)
        throw new HypervueError('already-exists', `memory ranges of ${range.owner} and ${other.owner} overlap`, {
          object: range.owner,
          base: range.base,
        });
    this.ranges.push(range);
    this.last = undefined;
  }

  unregister(range: MmioRange): void {
    const index = this.ranges.indexOf(range);
    if (index >= 0) this.ranges.splice(index, 1);
    this.last = undefined;
  }

  read(gpa: number, size: AccessSize): number {
    const range = this.find(gpa);
    return range ? range.handler.read(gpa - range.base, size) >>> 0 : size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
  }

  write(gpa: number, value: number, size: AccessSize): void {
    const range = this.find(gpa);
    range?.handler.write(gpa - range.base, value >>> 0, size);
  }

  private find(gpa: number): MmioRange | undefined {
    const last = this.last;
    if (last && gpa >= last.base && gpa < last.base + last.length) return last;
    for (const range of this.ranges)
      if (gpa >= range.base && gpa < range.base + range.length) {
        this.last = range;
        return range;
      }
    return undefined;
  }
}
