import type { Disposable } from '../util/disposable.ts';
import type { HostDatagrams, HostNetwork } from './host.ts';
import { ipv4Text, parseIpv4 } from '../contract/ipv4.ts';
import type { Ipv4Packet, Ipv4Writer } from './ipv4.ts';
import { sendUdp, type UdpDatagram } from './udp.ts';

const MAX_FLOWS = 1024;
/** Far ends that one port of a guest hears. */
const MAX_PEERS = 256;
/** RFC 4787 section 4.3: not before two minutes, and five are better. */
const IDLE_MS = 300_000;
/** One that was never answered. */
const UNANSWERED_MS = 60_000;
const SWEEP_MS = 15_000;

interface Flow {
  socket: HostDatagrams;
  mac: number;
  usedAt: number;
  answered: boolean;
  /** Whom the guest sent to: nobody else is let in (RFC 4787 section 5, address and port-dependent filtering). */
  peers: Set<string>;
}

/** UDP of guests: each port of a guest has a socket of the host to itself (RFC 4787, endpoint-independent mapping). */
export class UdpNat {
  private readonly host: HostNetwork;
  private readonly writer: Ipv4Writer;
  private readonly flows = new Map<number, Flow>();
  private sweeping: Disposable | undefined;

  constructor(host: HostNetwork, writer: Ipv4Writer) {
    this.host = host;
    this.writer = writer;
  }

  send({ source, destination }: Ipv4Packet, { sourcePort, destinationPort, payload }: UdpDatagram, mac: number): void {
    const key = source * 65_536 + sourcePort;
    const flow = this.flows.get(key) ?? this.open(key, source, sourcePort, mac);
    flow.mac = mac;
    flow.usedAt = this.host.now();
    // What was used last comes last.
    this.flows.delete(key);
    this.flows.set(key, flow);
    const address = ipv4Text(destination);
    const peer = `${address} ${destinationPort}`;
    flow.peers.delete(peer);
    if (flow.peers.size >= MAX_PEERS) for (const oldest of flow.peers) if (flow.peers.delete(oldest)) break;
    flow.peers.add(peer);
    flow.socket.send(payload, address, destinationPort);
  }

  close(): void {
    for (const { socket } of this.flows.values()) socket.close();
    this.flows.clear();
    this.sweeping?.dispose();
  }

  get size(): number {
    return this.flows.size;
  }

  private open(key: number, guest: number, guestPort: number, mac: number): Flow {
    if (this.flows.size >= MAX_FLOWS)
      for (const [oldest, { socket }] of this.flows) {
        socket.close();
        this.flows.delete(oldest);
        break;
      }
    const flow: Flow = {
      socket: this.host.datagrams((bytes, address, port) => {
        if (!flow.peers.has(`${address} ${port}`) || this.flows.get(key) !== flow) return;
        flow.answered = true;
        flow.usedAt = this.host.now();
        const ends = { mac: flow.mac, source: parseIpv4(address), sourcePort: port, destination: guest, destinationPort: guestPort };
        sendUdp(this.writer, ends, bytes);
      }, 4),
      mac,
      usedAt: this.host.now(),
      answered: false,
      peers: new Set(),
    };
    this.sweepLater();
    return flow;
  }

  private sweepLater(): void {
    this.sweeping ??= this.host.timer(SWEEP_MS, () => {
      this.sweeping = undefined;
      const now = this.host.now();
      for (const [key, { socket, usedAt, answered }] of this.flows)
        if (now - usedAt > (answered ? IDLE_MS : UNANSWERED_MS)) {
          socket.close();
          this.flows.delete(key);
        }
      if (this.flows.size) this.sweepLater();
    });
  }
}
