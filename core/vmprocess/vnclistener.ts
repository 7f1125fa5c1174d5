import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { ByteChannel } from '../contract/transport.ts';
import type { VncListen } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { socketChannel } from '../platform/socketchannel.ts';

/** RFC 6143 section 3: display n is TCP port 5900 + n. */
const BASE_PORT = 5900;

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
    const name = listen.type === 'tcp' ? `${listen.host}:${listen.display}` : listen.path;
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        const inUse = error.code === 'EADDRINUSE';
        reject(
          new HypervueError(
            inUse ? 'in-use' : error.code === 'EACCES' ? 'permission-denied' : 'io-error',
            inUse ? say('vncInUse', { address: name }) : say('vncFailed', { address: name, code: error.code ?? error.message }),
            { object: name, operation: 'listen for VNC' },
            say(inUse ? 'fixVncInUse' : 'fixVnc'),
            error,
          ),
        );
      });
      if (listen.type === 'tcp') this.server.listen({ host: listen.host, port: BASE_PORT + listen.display }, resolve);
      else
        this.server.listen(listen.path, () => {
          if (process.platform !== 'win32') chmodSync(listen.path, 0o600);
          resolve();
        });
    });
  }
}
