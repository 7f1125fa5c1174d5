import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import { ContractError } from '../../../core/contract/client.ts';
import type { BridgeAnswer, ServerAddition } from '../../../core/contract/desktopbridge.ts';
import type { RemoteServer, ServerProbe } from '../../../core/contract/servers.ts';

/** The remote servers that the desktop app is attached to; nothing in a browser. */
export const useServers = defineStore('servers', () => {
  const bridge = window.hypervue?.servers ?? null;
  const list = shallowRef<RemoteServer[]>([]);
  /** Whether the system keeps tokens over a restart. */
  const lasting = ref(true);

  async function load(): Promise<void> {
    if (!bridge) return;
    const answer = await bridge.state();
    if ('error' in answer) return;
    list.value = answer.result.servers;
    lasting.value = answer.result.lasting;
  }

  async function settled<T>(answer: Promise<BridgeAnswer<T>>): Promise<T> {
    const got = await answer;
    if ('error' in got) throw new ContractError(got.error);
    await load();
    return got.result;
  }

  bridge?.onChange(() => void load());
  void load();
  return {
    available: bridge !== null,
    list,
    lasting,
    /** The next three reject with ContractError. */
    probe: (address: string): Promise<ServerProbe> => settled(bridge!.probe(address)),
    add: (server: ServerAddition): Promise<RemoteServer> => settled(bridge!.add(server)),
    remove: (id: string): Promise<null> => settled(bridge!.remove(id)),
  };
});
