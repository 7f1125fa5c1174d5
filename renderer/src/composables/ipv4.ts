import { freeSubnet as firstFree, gatewayOf, parseIpv4, parseSubnet, subnetText } from '../../../core/contract/ipv4.ts';
import { ipv4Schema, subnetSchema } from '../../../core/contract/networks.ts';

/** A dotted address as a number; null for what is none. */
export const ipv4Number = (text: string): number | null => (ipv4Schema.safeParse(text).success ? parseIpv4(text) : null);

/** Of a network: its own address, its gateway's, the last one for a machine, and the one that reaches all. */
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
  const parsed = parseSubnet(wanted);
  const fit = subnetText(parsed);
  if (fit !== wanted) return { subnet: null, problem: 'bits', fit };
  const { network, broadcast } = parsed;
  return { subnet: { network, gateway: gatewayOf(parsed), last: broadcast - 1, broadcast }, problem: null };
}

/** Key under `networks.problem.*` of what is wrong with the addresses that are given out; null for a good range. */
export function rangeProblem({ network, gateway, last }: Subnet, range: { from: string; to: string }): string | null {
  const [from, to] = [ipv4Number(range.from.trim()), ipv4Number(range.to.trim())];
  if (from === null || to === null) return 'address';
  if (from > to) return 'order';
  if (from <= network || to > last) return 'outside';
  return from <= gateway && gateway <= to ? 'gateway' : null;
}

/** A private network of 256 addresses that overlaps none of these, as far as there is one. */
export const freeSubnet = (taken: readonly string[]): string =>
  firstFree(taken.filter((text) => readSubnet(text).subnet).map(parseSubnet)) ?? '10.100.0.0/24';
