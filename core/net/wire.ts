/**
 * What runs on the socket between a machine's process and the process of a network: records {u32 length of the rest, little endian; u8 type; payload}. Both sides take the other for
 * hostile: lengths are bounded, and a record that is wrong ends the connection.
 */
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '../backend/packet.ts';

/** An Ethernet frame without FCS, of 14 to MAX_FRAME_BYTES bytes. */
export const RECORD_FRAME = 0;
/** A `WireMessage` as JSON in UTF-8. */
export const RECORD_MESSAGE = 1;

export const MAX_MESSAGE_BYTES = 64 * 1024;
export const RECORD_HEADER_BYTES = 5;

/**
 * First from the client, then one answer; anything further is not known yet and is let be. `long`: this end takes TCP segments of up to MAX_FRAME_BYTES and cuts them
 * where its guest can't; others get what an Ethernet takes.
 */
export type WireMessage =
  | { type: 'hello'; vm: string; card: string; mac: string; long?: boolean }
  | { type: 'ready' }
  | { type: 'refused'; message: string };

/** Somebody sent what is no record; the message names it. */
export class WireError extends Error {}

/** Writes a record at `at` of `bytes`, where there is room for it; returns where the next one goes. */
export function putRecord(bytes: Uint8Array, at: number, type: number, payload: Uint8Array): number {
  const length = payload.length + 1;
  bytes[at] = length & 0xff;
  bytes[at + 1] = (length >>> 8) & 0xff;
  bytes[at + 2] = (length >>> 16) & 0xff;
  bytes[at + 3] = length >>> 24;
  bytes[at + 4] = type;
  bytes.set(payload, at + RECORD_HEADER_BYTES);
  return at + RECORD_HEADER_BYTES + payload.length;
}

function record(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  putRecord(bytes, 0, type, payload);
  return bytes;
}

/** A frame as a record. Throws RangeError for one that may not be sent. */
export function frameRecord(frame: Uint8Array): Uint8Array {
  if (frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${frame.length} bytes`);
  return record(RECORD_FRAME, frame);
}

/** A message as a record. Throws RangeError for one that is too long. */
export function messageRecord(message: WireMessage): Uint8Array {
  const payload = new TextEncoder().encode(JSON.stringify(message));
  if (payload.length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${payload.length} bytes`);
  return record(RECORD_MESSAGE, payload);
}

const text = (value: unknown, most: number): value is string => typeof value === 'string' && value.length <= most;

/** What a message says, or undefined for one that is of no known type; throws WireError for what is none. */
function readMessage(payload: Uint8Array): WireMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw new WireError('a message that is no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new WireError('a message that is no object');
  const { type, vm, card, mac, long, message } = value as Record<string, unknown>;
  switch (type) {
    case 'hello':
      if (!text(vm, 64) || !text(card, 16) || !text(mac, 17)) throw new WireError('a hello without machine, card and MAC');
      return { type, vm, card, mac, ...(long === true ? { long } : {}) };
    case 'ready':
      return { type };
    case 'refused':
      if (!text(message, 1000)) throw new WireError('a refusal without a reason');
      return { type, message };
    default:
      return undefined;
  }
}

export interface WireListener {
  /** The bytes are those of the chunk where that had the whole frame, so they are the listener's to keep only if the chunk's are. */
  frame(frame: Uint8Array): void;
  message(message: WireMessage): void;
}

/** Takes records out of a stream of bytes; keeps at most one unfinished record. */
export class WireReader {
  private readonly listener: WireListener;
  private readonly header = new Uint8Array(RECORD_HEADER_BYTES);
  private headerBytes = 0;
  /** The payload under way, once its header is there and the chunk ended inside it. */
  private payload: Uint8Array | undefined;
  private payloadBytes = 0;
  /** For payloads under way, where nobody keeps them. */
  private readonly room: Uint8Array | undefined;

  /** `transient`: the listener keeps no frame, and each may lie in the memory of the last one. */
  constructor(listener: WireListener, transient = false) {
    this.listener = listener;
    if (transient) this.room = new Uint8Array(Math.max(MAX_FRAME_BYTES, MAX_MESSAGE_BYTES));
  }

  /** Throws WireError for what is no record; nothing more may be pushed then. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.payload) {
        const taken = Math.min(chunk.length - at, this.payload.length - this.payloadBytes);
        this.payload.set(chunk.subarray(at, at + taken), this.payloadBytes);
        this.payloadBytes += taken;
        at += taken;
        if (this.payloadBytes < this.payload.length) return;
        const { payload } = this;
        this.payload = undefined;
        this.deliver(payload);
        continue;
      }
      while (this.headerBytes < RECORD_HEADER_BYTES && at < chunk.length) this.header[this.headerBytes++] = chunk[at++]!;
      if (this.headerBytes < RECORD_HEADER_BYTES) return;
      const length = this.payloadLength();
      if (chunk.length - at >= length) {
        const whole = chunk.subarray(at, at + length);
        at += length;
        this.deliver(whole);
      } else {
        this.payload = this.room?.subarray(0, length) ?? new Uint8Array(length);
        this.payloadBytes = 0;
      }
    }
  }

  private payloadLength(): number {
    const { header } = this;
    const length = (header[0]! | (header[1]! << 8) | (header[2]! << 16) | (header[3]! << 24)) >>> 0;
    const payload = length - 1;
    switch (header[4]) {
      case RECORD_FRAME:
        if (payload < MIN_FRAME_BYTES || payload > MAX_FRAME_BYTES) throw new WireError(`a frame of ${payload} bytes`);
        return payload;
      case RECORD_MESSAGE:
        if (payload < 2 || payload > MAX_MESSAGE_BYTES) throw new WireError(`a message of ${payload} bytes`);
        return payload;
      default:
        throw new WireError(`a record of the type ${header[4]}`);
    }
  }

  private deliver(payload: Uint8Array): void {
    this.headerBytes = 0;
    if (this.header[4] === RECORD_FRAME) {
      this.listener.frame(payload);
      return;
    }
    const message = readMessage(payload);
    if (message) this.listener.message(message);
  }
}
