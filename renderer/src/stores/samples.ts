import { defineStore } from 'pinia';
import { shallowReactive } from 'vue';
import type { VmStats } from '../../../core/contract/vm.ts';
import { useConnection } from './connection.ts';

/** Samples kept of each machine: two minutes at one a second. */
export const samplesKept = 120;

/** The last figures of a running machine and their recent past; bytes of disk and of network a second, both directions together. */
export interface Samples {
  stats: VmStats;
  at: number;
  cpu: number[];
  /** Guest instructions a second. */
  speed: number[];
  memory: number[];
  disk: number[];
  network: number[];
}

/** What running machines do at the moment, as the manager tells every second. */
export const useSamples = defineStore('samples', () => {
  const connection = useConnection();
  const byId = shallowReactive(new Map<string, Samples>());

  connection.on('vm.sampled', ({ id, stats }) => {
    const now = performance.now();
    const last = byId.get(id);
    // Counters start again with the machine.
    const before = last && stats.uptimeSeconds >= last.stats.uptimeSeconds ? last : undefined;
    const rate = (bytes: (of: VmStats) => number) =>
      before && now > before.at ? (Math.max(0, bytes(stats) - bytes(before.stats)) * 1000) / (now - before.at) : 0;
    const push = (values: number[] | undefined, value: number) => [...(values ?? []).slice(1 - samplesKept), value];
    byId.set(id, {
      stats,
      at: now,
      cpu: push(before?.cpu, stats.cpu),
      speed: push(before?.speed, stats.instructionsPerSecond),
      memory: push(before?.memory, stats.residentBytes),
      disk: push(
        before?.disk,
        rate((of) => of.diskReadBytes + of.diskWriteBytes),
      ),
      network: push(
        before?.network,
        rate((of) => of.netReceiveBytes + of.netSendBytes),
      ),
    });
  });
  connection.on('vm.changed', (vm) => {
    if (!vm.stats) byId.delete(vm.id);
  });
  connection.on('vm.removed', ({ id }) => byId.delete(id));
  return { byId };
});
