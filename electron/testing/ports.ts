import { EventEmitter } from 'node:events';

/** Binary data crosses Chromium's bindings as base64. */
export interface Wire {
  bytes?: string;
  value?: unknown;
}
export const toWire = (value: unknown): Wire =>
  value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : { value };
export const fromWire = (wire: Wire): unknown =>
  wire.bytes === undefined ? wire.value : new Uint8Array(Buffer.from(wire.bytes, 'base64'));

/** MessagePortMain of the main process; its partner may have moved into a page. */
export class Port extends EventEmitter {
  other: Port | undefined;
  /** Set on the end that was sent to a page. */
  toPage: ((wire: Wire) => void) | undefined;
  private started = false;
  private readonly waiting: unknown[] = [];

  postMessage(data: unknown): void {
    this.other?.deliver(data);
  }

  deliver(data: unknown): void {
    if (this.toPage) this.toPage(toWire(data));
    else if (this.started) this.emit('message', { data });
    else this.waiting.push(data);
  }

  start(): void {
    this.started = true;
    for (const data of this.waiting.splice(0)) this.emit('message', { data });
  }

  close(): void {
    this.other?.emit('close');
  }
}

export class MessageChannelMain {
  readonly port1 = new Port();
  readonly port2 = new Port();

  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}
