/** What a network has to be, beyond its schema. */
import { bootFiles, isBootUrl, MAX_NETWORKS, type Network, samePort } from '../../contract/networks.ts';
import { gatewayOf, inSubnet, ipv4Text, overlaps, parseIpv4, parseSubnet, type Subnet, subnetText } from '../../contract/ipv4.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

/** RFC 6890: this host, loopback, link-local, and multicast with everything above. */
const SPECIAL = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map(parseSubnet);

/** Throws 'invalid-argument' or 'already-exists' where `network` can't be beside `others`. */
export function checkNetwork(network: Network, others: readonly Network[]): void {
  const { name } = network;
  if (others.length >= MAX_NETWORKS)
    throw new HypervueError('resource-limit', say('networksFull', { most: MAX_NETWORKS }), { object: name }, say('fixNetworksFull'));
  if (others.some((other) => other.name.toLowerCase() === name.toLowerCase()))
    throw new HypervueError('already-exists', say('networkTaken', { name }), { object: name, field: 'name' }, say('fixName'));
  if (network.kind === 'bridged') checkBridged(network);
  else {
    if (network.bridge !== null)
      throw new HypervueError('invalid-argument', say('bridgeOnlyBridged', { name }), { object: name, field: 'bridge' });
    checkDhcp(network, checkSubnet(network, others));
  }
  checkForwards(network, others);
  checkBoot(network);
}

/** What the folder has to be is seen when it is set. */
function checkBoot({ name, kind, dhcp, boot }: Network): void {
  if (boot === null) return;
  const about = { object: name, field: 'boot' };
  if (kind !== 'nat') throw new HypervueError('invalid-argument', say('bootOnlyNat', { name }), about, say('fixBootOnlyNat'));
  if (dhcp === null) throw new HypervueError('invalid-argument', say('bootWantsDhcp', { name }), about, say('fixBootWantsDhcp'));
  const file = boot.folder === null ? bootFiles(boot).find((each) => !isBootUrl(each)) : undefined;
  if (file !== undefined) throw new HypervueError('invalid-argument', say('bootNoFolder', { file, name }), about, say('fixBootNoFolder'));
}

/** Its addresses are given by others: on the network that the bridge is on. */
function checkBridged({ name, subnet, dhcp, bridge }: Network): void {
  if (bridge === null)
    throw new HypervueError('invalid-argument', say('bridgeWanted', { name }), { object: name, field: 'bridge' }, say('fixBridgeGone'));
  if (subnet !== null || dhcp !== null)
    throw new HypervueError('invalid-argument', say('bridgedNoAddresses', { name }), { object: name, field: 'subnet' });
}

function checkSubnet({ name, subnet }: Network, others: readonly Network[]): Subnet {
  if (subnet === null)
    throw new HypervueError('invalid-argument', say('subnetWanted', { name }), { object: name, field: 'subnet' }, say('fixSubnetSpecial'));
  const parsed = parseSubnet(subnet);
  const about = { object: name, field: 'subnet' };
  if (subnetText(parsed) !== subnet)
    throw new HypervueError(
      'invalid-argument',
      say('subnetNotFirst', { subnet, network: subnetText(parsed) }),
      about,
      say('fixSubnetNotFirst', { network: subnetText(parsed) }),
    );
  if (SPECIAL.some((special) => overlaps(special, parsed)))
    throw new HypervueError('invalid-argument', say('subnetSpecial', { subnet }), about, say('fixSubnetSpecial'));
  const taken = others.find((other) => other.subnet !== null && overlaps(parseSubnet(other.subnet), parsed));
  if (taken?.subnet)
    throw new HypervueError(
      'already-exists',
      say('subnetTaken', { subnet, other: taken.subnet, name: taken.name }),
      about,
      say('fixSubnetTaken'),
    );
  return parsed;
}

function checkDhcp({ name, dhcp }: Network, subnet: Subnet): void {
  if (!dhcp) return;
  const about = { object: name, field: 'dhcp' };
  const [from, to] = [parseIpv4(dhcp.from), parseIpv4(dhcp.to)];
  // The first address is the gateway's, the last everybody's.
  const [first, last] = [gatewayOf(subnet) + 1, subnet.broadcast - 1];
  const { from: fromText, to: toText } = dhcp;
  if (!inSubnet(subnet, from) || !inSubnet(subnet, to) || Math.min(from, to) < first || Math.max(from, to) > last)
    throw new HypervueError(
      'invalid-argument',
      say('dhcpOutside', { from: fromText, to: toText, subnet: subnetText(subnet) }),
      about,
      say('fixDhcpOutside', { first: ipv4Text(first), last: ipv4Text(last) }),
    );
  if (from > to)
    throw new HypervueError('invalid-argument', say('dhcpBackwards', { from: fromText, to: toText }), about, say('fixDhcpBackwards'));
}

function checkForwards({ name, kind, forwards }: Network, others: readonly Network[]): void {
  const about = { object: name, field: 'forwards' };
  if (forwards.length && kind !== 'nat')
    throw new HypervueError('invalid-argument', say('forwardsOnlyNat', { name }), about, say('fixForwardsOnlyNat'));
  for (const [index, forward] of forwards.entries()) {
    const before = forwards.slice(0, index);
    if (before.some(({ id }) => id === forward.id))
      throw new HypervueError('invalid-argument', say('forwardIdTwice', { id: forward.id }), about);
    const elsewhere = others.find((other) => other.forwards.some((each) => samePort(each, forward)));
    const twin = before.some((each) => samePort(each, forward)) ? name : elsewhere?.name;
    if (twin === undefined) continue;
    const { protocol, hostPort: port, hostAddress: address } = forward;
    throw new HypervueError(
      'already-exists',
      say('forwardTwice', { protocol: protocol.toUpperCase(), port, address, one: twin, other: name }),
      about,
      say('fixForwardTwice'),
    );
  }
}
