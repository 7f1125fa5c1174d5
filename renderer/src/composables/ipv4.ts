import { subnetSchema } from '../../../core/contract/networks.ts';

/** A dotted address as a number; null for what is none. */
export function ipv4Number(text: string): number | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export const ipv4Text = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');

/** Of a network: its own address, its gateway's, the last one for a machine, and the one that reaches all; null for what is no network address. */
export interface Subnet {
  network: number;
  gateway: number;
  last: number;
  broadcast: number;
}

/** `problem`: no address at all, or one with bits behind the prefix, whose network is `fit`. */
export type SubnetReading =
  | { subnet: Subnet; problem: null }
  | { subnet: null; problem: 'form' }
  | { subnet: null; problem: 'bits'; fit: string };

export function readSubnet(text: string): SubnetReading {
  const wanted = text.trim();
  if (!subnetSchema.safeParse(wanted).success) return { subnet: null, problem: 'form' };
  const [address, prefix] = wanted.split('/') as [string, string];
  const number = ipv4Number(address)!;
  const size = 2 ** (32 - Number(prefix));
  const network = number - (number % size);
  if (network !== number) return { subnet: null, problem: 'bits', fit: `${ipv4Text(network)}/${prefix}` };
  return { subnet: { network, gateway: network + 1, last: network + size - 2, broadcast: network + size - 1 }, problem: null };
}

/** The upper half of a network, which is given to machines when nobody chose. */
export function usualRange({ network, last, broadcast }: Subnet): { from: string; to: string } {
  const half = network + (broadcast + 1 - network) / 2;
  return { from: ipv4Text(half), to: ipv4Text(last) };
}

/** Key under `networks.problem.*` of what is wrong with the addresses that are given out; null for a good range. */
export function rangeProblem({ network, gateway, last }: Subnet, range: { from: string; to: string }): string | null {
  const [from, to] = [ipv4Number(range.from.trim()), ipv4Number(range.to.trim())];
  if (from === null || to === null) return 'address';
  if (from > to) return 'order';
  if (from <= network || to > last) return 'outside';
  return from <= gateway && gateway <= to ? 'gateway' : null;
}

/** The first private network of 256 addresses that overlaps none of these. */
export function freeSubnet(taken: readonly string[]): string {
  const used = taken.flatMap((text) => readSubnet(text).subnet ?? []);
  for (let third = 100; third < 100 + 256; third++) {
    const text = `192.168.${third % 256}.0/24`;
    const { subnet } = readSubnet(text);
    if (subnet && !used.some((other) => other.network <= subnet.broadcast && subnet.network <= other.broadcast)) return text;
  }
  return '10.100.0.0/24';
}
