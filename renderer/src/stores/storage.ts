import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import type { Pool, Volume } from '../../../core/contract/storage.ts';
import { i18n } from '../i18n/index.ts';
import { useConnection } from './connection.ts';
import { useWatched } from './watched.ts';

/** Pools and volumes, looked at while somebody shows them. */
export const useStorage = defineStore('storage', () => {
  const connection = useConnection();
  const pools = shallowRef<Pool[]>([]);
  const volumes = shallowRef<Volume[]>([]);
  const { loaded, failure, load, watch } = useWatched(
    // Who has an image open changes with the state of machines.
    ['storage.changed', 'vm.changed', 'vm.removed'],
    () => Promise.all([connection.call('storage.pools', {}), connection.call('storage.volumes', {})]),
    ([nextPools, nextVolumes]) => {
      pools.value = nextPools;
      volumes.value = nextVolumes;
    },
  );

  const poolName = (pool: Pool | undefined): string =>
    !pool ? '' : pool.name || i18n.global.t(`storage.poolName.${pool.id === 'machines' ? 'machines' : 'default'}`);
  const byPath = computed(() => new Map(volumes.value.map((volume) => [volume.path, volume])));
  const byPool = computed(() => new Map(pools.value.map((pool) => [pool.id, pool])));
  /** Pools in which something can be made. */
  const targets = computed(() => pools.value.filter(({ id, problem }) => id !== 'machines' && problem === null));

  return { pools, volumes, loaded, failure, byPath, byPool, targets, poolName, load, watch };
});
