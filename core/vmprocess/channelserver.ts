import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { ChannelViewer } from '../contract/console.ts';
import { type ChannelKind, channelKinds } from '../contract/methods.ts';
import type { ByteChannel } from '../contract/transport.ts';
import { socketChannel } from '../platform/socketchannel.ts';

/** Longest first line a client may send. */
const MAX_GREETING = 2048;

/**
 * Listens on a private Unix socket (or named pipe) for the manager. A connection's first line names the kind of channel and, behind a space, says as JSON who looks;
 * what follows is the channel's bytes.
 */
export class ChannelServer {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(accept: (kind: ChannelKind, channel: ByteChannel, viewer?: ChannelViewer) => void) {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      let greeting = Buffer.alloc(0);
      const read = (chunk: Buffer) => {
        greeting = Buffer.concat([greeting, chunk]);
        const end = greeting.indexOf(0x0a);
        if (end < 0) {
          if (greeting.length > MAX_GREETING) socket.destroy();
          return;
        }
        socket.off('data', read);
        socket.pause();
        const line = greeting.toString('utf8', 0, end);
        const kind = line.split(' ', 1)[0]!;
        let viewer: ChannelViewer | undefined;
        try {
          if (line.length > kind.length) viewer = JSON.parse(line.slice(kind.length)) as ChannelViewer;
        } catch {
          socket.destroy();
          return;
        }
        if (!(channelKinds as readonly string[]).includes(kind)) {
          socket.destroy();
          return;
        }
        const rest = greeting.subarray(end + 1);
        if (rest.length) socket.unshift(rest);
        accept(kind as ChannelKind, socketChannel(socket), viewer);
        socket.resume();
      };
      socket.on('data', read);
    });
  }

  listen(path: string): Promise<void> {
    if (process.platform !== 'win32') rmSync(path, { force: true });
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(path, () => {
        if (process.platform !== 'win32') chmodSync(path, 0o600);
        resolve();
      });
    });
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
