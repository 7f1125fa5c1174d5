/** ARP for IPv4 over Ethernet, RFC 826. */
import { ETHERNET_BYTES, ETHERTYPE_ARP, isGroup, MIN_WIRE_BYTES, readMac, writeMac } from './ethernet.ts';
import { viewOf } from './ipv4.ts';

const ARP_BYTES = 28;
const REQUEST = 1;
const REPLY = 2;

export interface ArpPacket {
  request: boolean;
  mac: number;
  /** 0 in a probe, RFC 5227. */
  address: number;
  wanted: number;
}

export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < ETHERNET_BYTES + ARP_BYTES) return undefined;
  const view = viewOf(frame);
  const at = ETHERNET_BYTES;
  const operation = view.getUint16(at + 6);
  if (view.getUint32(at) !== 0x0001_0800 || view.getUint16(at + 4) !== 0x0604 || operation < REQUEST || operation > REPLY) return undefined;
  if (isGroup(frame, at + 8)) return undefined;
  return { request: operation === REQUEST, mac: readMac(frame, at + 8), address: view.getUint32(at + 14), wanted: view.getUint32(at + 24) };
}

/** The answer: `mac` has the address that was asked for. */
export function arpReply({ mac: asker, address, wanted }: ArpPacket, mac: number): Uint8Array {
  const frame = new Uint8Array(MIN_WIRE_BYTES);
  const view = viewOf(frame);
  writeMac(frame, 0, asker);
  writeMac(frame, 6, mac);
  view.setUint16(12, ETHERTYPE_ARP);
  view.setUint32(ETHERNET_BYTES, 0x0001_0800);
  view.setUint32(ETHERNET_BYTES + 4, 0x0604_0000 | REPLY);
  writeMac(frame, ETHERNET_BYTES + 8, mac);
  view.setUint32(ETHERNET_BYTES + 14, wanted);
  writeMac(frame, ETHERNET_BYTES + 18, asker);
  view.setUint32(ETHERNET_BYTES + 24, address);
  return frame;
}
