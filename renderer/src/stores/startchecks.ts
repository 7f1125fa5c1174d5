import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { Check, StartCheck } from '../../../core/contract/vm.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

/** A saved state whose disks only look changed is asked about at the start itself. */
const askedLater = ({ remedy }: Check) => remedy?.do === 'despite-disks';
const stops = (check: Check) => !check.ok && check.severity === 'error' && !askedLater(check);
/** The same words of the same thing. */
const keyOf = ({ id, said, message }: Check) => `${id} ${said?.key ?? message}`;

/** What is looked at before machines start: nothing is shown where all is well, else a list with ways out. */
export const useStartChecks = defineStore('startchecks', () => {
  const connection = useConnection();
  const notices = useNotices();
  const shown = shallowRef<StartCheck[] | null>(null);
  const busy = ref(false);
  /** Warnings of machines that were started all the same: not shown again while this window is open. */
  const accepted = new Map<string, Set<string>>();
  const under = new Set<string>();
  let answer: (ids: string[]) => void = () => {};

  const needsSaying = ({ id, checks }: StartCheck) =>
    checks.some((check) => !check.ok && !askedLater(check) && (check.severity === 'error' || !accepted.get(id)?.has(keyOf(check))));
  const blocked = ({ checks }: StartCheck) => checks.some(stops);
  /** Machines of the list that could be started as things are. */
  const startable = computed(() => (shown.value ?? []).filter((machine) => !blocked(machine)));
  const clear = computed(() => (shown.value ?? []).every(({ checks }) => checks.every(({ ok }) => ok)));

  /** Those of `ids` that are to be started: all of them where nothing is to be said, else those that whoever read the list wants. None while an earlier look at one is under way. */
  async function pass(ids: readonly string[]): Promise<string[]> {
    if (ids.some((id) => under.has(id))) return [];
    for (const id of ids) under.add(id);
    try {
      const found = await connection.call('vm.check', { ids: [...ids] });
      if (!found.some(needsSaying)) return [...ids];
      close([]);
      shown.value = found;
      return await new Promise<string[]>((resolve) => {
        answer = resolve;
      });
    } catch {
      // The start looks by itself, and tells.
      return [...ids];
    } finally {
      for (const id of ids) under.delete(id);
    }
  }

  /** Looks anew, after something was done about it. */
  async function again(): Promise<void> {
    const before = shown.value;
    if (!before) return;
    busy.value = true;
    try {
      const found = await connection.call('vm.check', { ids: before.map(({ id }) => id) });
      if (shown.value === before) shown.value = found;
    } catch (error) {
      close([]);
      notices.showError('start', before.map(({ name }) => name).join(', '), error);
    } finally {
      busy.value = false;
    }
  }

  function close(ids: string[]): void {
    shown.value = null;
    answer(ids);
    answer = () => {};
  }

  function start(): void {
    for (const { id, checks } of startable.value)
      accepted.set(id, new Set([...(accepted.get(id) ?? []), ...checks.filter(({ ok }) => !ok).map(keyOf)]));
    close(startable.value.map(({ id }) => id));
  }

  return { shown, busy, startable, clear, pass, again, start, blocked, cancel: () => close([]) };
});
