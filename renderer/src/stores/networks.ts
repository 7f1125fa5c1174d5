import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { NetPlace, NetworkKindStatus, NetworkMember, NetworkStatus, PortForward } from '../../../core/contract/networks.ts';
import type { Params } from '../../../core/contract/methods.ts';
import { useConnection } from './connection.ts';
import { toDto } from './notices.ts';

/** Events come in bursts; one look after the last is enough. */
const settleMs = 150;

export type NetworkDraft = Params<'network.create'>;
export type NetworkPatch = Params<'network.update'>['patch'];

/** Networks that machines can be on, looked at while somebody shows them. */
export const useNetworks = defineStore('networks', () => {
  const connection = useConnection();
  const networks = shallowRef<NetworkStatus[]>([]);
  const kinds = shallowRef<NetworkKindStatus[]>([]);
  const loaded = ref(false);
  const failure = ref<ErrorDto | null>(null);
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function load(): Promise<void> {
    const mine = ++turn;
    try {
      const [nextNetworks, nextKinds] = await Promise.all([connection.call('network.list', {}), connection.call('network.kinds', {})]);
      // A later look has the newer answer.
      if (mine !== turn) return;
      networks.value = nextNetworks;
      kinds.value = nextKinds;
      loaded.value = true;
      failure.value = null;
    } catch (error) {
      if (mine === turn) failure.value = toDto(error);
    }
  }

  function soon(): void {
    if (watchers === 0) return;
    clearTimeout(timer);
    timer = setTimeout(() => void load(), settleMs);
  }

  /** Keeps the list current until the returned function is called. */
  function watch(): () => void {
    watchers++;
    void load();
    return () => {
      watchers--;
    };
  }

  connection.on('network.changed', soon);
  // Who is on a network, and under which name, changes with the machines.
  connection.on('vm.changed', soon);
  connection.on('vm.removed', soon);
  connection.onReady(soon);

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
