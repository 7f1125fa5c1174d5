/** Forwards that don't work now, and why. */
import type { Network, NetworkMember, NetworkStatus, PortForward } from '../../contract/networks.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { NetworkNow } from './activenetwork.ts';

const nameOf = ({ protocol, hostAddress, hostPort }: PortForward) => ({
  protocol: protocol.toUpperCase(),
  port: String(hostPort),
  address: hostAddress,
});

/** Why the system does not let the network's process listen there. */
function listenError(forward: PortForward, code: string): HypervueError {
  const params = nameOf(forward);
  const about = { object: `${params.address}:${params.port}`, operation: 'listen', code };
  switch (code) {
    case 'EADDRINUSE':
      return new HypervueError('in-use', say('forwardTaken', params), about, say('fixForwardTwice'));
    case 'EACCES':
      return new HypervueError('permission-denied', say('forwardNotAllowed', params), about, say('fixForwardNotAllowed'));
    case 'EADDRNOTAVAIL':
      return new HypervueError('not-found', say('forwardNoHost', params), about, say('fixForwardNoHost'));
    default:
      return new HypervueError('io-error', say('forwardFailed', { ...params, code }), about, say('fixForwardTwice'));
  }
}

/** What is wrong with the other end: no machine, or no address yet of one that is on. */
function memberError(forward: PortForward, members: readonly NetworkMember[]): HypervueError | undefined {
  const params = nameOf(forward);
  const about = { object: `${params.address}:${params.port}` };
  const member = members.find(({ vm, card }) => vm === forward.vm && card === forward.card);
  if (!member) return new HypervueError('not-found', say('forwardNobody', params), about, say('fixForwardNobody'));
  if (!member.connected || member.address !== null) return undefined;
  return new HypervueError('not-found', say('forwardNoAddress', { ...params, machine: member.vmName }), about, say('fixForwardNoAddress'));
}

export function forwardProblems(
  { forwards }: Pick<Network, 'forwards'>,
  members: readonly NetworkMember[],
  { problems }: NetworkNow,
): NetworkStatus['forwardProblems'] {
  const codes = new Map(problems.map(({ id, code }) => [id, code]));
  return forwards.flatMap((forward) => {
    const code = codes.get(forward.id);
    const error = code === undefined ? memberError(forward, members) : listenError(forward, code);
    return error ? [{ id: forward.id, error: error.toJSON() }] : [];
  });
}
