/** What guests find at the first address of their network: address service, and where there is one the way out. */
import type { BootSource } from '../contract/networks.ts';
import { TokenBucket } from '../util/tokenbucket.ts';
import { arpReply, parseArp } from './arp.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer, type Lease } from './dhcp.ts';
import { DNS_PORT, DnsProxy } from './dnsproxy.ts';
import { BROADCAST, ETHERNET_BYTES, ETHERTYPE_ARP, ETHERTYPE_IPV4, macText, parseMac, readMac } from './ethernet.ts';
import type { HostNetwork, HostStream } from './host.ts';
import { echoRequest, type IcmpError, mayBeTold, sendEchoReply, sendIcmpError } from './icmp.ts';
import { gatewayOf, inSubnet, ipv4Text, parseIpv4, parseSubnet, type Subnet } from '../contract/ipv4.ts';
import { type Ipv4Packet, Ipv4Writer, parsePacket, PROTOCOL_TCP, PROTOCOL_UDP, viewOf } from './ipv4.ts';
import { Neighbours } from './neighbours.ts';
import { Reassembly } from './reassembly.ts';
import type { SwitchPort, VirtualSwitch } from './switch.ts';
import type { Endpoints } from './tcp/segment.ts';
import { directRoute, TcpNat } from './tcp/tcpnat.ts';
import { type OpenBootFile, TftpServer } from './tftp.ts';
import { parseUdp, sendUdp, type UdpDatagram } from './udp.ts';
import { UdpNat } from './udpnat.ts';

/** Never forwarded: this host, loopback, link-local (RFC 3927 section 7), groups and what is above. */
const NOT_ROUTED = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map(parseSubnet);
const EVERYBODY = 0xffff_ffff;
/** Behind the ports of UDP in a frame whose IPv4 header has no options. */
const UDP_PORTS_END = ETHERNET_BYTES + 24;
/** Errors told to guests, RFC 1812 section 4.3.2.8. */
const ERRORS_PER_SECOND = 50;

export interface GatewayOptions {
  subnet: Subnet;
  dhcp: { from: number; to: number } | null;
  /** It leads to the world. */
  router: boolean;
  /** Every port of the switch takes TCP segments of any length. */
  longSegments?: boolean;
  /** Absent unless this computer itself has the first address, at another port: then only addresses are given here, with a way out and name servers where these are. */
  host?: { router: boolean; dns: readonly number[] };
}

export interface GatewayParts {
  host: HostNetwork;
  ethernet: VirtualSwitch;
  leases: readonly Lease[];
  /** Whether a station's address is of interest; all are unless given. */
  machine?(mac: number): boolean;
  /** Leases, or addresses that were seen, are others than before. */
  changed(): void;
}

export class Gateway implements SwitchPort {
  readonly address: number;
  readonly mac: number;
  /** An isolated network that gives no addresses has nobody at the first one: a machine may have it. With `host` it is this computer's. */
  private readonly silent: boolean;
  private readonly options: GatewayOptions;
  private readonly parts: GatewayParts;
  private readonly writer: Ipv4Writer;
  private readonly reassembly = new Reassembly();
  private readonly tcp: TcpNat;
  private readonly udp: UdpNat;
  private readonly dns: DnsProxy;
  private readonly dhcp: DhcpServer | undefined;
  private tftp: TftpServer | undefined;
  private readonly errors: TokenBucket;
  /** Address that was last seen of each card. */
  private readonly neighbours: Neighbours;
  private flushing = false;

  constructor(options: GatewayOptions, parts: GatewayParts) {
    this.options = options;
    this.parts = parts;
    const { host, ethernet } = parts;
    this.address = gatewayOf(options.subnet);
    // Locally administered, as QEMU's user network has it: 52:55 and the address.
    this.mac = 0x5255 * 0x1_0000_0000 + this.address;
    this.writer = new Ipv4Writer(this.mac, (frame) => ethernet.receive(this, frame));
    this.tcp = new TcpNat({
      host,
      writer: this.writer,
      longSegments: options.longSegments ?? false,
      route: (address, port) => this.route(address, port),
      unreachable: (ends, seq) => this.tellUnreachable(ends, seq),
    });
    this.udp = new UdpNat(host, this.writer);
    this.dns = new DnsProxy(host);
    this.errors = new TokenBucket(ERRORS_PER_SECOND, 1, host.now());
    this.neighbours = new Neighbours(() => host.now(), parts.changed);
    const { dhcp, subnet, router, host: hosts } = options;
    this.silent = hosts !== undefined || (!router && dhcp === null);
    const server = this.address;
    const given = hosts
      ? { router: hosts.router ? server : null, dns: hosts.dns }
      : { router: router ? server : null, dns: router ? [server] : [] };
    this.dhcp =
      dhcp === null ? undefined : new DhcpServer({ subnet, ...dhcp, server, ...given }, parts.leases, () => host.now(), parts.changed);
    ethernet.plug(this);
  }

