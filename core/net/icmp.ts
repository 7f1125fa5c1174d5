/** ICMP, RFC 792 and RFC 1812 section 4.3. */
import { checksumOf, sumWords } from '../util/internetchecksum.ts';
import { type Ipv4Packet, type Ipv4Writer, PAYLOAD_AT, PROTOCOL_ICMP, viewOf } from './ipv4.ts';

const ECHO_REPLY = 0;
const UNREACHABLE = 3;
const ECHO = 8;
const TIME_EXCEEDED = 11;
const ICMP_BYTES = 8;
/** RFC 1812 section 4.3.2.3: as much as fits into 576 bytes with header and all. */
const QUOTED_BYTES = 548;

export const icmpErrors = {
  networkUnreachable: [UNREACHABLE, 0],
  hostUnreachable: [UNREACHABLE, 1],
  protocolUnreachable: [UNREACHABLE, 2],
  portUnreachable: [UNREACHABLE, 3],
  prohibited: [UNREACHABLE, 13],
  timeExceeded: [TIME_EXCEEDED, 0],
} as const;
export type IcmpError = keyof typeof icmpErrors;

/** Bytes of an echo request with its header, where `packet` is a good one. */
export function echoRequest({ packet, headerBytes, protocol }: Ipv4Packet): Uint8Array | undefined {
  if (protocol !== PROTOCOL_ICMP || packet.length - headerBytes < ICMP_BYTES || packet[headerBytes] !== ECHO) return undefined;
  if (checksumOf(sumWords(viewOf(packet), headerBytes, packet.length)) !== 0) return undefined;
  return packet.subarray(headerBytes);
}

function send(writer: Ipv4Writer, to: { mac: number; source: number; destination: number }, length: number): void {
  writer.view.setUint16(PAYLOAD_AT + 2, 0);
  writer.view.setUint16(PAYLOAD_AT + 2, checksumOf(sumWords(writer.view, PAYLOAD_AT, PAYLOAD_AT + length)), true);
  writer.send({ ...to, protocol: PROTOCOL_ICMP }, length);
}

export function sendEchoReply(writer: Ipv4Writer, to: { mac: number; source: number; destination: number }, request: Uint8Array): void {
  writer.frame.set(request, PAYLOAD_AT);
  writer.frame[PAYLOAD_AT] = ECHO_REPLY;
  send(writer, to, request.length);
}

/** Tells a guest what became of its `packet`, of which at least header and 8 bytes are there. */
export function sendIcmpError(
  writer: Ipv4Writer,
  to: { mac: number; source: number; destination: number },
  error: IcmpError,
  packet: Uint8Array,
): void {
  const [type, code] = icmpErrors[error];
  const quoted = packet.subarray(0, QUOTED_BYTES);
  writer.frame[PAYLOAD_AT] = type;
  writer.frame[PAYLOAD_AT + 1] = code;
  writer.view.setUint32(PAYLOAD_AT + 4, 0);
  writer.frame.set(quoted, PAYLOAD_AT + ICMP_BYTES);
  send(writer, to, ICMP_BYTES + quoted.length);
}

/** Errors are told of packets of which they may be told: RFC 1122 section 3.2.2. */
export const mayBeTold = ({ packet, headerBytes, protocol, offset }: Ipv4Packet): boolean => {
  if (offset !== 0) return false;
  const type = packet[headerBytes];
  return protocol !== PROTOCOL_ICMP || type === ECHO;
};
