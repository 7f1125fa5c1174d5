/** Ethernet II frames, IEEE 802.3 without FCS. */
export const ETHERNET_BYTES = 14;
/** Shorter frames are padded, as cards do. */
export const MIN_WIRE_BYTES = 60;
export const MTU = 1500;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;

/** Stations as numbers of 48 bits. */
export const BROADCAST = 0xffff_ffff_ffff;

export const readMac = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! * 256 + bytes[at + 1]!) * 0x1_0000_0000 +
  ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) +
  (bytes[at + 2]! & 0x80 ? 0x1_0000_0000 : 0);

export function writeMac(bytes: Uint8Array, at: number, mac: number): void {
  const high = Math.floor(mac / 0x1_0000_0000);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high & 0xff;
  bytes[at + 2] = (mac / 0x100_0000) & 0xff;
  bytes[at + 3] = (mac / 0x1_0000) & 0xff;
  bytes[at + 4] = (mac / 0x100) & 0xff;
  bytes[at + 5] = mac & 0xff;
}

export const parseMac = (text: string): number => Number.parseInt(text.replaceAll(':', ''), 16);
export const macText = (mac: number): string =>
  mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:');
/** For a group, not for one station. */
export const isGroup = (bytes: Uint8Array, at: number): boolean => (bytes[at]! & 1) !== 0;
