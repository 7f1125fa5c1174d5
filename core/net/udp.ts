/** UDP, RFC 768. */
import { checksumOf, pseudoHeaderSum, sumWords } from '../util/internetchecksum.ts';
import { type Ipv4Packet, type Ipv4Writer, PAYLOAD_AT, PROTOCOL_UDP, viewOf } from './ipv4.ts';

export const UDP_BYTES = 8;
/** The longest payload that a packet of IPv4 holds. */
const MAX_PAYLOAD = 65_507;

export interface UdpDatagram {
  sourcePort: number;
  destinationPort: number;
  payload: Uint8Array;
}

/** Undefined for what is none, or has a wrong checksum. */
export function parseUdp({ packet, headerBytes: at, source, destination }: Ipv4Packet): UdpDatagram | undefined {
  if (packet.length - at < UDP_BYTES) return undefined;
  const view = viewOf(packet);
  const length = view.getUint16(at + 4);
  if (length < UDP_BYTES || at + length > packet.length) return undefined;
  // 0: the sender made none.
  if (view.getUint16(at + 6) !== 0) {
    const sum = sumWords(view, at, at + length, pseudoHeaderSum(source, destination, PROTOCOL_UDP, length));
    if (checksumOf(sum) !== 0) return undefined;
  }
  return { sourcePort: view.getUint16(at), destinationPort: view.getUint16(at + 2), payload: packet.subarray(at + UDP_BYTES, at + length) };
}

export interface UdpEnds {
  mac: number;
  source: number;
  sourcePort: number;
  destination: number;
  destinationPort: number;
}

export function sendUdp(writer: Ipv4Writer, { mac, source, sourcePort, destination, destinationPort }: UdpEnds, payload: Uint8Array): void {
  if (payload.length > MAX_PAYLOAD) return;
  const { frame, view } = writer;
  const length = UDP_BYTES + payload.length;
  view.setUint16(PAYLOAD_AT, sourcePort);
  view.setUint16(PAYLOAD_AT + 2, destinationPort);
  view.setUint16(PAYLOAD_AT + 4, length);
  view.setUint16(PAYLOAD_AT + 6, 0);
  frame.set(payload, PAYLOAD_AT + UDP_BYTES);
  const sum = checksumOf(sumWords(view, PAYLOAD_AT, PAYLOAD_AT + length, pseudoHeaderSum(source, destination, PROTOCOL_UDP, length)));
  view.setUint16(PAYLOAD_AT + 6, sum || 0xffff, true);
  writer.send({ mac, source, destination, protocol: PROTOCOL_UDP }, length);
}
