/** What network cards do for systems so that their processors needn't: Internet checksums (RFC 1071) and cutting TCP over IPv4 into segments (RFC 9293, RFC 791). */
import { fold, sumWords } from '../../util/internetchecksum.ts';

export const ETHERNET_BYTES = 14;
/** The most that a frame carries behind its header, where nobody agreed on more. */
export const MTU = 1500;
const TYPE_IPV4 = 0x0800;
const TYPE_VLAN = 0x8100;
export const VLAN_BYTES = 4;
/** The longest frame that nobody has to cut. */
export const LONGEST_FRAME = ETHERNET_BYTES + VLAN_BYTES + MTU;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
/** More fragments, or not the first one. */
const FRAGMENT = 0x3fff;
/** Where it is in the header of TCP. */
export const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_FIN = 0x01;
const TCP_PSH = 0x08;
const TCP_CWR = 0x80;

/** Sum of the 16-bit words of `bytes` from `start` to `end` in one's complement, added to `sum`; network order, folded to 16 bits. */
export function onesSum(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const swapped = fold(sumWords(view, start, end));
  return fold(sum + (((swapped & 0xff) << 8) | (swapped >>> 8)));
}

const get16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
const get32 = (bytes: Uint8Array, at: number) =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

/** Where the parts of a TCP or UDP packet over IPv4 are in its frame, all of which lie in the frame. */
export interface TransportParts {
  ip: number;
  /** TCP or UDP header. */
  transport: number;
  /** End of the IPv4 packet. */
  end: number;
  tcp: boolean;
}

/** Undefined for anything else, for fragments and for what is cut short. */
export function transportParts(frame: Uint8Array): TransportParts | undefined {
  let ip = ETHERNET_BYTES;
  if (frame.length < ip + 20) return undefined;
  let type = get16(frame, 12);
  if (type === TYPE_VLAN) {
    type = get16(frame, 16);
    ip += VLAN_BYTES;
  }
  if (type !== TYPE_IPV4 || frame.length < ip + 20 || frame[ip]! >> 4 !== 4) return undefined;
  const transport = ip + (frame[ip]! & 15) * 4;
  const end = ip + get16(frame, ip + 2);
  const protocol = frame[ip + 9];
  const tcp = protocol === PROTOCOL_TCP;
  if ((!tcp && protocol !== PROTOCOL_UDP) || get16(frame, ip + 6) & FRAGMENT) return undefined;
  if (transport < ip + 20 || end > frame.length || transport + (tcp ? 20 : 8) > end) return undefined;
  return { ip, transport, end, tcp };
}

/** Sum of the addresses, the protocol and the length that TCP's and UDP's checksums take in. */
function pseudoSum(frame: Uint8Array, { ip, transport, end }: TransportParts): number {
  return onesSum(frame, ip + 12, ip + 20, frame[ip + 9]! + (end - transport));
}

/** Whether the checksum of the packet's TCP or UDP is right; a UDP packet may have none. */
export function transportChecksumRight(frame: Uint8Array, parts: TransportParts): boolean {
  if (!parts.tcp && get16(frame, parts.transport + UDP_CHECKSUM) === 0) return true;
  return onesSum(frame, parts.transport, parts.end, pseudoSum(frame, parts)) === 0xffff;
}

/** Finishes a checksum: that of everything from `start` on, to be put at `at`, where the sum of the pseudo header is already. False when they are not in the frame. */
export function finishChecksum(frame: Uint8Array, start: number, at: number, end = frame.length): boolean {
  if (start > end || at < start || at + 2 > end) return false;
  put16(frame, at, ~onesSum(frame, start, end) & 0xffff || 0xffff);
  return true;
}

/** Puts into a TCP packet what its checksum begins with, for somebody else to finish. */
export function startChecksum(frame: Uint8Array, parts: TransportParts): void {
  put16(frame, parts.transport + TCP_CHECKSUM, pseudoSum(frame, parts));
}

/** Writes the checksums of the IPv4 header and of TCP or UDP, whatever is there. */
export function writeChecksums(frame: Uint8Array, parts: TransportParts): void {
  const { ip, transport, end, tcp } = parts;
  put16(frame, ip + 10, 0);
  put16(frame, ip + 10, ~onesSum(frame, ip, transport) & 0xffff);
  const at = transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
  put16(frame, at, 0);
  put16(frame, at, ~onesSum(frame, transport, end, pseudoSum(frame, parts)) & 0xffff || 0xffff);
}

/** Bytes of Ethernet, IPv4 and TCP headers. Undefined for what is no TCP. */
export function tcpHeaderBytes(frame: Uint8Array, { transport, end, tcp }: TransportParts): number | undefined {
  if (!tcp) return undefined;
  const header = transport + (frame[transport + 12]! >> 4) * 4;
  return header >= transport + 20 && header <= end ? header : undefined;
}

/** How a long TCP packet is cut. */
export interface LongTcp {
  parts: TransportParts;
  /** Bytes of Ethernet, IPv4 and TCP headers. */
  headerBytes: number;
  /** Bytes of each segment but the last. */
  mss: number;
}

/** Of a frame that is too long for an Ethernet: undefined for what nobody may cut, which is all but TCP with a right checksum. A wrong one would be made right by the cutting. */
export function longTcp(frame: Uint8Array): LongTcp | undefined {
  const parts = transportParts(frame);
  const headerBytes = parts && tcpHeaderBytes(frame, parts);
  if (!parts || headerBytes === undefined || !transportChecksumRight(frame, parts)) return undefined;
  return { parts, headerBytes, mss: MTU - (headerBytes - parts.ip) };
}

/**
 * A TCP packet as segments of at most `mss` bytes each, with checksums, in order; `each` may keep none of them, for they are in the same memory. False, and none, for
 * what is no TCP.
 */
export function segmentTcp(frame: Uint8Array, mss: number, each: (segment: Uint8Array) => void): boolean {
  const parts = transportParts(frame);
  const header = parts && tcpHeaderBytes(frame, parts);
  if (!parts || header === undefined || mss < 1) return false;
  const { ip, transport, end } = parts;
  const room = new Uint8Array(header + Math.min(mss, Math.max(0, end - header)));
  const identification = get16(frame, ip + 4);
  const sequence = get32(frame, transport + 4);
  const flags = frame[transport + 13]!;
  let number = 0;
  for (let at = header; at < end || number === 0; at += mss, number++) {
    const length = Math.min(mss, end - at);
    const last = at + mss >= end;
    const segment = room.subarray(0, header + length);
    segment.set(frame.subarray(0, header));
    segment.set(frame.subarray(at, at + length), header);
    put16(segment, ip + 2, header + length - ip);
    put16(segment, ip + 4, (identification + number) & 0xffff);
    put32(segment, transport + 4, (sequence + at - header) >>> 0);
    // What ends a stream of data belongs to its end, and what was said once to its beginning (RFC 3168, section 6.1.2).
    segment[transport + 13] = flags & ~(last ? 0 : TCP_FIN | TCP_PSH) & ~(number > 0 ? TCP_CWR : 0);
    writeChecksums(segment, { ...parts, end: header + length });
    each(segment);
  }
  return true;
}