  /** What cards start a system from: files by TFTP from here, or URLs, of at most MAX_BOOT_FILE bytes; `files` are given out by TFTP. One that is being read is broken off. */
  setBoot(boot: Pick<BootSource, 'file' | 'uefiFile'> | undefined, files: OpenBootFile | undefined): void {
    if (this.dhcp) this.dhcp.boot = boot;
    this.tftp?.close();
    this.tftp =
      files &&
      new TftpServer(this.parts.host, files, ({ mac, address, port }, from, bytes) =>
        sendUdp(this.writer, { mac, source: this.address, sourcePort: from, destination: address, destinationPort: port }, bytes),
      );
  }

  leases(): Lease[] {
    return this.dhcp?.leases() ?? [];
  }

  /** The address that a card was seen with, or was given. */
  addressOf(mac: number): number | undefined {
    return this.neighbours.addressOf(mac) ?? this.dhcp?.addressOf(mac);
  }

  /** A connection that the host accepted goes to a guest, which takes the gateway for the other side. */
  forwardTcp(stream: HostStream, mac: number, address: number, port: number): void {
    this.tcp.forward(stream, { mac, address, port }, this.address);
  }

  /** A datagram to a guest, as from a port of the gateway. */
  forwardUdp(bytes: Uint8Array, sourcePort: number, mac: number, address: number, port: number): void {
    sendUdp(this.writer, { mac, source: this.address, sourcePort, destination: address, destinationPort: port }, bytes);
  }

  /** Takes answers of guests to what `forwardUdp` sent. */
  onForwarded: ((port: number, guest: number, guestPort: number, payload: Uint8Array) => boolean) | undefined;

  dispose(): void {
    this.tcp.close();
    this.udp.close();
    this.dns.close();
    this.tftp?.close();
    this.parts.ethernet.unplug(this);
  }

  /** A frame that the switch has for the gateway. */
  send(frame: Uint8Array): void {
    const destination = readMac(frame, 0);
    if (destination !== this.mac && destination !== BROADCAST) return;
    switch (viewOf(frame).getUint16(12)) {
      case ETHERTYPE_ARP:
        this.receiveArp(frame);
        break;
      case ETHERTYPE_IPV4:
        this.receiveIpv4(frame);
    }
  }

  /** Whether a frame for this computer, with `host`, is a question for an address: cards renew theirs at the one who gave it. It is answered then. */
  answersForHost(frame: Uint8Array): boolean {
    if (!this.options.host || frame.length < UDP_PORTS_END || viewOf(frame).getUint16(12) !== ETHERTYPE_IPV4) return false;
    // What is too short, in fragments or with options in its header is no such question.
    if (frame[ETHERNET_BYTES] !== 0x45 || frame[ETHERNET_BYTES + 9] !== PROTOCOL_UDP) return false;
    if (viewOf(frame).getUint16(UDP_PORTS_END - 2) !== DHCP_SERVER_PORT || readMac(frame, 0) === BROADCAST) return false;
    this.receiveIpv4(frame);
    return true;
  }

  private receiveArp(frame: Uint8Array): void {
    const packet = parseArp(frame);
    if (!packet) return;
    this.see(packet.mac, packet.address);
    if (!this.silent && packet.request && packet.wanted === this.address && packet.address !== this.address)
      this.parts.ethernet.receive(this, arpReply(packet, this.mac));
  }

  private receiveIpv4(frame: Uint8Array): void {
    const fragment = parsePacket(frame);
    if (!fragment) return;
    const mac = readMac(frame, 6);
    const packet = fragment.offset || fragment.more ? this.reassembly.add(fragment, this.parts.host.now()) : fragment;
    if (!packet) return;
    const { source, destination } = packet;
    this.see(mac, source);
    const everybody = destination === EVERYBODY || destination === this.options.subnet.broadcast;
    const udp = packet.protocol === PROTOCOL_UDP ? parseUdp(packet) : undefined;
    if (udp?.destinationPort === DHCP_SERVER_PORT && (everybody || destination === this.address)) {
      this.receiveDhcp(udp);
      return;
    }
    if (this.silent) return;
    // A guest without an address, or with a foreign one, can't be answered.
    if (everybody || !inSubnet(this.options.subnet, source) || source === this.address || readMac(frame, 0) === BROADCAST) return;
    if (destination === this.address) this.receiveOwn(packet, mac, udp);
    else if (!inSubnet(this.options.subnet, destination)) this.routeOut(packet, mac, udp);
  }

