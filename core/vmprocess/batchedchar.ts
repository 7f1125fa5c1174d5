import type { CharBackend } from '../backend/char.ts';

/** Bytes that make a batch travel at once. */
const BATCH = 4096;

/** The guest's end of a serial line on the machine thread: collects output between slices of guest code. */
export class BatchedCharBackend implements CharBackend {
  private readonly send: (bytes: Uint8Array) => void;
  private readonly buffer = new Uint8Array(BATCH);
  private length = 0;
  private listener: ((bytes: Uint8Array) => void) | undefined;
  private breakListener: (() => void) | undefined;

  constructor(send: (bytes: Uint8Array) => void) {
    this.send = send;
  }

  write(byte: number): void {
    this.buffer[this.length++] = byte;
    if (this.length === BATCH) this.flush();
  }

  onInput(listener: (bytes: Uint8Array) => void, onBreak?: () => void): void {
    this.listener = listener;
    this.breakListener = onBreak;
  }

  feedBreak(): void {
    this.breakListener?.();
  }

  feed(bytes: Uint8Array): void {
    this.listener?.(bytes);
  }

  flush(): void {
    if (!this.length) return;
    this.send(this.buffer.slice(0, this.length));
    this.length = 0;
  }
}
