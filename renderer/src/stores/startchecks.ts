import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { Check, StartCheck } from '../../../core/contract/vm.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

/** The saved state's disks look changed: whoever copied the folder knows that they are not. */
const seemsChanged = ({ remedy }: Check) => remedy?.do === 'despite-disks';
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
  /** Machines of the list that are to go on from their saved states all the same. */
  const despiteDisks = ref(new Set<string>());
  let answer: (ids: string[]) => void = () => {};

  /** One machine alone is asked about it at the start itself. */
  const askedLater = (check: Check, machines: number) => machines === 1 && seemsChanged(check);
  const settled = (id: string, check: Check) =>
    check.ok ||
    (seemsChanged(check) && despiteDisks.value.has(id)) ||
    (check.severity !== 'error' && accepted.get(id)?.has(keyOf(check)) === true);
  const needsSaying = ({ id, checks }: StartCheck, _: number, { length }: readonly StartCheck[]) =>
    checks.some((check) => !settled(id, check) && !askedLater(check, length));
  const blocked = ({ id, checks }: StartCheck) =>
    checks.some((check) => check.severity === 'error' && !settled(id, check) && !askedLater(check, shown.value?.length ?? 1));
  /** Machines of the list that could be started as things are. */
  const startable = computed(() => (shown.value ?? []).filter((machine) => !blocked(machine)));
  const clear = computed(() => (shown.value ?? []).every(({ checks }) => checks.every(({ ok }) => ok)));

  /** Those of `ids` that are to be started: all of them where nothing is to be said, else those that whoever read the list wants. None while an earlier look at one is under way. */
  async function pass(ids: readonly string[]): Promise<string[]> {
    if (ids.some((id) => under.has(id))) return [];
    for (const id of ids) under.add(id);
    despiteDisks.value = new Set();
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

  return { shown, busy, startable, clear, despiteDisks, pass, again, start, blocked, cancel: () => close([]) };
});
