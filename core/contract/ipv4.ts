/** IPv4 addresses as numbers of 32 bits without sign. */
export function parseIpv4(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export const ipv4Text = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;

export interface Subnet {
  /** First address: that of the network itself. */
  network: number;
  /** Last address: everybody in it. */
  broadcast: number;
  mask: number;
  prefix: number;
}

/** The network that `text`, an address and a prefix length of 1 to 31, lies in. */
export function parseSubnet(text: string): Subnet {
  const [address, length] = text.split('/') as [string, string];
  const prefix = Number(length);
  const mask = (0xffff_ffff << (32 - prefix)) >>> 0;
  const network = (parseIpv4(address) & mask) >>> 0;
  return { network, broadcast: (network | ~mask) >>> 0, mask, prefix };
}

export const subnetText = ({ network, prefix }: Subnet): string => `${ipv4Text(network)}/${prefix}`;
export const inSubnet = ({ network, mask }: Subnet, address: number): boolean => (address & mask) >>> 0 === network;
export const overlaps = (a: Subnet, b: Subnet): boolean => a.network <= b.broadcast && b.network <= a.broadcast;

/** The address that gateway, DHCP and name server have: the first after that of the network. */
export const gatewayOf = ({ network }: Subnet): number => network + 1;

/** The upper half of a network, which is given to machines when nobody chose. */
export function usualRange({ network, broadcast }: Pick<Subnet, 'network' | 'broadcast'>): { from: string; to: string } {
  return { from: ipv4Text(network + (broadcast + 1 - network) / 2), to: ipv4Text(broadcast - 1) };
}

/** The first private network of 256 addresses, from 192.168.100.0 on, that overlaps none of these; undefined where all are taken. */
export function freeSubnet(taken: readonly Subnet[]): string | undefined {
  for (let third = 100; third < 100 + 256; third++) {
    const free = parseSubnet(`192.168.${third % 256}.0/24`);
    if (!taken.some((each) => overlaps(each, free))) return subnetText(free);
  }
  return undefined;
}
