/** Bytes of output by which the place is found again; long enough not to be there twice by chance. */
const MARK = 1024;
/** What the machine kept comes at once; so long it is collected before it is compared, milliseconds. */
const COLLECT_MS = 200;

/**
 * Output of a serial line over several connections. A new connection begins with what the machine kept of earlier output, most of which the terminal has already: only
 * what is new goes on to it.
 */
export class SerialResume {
  private readonly write: (bytes: Uint8Array) => void;
  private mark = new Uint8Array(0);
  private collecting: Uint8Array[] | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: (bytes: Uint8Array) => void) {
    this.write = write;
  }

  /** A new connection: `received` gets its bytes from the first one. */
  connected(): void {
    this.settle();
    if (this.mark.length === 0) return;
    this.collecting = [];
    this.timer = setTimeout(() => this.settle(), COLLECT_MS);
  }

  received(bytes: Uint8Array): void {
    if (this.collecting) this.collecting.push(bytes.slice());
    else this.pass(bytes);
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private settle(): void {
    clearTimeout(this.timer);
    const parts = this.collecting;
    this.collecting = null;
    if (!parts) return;
    const all = concat(parts);
    const at = lastIndexOf(all, this.mark);
    // Not there: the machine has written more meanwhile than it keeps, or is another run of it. Better all than too little.
    const fresh = at < 0 ? all : all.subarray(at + this.mark.length);
    if (fresh.length > 0) this.pass(fresh);
  }

  private pass(bytes: Uint8Array): void {
    this.mark = concat([this.mark, bytes]).slice(-MARK);
    this.write(bytes);
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function lastIndexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = bytes.length - wanted.length; at >= 0; at--) if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  return -1;
}
