/** What the keyboard controller sees of a device on one of its two PS/2 ports. */
export interface Ps2Device {
  /** A byte waits to be clocked out. */
  readonly hasData: boolean;
  /** Takes that byte; call only when `hasData`. */
  take(): number;
  /** A command or parameter byte from the host. */
  write(value: number): void;
  /** Set by the controller: called when data became available. */
  onData: (() => void) | undefined;
}

/** Bytes on their way to the host: replies to commands go before anything else. */
export class Ps2Queue {
  private readonly replies: number[] = [];
  private readonly data: number[] = [];
  private last = 0;

  get length(): number {
    return this.replies.length + this.data.length;
  }

  get dataLength(): number {
    return this.data.length;
  }

  reply(...bytes: number[]): void {
    // A host that never reads cannot make this grow.
    if (this.replies.length < 64) this.replies.push(...bytes);
  }

  push(...bytes: number[]): void {
    this.data.push(...bytes);
  }

  take(): number {
    this.last = this.replies.shift() ?? this.data.shift() ?? 0;
    return this.last;
  }

  /** The byte sent last, for the Resend command. */
  get lastSent(): number {
    return this.last;
  }

  clear(): void {
    this.replies.length = 0;
    this.data.length = 0;
  }

  save(): { replies: Uint8Array; data: Uint8Array; last: number } {
    return { replies: Uint8Array.from(this.replies), data: Uint8Array.from(this.data), last: this.last };
  }

  restore(replies: Uint8Array, data: Uint8Array, last: number): void {
    this.clear();
    this.replies.push(...replies.subarray(0, 64));
    this.data.push(...data.subarray(0, 64));
    this.last = last & 0xff;
  }
}
