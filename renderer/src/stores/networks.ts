import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import type { NetPlace, NetworkKindStatus, NetworkMember, NetworkStatus, PortForward } from '../../../core/contract/networks.ts';
import type { Params } from '../../../core/contract/methods.ts';
import { useConnection } from './connection.ts';
import { useWatched } from './watched.ts';

export type NetworkDraft = Params<'network.create'>;
export type NetworkPatch = Params<'network.update'>['patch'];

/** Networks that machines can be on, looked at while somebody shows them. */
export const useNetworks = defineStore('networks', () => {
  const connection = useConnection();
  const networks = shallowRef<NetworkStatus[]>([]);
  const kinds = shallowRef<NetworkKindStatus[]>([]);
  const { loaded, failure, load, watch } = useWatched(
    // Who is on a network, and under which name, changes with the machines.
    ['network.changed', 'vm.changed', 'vm.removed'],
    () => Promise.all([connection.call('network.list', {}), connection.call('network.kinds', {})]),
    ([nextNetworks, nextKinds]) => {
      networks.value = nextNetworks;
      kinds.value = nextKinds;
    },
  );

  /** The answer is in the list before the next look. */
  function took(status: NetworkStatus): void {
    const known = networks.value.some(({ id }) => id === status.id);
    networks.value = known ? networks.value.map((each) => (each.id === status.id ? status : each)) : [...networks.value, status];
  }

  async function create(network: NetworkDraft): Promise<NetworkStatus> {
    const status = await connection.call('network.create', network);
    took(status);
    return status;
  }

  async function update(id: string, patch: NetworkPatch): Promise<void> {
    took(await connection.call('network.update', { id, patch }));
  }

  async function remove(id: string): Promise<void> {
    await connection.call('network.delete', { id });
    networks.value = networks.value.filter((each) => each.id !== id);
  }

  const setForwards = (id: string, forwards: PortForward[]) => update(id, { forwards });

  const byId = computed(() => new Map(networks.value.map((network) => [network.id, network])));
  const nameOf = (id: string): string => byId.value.get(id)?.name ?? id;
  /** What is known of a card of a machine on the network that its cable leads to. */
  const memberOf = (network: string | null, vm: string, card: NetPlace): NetworkMember | undefined =>
    network === null ? undefined : byId.value.get(network)?.members.find((member) => member.vm === vm && member.card === card);

  return { networks, kinds, loaded, failure, byId, nameOf, memberOf, load, watch, create, update, remove, setForwards };
});
