import type { Rect } from '../backend/display.ts';
import type { ByteQueue } from './bytequeue.ts';
import { type PixelFormat, readPixelFormat } from './pixelformat.ts';
import * as P from './protocol.ts';

/** What a client can say once the handshake is over. */
export type ClientMessage =
  | { type: 'pixelFormat'; format: PixelFormat }
  | { type: 'encodings'; encodings: number[] }
  | { type: 'updateRequest'; incremental: boolean; rect: Rect }
  | { type: 'key'; down: boolean; keysym: number }
  | { type: 'qemuKey'; down: boolean; keysym: number; scancode: number }
  | { type: 'pointer'; x: number; y: number; buttons: number }
  | { type: 'continuousUpdates'; enable: boolean; rect: Rect }
  | { type: 'fence'; flags: number; payload: Uint8Array }
  | { type: 'setDesktopSize'; width: number; height: number }
  | { type: 'ignored' };

/** A client broke the protocol; the text is for the log and the connection is closed. */
export class ProtocolError extends Error {}

const MAX_FENCE = 64;
/** Longest list of encodings that is believed. */
const MAX_ENCODINGS = 1024;

/** Takes one whole message off the queue; undefined when more bytes are needed. Throws ProtocolError. */
export function readClientMessage(queue: ByteQueue): ClientMessage | undefined {
  if (queue.length < 1) return undefined;
  switch (queue.u8(0)) {
    case P.MSG_SET_PIXEL_FORMAT: {
      if (queue.length < 20) return undefined;
      const format = readPixelFormat(queue, 4);
      queue.drop(20);
      if (!format) throw new ProtocolError('the client asked for a pixel format that cannot exist');
      return { type: 'pixelFormat', format };
    }
    case P.MSG_SET_ENCODINGS: {
      if (queue.length < 4) return undefined;
      const count = queue.u16(2);
      if (count > MAX_ENCODINGS) throw new ProtocolError(`the client listed ${count} encodings`);
      if (queue.length < 4 + count * 4) return undefined;
      const encodings = Array.from({ length: count }, (_, i) => queue.i32(4 + i * 4));
      queue.drop(4 + count * 4);
      return { type: 'encodings', encodings };
    }
    case P.MSG_FRAMEBUFFER_UPDATE_REQUEST: {
      if (queue.length < 10) return undefined;
      const incremental = queue.u8(1) !== 0;
      const rect = readRect(queue, 2);
      queue.drop(10);
      return { type: 'updateRequest', incremental, rect };
    }
    case P.MSG_KEY_EVENT: {
      if (queue.length < 8) return undefined;
      const message: ClientMessage = { type: 'key', down: queue.u8(1) !== 0, keysym: queue.u32(4) };
      queue.drop(8);
      return message;
    }
    case P.MSG_POINTER_EVENT: {
      if (queue.length < 6) return undefined;
      const message: ClientMessage = { type: 'pointer', buttons: queue.u8(1), x: queue.u16(2), y: queue.u16(4) };
      queue.drop(6);
      return message;
    }
    case P.MSG_CLIENT_CUT_TEXT: {
      if (queue.length < 8) return undefined;
      // A negative length announces the extended clipboard's own format; its absolute value counts the bytes.
      const length = Math.abs(queue.i32(4));
      queue.drop(8);
      queue.skip(length);
      return { type: 'ignored' };
    }
    case P.MSG_ENABLE_CONTINUOUS_UPDATES: {
      if (queue.length < 10) return undefined;
      const message: ClientMessage = { type: 'continuousUpdates', enable: queue.u8(1) !== 0, rect: readRect(queue, 2) };
      queue.drop(10);
      return message;
    }
    case P.MSG_CLIENT_FENCE: {
      if (queue.length < 9) return undefined;
      const length = queue.u8(8);
      if (length > MAX_FENCE) throw new ProtocolError(`the client sent a fence of ${length} bytes`);
      if (queue.length < 9 + length) return undefined;
      const flags = queue.u32(4);
      queue.drop(9);
      return { type: 'fence', flags, payload: queue.take(length) };
    }
    case P.MSG_SET_DESKTOP_SIZE: {
      if (queue.length < 8) return undefined;
      const screens = queue.u8(6);
      if (queue.length < 8 + screens * 16) return undefined;
      const message: ClientMessage = { type: 'setDesktopSize', width: queue.u16(2), height: queue.u16(4) };
      queue.drop(8 + screens * 16);
      return message;
    }
    case P.MSG_QEMU_CLIENT: {
      if (queue.length < 2) return undefined;
      if (queue.u8(1) !== 0) throw new ProtocolError(`the client sent QEMU message ${queue.u8(1)}, which was not offered`);
      if (queue.length < 12) return undefined;
      const message: ClientMessage = { type: 'qemuKey', down: queue.u16(2) !== 0, keysym: queue.u32(4), scancode: queue.u32(8) };
      queue.drop(12);
      return message;
    }
    default:
      throw new ProtocolError(`the client sent a message of unknown type ${queue.u8(0)}`);
  }
}

function readRect(queue: ByteQueue, offset: number): Rect {
  return { x: queue.u16(offset), y: queue.u16(offset + 2), width: queue.u16(offset + 4), height: queue.u16(offset + 6) };
}
