import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import { type BulkAction, type BulkResult, isBulkEdit } from '../../../core/contract/library.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { type Verb, verbReason } from '../composables/verbs.ts';
import { useConnection } from './connection.ts';
import { useHost } from './host.ts';
import { useMachines } from './machines.ts';
import { useNotices } from './notices.ts';
import { useStartChecks } from './startchecks.ts';

/** Verbs for several machines, in the order of their buttons. */
export const bulkVerbs = [
  'start',
  'pause',
  'resume',
  'shutdown',
  'restart',
  'saveState',
  'reset',
  'forceOff',
  'snapshot',
  'delete',
] as const;
export type BulkVerb = (typeof bulkVerbs)[number];

export interface BulkQuestion {
  verb: BulkVerb;
  machines: VmSummary[];
  /** Those that were chosen and can't, each with a key under `verbs.reason`. */
  left: { vm: VmSummary; reason: string }[];
}

/** Why a verb can't be used on a machine: a key under `verbs.reason`; null when it can. */
export const bulkReason = (verb: BulkVerb, vm: VmSummary, capabilities?: Parameters<typeof verbReason>[2]): string | null =>
  verbReason(verb satisfies Verb, vm, capabilities);

/** One verb for several machines: asks, does it as one task, and tells what came of it. */
export const useBulk = defineStore('bulk', () => {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const host = useHost();
  const checks = useStartChecks();
  const question = shallowRef<BulkQuestion | null>(null);
  /** What failed, when something did. */
  const outcome = shallowRef<{ action: BulkAction; results: BulkResult[] } | null>(null);
  const busy = ref(0);

  const reason = (verb: BulkVerb, vm: VmSummary) => bulkReason(verb, vm, host.info?.capabilities);
  /** Machines of `those` that the verb can be used on. */
  const usable = (verb: BulkVerb, those: readonly VmSummary[]) => those.filter((vm) => reason(verb, vm) === null);

  function ask(verb: BulkVerb, those: readonly VmSummary[]): void {
    const left = those.flatMap((vm) => {
      const why = reason(verb, vm);
      return why === null ? [] : [{ vm, reason: why }];
    });
    question.value = { verb, machines: usable(verb, those), left };
  }

  /** True when all of it worked. */
  async function run(action: BulkAction, wanted: readonly string[]): Promise<boolean> {
    const ids = action.type === 'start' ? await checks.pass(wanted) : wanted;
    if (ids.length === 0) return false;
    if (action.type === 'start') action = { type: 'start', despiteDisks: ids.filter((id) => checks.despiteDisks.has(id)) };
    busy.value++;
    try {
      const results = isBulkEdit(action)
        ? await connection.call('vm.bulkEdit', { ids: [...ids], action })
        : await connection.call('vm.bulk', { ids: [...ids], action });
      const failed = results.filter(({ error }) => error !== null);
      if (failed.length) outcome.value = { action, results };
      const done = results.filter(({ error }) => error === null);
      if (action.type === 'delete') {
        for (const { id } of done) machines.byId.delete(id);
        const trashed = done.flatMap(({ name, trashId }) => (trashId ? [{ name, trashId }] : []));
        if (trashed.length)
          notices.toast({
            key: 'library.done.delete',
            params: { n: trashed.length },
            action: { key: 'common.undo', run: () => void restore(trashed) },
          });
      } else if (failed.length === 0 && action.type !== 'tags' && action.type !== 'group')
        notices.toast({ key: `library.done.${action.type}`, tone: 'success', params: { n: done.length } });
      return failed.length === 0;
    } catch (error) {
      notices.showError('bulk', '', error);
      return false;
    } finally {
      busy.value--;
    }
  }

  async function restore(trashed: readonly { name: string; trashId: string }[]): Promise<void> {
    // What was deleted last may lie below what was deleted first.
    for (const { name, trashId } of [...trashed].reverse())
      try {
        const vm = await connection.call('vm.restore', { trashId });
        machines.byId.set(vm.id, vm);
      } catch (error) {
        notices.showError('restore', name, error);
      }
  }

  return { question, outcome, busy: computed(() => busy.value > 0), reason, usable, ask, run };
});
