import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { ByteChannel } from '../contract/transport.ts';
import type { VncListen } from '../contract/vm.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { listenError, vncPlace } from '../platform/listenplace.ts';
import { socketChannel } from '../platform/socketchannel.ts';

/** Lets outside VNC clients in, when the machine's owner asked for it. */
export class VncListener {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly listen: VncListen;

  private constructor(listen: VncListen, accept: (channel: ByteChannel, address: string) => void) {
    this.listen = listen;
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.sockets.delete(socket));
      accept(socketChannel(socket), socket.remoteAddress ?? '');
    });
  }

  /** `accept` gets the client's address, empty for a Unix socket. Rejects with 'in-use' or 'permission-denied' naming the address. */
  static async open(listen: VncListen, accept: (channel: ByteChannel, address: string) => void): Promise<VncListener> {
    if (listen.type === 'unix') await removeAbandonedSocket(listen.path);
    const listener = new VncListener(listen, accept);
    await listener.bind();
    return listener;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    if (this.listen.type === 'unix' && process.platform !== 'win32') rmSync(this.listen.path, { force: true });
  }

  private bind(): Promise<void> {
    const { listen } = this;
    const at = vncPlace(listen);
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(at, error)));
      this.server.listen(at.place, () => {
        if (listen.type === 'unix' && process.platform !== 'win32') chmodSync(listen.path, 0o600);
        resolve();
      });
    });
  }
}
