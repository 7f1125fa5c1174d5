import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { HostInfo } from '../../../core/contract/host.ts';
import { useConnection } from './connection.ts';

/** What the machine that runs the manager has and can. */
export const useHost = defineStore('host', () => {
  const connection = useConnection();
  const info = ref<HostInfo | null>(null);

  async function load(): Promise<void> {
    try {
      info.value = await connection.call('host.info', {});
    } catch {
      // Kept as it was; loaded again with the next connection.
    }
  }

  connection.onReady(() => void load());
  return { info, load };
});
