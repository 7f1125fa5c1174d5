import { parseMac, writeMac } from '../ethernet.ts';
import { Gateway, type GatewayOptions } from '../gateway.ts';
import { parseIpv4, parseSubnet } from '../../contract/ipv4.ts';
import { type Ipv4Packet, Ipv4Writer, parsePacket, PROTOCOL_TCP, PROTOCOL_UDP } from '../ipv4.ts';
import type { OpenBootFile } from '../tftp.ts';
import { VirtualSwitch } from '../switch.ts';
import { parseSegment, type Segment, type SegmentHead, sendSegment } from '../tcp/segment.ts';
import { parseUdp, sendUdp, type UdpDatagram } from '../udp.ts';
import { TestHost } from './testhost.ts';

export const GUEST_MAC = parseMac('52:54:00:00:00:01');
export const GUEST = parseIpv4('10.7.0.50');
export const GATEWAY = parseIpv4('10.7.0.1');
export const FAR = parseIpv4('198.51.100.7');

/** A gateway with one guest, which the test plays. */
export class TestGuest {
  readonly host = new TestHost();
  readonly ethernet = new VirtualSwitch(() => this.host.time);
  readonly gateway: Gateway;
  /** Frames that came, oldest first. */
  readonly frames: Uint8Array[] = [];
  changes = 0;
  readonly port = { send: (frame: Uint8Array) => void this.frames.push(frame.slice()) };
  readonly writer: Ipv4Writer;

  constructor(options: Partial<GatewayOptions> = {}, bootFiles?: OpenBootFile) {
    this.ethernet.plug(this.port);
    this.gateway = new Gateway(
      { subnet: parseSubnet('10.7.0.0/24'), dhcp: { from: GUEST, to: GUEST + 10 }, router: true, ...options },
      { host: this.host, ethernet: this.ethernet, leases: [], changed: () => this.changes++ },
    );
    this.gateway.setBoot(undefined, bootFiles);
    this.writer = new Ipv4Writer(GUEST_MAC, (frame) => this.send(frame));
  }

  send(frame: Uint8Array): void {
    this.ethernet.receive(this.port, frame);
  }

  /** A frame with these ends, type and payload. */
  frame(destination: number, type: number, payload: Uint8Array): void {
    const frame = new Uint8Array(14 + payload.length);
    writeMac(frame, 0, destination);
    writeMac(frame, 6, GUEST_MAC);
    frame[12] = type >>> 8;
    frame[13] = type & 0xff;
    frame.set(payload, 14);
    this.send(frame);
  }

  packets(): Ipv4Packet[] {
    return this.frames.splice(0).flatMap((frame) => parsePacket(frame) ?? []);
  }

  segments(): Segment[] {
    return this.packets().flatMap((packet) => (packet.protocol === PROTOCOL_TCP ? (parseSegment(packet) ?? []) : []));
  }

  datagrams(): UdpDatagram[] {
    return this.packets().flatMap((packet) => (packet.protocol === PROTOCOL_UDP ? (parseUdp(packet) ?? []) : []));
  }

  tcp(port: number, head: SegmentHead, payload: Uint8Array = new Uint8Array(0), farPort = 80, far = FAR): void {
    // From here the guest is the near side: its end is the source.
    const ends = { mac: this.gateway.mac, farAddress: GUEST, farPort: port, guestAddress: far, guestPort: farPort };
    sendSegment(this.writer, ends, head, payload.length, (frame, at) => frame.set(payload, at));
  }

  udp(payload: Uint8Array, destination: number, destinationPort: number, sourcePort = 4000, source = GUEST, mac = this.gateway.mac): void {
    sendUdp(this.writer, { mac, source, sourcePort, destination, destinationPort }, payload);
  }
}
