import { defineStore } from 'pinia';
import { computed, ref, shallowReactive } from 'vue';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from './connection.ts';

/** Every machine of the manager, kept current by its events. */
export const useMachines = defineStore('machines', () => {
  const connection = useConnection();
  const byId = shallowReactive(new Map<string, VmSummary>());
  const loaded = ref(false);

  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
  /** By name, then id: cards keep their place whatever the machines do. */
  const sorted = computed(() => [...byId.values()].sort((a, b) => collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1)));

  async function load(): Promise<void> {
    try {
      const list = await connection.call('vm.list', {});
      const present = new Set(list.map((vm) => vm.id));
      for (const id of [...byId.keys()]) if (!present.has(id)) byId.delete(id);
      for (const vm of list) byId.set(vm.id, vm);
      loaded.value = true;
    } catch {
      // The connection banner says it; onReady loads again.
    }
  }

  connection.on('vm.changed', (vm) => byId.set(vm.id, vm));
  connection.on('vm.removed', ({ id }) => byId.delete(id));
  connection.onReady(() => void load());

  return { byId, sorted, loaded, load, get: (id: string) => byId.get(id) ?? null };
});
