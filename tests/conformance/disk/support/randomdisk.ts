/** Random operations on a disk beside a plain array that says what it must hold. */
import { expect } from 'vitest';
import type { Qcow2Image } from '../../../../core/disk/qcow2/image.ts';

/** xorshift: the same sequence for the same seed everywhere. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export class DiskModel {
  readonly bytes: Uint8Array;
  private readonly random: (below: number) => number;
  private stamp = 1;

  constructor(bytes: Uint8Array, random: (below: number) => number) {
    this.bytes = bytes;
    this.random = random;
  }

  /** A place and a length in sectors: mostly small, sometimes over many clusters, often at their borders. */
  range(clusterSize: number, longest: number): [number, number] {
    const size = this.bytes.length;
    const unit = this.random(4) === 0 ? clusterSize : 512;
    const offset = Math.floor(this.random(size) / unit) * unit;
    const length = this.random(3) === 0 ? (1 + this.random(Math.ceil(longest / unit))) * unit : 512 * (1 + this.random(16));
    return [offset, Math.min(length, size - offset)];
  }

  pattern(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const stamp = this.stamp++;
    for (let i = 0; i < length; i++) bytes[i] = (stamp * 7 + (i >> 9) * 31 + i) & 0xff;
    return bytes;
  }

  async step(image: Qcow2Image): Promise<void> {
    const { clusterSize } = image.meta;
    const [offset, length] = this.range(clusterSize, Math.max(64 * 1024, clusterSize * 5));
    const what = this.random(20);
    if (what < 9) {
      const source = this.pattern(length);
      await image.write(offset, source);
      this.bytes.set(source, offset);
    } else if (what < 12) await this.compare(image, offset, length);
    else if (what < 14) {
      await image.writeZeroes(offset, length, what === 12);
      this.bytes.fill(0, offset, offset + length);
    } else if (what < 16) {
      await image.discard(offset, length);
      // Whole clusters read as zeros now, or the discard was ignored: the image tells.
      await image.read(offset, this.bytes.subarray(offset, offset + length));
    } else if (what < 18) {
      const start = Math.floor(offset / clusterSize) * clusterSize;
      const bytes = Math.min(clusterSize, this.bytes.length - start);
      const source = this.random(2) ? new Uint8Array(bytes).fill(this.random(256)) : this.pattern(bytes);
      await image.writeCompressed(start, source);
      this.bytes.set(source, start);
    } else await image.flush();
  }

  /** Several writes at once, none of which overlap. */
  async burst(image: Qcow2Image): Promise<void> {
    const { clusterSize } = image.meta;
    const writes: Promise<void>[] = [];
    let at = Math.floor(this.random(this.bytes.length) / 512) * 512;
    for (let i = 0; i < 12 && at < this.bytes.length; i++) {
      const length = Math.min(512 * (1 + this.random(Math.max(2, clusterSize / 512))), this.bytes.length - at);
      const source = this.pattern(length);
      this.bytes.set(source, at);
      writes.push(image.write(at, source));
      at += length + 512 * this.random(8);
    }
    await Promise.all(writes);
  }

  async compare(image: Qcow2Image, offset: number, length: number): Promise<void> {
    const got = new Uint8Array(length);
    await image.read(offset, got);
    expect(Buffer.compare(got, this.bytes.subarray(offset, offset + length)), `bytes ${offset} to ${offset + length}`).toBe(0);
  }
}
