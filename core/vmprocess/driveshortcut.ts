import { performance } from 'node:perf_hooks';
import type { VectorIo } from '../platform/vectorio.ts';
import { DirectGate } from './directgate.ts';
import type { Grant, GrantedPlace } from './machinemessages.ts';

/** Placements that are kept; a badly fragmented image has more. */
const MOST = 4096;
/** A write that took longer had to wait for a disk. Then all take the other way for a while, which does not hold the guest up: longer each time in a row. */
const SLOW_MS = 2;
const SHORTEST_REST_MS = 5;
const LONGEST_REST_MS = 200;
/** What one turn of the run loop may spend: timers and input want theirs. */
const TURN_MS = 5;

/**
 * Reads and writes a drive's file right from the machine thread, between the file and guest memory, where the main thread has said that the bytes lie and the
 * system has them, or takes them, in its cache. Everything else goes by way of the main thread.
 */
export class DriveShortcut {
  private readonly io: VectorIo;
  private gate: DirectGate | undefined;
  private medium = 0;
  /** By offset; they do not overlap. */
  private held: GrantedPlace[] = [];
  private restUntil = 0;
  private restMs = SHORTEST_REST_MS;
  private turnMs = 0;

  constructor(io: VectorIo) {
    this.io = io;
  }

  /** The main thread tells where bytes lie. */
  grant({ places, medium, shared }: Grant): void {
    if (this.medium !== medium) {
      this.medium = medium;
      this.gate = new DirectGate(shared);
      this.held = [];
    }
    for (const granted of places) this.insert(granted);
  }

  private insert(granted: GrantedPlace): void {
    const { offset, length } = granted.place;
    const from = this.search(offset);
    let to = from;
    while (to < this.held.length && this.held[to]!.place.offset < offset + length) to++;
    this.held.splice(from, to - from, granted);
    if (this.held.length > MOST) this.held = [granted];
  }

  /** A new turn of the run loop. */
  turn(): void {
    this.turnMs = 0;
  }

  /** BlockDevice.moveNow. */
  move(write: boolean, offset: number, runs: readonly number[]): boolean {
    const { gate } = this;
    if (!gate || this.turnMs > TURN_MS) return false;
    const begun = performance.now();
    if (write && begun < this.restUntil) return false;
    let bytes = 0;
    for (let i = 1; i < runs.length; i += 2) bytes += runs[i]!;
    gate.enter();
    let moved: boolean;
    try {
      moved = this.pieces(gate, write, offset, bytes, runs);
    } finally {
      gate.leave();
    }
    if (moved) gate.count(write, bytes);
    const ms = performance.now() - begun;
    this.turnMs += ms;
    if (write) this.mind(ms, begun + ms);
    return moved;
  }

  private mind(ms: number, now: number): void {
    if (ms <= SLOW_MS) {
      this.restMs = SHORTEST_REST_MS;
      return;
    }
    this.restUntil = now + this.restMs;
    this.restMs = Math.min(this.restMs * 2, LONGEST_REST_MS);
  }

  /** One system call for each placement that the range lies in. */
  private pieces(gate: DirectGate, write: boolean, offset: number, bytes: number, runs: readonly number[]): boolean {
    let run = 0;
    /** Bytes of the run that were moved already. */
    let taken = 0;
    for (let done = 0; done < bytes; ) {
      const at = offset + done;
      const index = this.search(at);
      const held = this.held[index];
      if (!held || held.place.offset > at) return false;
      const { place } = held;
      if (gate.stamp(place.offset, held.movable) !== held.stamp) {
        this.held.splice(index, 1);
        return false;
      }
      if (write && !place.writable) return false;
      const size = Math.min(place.offset + place.length - at, bytes - done);
      this.io.clear();
      for (let left = size; left > 0; ) {
        const piece = Math.min(runs[run + 1]! - taken, left);
        if (!this.io.add(runs[run]! + taken, piece)) return false;
        left -= piece;
        taken += piece;
        if (taken === runs[run + 1]) {
          run += 2;
          taken = 0;
        }
      }
      const host = place.host + (at - place.offset);
      if ((write ? this.io.write(place.descriptor, host) : this.io.readCached(place.descriptor, host)) !== size) return false;
      done += size;
    }
    return true;
  }

  /** Index of the first placement that ends behind `offset`. */
  private search(offset: number): number {
    let low = 0;
    let high = this.held.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { place } = this.held[middle]!;
      if (place.offset + place.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
