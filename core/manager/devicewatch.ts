/** How often it is looked, and for how long after somebody asked for the devices. */
const EVERY_MS = 2000;
const LASTING_MS = 120_000;

/** Tells when the devices of this computer are others than before, while somebody looks at them: from `looked()` on for two minutes. */
export class DeviceWatch {
  private readonly present: () => Promise<string>;
  private readonly changed: () => void;
  private readonly everyMs: number;
  private readonly lastingMs: number;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private until = 0;
  private last: string | undefined;
  private closed = false;

  /** `present` gives another text when something changed; it does not reject. */
  constructor(present: () => Promise<string>, changed: () => void, { everyMs = EVERY_MS, lastingMs = LASTING_MS } = {}) {
    this.present = present;
    this.changed = changed;
    this.everyMs = everyMs;
    this.lastingMs = lastingMs;
  }

  /** Somebody has just asked for the devices, or is about to. */
  looked(): void {
    if (this.closed) return;
    this.until = performance.now() + this.lastingMs;
    if (this.timer) return;
    // What was there when nobody looked says nothing.
    this.last = undefined;
    this.wait(0);
  }

  private wait(ms: number): void {
    this.timer = setTimeout(() => void this.look(), ms);
    this.timer.unref();
  }

  private async look(): Promise<void> {
    const now = await this.present();
    const other = this.last !== undefined && now !== this.last;
    this.last = now;
    if (this.closed) return;
    if (performance.now() < this.until) this.wait(this.everyMs);
    else this.timer = undefined;
    if (other) this.changed();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }
}
