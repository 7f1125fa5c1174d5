import { defineStore } from 'pinia';
import { computed, ref, shallowReactive } from 'vue';
import type { Task } from '../../../core/contract/host.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

/** Long tasks of the manager: running ones first, then the latest. */
export const useTasks = defineStore('tasks', () => {
  const connection = useConnection();
  const notices = useNotices();
  const byId = shallowReactive(new Map<string, Task>());
  const panelOpen = ref(false);

  const list = computed(() =>
    [...byId.values()].sort((a, b) => {
      const running = Number(b.state === 'running') - Number(a.state === 'running');
      return running || (a.startedAt < b.startedAt ? 1 : -1);
    }),
  );
  const running = computed(() => list.value.filter((task) => task.state === 'running'));

  async function load(): Promise<void> {
    try {
      const tasks = await connection.call('task.list', {});
      byId.clear();
      for (const task of tasks) byId.set(task.id, task);
    } catch {
      // Loaded again with the next connection.
    }
  }

  async function cancel(id: string): Promise<void> {
    try {
      await connection.call('task.cancel', { id });
    } catch (error) {
      notices.showError('cancelTask', byId.get(id)?.object ?? '', error);
    }
  }

  /** Forgets what has ended; what runs stays. */
  async function clear(): Promise<void> {
    try {
      await connection.call('task.clear', {});
      for (const { id, state } of list.value) if (state !== 'running') byId.delete(id);
    } catch (error) {
      notices.showError('clearTasks', '', error);
    }
  }

  /** Shows the panel while something is worked on that no dialog shows, unless it is open anyway. */
  async function showDuring<T>(work: () => Promise<T>): Promise<T> {
    const opened = !panelOpen.value;
    panelOpen.value = true;
    try {
      return await work();
    } finally {
      if (opened) panelOpen.value = false;
    }
  }

  connection.on('task.changed', (task) => {
    const before = byId.get(task.id);
    byId.set(task.id, task);
    if (task.state === 'failed' && before?.state === 'running' && !connection.awaitsTask()) notices.taskFailed(task);
  });
  connection.onReady(() => void load());

  return { list, running, panelOpen, cancel, clear, showDuring };
});
