/** Connections of guests to the world, and of port forwards to guests. */
import type { Disposable } from '../../util/disposable.ts';
import type { HostNetwork, HostStream } from '../host.ts';
import { ipv4Text } from '../../contract/ipv4.ts';
import type { Ipv4Packet, Ipv4Writer } from '../ipv4.ts';
import { type Budget, TcpConnection } from './connection.ts';
import { ACK, type Endpoints, parseSegment, RST, type Segment, sendReset, SYN } from './segment.ts';

const MAX_CONNECTIONS = 8192;
/** Of all connections of a network together. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Timers of connections are looked at no more often. */
const STEP_MS = 10;
/** IANA's range for ports that nobody has for good. */
const FIRST_PORT = 49_152;
const PORTS = 65_536 - FIRST_PORT;

export interface TcpNatParts {
  host: HostNetwork;
  writer: Ipv4Writer;
  /** Guests take segments of any length, cut on their way where need be. */
  longSegments: boolean;
  /** Where a connection to `port` of `address` is to go; undefined: nobody listens there. */
  route(address: number, port: number): { address: string; port: number } | undefined;
  /** No way led to the far end of a connection that the guest began with `seq`. */
  unreachable(ends: Endpoints, seq: number): void;
}

const key = (address: number, port: number): number => address * 65_536 + port;

export class TcpNat {
  private readonly parts: TcpNatParts;
  private readonly budget: Budget = { used: 0, most: MAX_BYTES };
  /** By the guest's end, then by the far one. */
  private readonly connections = new Map<number, Map<number, TcpConnection>>();
  private count = 0;
  private readonly soon = new Set<TcpConnection>();
  private timer: Disposable | undefined;
  private timerAt = Number.POSITIVE_INFINITY;
  private nextPort = 0;

  constructor(parts: TcpNatParts) {
    this.parts = parts;
    this.nextPort = Math.floor(parts.host.random() * PORTS);
  }

  receive(packet: Ipv4Packet, mac: number): void {
    const segment = parseSegment(packet);
    if (!segment) return;
    const { source, destination } = packet;
    const known = this.connections.get(key(source, segment.sourcePort))?.get(key(destination, segment.destinationPort));
    const begins = (segment.flags & (SYN | ACK | RST)) === SYN;
    if (known && !(begins && known.over)) {
      known.receive(segment, mac);
      return;
    }
    known?.abort();
    const ends: Endpoints = {
      mac,
      farAddress: destination,
      farPort: segment.destinationPort,
      guestAddress: source,
      guestPort: segment.sourcePort,
    };
    if (!begins) sendReset(this.parts.writer, ends, segment);
    else this.open(ends, segment);
  }

  /** A connection that the host accepted goes on to a guest. `farAddress`: what the guest takes for the other side. */
  forward(stream: HostStream, guest: { mac: number; address: number; port: number }, farAddress: number): void {
    const port = this.freePort(key(guest.address, guest.port), farAddress);
    if (port === undefined) {
      stream.reset();
      return;
    }
    this.add(stream, { mac: guest.mac, farAddress, farPort: port, guestAddress: guest.address, guestPort: guest.port });
  }

  /** What was received at once has been gone through. */
  flush(): void {
    for (const connection of this.soon) connection.flush();
    this.soon.clear();
  }

  close(): void {
    for (const connection of this.all()) connection.kill();
    this.timer?.dispose();
  }

  /** How many there are. */
  get size(): number {
    return this.count;
  }

  private open(ends: Endpoints, segment: Segment): void {
    const target = this.parts.route(ends.farAddress, ends.farPort);
    if (!target || this.count >= MAX_CONNECTIONS) {
      sendReset(this.parts.writer, ends, segment);
      return;
    }
    this.add(this.parts.host.connect(target.address, target.port), ends, segment);
  }

  private add(stream: HostStream, ends: Endpoints, first?: Segment): void {
    const { host, writer } = this.parts;
    const guest = key(ends.guestAddress, ends.guestPort);
    const far = key(ends.farAddress, ends.farPort);
    let own = this.connections.get(guest);
    if (!own) {
      own = new Map();
      this.connections.set(guest, own);
    }
    const ofGuest = own;
    this.count++;
    const connection: TcpConnection = new TcpConnection(
      {
        writer,
        longSegments: this.parts.longSegments,
        ends,
        stream,
        budget: this.budget,
        iss: Math.floor(host.random() * 0x1_0000_0000),
        now: () => host.now(),
        wake: (at) => this.wake(at),
        soon: (one) => this.soon.add(one),
        unreachable: (seq) => this.parts.unreachable(ends, seq),
        removed: () => {
          this.count--;
          this.soon.delete(connection);
          ofGuest.delete(far);
          if (ofGuest.size === 0 && this.connections.get(guest) === ofGuest) this.connections.delete(guest);
        },
      },
      first,
    );
    ofGuest.set(far, connection);
  }

  private freePort(guest: number, farAddress: number): number | undefined {
    if (this.count >= MAX_CONNECTIONS) return undefined;
    const own = this.connections.get(guest);
    for (let tried = 0; tried < PORTS; tried++) {
      this.nextPort = (this.nextPort + 1) % PORTS;
      const port = FIRST_PORT + this.nextPort;
      if (!own?.has(key(farAddress, port))) return port;
    }
    return undefined;
  }

  private *all(): Generator<TcpConnection> {
    for (const own of [...this.connections.values()]) yield* [...own.values()];
  }

  private wake(at: number): void {
    if (at >= this.timerAt) return;
    const now = this.parts.host.now();
    this.timer?.dispose();
    this.timerAt = Math.max(at, now + STEP_MS);
    this.timer = this.parts.host.timer(this.timerAt - now, () => this.due());
  }

  private due(): void {
    this.timerAt = Number.POSITIVE_INFINITY;
    const now = this.parts.host.now();
    let next = Number.POSITIVE_INFINITY;
    for (const connection of this.all()) {
      if (connection.deadline <= now) connection.due(now);
      next = Math.min(next, connection.deadline);
    }
    if (next < Number.POSITIVE_INFINITY) this.wake(next);
  }
}

/** An address as the host's sockets take it. */
export const directRoute = (address: number, port: number): { address: string; port: number } => ({ address: ipv4Text(address), port });
