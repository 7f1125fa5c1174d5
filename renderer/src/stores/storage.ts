import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { Pool, Volume } from '../../../core/contract/storage.ts';
import { i18n } from '../i18n/index.ts';
import { useConnection } from './connection.ts';
import { toDto } from './notices.ts';

/** Events come in bursts; one look after the last is enough. */
const settleMs = 150;

/** Pools and volumes, looked at while somebody shows them. */
export const useStorage = defineStore('storage', () => {
  const connection = useConnection();
  const pools = shallowRef<Pool[]>([]);
  const volumes = shallowRef<Volume[]>([]);
  const loaded = ref(false);
  const failure = ref<ErrorDto | null>(null);
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function load(): Promise<void> {
    const mine = ++turn;
    try {
      const [nextPools, nextVolumes] = await Promise.all([connection.call('storage.pools', {}), connection.call('storage.volumes', {})]);
      // A later look has the newer answer.
      if (mine !== turn) return;
      pools.value = nextPools;
      volumes.value = nextVolumes;
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

  /** Keeps the lists current until the returned function is called. */
  function watch(): () => void {
    watchers++;
    void load();
    return () => {
      watchers--;
    };
  }

  connection.on('storage.changed', soon);
  // Who has an image open changes with the state of machines.
  connection.on('vm.changed', soon);
  connection.on('vm.removed', soon);
  connection.onReady(soon);

  const poolName = (pool: Pool | undefined): string =>
    !pool ? '' : pool.name || i18n.global.t(`storage.poolName.${pool.id === 'machines' ? 'machines' : 'default'}`);
  const byPath = computed(() => new Map(volumes.value.map((volume) => [volume.path, volume])));
  const byPool = computed(() => new Map(pools.value.map((pool) => [pool.id, pool])));
  /** Pools in which something can be made. */
  const targets = computed(() => pools.value.filter(({ id, problem }) => id !== 'machines' && problem === null));

  return { pools, volumes, loaded, failure, byPath, byPool, targets, poolName, load, watch };
});
