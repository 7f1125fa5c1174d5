/** What makes the TAP device of a network, seen what there is. */
import { createHash } from 'node:crypto';
import { gatewayOf, ipv4Text, parseSubnet } from '../../../contract/ipv4.ts';
import type { Network } from '../../../contract/networks.ts';
import { HypervueError } from '../../../util/errors.ts';
import { say } from '../../../util/say.ts';
import type { HostInterface } from './interfaces.ts';
import type { Change, Step } from './steps.ts';

const USUAL_MTU = 1500;

export interface TapIdentity {
  device: string;
  /** By which it is known to be ours, and this network's. */
  alias: string;
  /** The user who may open it. */
  uid: number;
}

/** `place`: what tells the networks of one user and settings' folder from those of others on this computer. */
export function tapIdentity(id: string, place: string, uid: number): TapIdentity {
  const key = createHash('sha256').update(`${uid} ${place} ${id}`).digest('hex').slice(0, 8);
  return { device: `hv${key}`, alias: `hypervue:${id}:${key}`, uid };
}

export interface TapPlan {
  /** Nothing in it where all is as it has to be. */
  change: Change;
  /** What is there of ours, and takes away. */
  remove: readonly Step[];
}

/** Throws 'already-exists' where somebody else has the device, and 'not-found' where the bridge is not there. */
export function planTap(
  network: Pick<Network, 'name' | 'kind' | 'subnet' | 'bridge'>,
  { device, alias, uid }: TapIdentity,
  interfaces: readonly HostInterface[],
  forwards: boolean,
): TapPlan {
  const { name, kind, subnet, bridge } = network;
  const there = interfaces.find((each) => each.name === device);
  if (there && there.alias !== alias)
    throw new HypervueError(
      'already-exists',
      say('deviceForeign', { name, device }),
      { object: name, device },
      say('fixDeviceForeign', { device }),
    );
  const remove: Step[] = [['link', 'delete', 'dev', device]];
  const steps: Step[] = [];
  if (!there)
    steps.push(['tuntap', 'add', 'dev', device, 'mode', 'tap', 'user', String(uid)], ['link', 'set', 'dev', device, 'alias', alias]);
  if (subnet !== null) {
    const parsed = parseSubnet(subnet);
    const own = `${ipv4Text(gatewayOf(parsed))}/${parsed.prefix}`;
    const has = there?.addresses.filter(({ family }) => family === 4).map(({ address }) => address) ?? [];
    for (const address of has) if (address !== own) steps.push(['address', 'delete', address, 'dev', device]);
    if (!has.includes(own)) steps.push(['address', 'add', own, 'broadcast', ipv4Text(parsed.broadcast), 'dev', device]);
  } else if (bridge !== null) {
    const found = interfaces.find((each) => each.name === bridge);
    if (found?.kind !== 'bridge')
      throw new HypervueError('not-found', say('bridgeGone', { name, bridge }), { object: name, bridge }, say('fixBridgeGone'));
    // A bridge takes the least of its ports' lengths.
    if (found.mtu > USUAL_MTU && there?.mtu !== found.mtu) steps.push(['link', 'set', 'dev', device, 'mtu', String(found.mtu)]);
    if (there?.master !== bridge) steps.push(['link', 'set', 'dev', device, 'master', bridge]);
  }
  if (!there?.up) steps.push(['link', 'set', 'dev', device, 'up']);
  return {
    change: { steps, undo: there ? [] : remove, forwarding: kind === 'routed' && !forwards },
    remove: there ? remove : [],
  };
}
