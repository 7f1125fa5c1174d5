import { defineStore } from 'pinia';
import { computed, ref } from 'vue';
import type { GuestSystem, GuestSystems } from '../../../core/contract/systems.ts';
import { useConnection } from './connection.ts';

/** Operating systems that machines can be made for. Loaded when somebody asks first. */
export const useSystems = defineStore('systems', () => {
  const connection = useConnection();
  const table = ref<GuestSystems>({ systems: [], problem: '' });
  let asked: Promise<void> | null = null;

  /** Loads the table once; a failure is forgotten, so that the next call tries again. */
  function load(): Promise<void> {
    asked ??= connection.call('host.systems', {}).then(
      (found) => {
        table.value = found;
      },
      () => {
        asked = null;
      },
    );
    return asked;
  }

  const byId = computed(() => new Map<string, GuestSystem>(table.value.systems.map((system) => [system.id, system])));
  const byName = computed(() => new Map<string, GuestSystem>(table.value.systems.map((system) => [system.name.toLowerCase(), system])));
  return { table, byId, byName, load };
});
