/** Frames for tests of network cards, with checksums worked out in the plainest way. */

export const CARD_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
export const PEER_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc);

export function ethernet(to: ArrayLike<number>, from: ArrayLike<number>, type: number, payload: ArrayLike<number>): Uint8Array {
  return Uint8Array.from([...Array.from(to), ...Array.from(from), type >> 8, type & 0xff, ...Array.from(payload)]);
}

/** RFC 1071 word by word. */
export function plainChecksum(bytes: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

export interface TcpOptions {
  payload: Uint8Array;
  sequence?: number;
  flags?: number;
  /** Bytes of TCP options, a multiple of four. */
  options?: number;
}

/** A TCP packet from the peer to the card, 192.168.100.1:80 to .200:4000. */
export function tcpFrame({ payload, sequence = 1000, flags = 0x18, options = 0 }: TcpOptions): Uint8Array {
  const addresses = [192, 168, 100, 1, 192, 168, 100, 200];
  const tcpLength = 20 + options + payload.length;
  const tcp = new Uint8Array(tcpLength);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, 80);
  view.setUint16(2, 4000);
  view.setUint32(4, sequence);
  view.setUint32(8, 77);
  tcp[12] = (5 + options / 4) << 4;
  tcp[13] = flags;
  view.setUint16(14, 0xffff);
  tcp.fill(1, 20, 20 + options);
  tcp.set(payload, 20 + options);
  view.setUint16(16, plainChecksum([...addresses, 0, 6, tcpLength >> 8, tcpLength & 0xff, ...tcp]));
  const ip = new Uint8Array(20);
  const ipView = new DataView(ip.buffer);
  ip[0] = 0x45;
  ipView.setUint16(2, 20 + tcpLength);
  ipView.setUint16(4, 5);
  ip[8] = 64;
  ip[9] = 6;
  ip.set(addresses, 12);
  ipView.setUint16(10, plainChecksum(ip));
  return ethernet(CARD_MAC, PEER_MAC, 0x0800, [...ip, ...tcp]);
}

/** Sequence number, flags and payload of a TCP packet; throws when a checksum is wrong. */
export function readTcp(frame: Uint8Array): { sequence: number; flags: number; payload: Uint8Array } {
  const ip = 14;
  const header = (frame[ip]! & 15) * 4;
  const length = (frame[ip + 2]! << 8) | frame[ip + 3]!;
  if (length !== frame.length - ip) throw new Error(`an IPv4 packet of ${length} in ${frame.length - ip} bytes`);
  if (plainChecksum(frame.subarray(ip, ip + header)) !== 0) throw new Error('checksum of IPv4');
  const tcp = frame.subarray(ip + header);
  if (plainChecksum([...frame.subarray(ip + 12, ip + 20), 0, 6, tcp.length >> 8, tcp.length & 0xff, ...tcp]) !== 0)
    throw new Error('checksum of TCP');
  const view = new DataView(tcp.buffer, tcp.byteOffset);
  return { sequence: view.getUint32(4), flags: tcp[13]!, payload: tcp.subarray((tcp[12]! >> 4) * 4) };
}

/** Bytes that tell where they are. */
export const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
