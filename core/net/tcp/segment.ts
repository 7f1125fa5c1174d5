/** TCP segments, RFC 9293 section 3.1, with the options of RFC 7323 (window scale) and MSS. */
import { checksumOf, pseudoHeaderSum, sumWords } from '../../util/internetchecksum.ts';
import { type Ipv4Packet, type Ipv4Writer, PAYLOAD_AT, PROTOCOL_TCP, viewOf } from '../ipv4.ts';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const TCP_BYTES = 20;
/** RFC 7323 section 2.3. */
const MAX_SCALE = 14;
const OPTION_BYTES = 8;

export interface Segment {
  sourcePort: number;
  destinationPort: number;
  seq: number;
  ack: number;
  flags: number;
  window: number;
  payload: Uint8Array;
  /** Of a SYN; undefined where the option is not there. */
  mss: number | undefined;
  scale: number | undefined;
}

/** Undefined for what is none, or has a wrong checksum. */
export function parseSegment({ packet, headerBytes: at, source, destination }: Ipv4Packet): Segment | undefined {
  const length = packet.length - at;
  if (length < TCP_BYTES) return undefined;
  const view = viewOf(packet);
  const header = (packet[at + 12]! >> 4) * 4;
  if (header < TCP_BYTES || header > length) return undefined;
  if (checksumOf(sumWords(view, at, packet.length, pseudoHeaderSum(source, destination, PROTOCOL_TCP, length))) !== 0) return undefined;
  const flags = packet[at + 13]! & 0x3f;
  const segment: Segment = {
    sourcePort: view.getUint16(at),
    destinationPort: view.getUint16(at + 2),
    seq: view.getUint32(at + 4),
    ack: view.getUint32(at + 8),
    flags,
    window: view.getUint16(at + 14),
    payload: packet.subarray(at + header),
    mss: undefined,
    scale: undefined,
  };
  if (flags & SYN) readOptions(segment, packet.subarray(at + TCP_BYTES, at + header));
  return segment;
}

function readOptions(segment: Segment, options: Uint8Array): void {
  for (let at = 0; at < options.length; ) {
    const kind = options[at]!;
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) return;
    if (kind === 2 && length === 4) segment.mss = (options[at + 2]! << 8) | options[at + 3]!;
    if (kind === 3 && length === 3) segment.scale = Math.min(MAX_SCALE, options[at + 2]!);
    at += length;
  }
}

export interface Endpoints {
  mac: number;
  /** As the guest sees them: the far end is the source of what it gets. */
  farAddress: number;
  farPort: number;
  guestAddress: number;
  guestPort: number;
}

export interface SegmentHead {
  seq: number;
  ack: number;
  flags: number;
  window: number;
  /** Makes it a SYN with options. */
  mss?: number;
  scale?: number | undefined;
}

/** Sends a segment to a guest; its payload is put in place by `fill`. */
export function sendSegment(
  writer: Ipv4Writer,
  ends: Endpoints,
  head: SegmentHead,
  payloadBytes = 0,
  fill?: (frame: Uint8Array, at: number) => void,
): void {
  const { frame, view } = writer;
  const at = PAYLOAD_AT;
  let header = TCP_BYTES;
  if (head.mss !== undefined) {
    view.setUint32(at + TCP_BYTES, 0x0204_0000 | head.mss);
    header += 4;
    if (head.scale !== undefined) {
      view.setUint32(at + TCP_BYTES + 4, 0x0103_0300 | head.scale);
      header = TCP_BYTES + OPTION_BYTES;
    }
  }
  view.setUint16(at, ends.farPort);
  view.setUint16(at + 2, ends.guestPort);
  view.setUint32(at + 4, head.seq);
  view.setUint32(at + 8, head.ack);
  frame[at + 12] = (header / 4) << 4;
  frame[at + 13] = head.flags;
  view.setUint16(at + 14, head.window);
  view.setUint32(at + 16, 0);
  fill?.(frame, at + header);
  const length = header + payloadBytes;
  const pseudo = pseudoHeaderSum(ends.farAddress, ends.guestAddress, PROTOCOL_TCP, length);
  view.setUint16(at + 16, checksumOf(sumWords(view, at, at + length, pseudo)), true);
  writer.send({ mac: ends.mac, source: ends.farAddress, destination: ends.guestAddress, protocol: PROTOCOL_TCP }, length);
}

/** The answer to a segment that belongs to nothing, RFC 9293 section 3.5.2. */
export function sendReset(writer: Ipv4Writer, ends: Endpoints, segment: Segment): void {
  if (segment.flags & RST) return;
  if (segment.flags & ACK) {
    sendSegment(writer, ends, { seq: segment.ack, ack: 0, flags: RST, window: 0 });
    return;
  }
  const length = segment.payload.length + (segment.flags & SYN ? 1 : 0) + (segment.flags & FIN ? 1 : 0);
  sendSegment(writer, ends, { seq: 0, ack: (segment.seq + length) >>> 0, flags: RST | ACK, window: 0 });
}
