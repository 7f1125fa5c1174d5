import { onBeforeUnmount, ref, shallowRef, watch } from 'vue';
import type { VmStats } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';

/** Samples kept: two minutes at one a second. */
export const historyLength = 120;

/** Asks for a running machine's figures every second and keeps their recent past. */
export function useStats(id: () => string, running: () => boolean) {
  const connection = useConnection();
  const latest = shallowRef<VmStats | null>(null);
  const cpu = ref<number[]>([]);
  const speed = ref<number[]>([]);
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function sample(): Promise<void> {
    clearTimeout(timer);
    if (!running()) return;
    try {
      const stats = await connection.call('vm.stats', { id: id() });
      latest.value = stats;
      if (stats) {
        cpu.value = [...cpu.value.slice(1 - historyLength), stats.cpu];
        speed.value = [...speed.value.slice(1 - historyLength), stats.instructionsPerSecond];
      }
    } catch {
      // Between two states there are no figures; the next second has them.
    }
    if (running()) timer = setTimeout(() => void sample(), 1000);
  }

  watch(
    running,
    (is) => {
      if (is) {
        cpu.value = [];
        speed.value = [];
        void sample();
      } else {
        clearTimeout(timer);
        latest.value = null;
      }
    },
    { immediate: true },
  );
  onBeforeUnmount(() => clearTimeout(timer));
  return { latest, cpu, speed };
}
