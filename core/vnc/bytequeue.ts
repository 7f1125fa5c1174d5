/** Bytes received and not yet parsed. Reads are big-endian and only legal for bytes that are there (`length`). */
export class ByteQueue {
  private buffer = new Uint8Array(1024);
  private start = 0;
  private end = 0;
  private skipping = 0;

  get length(): number {
    return this.end - this.start;
  }

  push(bytes: Uint8Array): void {
    let data = bytes;
    if (this.skipping > 0) {
      const drop = Math.min(this.skipping, data.length);
      this.skipping -= drop;
      data = data.subarray(drop);
    }
    if (!data.length) return;
    if (this.end + data.length > this.buffer.length) {
      const needed = this.length + data.length;
      const next = needed > this.buffer.length ? new Uint8Array(Math.max(needed, this.buffer.length * 2)) : this.buffer;
      next.set(this.buffer.subarray(this.start, this.end));
      this.buffer = next;
      this.end -= this.start;
      this.start = 0;
    }
    this.buffer.set(data, this.end);
    this.end += data.length;
  }

  /** Peeks `offset` bytes ahead. */
  u8(offset: number): number {
    return this.buffer[this.start + offset]!;
  }

  u16(offset: number): number {
    return (this.u8(offset) << 8) | this.u8(offset + 1);
  }

  u32(offset: number): number {
    return ((this.u16(offset) << 16) | this.u16(offset + 2)) >>> 0;
  }

  i32(offset: number): number {
    return this.u32(offset) | 0;
  }

  /** Removes and returns `count` bytes. */
  take(count: number): Uint8Array {
    const bytes = this.buffer.slice(this.start, this.start + count);
    this.drop(count);
    return bytes;
  }

  drop(count: number): void {
    this.start += count;
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
    }
  }

  /** Throws away `count` bytes, those still to come included, without keeping them. */
  skip(count: number): void {
    const here = Math.min(count, this.length);
    this.drop(here);
    this.skipping += count - here;
  }
}