  /** For the gateway itself. */
  private receiveOwn(packet: Ipv4Packet, mac: number, udp: UdpDatagram | undefined): void {
    const echo = echoRequest(packet);
    if (echo) sendEchoReply(this.writer, { mac, source: this.address, destination: packet.source }, echo);
    else if (packet.protocol === PROTOCOL_TCP) this.receiveTcp(packet, mac);
    else if (udp) this.receiveOwnUdp(packet, mac, udp);
    else if (packet.protocol !== PROTOCOL_UDP) this.tell(packet, mac, 'protocolUnreachable');
  }

  private receiveOwnUdp(packet: Ipv4Packet, mac: number, { sourcePort, destinationPort, payload }: UdpDatagram): void {
    const { source } = packet;
    if (destinationPort === DNS_PORT && this.options.router) {
      const ends = { mac, source: this.address, sourcePort: DNS_PORT, destination: source, destinationPort: sourcePort };
      this.dns.ask(payload, (answer) => sendUdp(this.writer, ends, answer));
    } else if (
      !this.tftp?.receive(destinationPort, { mac, address: source, port: sourcePort }, payload) &&
      !this.onForwarded?.(destinationPort, source, sourcePort, payload)
    )
      this.tell(packet, mac, 'portUnreachable');
  }

  /** For the world. */
  private routeOut(packet: Ipv4Packet, mac: number, udp: UdpDatagram | undefined): void {
    if (NOT_ROUTED.some((net) => inSubnet(net, packet.destination))) {
      this.tell(packet, mac, 'prohibited');
      return;
    }
    if (!this.options.router) {
      this.tell(packet, mac, 'networkUnreachable');
      return;
    }
    if (packet.ttl <= 1) {
      this.tell(packet, mac, 'timeExceeded');
      return;
    }
    if (packet.protocol === PROTOCOL_TCP) this.receiveTcp(packet, mac);
    else if (udp) this.udp.send(packet, udp, mac);
    // Echoes to others would take a raw socket, which the system gives to root alone.
    else if (packet.protocol !== PROTOCOL_UDP) this.tell(packet, mac, 'prohibited');
  }

  private receiveTcp(packet: Ipv4Packet, mac: number): void {
    this.tcp.receive(packet, mac);
    if (this.flushing) return;
    this.flushing = true;
    // What came in one piece from a machine is acknowledged at once.
    queueMicrotask(() => {
      this.flushing = false;
      this.tcp.flush();
    });
  }

  private receiveDhcp(udp: UdpDatagram): void {
    const reply = this.dhcp?.answer(udp.payload);
    if (!reply) return;
    const { mac, destination } = reply;
    sendUdp(
      this.writer,
      { mac, source: this.address, sourcePort: DHCP_SERVER_PORT, destination, destinationPort: DHCP_CLIENT_PORT },
      reply.bytes,
    );
  }

  private route(address: number, port: number): { address: string; port: number } | undefined {
    if (address !== this.address) return directRoute(address, port);
    return port === DNS_PORT && this.options.router ? this.parts.host.resolvers()[0] : undefined;
  }

  private see(mac: number, address: number): void {
    if (!inSubnet(this.options.subnet, address) || (address === this.address && !this.silent) || mac === this.mac) return;
    if (this.parts.machine?.(mac) ?? true) this.neighbours.see(mac, address);
  }

  /** Cards with the addresses that they were seen with, or were given. */
  addresses(): Lease[] {
    const known = this.neighbours.all();
    for (const { mac, address } of this.leases()) if (!known.has(parseMac(mac))) known.set(parseMac(mac), parseIpv4(address));
    return [...known].map(([mac, address]) => ({ mac: macText(mac), address: ipv4Text(address) }));
  }

  private tell(packet: Ipv4Packet, mac: number, error: IcmpError): void {
    if (!mayBeTold(packet)) return;
    this.tellAbout(packet.packet, packet.source, mac, error);
  }

  private tellAbout(packet: Uint8Array, guest: number, mac: number, error: IcmpError): void {
    const now = this.parts.host.now();
    if (this.errors.wait(now) > 0) return;
    this.errors.take(1, now);
    sendIcmpError(this.writer, { mac, source: this.address, destination: guest }, error, packet);
  }

  /** The host found no way: `seq` is that of the SYN. */
  private tellUnreachable({ mac, guestAddress, guestPort, farAddress, farPort }: Endpoints, seq: number): void {
    // Header and first bytes of the packet that asked for it (RFC 792): the guest knows it by addresses, ports and number.
    const packet = new Uint8Array(28);
    const view = viewOf(packet);
    packet[0] = 0x45;
    view.setUint16(2, 40);
    packet[8] = 64;
    packet[9] = PROTOCOL_TCP;
    view.setUint32(12, guestAddress);
    view.setUint32(16, farAddress);
    view.setUint16(20, guestPort);
    view.setUint16(22, farPort);
    view.setUint32(24, seq);
    this.tellAbout(packet, guestAddress, mac, 'hostUnreachable');
  }
}
