import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { createServer, isIPv6, Socket } from 'node:net';
import type { ConnectFailure, Datagram, HostDatagrams, HostNetwork, HostStream, Listening, StreamListener } from '../net/host.ts';
import { randomBytes } from 'node:crypto';

/** A remote that vanished is noticed by the system. */
const KEEPALIVE_MS = 120_000;
/** As long as Linux tries by itself, at most. */
const CONNECT_MS = 127_000;
const DNS_PORT = 53;
const READ_BYTES = 64 * 1024;

/**
 * What sockets are read into: libuv reads and hands over in one go, so that all may have the same memory. On Windows the system fills it whenever it likes, and each has its own.
 */
const common = process.platform === 'win32' ? undefined : new Uint8Array(READ_BYTES);
const readBuffer = (): Uint8Array => common ?? new Uint8Array(READ_BYTES);

const failures: Record<string, ConnectFailure> = { ECONNREFUSED: 'refused', ECONNRESET: 'refused', ETIMEDOUT: 'timeout' };

class NodeStream implements HostStream {
  private readonly socket: Socket;
  private opened: boolean;
  private over = false;
  private listener: StreamListener | undefined;

  constructor(socket: Socket, opened: boolean) {
    this.socket = socket;
    this.opened = opened;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
  }

  listen(listener: StreamListener): void {
    const { socket } = this;
    this.listener = listener;
    let error: NodeJS.ErrnoException | undefined;
    let ended = false;
    const slow = setTimeout(() => socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })), CONNECT_MS);
    if (this.opened) clearTimeout(slow);
    socket.on('connect', () => {
      clearTimeout(slow);
      this.opened = true;
      listener.connected();
    });
    if (this.opened) socket.on('data', (bytes: Buffer) => listener.data(bytes));
    socket.on('end', () => {
      ended = true;
      listener.ended();
    });
    socket.on('error', (cause) => {
      error = cause;
    });
    socket.on('close', () => {
      clearTimeout(slow);
      if (this.over) return;
      this.over = true;
      if (!this.opened) listener.failed(failures[error?.code ?? ''] ?? 'unreachable');
      else if (error || !ended) listener.broken();
    });
  }

  /** True: it is to go on. */
  received(bytes: Uint8Array): boolean {
    this.listener?.data(bytes);
    return true;
  }

  write(bytes: Uint8Array, done: () => void): void {
    // Also called when it never went out.
    this.socket.write(bytes, () => done());
  }

  end(): void {
    this.socket.end();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  reset(): void {
    this.over = true;
    this.socket.resetAndDestroy();
  }
}

class NodeDatagrams implements HostDatagrams {
  private readonly socket: UdpSocket;
  private closed = false;

  constructor(socket: UdpSocket, received: Datagram, failed: (code: string) => void) {
    this.socket = socket;
    socket.on('message', (bytes, { address, port }) => received(bytes, address, port));
    // An error of one datagram, such as a network that is away, is its loss.
    socket.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(bytes: Uint8Array, address: string, port: number): void {
    if (this.closed || port === 0) return;
    this.socket.send(bytes, port, address, () => {});
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
  }
}

/** The network of this computer, over Node's sockets. */
export class NodeNetwork implements HostNetwork {
  now(): number {
    return performance.now();
  }

  timer(ms: number, due: () => void): Listening {
    const timer = setTimeout(due, ms);
    return { dispose: () => clearTimeout(timer) };
  }

  random(): number {
    return randomBytes(4).readUInt32LE() / 0x1_0000_0000;
  }

  connect(address: string, port: number): HostStream {
    // A buffer for every read would be garbage as large as what is read.
    const onread = { buffer: readBuffer(), callback: (length: number, bytes: Uint8Array) => stream.received(bytes.subarray(0, length)) };
    const socket = new Socket({ allowHalfOpen: true, onread });
    const stream: NodeStream = new NodeStream(socket, false);
    socket.connect({ host: address, port });
    return stream;
  }

  datagrams(received: Datagram, family: 4 | 6): HostDatagrams {
    const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
    return new NodeDatagrams(socket, received, () => {});
  }

  listenTcp(address: string, port: number, accepted: (stream: HostStream) => void, failed: (code: string) => void): Listening {
    const server = createServer({ allowHalfOpen: true }, (socket) => accepted(new NodeStream(socket, true)));
    server.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
    server.listen({ host: address, port, exclusive: true });
    return { dispose: () => void server.close() };
  }

  listenUdp(address: string, port: number, received: Datagram, failed: (code: string) => void): HostDatagrams {
    const socket = createSocket({ type: 'udp4' });
    const datagrams = new NodeDatagrams(socket, received, failed);
    socket.bind({ address, port, exclusive: true });
    return datagrams;
  }

  resolvers(): readonly { address: string; port: number }[] {
    // A new one reads the system's settings anew: a computer that was carried elsewhere has others.
    return new Resolver().getServers().map(parseServer);
  }
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. */
export function parseServer(text: string): { address: string; port: number } {
  if (isIPv6(text)) return { address: text, port: DNS_PORT };
  const [, address, port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(text)!;
  return { address: address!, port: port === undefined ? DNS_PORT : Number(port) };
}
