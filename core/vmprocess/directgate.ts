import type { BlockBackend } from '../backend/block.ts';
import { type Placement, REGION_BYTES } from '../backend/placement.ts';
import type { GrantedPlace } from './machinemessages.ts';

/*
 * Shared by the two threads of a medium that is read and written in place:
 * f64 bytes read, f64 bytes written, i32 in use, i32 epoch of all, i32 epochs of regions (by number, modulo their count).
 */
const COUNTERS_BYTES = 16;
const IN_USE = 0;
const EPOCH = 1;
const REGIONS_AT = 2;
const REGIONS = 1024;
/** Regions that are told of at once: who reads one is likely to read on. */
const AHEAD = 16;
/** Places that are remembered as told. */
const MOST_TOLD = 4096;
/** How long is waited for at a time. */
const WAIT_MS = 10;

/**
 * Says until when a placement holds. The main thread takes placements back by counting an epoch up, and then waits until the machine thread is out; the machine
 * thread says that it is inside before it looks at the epochs. So once `revoke` returns, nobody uses what was taken back, nor will.
 */
export class DirectGate {
  readonly shared: SharedArrayBuffer;
  private readonly counters: Float64Array;
  private readonly words: Int32Array;
  /** Stamps by offset of what the machine thread has been told of. */
  private readonly told = new Map<number, number>();

  constructor(shared = new SharedArrayBuffer(COUNTERS_BYTES + 4 * (REGIONS_AT + REGIONS))) {
    this.shared = shared;
    this.counters = new Float64Array(shared, 0, 2);
    this.words = new Int32Array(shared, COUNTERS_BYTES);
  }

  /** What a placement at `offset` depends on, as it is now: changes as soon as it is taken back. `movable`: alone, not only with all others. */
  stamp(offset: number, movable: boolean): number {
    return Atomics.load(this.words, EPOCH) + (movable ? Atomics.load(this.words, this.region(offset)) : 0);
  }

  /** Main thread: where the bytes at `offset` of the image lie, and those behind that have not been told of yet. */
  places(image: BlockBackend, offset: number, mayWrite: boolean): GrantedPlace[] {
    const places: GrantedPlace[] = [];
    let at = offset;
    for (let count = 0; count < AHEAD && at < image.info.sizeBytes; count++) {
      const place = image.place?.(at);
      if (!place) break;
      const granted = this.granted(place, mayWrite);
      if (count === 0 || this.told.get(place.offset) !== granted.stamp) places.push(granted);
      if (this.told.size > MOST_TOLD) this.told.clear();
      this.told.set(place.offset, granted.stamp);
      at = place.offset + place.length;
    }
    return places;
  }

  private granted(place: Placement, mayWrite: boolean): GrantedPlace {
    const movable = Math.floor(place.offset / REGION_BYTES) === Math.floor((place.offset + place.length - 1) / REGION_BYTES);
    return { place: { ...place, writable: place.writable && mayWrite }, movable, stamp: this.stamp(place.offset, movable) };
  }

  /** Main thread: takes placements in the range back, or all. */
  revoke(range?: { offset: number; length: number }): void {
    if (range && range.length < REGIONS * REGION_BYTES)
      for (let at = Math.floor(range.offset / REGION_BYTES) * REGION_BYTES; at < range.offset + range.length; at += REGION_BYTES)
        Atomics.add(this.words, this.region(at), 1);
    else Atomics.add(this.words, EPOCH, 1);
    while (Atomics.load(this.words, IN_USE)) Atomics.wait(this.words, IN_USE, 1, WAIT_MS);
  }

  /** Machine thread: until `leave`, what `stamp` says stays true. */
  enter(): void {
    Atomics.store(this.words, IN_USE, 1);
  }

  leave(): void {
    Atomics.store(this.words, IN_USE, 0);
    Atomics.notify(this.words, IN_USE);
  }

  /** Machine thread: counts bytes that were moved in place. */
  count(write: boolean, bytes: number): void {
    this.counters[write ? 1 : 0]! += bytes;
  }

  get readBytes(): number {
    return this.counters[0]!;
  }

  get writtenBytes(): number {
    return this.counters[1]!;
  }

  private region(offset: number): number {
    return REGIONS_AT + (Math.floor(offset / REGION_BYTES) % REGIONS);
  }
}
