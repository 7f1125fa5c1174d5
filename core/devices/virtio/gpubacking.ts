import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';

/** Bytes of a saved entry: u32 address low, u32 high, u32 length. */
const SAVED_BYTES = 12;
/** No memory is there; what a double still holds exactly. */
const FAR = 2 ** 53;

/** Pieces of guest memory that a resource is filled from, as one run of bytes. */
export class GpuBacking {
  readonly bytes: number;
  private readonly memory: GuestMemory;
  private readonly addresses: Float64Array;
  /** Where each piece ends in the run. */
  private readonly ends: Float64Array;

  /** `pairs`: address and length of each piece. Neighbours in memory become one. */
  constructor(memory: GuestMemory, pairs: Iterable<readonly [address: number, length: number]>) {
    this.memory = memory;
    const addresses: number[] = [];
    const ends: number[] = [];
    let end = 0;
    let next = -1;
    for (const [from, length] of pairs) {
      const address = Math.min(from, FAR);
      if (length === 0) continue;
      end += length;
      if (address === next && end - (ends.at(-2) ?? 0) < 2 ** 32) ends[ends.length - 1] = end;
      else {
        addresses.push(address);
        ends.push(end);
      }
      next = address + length;
    }
    this.addresses = Float64Array.from(addresses);
    this.ends = Float64Array.from(ends);
    this.bytes = end;
  }

  get pieces(): number {
    return this.addresses.length;
  }

  /** Fills `target` with the run's bytes from `offset`; what lies behind its end is left alone. */
  read(offset: number, target: Uint8Array): void {
    const { addresses, ends } = this;
    let low = 0;
    for (let high = ends.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! > offset) high = middle;
      else low = middle + 1;
    }
    for (let done = 0; done < target.length && low < ends.length; low++) {
      const skip = offset + done - (low > 0 ? ends[low - 1]! : 0);
      const size = Math.min(target.length - done, ends[low]! - offset - done);
      this.memory.read(addresses[low]! + skip, target.subarray(done, done + size));
      done += size;
    }
  }

  save(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.pieces * SAVED_BYTES));
    this.addresses.forEach((address, index) => {
      view.setUint32(index * SAVED_BYTES, address % 2 ** 32, true);
      view.setUint32(index * SAVED_BYTES + 4, Math.floor(address / 2 ** 32), true);
      view.setUint32(index * SAVED_BYTES + 8, this.ends[index]! - (index > 0 ? this.ends[index - 1]! : 0), true);
    });
    return new Uint8Array(view.buffer);
  }

  static restore(memory: GuestMemory, saved: StateValue): GpuBacking | undefined {
    if (!(saved instanceof Uint8Array) || saved.length % SAVED_BYTES) return undefined;
    const view = new DataView(saved.buffer, saved.byteOffset, saved.length);
    const pairs = Array.from({ length: saved.length / SAVED_BYTES }, (_, index) => {
      const word = (at: number) => view.getUint32(index * SAVED_BYTES + at, true);
      return [word(0) + word(4) * 2 ** 32, word(8)] as const;
    });
    return new GpuBacking(memory, pairs);
  }
}
