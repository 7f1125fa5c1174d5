import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import { type AccessToken, type Caller, type Role, roleCovers } from '../../../core/contract/access.ts';
import type { MethodName } from '../../../core/contract/methods.ts';
import { methodRoles } from '../../../core/contract/roles.ts';
import { ownRole } from '../composables/verbs.ts';
import { useConnection } from './connection.ts';

/** Who we are to the manager, and for those who may know it, who else there is. */
export const useAccess = defineStore('access', () => {
  const connection = useConnection();
  const me = shallowRef<Caller | null>(null);
  const tokens = ref<AccessToken[]>([]);
  const connections = ref<Caller[]>([]);
  const role = computed<Role>(() => me.value?.role ?? 'manage');
  const may = (method: MethodName) => roleCovers(role.value, methodRoles[method]);

  async function loadMe(): Promise<void> {
    try {
      me.value = await connection.call('access.me', {});
      ownRole.value = me.value.role;
    } catch {
      // The connection banner says it; the next connection asks again.
    }
  }

  /** Tokens and connections; nothing for those who may not see them. */
  async function load(): Promise<void> {
    if (!may('access.tokens')) return;
    try {
      [tokens.value, connections.value] = await Promise.all([
        connection.call('access.tokens', {}),
        connection.call('access.connections', {}),
      ]);
    } catch {
      // Kept as they were.
    }
  }

  connection.onReady(() => void loadMe());
  return { me, role, tokens, connections, may, load };
});
