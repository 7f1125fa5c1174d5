import { useI18n } from 'vue-i18n';
import { useRouter } from 'vue-router';
import type { VmStateName } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { useTasks } from '../stores/tasks.ts';
import { notify } from './notify.ts';
import { useErrorWords } from './usesaid.ts';

/** What is done sooner is no news to anybody, ms. */
const longTaskMs = 4000;

/** Tells through the browser what ends, fails or crashes while nobody looks. The desktop app tells by itself. */
export function useNotify(): void {
  if (window.hypervue) return;
  const connection = useConnection();
  const machines = useMachines();
  const tasks = useTasks();
  const router = useRouter();
  const { t } = useI18n();
  const { why } = useErrorWords();
  const states = new Map<string, VmStateName>();
  connection.on('task.changed', (task) => {
    const open = () => {
      tasks.panelOpen = true;
    };
    const long = task.finishedAt !== null && Date.parse(task.finishedAt) - Date.parse(task.startedAt) >= longTaskMs;
    if (task.state === 'failed') notify(t('access.notify.failed', { object: task.object }), task.error ? why(task.error) : '', open);
    else if (task.state === 'done' && long) notify(t('access.notify.done', { object: task.object }), '', open);
  });
  connection.on('vm.changed', ({ id, name, state, problem }) => {
    const before = states.get(id) ?? machines.get(id)?.state;
    states.set(id, state);
    if (before === undefined || before === state) return;
    const tell = (what: 'crashed' | 'paused' | 'off') =>
      notify(
        t(`access.notify.${what}`, { name }),
        problem ? why(problem) : '',
        () => void router.push({ name: 'machine', params: { id } }),
      );
    if (state === 'crashed') tell('crashed');
    else if (state === 'paused' && problem) tell('paused');
    else if (state === 'off' && before === 'running') tell('off');
  });
}
