import { DEFAULT_NETWORK, type NetworkStatus, type PortForward, samePort } from '../../../core/contract/networks.ts';

/** Key under `networks.reason.*` of why a network can't be deleted, with its parameters; null when it can. */
export function deleteReason({ id, name, members }: NetworkStatus): { key: 'default' | 'used'; params: Record<string, string> } | null {
  if (id === DEFAULT_NETWORK) return { key: 'default', params: { name } };
  const names = [...new Set(members.map(({ vmName }) => vmName))];
  return names.length ? { key: 'used', params: { names: names.join(', ') } } : null;
}

/** An id that no other forward of the network has. */
export function freeForwardId(forwards: readonly PortForward[]): string {
  for (let number = 1; ; number++) if (!forwards.some(({ id }) => id === `forward${number}`)) return `forward${number}`;
}

/** Another forward that listens where this one would. */
export function sameListener(
  forwards: readonly PortForward[],
  wanted: Pick<PortForward, 'id' | 'protocol' | 'hostAddress' | 'hostPort'>,
): PortForward | undefined {
  return forwards.find((each) => each.id !== wanted.id && samePort(each, wanted));
}
