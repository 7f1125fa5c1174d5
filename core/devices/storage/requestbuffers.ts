/**
 * Shared buffers that a controller lends to requests which are with the host. A buffer comes back when the host has answered, also when the guest has
 * given the request up meanwhile; so guest memory is only touched on the machine thread, while the request is still the guest's.
 */

/** Largest buffer; longer requests go piece by piece. A multiple of every sector size. */
export const PIECE_BYTES = 1 << 20;
const SMALLEST = 4096;
/** What all buffers lent out may have, so that a guest with thousands of requests does not use up the host's memory. */
const BUDGET = 16 << 20;
/** Unused ones that are kept. */
const KEEP = 4 << 20;

export class RequestBuffers {
  private readonly free = new Map<number, Uint8Array[]>();
  private lent = 0;
  private kept = 0;

  /** A buffer of at least `bytes` (at most PIECE_BYTES), or undefined while too many are lent out. What it holds is left over from others. */
  take(bytes: number): Uint8Array | undefined {
    let size = SMALLEST;
    while (size < bytes) size *= 2;
    if (this.lent + size > BUDGET) return undefined;
    this.lent += size;
    const old = this.free.get(size)?.pop();
    if (!old) return new Uint8Array(new SharedArrayBuffer(size));
    this.kept -= size;
    return old;
  }

  give(buffer: Uint8Array): void {
    const size = buffer.length;
    this.lent -= size;
    if (this.kept + size > KEEP) return;
    this.kept += size;
    const list = this.free.get(size);
    if (list) list.push(buffer);
    else this.free.set(size, [buffer]);
  }
}
