import { chmodSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { GdbListen } from '../contract/debug.ts';
import type { DebugTarget } from '../debug/debugrequest.ts';
import { GdbSession } from '../debug/gdbsession.ts';
import type { GdbArchitecture } from '../debug/registers.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { GDB_HOST, gdbPlace, listenError } from '../platform/listenplace.ts';
import { socketChannel } from '../platform/socketchannel.ts';

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
    return `target remote ${this.address.type === 'tcp' ? `${GDB_HOST}:${this.address.port}` : this.address.path}`;
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
    const at = gdbPlace(address);
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        this.ending.dispose();
        reject(listenError(at, error));
      });
      this.server.listen(at.place, () => {
        if (address.type === 'tcp') this.address = { type: 'tcp', port: (this.server.address() as AddressInfo).port };
        else if (process.platform !== 'win32') chmodSync(address.path, 0o600);
        resolve();
      });
    });
  }
}
