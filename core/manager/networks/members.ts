import type { Network, NetworkCard, NetworkMember } from '../../contract/networks.ts';
import type { VmConfig } from '../../contract/vm.ts';

/** What is asked of a machine. */
export interface NetworkedMachine {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly config: VmConfig | null;
}

const cardsOf = (config: VmConfig | null): readonly NetworkCard[] => config?.network ?? [];

/** The cards with their cable in a network; `addressOf` a MAC. */
export function membersOf(
  network: Pick<Network, 'id'>,
  machines: readonly NetworkedMachine[],
  addressOf: (mac: string) => string | null,
): NetworkMember[] {
  return machines.flatMap(({ id: vm, name: vmName, active, config }) =>
    cardsOf(config)
      .filter((card) => card.network === network.id)
      .map(({ id: card, mac, model, connected }) => ({
        vm,
        vmName,
        card,
        mac,
        model,
        connected: active && connected,
        address: addressOf(mac),
      })),
  );
}
