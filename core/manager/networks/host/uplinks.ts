/** Interfaces that a bridge can be made of. */
import type { interfaceManagers, Uplink } from '../../../contract/networks.ts';
import { say, type Saying } from '../../../util/say.ts';
import type { HostInterface, HostRoute } from './interfaces.ts';

/** Devices of their own, and those that lead to one, or to another namespace. */
const UPLINK_KINDS: readonly (string | null)[] = [null, 'veth', 'vlan', 'bond', 'team'];
/** Routes of the kernel's own, to this computer's addresses. */
const LOCAL_TABLE = 'local';
/** Every interface has these. */
const LINK_LOCAL = 'fe80::/64';
const GROUPS = 'ff00::/8';

type Manager = (typeof interfaceManagers)[number];
/** A small file of the system; undefined where there is none. */
export type FileReader = (file: string) => string | undefined;

export const isUplink = ({ link, kind, alias }: HostInterface): boolean =>
  link === 'ether' && UPLINK_KINDS.includes(kind) && !alias.startsWith('hypervue:');

/** Who sets an interface up, as far as the system's files tell. */
export function managerOf({ index, name }: Pick<HostInterface, 'index' | 'name'>, read: FileReader): Manager | null {
  if (/^managed=true$/m.test(read(`/run/NetworkManager/devices/${index}`) ?? '')) return 'NetworkManager';
  const networkd = /^ADMIN_STATE=(.*)$/m.exec(read(`/run/systemd/netif/links/${index}`) ?? '')?.[1];
  if (networkd !== undefined && networkd !== 'unmanaged') return 'systemd-networkd';
  const interfaces = read('/etc/network/interfaces') ?? '';
  const named = interfaces
    .split('\n')
    .some((line) => /^\s*(auto|iface|allow-\S+)\s/.test(line) && line.trim().split(/\s+/).slice(1).includes(name));
  return named ? 'ifupdown' : null;
}

const isWireless = (name: string, read: FileReader): boolean =>
  read(`/sys/class/net/${name}/phy80211/index`) !== undefined ||
  new RegExp(`^\\s*${name.replaceAll('.', '\\.')}:`, 'm').test(read('/proc/net/wireless') ?? '');

/**
 * Routes that go along with an interface, in an order in which they can be made: a gateway has to be reachable first. Those that the kernel makes with an address come by themselves, unless the
 * address was made without them, as NetworkManager does, which then makes them itself.
 */
export function movedRoutes({ name, addresses }: Pick<HostInterface, 'name' | 'addresses'>, routes: readonly HostRoute[]): HostRoute[] {
  const own = (family: 4 | 6) => addresses.some((address) => address.family === family && address.flags.includes('noprefixroute'));
  const moved = routes.filter(
    ({ device, table, automatic, family, to }) =>
      device === name && table !== LOCAL_TABLE && (!automatic || (own(family) && to !== LINK_LOCAL && to !== GROUPS)),
  );
  const direct = ({ words }: HostRoute) => !words.includes('via');
  return [...moved.filter(direct), ...moved.filter((route) => !direct(route))];
}

/** Why an interface can't be put into a bridge. */
export function refusalOf(one: HostInterface, routes: readonly HostRoute[], read: FileReader): Saying | null {
  const { name, master } = one;
  if (master !== null) return say('uplinkInBridge', { bridge: master });
  if (isWireless(name, read)) return say('uplinkWireless');
  const odd = movedRoutes(one, routes).some(({ table, special }) => table !== 'main' || special);
  // Several ways at once name their devices inside.
  const shared = routes.some(({ device, special, table }) => device === '' && special && table === 'main');
  return odd || shared ? say('uplinkRoutes') : null;
}

export function uplinksOf(interfaces: readonly HostInterface[], routes: readonly HostRoute[], read: FileReader): Uplink[] {
  return interfaces.filter(isUplink).map((each) => ({
    device: each.name,
    mac: each.mac,
    up: each.up,
    carrier: each.carrier,
    addresses: each.addresses.map(({ address }) => address),
    defaultRoute: routes.some(({ device, to, table }) => device === each.name && to === 'default' && table === 'main'),
    managedBy: managerOf(each, read),
    refusal: refusalOf(each, routes, read)?.said ?? null,
  }));
}
