import type { Datagram, HostDatagrams, HostNetwork, HostStream, Listening, StreamListener } from '../host.ts';

/** A stream whose other side is the test. */
export class TestStream implements HostStream {
  listener!: StreamListener;
  readonly address: string;
  readonly port: number;
  written = Buffer.alloc(0);
  ended = false;
  paused = false;
  wasReset = false;
  /** Writes that the host does not take yet. */
  held: (() => void)[] | undefined;

  constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
  }

  listen(listener: StreamListener): void {
    this.listener = listener;
  }

  write(bytes: Uint8Array, done: () => void): void {
    this.written = Buffer.concat([this.written, bytes]);
    if (this.held) this.held.push(done);
    else done();
  }

  end(): void {
    this.ended = true;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  reset(): void {
    this.wasReset = true;
  }
}

export class TestDatagrams implements HostDatagrams {
  readonly received: Datagram;
  readonly sent: { bytes: Buffer; address: string; port: number }[] = [];
  closed = false;

  constructor(received: Datagram) {
    this.received = received;
  }

  send(bytes: Uint8Array, address: string, port: number): void {
    this.sent.push({ bytes: Buffer.from(bytes), address, port });
  }

  close(): void {
    this.closed = true;
  }
}

/** A host whose time the test moves, and whose sockets it plays. */
export class TestHost implements HostNetwork {
  time = 0;
  readonly streams: TestStream[] = [];
  readonly sockets: TestDatagrams[] = [];
  readonly listeners: { address: string; port: number; accepted: (stream: HostStream) => void; closed: boolean }[] = [];
  servers: { address: string; port: number }[] = [];
  private readonly timers = new Set<{ at: number; due: () => void }>();
  private seed = 1;

  now(): number {
    return this.time;
  }

  timer(ms: number, due: () => void): Listening {
    const timer = { at: this.time + ms, due };
    this.timers.add(timer);
    return { dispose: () => this.timers.delete(timer) };
  }

  /** Lets time go by, timer by timer. */
  pass(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at)[0];
      if (!next || next.at > end) break;
      this.timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.due();
    }
    this.time = end;
  }

  random(): number {
    this.seed = (this.seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return this.seed / 2 ** 31;
  }

  connect(address: string, port: number): HostStream {
    const stream = new TestStream(address, port);
    this.streams.push(stream);
    return stream;
  }

  datagrams(received: Datagram): HostDatagrams {
    const socket = new TestDatagrams(received);
    this.sockets.push(socket);
    return socket;
  }

  listenTcp(address: string, port: number, accepted: (stream: HostStream) => void): Listening {
    const listener = { address, port, accepted, closed: false };
    this.listeners.push(listener);
    return {
      dispose: () => {
        listener.closed = true;
      },
    };
  }

  listenUdp(_address: string, _port: number, received: Datagram): HostDatagrams {
    return this.datagrams(received);
  }

  resolvers(): readonly { address: string; port: number }[] {
    return this.servers;
  }
}
