import type { Socket } from 'node:net';
import type { ByteChannel } from '../contract/transport.ts';

/** A socket as a ByteChannel. `send` answers false once the kernel and Node buffer more than the socket's high-water mark. */
export function socketChannel(socket: Socket): ByteChannel {
  // A peer that vanishes closes the channel; there is nobody left to tell about the error.
  socket.on('error', () => socket.destroy());
  return {
    send: (bytes) => (socket.writable ? socket.write(bytes) : true),
    onData: (listener) => {
      socket.on('data', (chunk: Buffer) => listener(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
      socket.resume();
    },
    onDrain: (listener) => {
      socket.on('drain', listener);
    },
    onClose: (listener) => {
      socket.on('close', listener);
    },
    pause: () => {
      socket.pause();
    },
    resume: () => {
      socket.resume();
    },
    close: () => {
      socket.end();
      setTimeout(() => socket.destroy(), 500).unref();
    },
  };
}
