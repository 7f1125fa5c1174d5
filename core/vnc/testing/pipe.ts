import type { ByteChannel } from '../../contract/transport.ts';

/** Two ends of a byte stream in memory. `highWater` bytes not taken by the reader make `send` answer false. */
export class PipeEnd implements ByteChannel {
  peer!: PipeEnd;
  /** Reader has stopped taking bytes. */
  paused = false;
  sentBytes = 0;
  closed = false;
  private inbox: Uint8Array[] = [];
  private dataListener: ((bytes: Uint8Array) => void) | undefined;
  private readonly drainListeners: (() => void)[] = [];
  private readonly closeListeners: (() => void)[] = [];
  private readonly highWater: number;

  private constructor(highWater: number) {
    this.highWater = highWater;
  }

  static pair(highWater = 1 << 20): [PipeEnd, PipeEnd] {
    const a = new PipeEnd(highWater);
    const b = new PipeEnd(highWater);
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  /** Bytes that wait in this end for its reader. */
  get waiting(): number {
    return this.inbox.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  send(bytes: Uint8Array): boolean {
    if (this.closed) return true;
    this.sentBytes += bytes.length;
    this.peer.inbox.push(bytes.slice());
    queueMicrotask(() => this.peer.deliver());
    return this.peer.waiting <= this.highWater;
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.dataListener = listener;
    this.deliver();
  }

  onDrain(listener: () => void): void {
    this.drainListeners.push(listener);
  }

  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }

  close(): void {
    for (const end of [this, this.peer]) {
      if (end.closed) continue;
      end.closed = true;
      queueMicrotask(() => {
        end.deliver();
        for (const listener of end.closeListeners) listener();
      });
    }
  }

  resume(): void {
    this.paused = false;
    this.deliver();
  }

  private deliver(): void {
    if (this.paused || !this.dataListener || !this.inbox.length) return;
    const full = this.waiting > this.highWater;
    for (let bytes = this.inbox.shift(); bytes; bytes = this.inbox.shift()) this.dataListener(bytes);
    if (full) for (const listener of this.peer.drainListeners) listener();
  }
}
