/** One end of a serial line, debug console or parallel port. */
export interface CharBackend {
  /** Guest -> host, one byte at a time in guest order. */
  write(byte: number): void;
  /**
   * Host -> guest. The device calls `onInput` once; a backend may deliver any number of bytes at a time. `onBreak`: the other end holds the line for longer than a
   * character takes.
   */
  onInput(listener: (bytes: Uint8Array) => void, onBreak?: () => void): void;
}

/** Swallows output and never has input. */
export class NullCharBackend implements CharBackend {
  write(): void {}
  onInput(): void {}
}

/** Keeps output for tests and lets them feed input. */
export class BufferCharBackend implements CharBackend {
  readonly output: number[] = [];
  private listener: ((bytes: Uint8Array) => void) | undefined;
  private breakListener: (() => void) | undefined;

  write(byte: number): void {
    this.output.push(byte);
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

  text(): string {
    return String.fromCharCode(...this.output);
  }
}
