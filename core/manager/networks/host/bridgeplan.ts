/** What makes a bridge of an uplink and moves its addresses and routes there, and what takes all of it back. */
import { say, type Saying } from '../../../util/say.ts';
import type { HostAddress, HostInterface, HostRoute } from './interfaces.ts';
import type { Change, Step } from './steps.ts';
import { type FileReader, managerOf, movedRoutes } from './uplinks.ts';

const USUAL_MTU = 1500;

/** An address as the kernel makes by itself for every interface stays, and so do those that it makes for a time. */
const moves = ({ family, scope, temporary }: HostAddress): boolean => !temporary && !(family === 6 && scope === 'link');

function addressWords({ address, broadcast, scope, valid, preferred, flags }: HostAddress, device: string): string[] {
  const words = [address];
  if (broadcast !== null) words.push('broadcast', broadcast);
  words.push('dev', device);
  if (scope !== 'global' && scope !== '') words.push('scope', scope);
  if (valid !== null) words.push('valid_lft', String(valid));
  if (preferred !== null) words.push('preferred_lft', String(preferred));
  return [...words, ...flags];
}

/** In the order in which they come out as they are listed: the kernel puts a new IPv6 address before the others. */
const inOrder = (addresses: readonly HostAddress[]): HostAddress[] => [
  ...addresses.filter(({ family }) => family === 4),
  ...addresses.filter(({ family }) => family === 6).reverse(),
];

/** `ip -batch` takes the family from the addresses. */
const routeStep = ({ family, to, words }: HostRoute, device: string): Step => [
  'route',
  'replace',
  family === 6 && to === 'default' ? '::/0' : to,
  ...words,
  'dev',
  device,
];

/** `uplink` is one that nothing speaks against, and `bridge` nobody's name. */
export function planBridge(uplink: HostInterface, bridge: string, routes: readonly HostRoute[]): Change {
  const { name, mac, mtu, up } = uplink;
  const addresses = inOrder(uplink.addresses.filter(moves));
  const moved = movedRoutes(uplink, routes);
  const length = mtu === USUAL_MTU ? [] : ['mtu', String(mtu)];
  return {
    steps: [
      // With the uplink's own address whoever gives addresses gives the same one.
      ['link', 'add', 'name', bridge, 'address', mac, ...length, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0'],
      ['link', 'set', 'dev', bridge, 'alias', `hypervue:bridge:${name}`],
      ['link', 'set', 'dev', bridge, 'up'],
      ...addresses.map((address) => ['address', 'add', ...addressWords(address, bridge)]),
      ['link', 'set', 'dev', name, 'master', bridge],
      ...(up ? [] : [['link', 'set', 'dev', name, 'up']]),
      // The last first: with the first of a network the others of it would go.
      ...addresses.toReversed().map(({ address }) => ['address', 'delete', address, 'dev', name]),
      ...moved.map((route) => routeStep(route, bridge)),
    ],
    undo: [
      ['link', 'set', 'dev', name, 'nomaster'],
      ['link', 'delete', 'dev', bridge],
      ...(up ? [] : [['link', 'set', 'dev', name, 'down']]),
      ...addresses.map((address) => ['address', 'replace', ...addressWords(address, name)]),
      ...moved.map((route) => routeStep(route, name)),
    ],
  };
}

/** What is good to know before. */
export function bridgeNotes(uplink: HostInterface, bridge: string, routes: readonly HostRoute[], read: FileReader): Saying[] {
  const { name: device, addresses } = uplink;
  const manager = managerOf(uplink, read);
  const notes = [manager ? say('noteManagedBy', { manager, device }) : say('noteUntilRestart')];
  if (movedRoutes(uplink, routes).some(({ to }) => to === 'default')) notes.push(say('noteDefault', { device }));
  if (addresses.some((address) => moves(address) && address.valid !== null)) notes.push(say('noteLeased', { device, bridge }));
  if (addresses.some(({ temporary }) => temporary)) notes.push(say('noteTemporary', { device }));
  return notes;
}
