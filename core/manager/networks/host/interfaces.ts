/** This computer's interfaces and routes, as `ip -json` tells of them (iproute2). What is not as expected is left out. */

export interface HostAddress {
  family: 4 | 6;
  /** With its prefix length. */
  address: string;
  broadcast: string | null;
  scope: string;
  /** Seconds; null for good. */
  valid: number | null;
  preferred: number | null;
  /** Words of `ip address add` that it was made with. */
  flags: string[];
  /** Made by the kernel itself, which makes others when it is gone. */
  temporary: boolean;
}

export interface HostInterface {
  index: number;
  name: string;
  /** Of the link itself: `ether`, `loopback` and others. */
  link: string;
  /** `bridge`, `veth`, `tun` and others; null for a device of its own. */
  kind: string | null;
  up: boolean;
  carrier: boolean;
  mtu: number;
  mac: string;
  alias: string;
  /** The bridge, or other interface, that it is in. */
  master: string | null;
  addresses: HostAddress[];
}

export interface HostRoute {
  family: 4 | 6;
  /** `default`, or a network. */
  to: string;
  device: string;
  table: string;
  /** Words of `ip route` behind the destination, without the device. */
  words: string[];
  /** Made by the kernel along with an address. */
  automatic: boolean;
  /** It can't be written with a word each: several ways, or an encapsulation. */
  special: boolean;
}

type Fields = Record<string, unknown>;

/** `ip` gives seconds, and this for ever. */
const FOR_EVER = 0xffff_ffff;

function list(json: string): Fields[] {
  if (json.trim() === '') return [];
  const value: unknown = JSON.parse(json);
  return Array.isArray(value) ? value.filter((each): each is Fields => typeof each === 'object' && each !== null) : [];
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const words = (value: unknown): string[] => (Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []);
const seconds = (value: unknown): number | null => (typeof value === 'number' && value !== FOR_EVER ? value : null);

function readAddress(fields: Fields): HostAddress[] {
  const family = fields.family === 'inet' ? 4 : fields.family === 'inet6' ? 6 : undefined;
  if (family === undefined || !text(fields.local)) return [];
  return [
    {
      family,
      address: `${text(fields.local)}/${number(fields.prefixlen)}`,
      broadcast: text(fields.broadcast) || null,
      scope: text(fields.scope),
      valid: seconds(fields.valid_life_time),
      preferred: seconds(fields.preferred_life_time),
      flags: ['noprefixroute', 'nodad', 'home', 'mngtmpaddr'].filter((flag) => fields[flag] === true),
      temporary: fields.temporary === true,
    },
  ];
}

/** From `ip -json -details address show`. */
export function readInterfaces(json: string): HostInterface[] {
  return list(json).flatMap((fields) => {
    const name = text(fields.ifname);
    if (!name) return [];
    const flags = words(fields.flags);
    const info = typeof fields.linkinfo === 'object' && fields.linkinfo !== null ? (fields.linkinfo as Fields) : {};
    const addresses = Array.isArray(fields.addr_info) ? (fields.addr_info as Fields[]) : [];
    return [
      {
        index: number(fields.ifindex),
        name,
        link: text(fields.link_type),
        kind: text(info.info_kind) || null,
        up: flags.includes('UP'),
        carrier: flags.includes('LOWER_UP'),
        mtu: number(fields.mtu),
        mac: text(fields.address),
        alias: text(fields.ifalias),
        master: text(fields.master) || null,
        addresses: addresses.flatMap(readAddress),
      },
    ];
  });
}

/** Fields of a route that go into words as they are, with the word before them. */
const ROUTE_WORDS = [
  ['gateway', 'via'],
  ['prefsrc', 'src'],
  ['protocol', 'proto'],
  ['scope', 'scope'],
  ['metric', 'metric'],
] as const;
const KNOWN = new Set(['dst', 'dev', 'table', 'flags', 'type', 'pref', 'expires', ...ROUTE_WORDS.map(([field]) => field)]);

/** From `ip -json -4 route show table all`, or the same with -6. */
export function readRoutes(json: string, family: 4 | 6): HostRoute[] {
  return list(json).flatMap((fields) => {
    const to = text(fields.dst);
    if (!to) return [];
    const route: string[] = [];
    for (const [field, word] of ROUTE_WORDS) {
      const value = fields[field];
      if (typeof value === 'string' || typeof value === 'number') route.push(word, String(value));
    }
    if (words(fields.flags).includes('onlink')) route.push('onlink');
    const type = text(fields.type);
    return [
      {
        family,
        to,
        device: text(fields.dev),
        table: text(fields.table) || 'main',
        words: route,
        automatic: fields.protocol === 'kernel',
        special: (type !== '' && type !== 'unicast') || Object.keys(fields).some((field) => !KNOWN.has(field)),
      },
    ];
  });
}
