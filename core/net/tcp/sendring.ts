const FIRST_BYTES = 16 * 1024;

/** Bytes on their way to a guest: put in at the end, read from anywhere, dropped at the front once they were acknowledged. */
export class SendRing {
  length = 0;
  private bytes = new Uint8Array(0);
  private start = 0;

  push(added: Uint8Array): void {
    if (this.length + added.length > this.bytes.length) this.grow(this.length + added.length);
    const { bytes } = this;
    const at = (this.start + this.length) & (bytes.length - 1);
    const first = Math.min(added.length, bytes.length - at);
    bytes.set(first === added.length ? added : added.subarray(0, first), at);
    if (first < added.length) bytes.set(added.subarray(first), 0);
    this.length += added.length;
  }

  /** Copies `length` bytes from `offset` on. */
  read(offset: number, length: number, into: Uint8Array, at: number): void {
    const { bytes } = this;
    const from = (this.start + offset) & (bytes.length - 1);
    const first = Math.min(length, bytes.length - from);
    into.set(bytes.subarray(from, from + first), at);
    if (first < length) into.set(bytes.subarray(0, length - first), at + first);
  }

  drop(count: number): void {
    this.length -= count;
    // An idle connection keeps nothing.
    if (this.length === 0) {
      this.start = 0;
      if (this.bytes.length > FIRST_BYTES) this.bytes = new Uint8Array(0);
    } else this.start = (this.start + count) & (this.bytes.length - 1);
  }

  private grow(wanted: number): void {
    let size = Math.max(FIRST_BYTES, this.bytes.length);
    while (size < wanted) size *= 2;
    const bytes = new Uint8Array(size);
    if (this.length) this.read(0, this.length, bytes, 0);
    this.bytes = bytes;
    this.start = 0;
  }
}
