import type { RawData, WebSocket } from 'ws';
import type { ByteChannel, Transport, WireMessage } from '../contract/transport.ts';
import { TOKEN_GONE } from '../manager/access/service.ts';

/** A client that reads so slowly that this much of events piles up is cut off; it may connect again. */
const MAX_BACKLOG = 32 * 1024 * 1024;
/** Bytes in flight to a channel's client before its producer is paused, and where it goes on. */
const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;
const DRAIN_POLL_MS = 10;

/** Close codes beyond RFC 6455's own: 4000-4999 are for applications. */
export const CLOSE_UNAUTHORIZED = 4401;
export const CLOSE_TOO_MANY = 4429;
export const CLOSE_FAILED = 4500;
/** The server ended it: the reason says why. */
export const CLOSE_CUT = 4409;

/** A close reason may have 123 bytes (RFC 6455 5.5). */
export function closeReason(text: string): string {
  let reason = text;
  while (Buffer.byteLength(reason) > 123) reason = reason.slice(0, -1);
  return reason;
}

function toText(data: RawData): string {
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.isBuffer(data) ? data.toString() : Buffer.from(data).toString();
}

/** A text frame as JSON; undefined when it is none. */
export function parseFrame(data: RawData, isBinary: boolean): unknown {
  if (isBinary) return undefined;
  try {
    return JSON.parse(toText(data)) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The contract's Transport over a WebSocket that has been authorised: one JSON message a text frame. A client that does not read its answers is not listened to
 * either, until it has.
 */
export class WebSocketTransport implements Transport {
  private readonly socket: WebSocket;
  private timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
  }

  send(message: WireMessage): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (this.socket.bufferedAmount > MAX_BACKLOG) {
      this.socket.terminate();
      return;
    }
    this.socket.send(JSON.stringify(message));
    if (this.socket.bufferedAmount > HIGH_WATER && this.timer === undefined) {
      this.socket.pause();
      this.timer = setTimeout(() => this.drain(), DRAIN_POLL_MS);
    }
  }

  private drain(): void {
    this.timer = undefined;
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (this.socket.bufferedAmount > LOW_WATER) this.timer = setTimeout(() => this.drain(), DRAIN_POLL_MS);
    else this.socket.resume();
  }

  onMessage(listener: (message: unknown) => void): void {
    this.socket.on('message', (data, isBinary) => listener(parseFrame(data, isBinary)));
  }

  onClose(listener: () => void): void {
    this.socket.on('close', listener);
  }

  close(reason?: string): void {
    // A paused socket would not see the other side's close.
    this.socket.resume();
    if (reason === undefined) this.socket.close(1000);
    else this.socket.close(reason === TOKEN_GONE ? CLOSE_UNAUTHORIZED : CLOSE_CUT, closeReason(reason));
  }
}

/**
 * Joins a WebSocket with binary frames to a machine's byte channel, with back pressure both ways: the channel is paused while the browser reads too
 * slowly, and the WebSocket while the machine does.
 */
export function joinChannel(socket: WebSocket, channel: ByteChannel): void {
  let timer: NodeJS.Timeout | undefined;
  const drain = () => {
    timer = undefined;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > LOW_WATER) timer = setTimeout(drain, DRAIN_POLL_MS);
    else channel.resume?.();
  };
  channel.onData((bytes) => {
    if (socket.readyState !== socket.OPEN) return;
    socket.send(bytes, { binary: true });
    if (socket.bufferedAmount > HIGH_WATER && timer === undefined) {
      channel.pause?.();
      timer = setTimeout(drain, DRAIN_POLL_MS);
    }
  });
  channel.onDrain(() => socket.resume());
  channel.onClose(() => {
    clearTimeout(timer);
    if (socket.readyState === socket.OPEN) socket.close(1000, 'the machine closed the channel');
  });
  socket.on('message', (data, isBinary) => {
    if (!isBinary) {
      socket.close(1003, 'only binary frames belong here');
      return;
    }
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data);
    if (!channel.send(bytes)) socket.pause();
  });
  socket.on('close', () => {
    clearTimeout(timer);
    channel.close();
  });
}
