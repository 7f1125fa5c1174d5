import type { RawChannel } from '@novnc/novnc';
import type { ByteChannel } from '../../../core/contract/transport.ts';

const connecting = 0;
const opened = 1;
const closed = 3;

/** Dresses a ByteChannel as the WebSocket-like object that noVNC's `new RFB(target, channel)` accepts. */
export class RfbChannel implements RawChannel {
  binaryType = 'arraybuffer';
  readonly protocol = '';
  readyState: number = connecting;
  onopen: RawChannel['onopen'] = null;
  onmessage: RawChannel['onmessage'] = null;
  onclose: RawChannel['onclose'] = null;
  onerror: RawChannel['onerror'] = null;
  private readonly channel: ByteChannel;

  constructor(channel: ByteChannel) {
    this.channel = channel;
  }

  /** Call after RFB has attached itself: it opens the handshake and lets bytes flow. */
  start(): void {
    this.readyState = opened;
    this.onopen?.({ type: 'open' });
    this.channel.onData((bytes) => {
      // noVNC reads `data` as an ArrayBuffer, so a view on a larger buffer is cut out first.
      const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
      this.onmessage?.({ data: (whole ? bytes.buffer : bytes.slice().buffer) as ArrayBuffer });
    });
    // Later, like a socket: noVNC arms its time-out only after calling close().
    this.channel.onClose(() => queueMicrotask(() => this.finish()));
  }

  /** noVNC hands out a view over a send buffer that it reuses at once: copy. */
  send(data: Uint8Array | ArrayBuffer): void {
    if (this.readyState !== opened) return;
    this.channel.send(data instanceof ArrayBuffer ? new Uint8Array(data.slice(0)) : data.slice());
  }

  close(): void {
    this.channel.close();
    queueMicrotask(() => this.finish());
  }

  private finish(): void {
    if (this.readyState === closed) return;
    this.readyState = closed;
    this.onclose?.({});
  }
}
