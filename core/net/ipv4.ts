/** IPv4, RFC 791: reading packets, and writing them into frames. */
import { checksumOf, sumWords } from '../util/internetchecksum.ts';
import { ETHERNET_BYTES, ETHERTYPE_IPV4, MIN_WIRE_BYTES, MTU, writeMac } from './ethernet.ts';

export const IPV4_BYTES = 20;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
/** Where a packet's payload begins in a frame that is written here. */
export const PAYLOAD_AT = ETHERNET_BYTES + IPV4_BYTES;
const MAX_PAYLOAD = 65_535 - IPV4_BYTES;
const TTL = 64;
const MORE_FRAGMENTS = 0x2000;
const DONT_FRAGMENT = 0x4000;

export interface Ipv4Packet {
  source: number;
  destination: number;
  protocol: number;
  ttl: number;
  id: number;
  /** Offset of this fragment in bytes. */
  offset: number;
  more: boolean;
  /** Header and payload, without what pads the frame. */
  packet: Uint8Array;
  headerBytes: number;
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The packet in a frame, or undefined where that is none: cut off, of another version, or with a wrong checksum. */
export function parsePacket(frame: Uint8Array): Ipv4Packet | undefined {
  if (frame.length < ETHERNET_BYTES + IPV4_BYTES || frame[ETHERNET_BYTES]! >> 4 !== 4) return undefined;
  const view = viewOf(frame);
  const headerBytes = (frame[ETHERNET_BYTES]! & 15) * 4;
  const total = view.getUint16(ETHERNET_BYTES + 2);
  if (headerBytes < IPV4_BYTES || total < headerBytes || ETHERNET_BYTES + total > frame.length) return undefined;
  if (checksumOf(sumWords(view, ETHERNET_BYTES, ETHERNET_BYTES + headerBytes)) !== 0) return undefined;
  const fragment = view.getUint16(ETHERNET_BYTES + 6);
  return {
    source: view.getUint32(ETHERNET_BYTES + 12),
    destination: view.getUint32(ETHERNET_BYTES + 16),
    protocol: frame[ETHERNET_BYTES + 9]!,
    ttl: frame[ETHERNET_BYTES + 8]!,
    id: view.getUint16(ETHERNET_BYTES + 4),
    offset: (fragment & 0x1fff) * 8,
    more: (fragment & MORE_FRAGMENTS) !== 0,
    packet: frame.subarray(ETHERNET_BYTES, ETHERNET_BYTES + total),
    headerBytes,
  };
}

export interface Addressed {
  mac: number;
  source: number;
  destination: number;
  protocol: number;
}

/**
 * Writes packets into one frame that is used again and again: `out` has to have copied it when it returns. A payload is put at `PAYLOAD_AT` of `frame`, then sent; one that is longer than
 * a frame goes in fragments, but for TCP: whoever has its guest at the other end cuts that.
 */
export class Ipv4Writer {
  readonly frame = new Uint8Array(PAYLOAD_AT + MAX_PAYLOAD);
  readonly view = viewOf(this.frame);
  private readonly out: (frame: Uint8Array) => void;
  private readonly piece = new Uint8Array(ETHERNET_BYTES + MTU);
  private nextId = 1;

  constructor(mac: number, out: (frame: Uint8Array) => void) {
    this.out = out;
    for (const frame of [this.frame, this.piece]) {
      writeMac(frame, 6, mac);
      viewOf(frame).setUint16(12, ETHERTYPE_IPV4);
      frame[ETHERNET_BYTES] = 0x45;
      frame[ETHERNET_BYTES + 8] = TTL;
    }
  }

  send(to: Addressed, payloadBytes: number): void {
    if (payloadBytes > MTU - IPV4_BYTES && to.protocol !== PROTOCOL_TCP) {
      this.sendFragments(to, payloadBytes);
      return;
    }
    this.header(this.frame, this.view, to, payloadBytes, to.protocol === PROTOCOL_TCP ? DONT_FRAGMENT : 0, this.id());
    const length = PAYLOAD_AT + payloadBytes;
    if (length < MIN_WIRE_BYTES) this.frame.fill(0, length, MIN_WIRE_BYTES);
    this.out(this.frame.subarray(0, Math.max(length, MIN_WIRE_BYTES)));
  }

  private sendFragments(to: Addressed, payloadBytes: number): void {
    const most = (MTU - IPV4_BYTES) & ~7;
    const view = viewOf(this.piece);
    const id = this.id();
    for (let at = 0; at < payloadBytes; at += most) {
      const length = Math.min(most, payloadBytes - at);
      this.piece.set(this.frame.subarray(PAYLOAD_AT + at, PAYLOAD_AT + at + length), PAYLOAD_AT);
      this.header(this.piece, view, to, length, (at / 8) | (at + length < payloadBytes ? MORE_FRAGMENTS : 0), id);
      this.out(this.piece.subarray(0, Math.max(PAYLOAD_AT + length, MIN_WIRE_BYTES)));
    }
  }

  private id(): number {
    this.nextId = (this.nextId + 1) & 0xffff;
    return this.nextId;
  }

  private header(frame: Uint8Array, view: DataView, to: Addressed, payloadBytes: number, fragment: number, id: number): void {
    writeMac(frame, 0, to.mac);
    view.setUint16(ETHERNET_BYTES + 2, IPV4_BYTES + payloadBytes);
    view.setUint16(ETHERNET_BYTES + 4, id);
    view.setUint16(ETHERNET_BYTES + 6, fragment);
    frame[ETHERNET_BYTES + 9] = to.protocol;
    view.setUint16(ETHERNET_BYTES + 10, 0);
    view.setUint32(ETHERNET_BYTES + 12, to.source);
    view.setUint32(ETHERNET_BYTES + 16, to.destination);
    view.setUint16(ETHERNET_BYTES + 10, checksumOf(sumWords(view, ETHERNET_BYTES, PAYLOAD_AT)), true);
  }
}
