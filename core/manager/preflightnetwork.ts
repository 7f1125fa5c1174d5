import type { NetPlace, NetworkCard } from '../contract/networks.ts';
import { plain, say } from '../util/say.ts';
import type { MachineNetworks } from './networks/attachments.ts';
import { bad, failed, good, type PreflightCheck } from './preflight.ts';

/** Whether there is what a card's cable leads to; nothing of one whose cable is pulled out. */
export async function checkCable(
  networks: Pick<MachineNetworks, 'look' | 'obstacle'>,
  { id, network, connected }: Pick<NetworkCard, 'network' | 'connected'> & { id: NetPlace },
): Promise<PreflightCheck[]> {
  if (network === null || !connected) return [];
  try {
    const { name, problem } = networks.look(network);
    const obstacle = await networks.obstacle(network);
    if (obstacle) return [failed(id, obstacle, name)];
    // It is tried again when the machine starts.
    return [problem ? { ...failed(id, problem, name), severity: 'warning' } : good(id, plain(name))];
  } catch {
    return [bad(id, 'error', 'not-found', say('cardNetworkGone', { card: id, name: network }), say('fixNetworkGone'))];
  }
}
