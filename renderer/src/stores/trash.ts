import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { TrashItem } from '../../../core/contract/storage.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

/** What was deleted and can come back. */
export const useTrash = defineStore('trash', () => {
  const connection = useConnection();
  const notices = useNotices();
  const items = shallowRef<TrashItem[]>([]);
  const loaded = ref(false);

  async function load(): Promise<void> {
    try {
      items.value = await connection.call('trash.list', {});
      loaded.value = true;
    } catch (error) {
      notices.showError('trash', '', error);
    }
  }

  async function restore(id: string, name: string): Promise<void> {
    try {
      await connection.call('trash.restore', { id });
      notices.toast({ key: 'toast.restored', tone: 'success', params: { name } });
    } catch (error) {
      notices.showError('restore', name, error);
    }
  }

  /** For good; asks before. `question` is a key under `confirm`. */
  async function remove(
    which: readonly TrashItem[],
    question: 'trashFor' | 'trashEmpty',
    params: Record<string, string | number>,
  ): Promise<void> {
    const lines = which.length === 1 ? which[0]!.files : which.map(({ name, from }) => `${name} (${from})`);
    if (!(await notices.ask({ key: question, params, danger: true, lines, linesKey: 'confirm.gone' }))) return;
    try {
      await connection.call('trash.remove', { ids: which.map(({ id }) => id) });
      notices.toast({ key: 'toast.removed' });
    } catch (error) {
      notices.showError('trashRemove', which[0]?.name ?? '', error);
    }
  }

  connection.on('trash.changed', () => void (loaded.value && load()));
  return { items, loaded, load, restore, remove };
});
