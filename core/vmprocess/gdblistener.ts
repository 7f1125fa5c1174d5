import { chmodSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { GdbListen } from '../contract/debug.ts';
import type { DebugTarget } from '../debug/debugrequest.ts';
import { GdbSession } from '../debug/gdbsession.ts';
import type { GdbArchitecture } from '../debug/registers.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { socketChannel } from '../platform/socketchannel.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Loopback only: whoever reaches the stub owns the guest. */
const HOST = '127.0.0.1';

/** Lets one gdb at a time at a machine, by TCP on this computer alone or by a Unix socket of its owner. */
export class GdbListener {
  private readonly server: Server;
  private readonly target: DebugTarget;
  private readonly architecture: GdbArchitecture;
  private address: GdbListen;
  private session: GdbSession | undefined;
  private socket: Socket | undefined;
  private readonly ending: { dispose(): void };

  private constructor(address: GdbListen, target: DebugTarget, architecture: GdbArchitecture) {
    this.address = address;
    this.target = target;
    this.architecture = architecture;
    this.server = createServer((socket) => this.accept(socket));
    this.ending = target.onEnded(() => void this.close());
  }

  /** `port` 0 takes a free one. Rejects with 'in-use', 'permission-denied' or 'io-error' naming the address. */
  static async open(address: GdbListen, target: DebugTarget, architecture: GdbArchitecture): Promise<GdbListener> {
    if (address.type === 'unix') await removeAbandonedSocket(address.path);
    const listener = new GdbListener(address, target, architecture);
    await listener.bind();
    return listener;
  }

  /** What to type in gdb. */
  get command(): string {
    return `target remote ${this.address.type === 'tcp' ? `${HOST}:${this.address.port}` : this.address.path}`;
  }

  /** Ends the session, if any, and lets the guest go on. */
  async close(): Promise<void> {
    this.ending.dispose();
    this.server.close();
    await this.session?.end(true);
    this.socket?.destroy();
    if (this.address.type === 'unix' && process.platform !== 'win32') rmSync(this.address.path, { force: true });
  }

  private accept(socket: Socket): void {
    // gdb shows that the remote side closed the connection.
    if (this.session) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    this.socket = socket;
    const session = new GdbSession({
      channel: socketChannel(socket),
      target: this.target,
      architecture: this.architecture,
      onEnd: () => {
        this.session = undefined;
      },
    });
    this.session = session;
    session.start().catch(() => {
      // The machine is on its way out.
      this.session = undefined;
      socket.destroy();
    });
  }

  private bind(): Promise<void> {
    const { address } = this;
    const name = address.type === 'tcp' ? `${HOST}:${address.port}` : address.path;
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        this.ending.dispose();
        const inUse = error.code === 'EADDRINUSE';
        reject(
          new HypervueError(
            inUse ? 'in-use' : error.code === 'EACCES' ? 'permission-denied' : 'io-error',
            inUse ? say('gdbInUse', { address: name }) : say('gdbFailed', { address: name, code: error.code ?? error.message }),
            { object: name, operation: 'listen for gdb' },
            say('fixGdb'),
            error,
          ),
        );
      });
      if (address.type === 'tcp')
        this.server.listen({ host: HOST, port: address.port }, () => {
          this.address = { type: 'tcp', port: (this.server.address() as AddressInfo).port };
          resolve();
        });
      else
        this.server.listen(address.path, () => {
          if (process.platform !== 'win32') chmodSync(address.path, 0o600);
          resolve();
        });
    });
  }
}
